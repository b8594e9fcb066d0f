"""The `cloudevents` package, 1.x: structured, binary, JSON and batches, sent with httpx or requests as its README shows."""

import httpx
import requests
from cloudevents.conversion import to_binary, to_json, to_structured
from cloudevents.http import CloudEvent
from usage import TOLD, data, moment, numbers, report

URL, KEY = f"{TOLD['url']}/api/v1/events", {"Authorization": f"Bearer {TOLD['key']}"}


def event(n: int) -> CloudEvent:
    attributes = {
        "type": "tallywatt.request",
        "source": "https://gateway.example/Köln",
        "id": f"{TOLD['tenant']}-{n}",
        "time": moment(n).isoformat(),
        "subject": TOLD["tenant"],
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    return CloudEvent(attributes, data(n))


def send(events: list[CloudEvent]) -> list[int]:
    if TOLD["way"] == "batch":
        body = b"[" + b",".join(to_json(each) for each in events) + b"]"
        headers = {"content-type": "application/cloudevents-batch+json"}
        return [httpx.post(URL, content=body, headers=headers | KEY).status_code]
    found = []
    for each in events:
        headers, body = to_binary(each) if TOLD["way"] == "binary" else to_structured(each)
        found.append(requests.post(URL, data=body, headers=headers | KEY, timeout=30).status_code)
    return found


sent = [event(n) for n in numbers()]
report(statuses=[status for _ in range(TOLD.get("times", 1)) for status in send(sent)])
