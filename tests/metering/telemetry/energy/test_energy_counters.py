"""An engine's counters against its events, over the same time."""

import numpy as np
import pytest

from metering.telemetry.energy.arrays import edges
from metering.telemetry.energy.counters import Compared, compare
from tests.metering.telemetry.energy.hand import NAN, Request, counting, engine, ran


def compared(samples: list[dict[str, float]], requests: list[Request], windows: int) -> Compared:
    one = engine("e0", ["g"], samples, requests, windows=windows)
    return compare(one.readings, one.requests, edges(0, windows))


def test_an_engine_that_served_exactly_its_events_agrees_with_them_in_every_window() -> None:
    requests = [ran(begin, begin + 47.3, prefill=90.0, output=33.0, cached=7.0) for begin in range(3, 200, 11)]
    found = compared(counting(requests, 300, step=7), requests, 5)
    assert list(found.engine_prefill) == pytest.approx(list(found.event_prefill))
    assert list(found.engine_cached) == pytest.approx(list(found.event_cached))
    assert list(found.engine_decode) == pytest.approx(list(found.event_decode))
    assert list(found.engine_finished) == pytest.approx(list(found.event_requests))
    assert sum(found.engine_decode) == pytest.approx(33.0 * len(requests))


def test_a_window_takes_what_was_counted_up_to_its_last_sample() -> None:
    samples = [{"at": at, "generated": 10 * at} for at in (0, 25, 50, 75, 100, 125)]
    assert list(compared(samples, [], 2).engine_decode) == [500, 500]
    assert list(compared([{"at": 0}, {"at": 60, "generated": 7}], [], 2).engine_decode) == [7, 0]


def test_a_counter_that_begins_anew_counts_what_it_shows_since() -> None:
    samples = [{"at": at, "generated": made, "prompt": made} for at, made in ((0, 500), (20, 700), (40, 30), (60, 50))]
    found = compared(samples, [], 1)
    assert list(found.engine_decode) == [200 + 30 + 20]
    assert list(found.restarts) == [1]


def test_time_between_samples_too_far_apart_is_not_compared() -> None:
    request = ran(100, 110)
    samples = [
        {"at": 0},
        {"at": 20},
        {"at": 220, "generated": 999, "prompt": 999},
        {"at": 240, "generated": 999, "prompt": 999},
    ]
    found = compared(samples, [request], 4)
    assert (sum(found.engine_decode), sum(found.event_decode), sum(found.event_requests)) == (0, 0, 0)
    assert list(found.gap_s) == pytest.approx([40, 60, 60, 40])


def test_an_engine_that_does_not_count_cached_tokens_cached_what_its_events_say() -> None:
    request = ran(10, 30, prefill=80.0, cached=20.0)
    samples = [sample | {"cached": NAN} for sample in counting([request], 60)]
    found = compared(samples, [request], 1)
    assert (found.engine_prefill[0], found.engine_cached[0], found.event_prefill[0]) == (80, 20, 80)


def test_an_engine_without_token_counters_compares_nothing() -> None:
    found = compared([{"at": at, "generated": NAN, "prompt": NAN} for at in (0, 30, 60)], [ran(10, 20)], 1)
    assert (found.event_decode[0], found.gap_s[0]) == (0, 60)
    assert not np.isnan(found.engine_prefill).any()


def test_an_engine_that_does_not_count_requests_has_none() -> None:
    found = compared([{"at": at, "finished": NAN, "aborted": NAN} for at in (0, 30, 60)], [], 1)
    assert (found.engine_finished[0], found.engine_aborted[0]) == (0, 0)
