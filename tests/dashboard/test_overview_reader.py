"""How readings are shared and kept, with no database."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.operator import overview
from dashboard.operator.filters import Filters
from dashboard.operator.overview import Freshness, History, Now, Overview, OverviewReader
from metering.public import LiveCounts, LivePoint

AT = datetime(2026, 3, 10, 12, 0, 20, tzinfo=UTC)
NOW = Now(AT, LiveCounts(60, ok=30), LivePoint(AT, AT, LiveCounts(60)), LiveCounts(60))
FRESH = Freshness(None, ever=True, sealed_until=None)


def steps(*lengths_s: int) -> list[LivePoint]:
    """Points that end at AT, of these lengths, with one request in each."""
    ends = [AT - timedelta(seconds=sum(lengths_s[n + 1 :])) for n in range(len(lengths_s))]
    return [
        LivePoint(end - timedelta(seconds=s), end, LiveCounts(s, ok=1)) for end, s in zip(ends, lengths_s, strict=True)
    ]


def test_a_short_last_step_is_replaced_by_the_last_minutes_rate() -> None:
    points = Overview(Filters(), NOW, FRESH, History(steps(60, 60, 20), [], [])).points
    assert [point.counts.ok for point in points] == [1, 1, 30]
    assert points[-1].end == AT


def test_a_last_step_of_a_minute_or_more_stands() -> None:
    points = Overview(Filters(), NOW, FRESH, History(steps(300, 120), [], [])).points
    assert [point.counts.ok for point in points] == [1, 1]


def test_readers_that_ask_together_wait_for_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    def slow(scope: object) -> Now:
        reads.append(scope)
        time.sleep(0.1)
        return NOW

    monkeypatch.setattr(overview, "_now", slow)
    monkeypatch.setattr(overview, "_freshness", lambda: FRESH)
    monkeypatch.setattr(overview, "_history", lambda filters: History(steps(60), [], []))
    reader = OverviewReader()
    threads = [threading.Thread(target=reader.read, args=[Filters()]) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1
    reader.read(Filters(tenant="other"))
    assert len(reads) == 2


def test_a_failed_reading_is_tried_again_by_the_next_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([RuntimeError("down"), NOW])

    def read(scope: object) -> Now:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(overview, "_now", read)
    monkeypatch.setattr(overview, "_freshness", lambda: FRESH)
    monkeypatch.setattr(overview, "_history", lambda filters: History(steps(60), [], []))
    reader = OverviewReader()
    with pytest.raises(RuntimeError, match="down"):
        reader.read(Filters())
    assert reader.read(Filters()).now == NOW


def test_readings_that_nobody_asks_for_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "_now", lambda scope: NOW)
    monkeypatch.setattr(overview, "_freshness", lambda: FRESH)
    monkeypatch.setattr(overview, "_history", lambda filters: History(steps(60), [], []))
    monkeypatch.setattr(overview, "KEPT_S", 0.05)
    reader = OverviewReader()
    for n in range(50):
        reader.read(Filters(tenant=str(n)))
    time.sleep(0.06)
    reader.read(Filters())
    assert len(reader._shelves) <= 3
