"""Schedules without drift, and clocks that lie."""

import logging
import threading
import time
from email.utils import formatdate

import pytest

from metering.agent.clock import Schedule, ServerClock, SystemClock, off
from tallywatt.answers import Answer


def test_what_each_reading_takes_never_adds_up() -> None:
    schedule = Schedule(100.0, 5.0)
    assert [schedule.after(now) for now in (100.0, 100.7, 104.999, 105.0, 1_000_000.2)] == [
        105,
        105,
        105,
        110,
        1_000_005,
    ]


@pytest.mark.parametrize(
    ("now", "missed", "due"), [(101.0, 0, 105.0), (104.9, 0, 105.0), (105.1, 1, 110.0), (117.0, 3, 120.0)]
)
def test_moments_that_were_missed_are_counted_and_left_out(now: float, missed: int, due: float) -> None:
    schedule = Schedule(100.0, 5.0)
    assert (schedule.missed(100.0, now), schedule.after(now)) == (missed, due)


def test_the_systems_clock_wakes_when_it_is_told_to_stop() -> None:
    clock, stop = SystemClock(), threading.Event()
    assert abs(clock.now_ms() / 1000 - time.time()) < 1
    assert not clock.wait(stop, -3.0)
    stop.set()
    began = clock.monotonic()
    assert clock.wait(stop, 60.0)
    assert clock.monotonic() - began < 5


@pytest.mark.parametrize(
    ("ahead_s", "took_s", "found"),
    [
        (0.0, 0.0, 0.0),
        (0.9, 0.0, 0.0),  # the header has whole seconds
        (1.5, 0.0, 0.5),
        (-1.5, 0.0, -1.5),
        (20.0, 0.0, 19.0),
        (20.0, 30.0, 0.0),  # the server may have written the date when the request came, long ago
        (-20.0, 30.0, -20.0),
    ],
)
def test_only_a_difference_that_cannot_be_delay_counts(ahead_s: float, took_s: float, found: float) -> None:
    server = 1_790_000_000
    assert off({"date": formatdate(server, usegmt=True)}, server + ahead_s, took_s) == pytest.approx(found)


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}, {"date": ""}, {"date": "99"}])
def test_a_server_that_tells_no_time_says_nothing_about_ours(headers: dict[str, str]) -> None:
    clock = ServerClock()
    clock.seen(Answer(200, headers=headers), 0.1)
    assert (clock.off_s, clock.problem) == (None, None)


def test_a_lying_clock_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    clock = ServerClock()
    with caplog.at_level(logging.INFO, "tallywatt.agent"):
        for ahead_s in (0, 3, 60, 61, -3600, 0, 0):
            clock.seen(Answer(202, headers={"date": formatdate(time.time() - ahead_s, usegmt=True)}), 0.0)
            if ahead_s == 60:
                assert clock.problem is not None
                assert " s ahead of the server's" in clock.problem
            if ahead_s == -3600:
                assert "3600 s behind the server's" in (clock.problem or "") or "3599 s" in (clock.problem or "")
    assert clock.problem is None
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
