"""Counters of ingest: over all processes, never in the way, and honest after Redis was wiped."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from metering.ingest import counters
from metering.ingest.counters import EDGES_S, Histogram
from metering.ingest.spool import SpooledFile
from metering.moments import microseconds
from metering.redis_link import TROUBLE, link

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def empty() -> None:
    counters.circuit.close()
    for key in link().scan_iter("tallywatt:ingest:*"):
        link().delete(key)


def file(waited_s: float, rows: int, kind: str = "events", size: int = 1000) -> SpooledFile:
    stamp = microseconds(NOW - timedelta(seconds=waited_s))
    return SpooledFile(Path(f"{stamp:016d}-b.{rows}.{kind}.arrow"), stamp, rows, size)


def test_taken_requests_add_up_by_decoder_and_rejects_by_reason() -> None:
    counters.requests_taken("ndjson", 5, {"malformed": 2}, 0.25)
    counters.requests_taken("ndjson", 7, {}, 0.5)
    counters.requests_taken("otlp", 0, {"malformed": 1, "too_old": 3}, 0.0)
    for found in (counters.snapshot().total, counters.snapshot().hour):
        assert found.accepted == {"ndjson": 12}
        assert found.requests == {"ndjson": 2, "otlp": 1}
        assert found.seconds == {"ndjson": 0.75}
        assert found.rejected == {"malformed": 3, "too_old": 3}


def test_refused_requests_are_counted_by_status() -> None:
    for status in (429, 401, 429):
        counters.refused(status)
    assert counters.snapshot().total.refused == {"429": 2, "401": 1}


def test_an_inserted_group_counts_each_row_by_how_long_it_waited() -> None:
    counters.inserted([file(0.01, 3), file(0.9, 10), file(1.0, 4), file(9000, 1)], NOW)
    found = counters.snapshot().recent.queryable
    filled = {edge: count for edge, count in zip((*EDGES_S, None), found.counts, strict=True) if count}
    assert filled == {0.0625: 3, 1.0: 14, None: 1}
    assert found.total == 18
    assert found.sum_s == pytest.approx(0.03 + 9 + 4 + 9000)


def test_rejects_are_inserted_and_do_not_count_as_queryable() -> None:
    counters.inserted([file(1, 3, "rejects", size=10), file(1, 2, "meters", size=20)], NOW)
    found = counters.snapshot().total
    assert (found.inserted_rows, found.inserted_files, found.inserted_bytes) == ({"rejects": 3, "meters": 2}, 2, 30)
    assert found.queryable.total == 2


def test_a_stamp_ahead_of_the_clock_waited_no_time() -> None:
    counters.inserted([file(-5, 1)], NOW)
    assert counters.snapshot().total.queryable.counts[0] == 1


@pytest.mark.parametrize(("level", "expected"), [(0.5, 0.75), (0.25, 0.5), (1.0, 2.0)])
def test_quantiles_are_even_within_a_bucket(level: float, expected: float) -> None:
    counts = [0] * (len(EDGES_S) + 1)
    counts[EDGES_S.index(0.5)] = 25
    counts[EDGES_S.index(1.0)] = 50
    counts[EDGES_S.index(2.0)] = 25
    assert Histogram(tuple(counts)).quantile(level) == pytest.approx(expected)


def test_quantiles_of_nothing_are_none_and_beyond_the_last_edge_they_are_that_edge() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram((*([0] * len(EDGES_S)), 7)).quantile(0.5) == EDGES_S[-1]


def test_minutes_older_than_an_hour_no_longer_count_in_the_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time()
    monkeypatch.setattr(counters.time, "time", lambda: real - 3601)
    counters.requests_taken("ndjson", 5, {}, 0)
    monkeypatch.setattr(counters.time, "time", lambda: real - 1800)
    counters.requests_taken("ndjson", 3, {}, 0)
    monkeypatch.setattr(counters.time, "time", lambda: real)
    found = counters.snapshot()
    assert (found.total.accepted, found.hour.accepted, found.recent.accepted) == ({"ndjson": 8}, {"ndjson": 3}, {})


def test_minutes_are_forgotten_by_redis_itself() -> None:
    counters.refused(429)
    minutes = list(link().scan_iter(f"{counters.MINUTE}*"))
    assert 0 < link().ttl(minutes[0]) <= counters.KEPT_S


def test_after_redis_was_wiped_the_counts_begin_anew() -> None:
    counters.requests_taken("ndjson", 5, {}, 0)
    link().delete(counters.TOTAL)
    counters.requests_taken("ndjson", 2, {}, 0)
    assert counters.snapshot().total.accepted == {"ndjson": 2}


def test_without_redis_nothing_raises_and_only_the_first_call_tries(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    tried = []
    monkeypatch.setattr(counters, "link", lambda: tried.append(1) or link())
    for _ in range(50):
        counters.requests_taken("ndjson", 1, {"malformed": 1}, 0.1)
        counters.refused(429)
        counters.inserted([file(1, 1)], NOW)
    assert len(tried) == 1
    with pytest.raises(TROUBLE):
        counters.snapshot()


def test_counting_goes_on_once_the_pause_is_over(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    url = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    counters.refused(429)
    settings.REDIS_URL = url
    counters.refused(429)
    assert counters.snapshot().total.refused == {}
    later = time.monotonic() + counters.PAUSE_S
    monkeypatch.setattr(counters.time, "monotonic", lambda: later)
    counters.refused(429)
    assert counters.snapshot().total.refused == {"429": 1}


def test_an_address_that_is_none_raises_nothing(settings: Settings) -> None:
    settings.REDIS_URL = "nonsense"
    counters.refused(429)
    assert counters.circuit.is_open
