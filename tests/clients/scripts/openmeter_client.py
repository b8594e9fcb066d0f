"""The `openmeter` package: one event at a time, batches, JSON; synchronous and asynchronous."""

import asyncio
from typing import Any

import openmeter
import openmeter.aio
from corehttp.exceptions import HttpResponseError
from openmeter.models import Event
from usage import TOLD, data, moment, numbers, report


def events() -> list[Any]:
    return [
        Event(
            id=f"{TOLD['tenant']}-{n}",
            source="gateway",
            specversion="1.0",
            type=TOLD.get("type", "tallywatt.request"),
            subject=TOLD.get("subject", TOLD["tenant"]),
            time=moment(n),
            data=TOLD.get("data") or data(n),
        )
        for n in numbers()
    ]


def calls(client: Any, sent: list[Any]) -> list[Any]:
    """The calls to make, as functions."""
    way = TOLD["way"]
    if way == "single":
        return [lambda each=each: client.events.ingest_event(each) for each in sent]
    if way == "json":
        return [lambda each=each: client.events.ingest_events_json(each) for each in sent]
    return [lambda: client.events.ingest_events(sent)]


def synchronous() -> None:
    sent = events()
    with openmeter.Client(endpoint=TOLD["url"], token=TOLD["key"]) as client:
        for _ in range(TOLD.get("times", 1)):
            for call in calls(client, sent):
                call()


async def asynchronous() -> None:
    sent = events()
    async with openmeter.aio.Client(endpoint=TOLD["url"], token=TOLD["key"]) as client:
        for _ in range(TOLD.get("times", 1)):
            await asyncio.gather(*(call() for call in calls(client, sent)))


try:
    if TOLD.get("asynchronous"):
        asyncio.run(asynchronous())
    else:
        synchronous()
    report(error=None)
except HttpResponseError as error:
    report(error=error.status_code, detail=getattr(error.model, "detail", None))
