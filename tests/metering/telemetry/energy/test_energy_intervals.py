"""Unions of intervals, and when an engine was busy."""

import numpy as np

from metering.telemetry.energy import intervals
from metering.telemetry.energy.arrays import floats
from metering.telemetry.energy.counters import EngineReadings, busy
from metering.telemetry.energy.requests import Requests


def union(*pairs: tuple[float, float]) -> intervals.Intervals:
    start, end = zip(*pairs, strict=True) if pairs else ((), ())
    return intervals.union(floats(start), floats(end))


def pairs(found: intervals.Intervals) -> list[tuple[float, float]]:
    return list(zip(found.start_s.tolist(), found.end_s.tolist(), strict=True))


def busy_of(samples: list[tuple[float, float]], *requests: tuple[float, float]) -> list[tuple[float, float]]:
    at, running = (floats(column) for column in zip(*samples, strict=True))
    begin, end = floats([one[0] for one in requests]), floats([one[1] for one in requests])
    nothing = np.zeros(len(at))
    told = Requests(begin, begin, end, begin, begin, begin, np.zeros(len(begin), np.int64))
    return pairs(busy(EngineReadings(at, running, *(nothing,) * 5), told))


def test_a_union_joins_what_overlaps_and_touches_in_any_order() -> None:
    assert pairs(union((5, 9), (0, 3), (2, 4), (9, 10), (20, 20), (1, 2))) == [(0, 4), (5, 10)]
    assert pairs(union()) == []


def test_covered_time_is_counted_once() -> None:
    found = union((0, 4), (2, 6), (10, 12))
    assert list(found.covered_before(floats([-1, 0, 3, 6, 8, 11, 99]))) == [0, 0, 3, 6, 6, 7, 8]
    assert list(found.within(floats([5, 7]), floats([11, 9]))) == [2, 0]


def test_a_moment_is_held_by_intervals_that_begin_at_it_and_not_by_those_that_end_there() -> None:
    start, end = floats([0, 5, 5]), floats([5, 9, 6])
    assert list(intervals.running_at(start, end, floats([0, 5, 6, 9]))) == [1, 2, 1, 0]


def test_an_engine_is_busy_when_its_requests_run() -> None:
    assert busy_of([(0, 0), (10, 1), (20, 0)], (8, 12)) == [(8, 12)]


def test_a_sample_that_shows_more_running_than_events_tell_speaks_for_half_the_way_to_its_neighbours() -> None:
    assert busy_of([(0, 0), (10, 1), (20, 0)]) == [(5, 15)]
    assert busy_of([(0, 0), (10, 2), (20, 0)], (9, 11)) == [(5, 15)]


def test_a_sample_speaks_for_no_more_than_ninety_seconds_to_either_side() -> None:
    assert busy_of([(0, 0), (1000, 1), (1010, 0)]) == [(910, 1005)]


def test_a_sample_that_does_not_say_how_many_run_says_nothing() -> None:
    assert busy_of([(0, 0), (10, float("nan")), (20, 0)]) == []
