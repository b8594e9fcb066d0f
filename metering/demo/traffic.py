"""The demo's live traffic: what its customers send now, over HTTP like any client, a batch every half second.

It goes on where history ended, and after an outage with what fell due meanwhile. CPU time is next to nothing: an hour is drawn at
once, and each half second takes its few rows.
"""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from metering.demo.generate import HOUR, hour, hour_start
from metering.demo.state import DemoState
from metering.replay.sender import Sender, ndjson

EVERY_S = 0.5
SAVE_EVERY_S = 5
LONGEST_BACKLOG = timedelta(minutes=15)  # an older gap is left to `demo seed`, which fills it through the spool
BATCH_EVENTS = 2_000


class HourTable:
    """The events of one hour at a time, sliced by time of use."""

    def __init__(self, anchor: datetime) -> None:
        self._anchor = anchor
        self._start: datetime | None = None
        self._events: pa.Table | None = None

    def between(self, begin: datetime, end: datetime) -> Iterator[dict[str, Any]]:
        """Events with `begin <= time < end` as the endpoint takes them."""
        start = hour_start(begin)
        while start < end:
            if start != self._start or self._events is None:
                self._events, self._start = hour(self._anchor, start), start
            times = self._events["time"]
            inside = pc.and_(pc.greater_equal(times, _ms(begin)), pc.less(times, _ms(end)))
            yield from map(_event, self._events.filter(inside).to_pylist())
            start += HOUR


def send_until(stop: threading.Event, state: DemoState, sender: Sender) -> None:
    """Until `stop` is set. Raises SendFailed if the server refuses for good."""
    events = HourTable(state.anchor)
    saved_at = datetime.now(UTC)
    state.covered_until = max(state.covered_until, saved_at - LONGEST_BACKLOG)
    try:
        while not stop.wait(EVERY_S):
            now = datetime.now(UTC)
            due = list(events.between(state.covered_until, now))
            for first in range(0, len(due), BATCH_EVENTS):
                sender.send(ndjson(due[first : first + BATCH_EVENTS]))
            state.covered_until = now
            if now - saved_at >= timedelta(seconds=SAVE_EVERY_S):
                state.save()
                saved_at = now
    finally:
        state.save()


def _event(row: dict[str, Any]) -> dict[str, Any]:
    event = {name: value for name, value in row.items() if value is not None}
    event["time"] = row["time"].isoformat(timespec="milliseconds")
    event["attributes"] = dict(row["attributes"])
    return event


def _ms(moment: datetime) -> pa.Scalar:
    return pa.scalar(moment, pa.timestamp("us", "UTC")).cast(pa.timestamp("ms", "UTC"), safe=False)
