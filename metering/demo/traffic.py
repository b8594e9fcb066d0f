"""The demo's live traffic: a simulated fleet serves its customers, and the agents of its nodes send what they see.

It begins some hours back, so that there are charts of GPUs at once, catches up with the clock, and goes on with it. What lies further
back is history (history.py), which has no GPUs.
"""

import math
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from metering import moments
from metering.demo.state import DemoState
from metering.simulator.agentpath import AgentPath, Destination
from metering.simulator.fleet import Fleet
from metering.simulator.provider import demo_plan

BACKLOG = timedelta(hours=3)  # simulated at once; an older gap is left to `demo seed`
LIVE_EVERY_S = 2  # between two readings, and between two batches of events
FAST_EVERY_S, FAST_EVENTS_S = 10, 120  # the same in simulated time, while it catches up
STRETCH_S = 10  # what is simulated between two looks at `stop`
CLOCK_STEP_S = 0.25


class Ended(Exception):
    """`stop` is set."""


def begin(now: datetime, covered_until: datetime) -> datetime:
    """Where live traffic begins: a whole minute, where history ended or BACKLOG ago."""
    return max(covered_until, now - BACKLOG).replace(second=0, microsecond=0)


def send_until(
    stop: threading.Event,
    state: DemoState,
    now: datetime,
    *,
    url: str,
    key: str,
    folder: Path,
    caught_up: Callable[[], None],
) -> None:
    """Until `stop` is set. A server that does not answer is waited for: until then everything lies in `folder`.
    `caught_up` is called once, when what lay behind the clock has been handed over.

    Raises NotDelivered if the server refuses what it was sent for good.
    """
    start_ms = moments.milliseconds(begin(now, state.covered_until))
    # Another seed for every start: what is sent twice would count once, and a restarted demo would look asleep.
    fleet = Fleet(demo_plan(start_ms, seed=start_ms // 60_000, scale=1.0))
    pace = _Pace(stop)
    try:
        with AgentPath(fleet, _destination(url, key, folder, FAST_EVERY_S, FAST_EVENTS_S)) as path:
            while fleet.time_ms + FAST_EVENTS_S * 1000 < _now_ms():
                _go_on(path, state, FAST_EVENTS_S, pace)
        caught_up()
        with AgentPath(fleet, _destination(url, key, folder, LIVE_EVERY_S, LIVE_EVERY_S)) as path:
            while True:
                _go_on(path, state, STRETCH_S, pace)
    except Ended:
        return
    finally:
        state.save()


def _go_on(path: AgentPath, state: DemoState, seconds: int, pace: Callable[[int], None]) -> None:
    path.run(path.fleet.time_ms + seconds * 1000, wait_until=pace)
    path.fleet.truth.minutes.clear()  # nobody holds the demo against it, and it may run for months
    state.covered_until = moments.from_microseconds(path.fleet.time_ms * 1000)
    state.save()


def _destination(url: str, key: str, folder: Path, every_s: int, events_every_s: int) -> Destination:
    return Destination(
        url=url, key=key, folder=folder, interval_s=every_s, events_every_s=events_every_s, give_up_after_s=math.inf
    )


class _Pace:
    """Waits for the clock. Raises Ended."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def __call__(self, moment_ms: int) -> None:
        while (early_s := (moment_ms - _now_ms()) / 1000) > 0 and not self._stop.wait(min(early_s, CLOCK_STEP_S)):
            pass
        if self._stop.is_set():
            raise Ended


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
