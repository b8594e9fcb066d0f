"""The overview's series up to this second, with no database."""

from datetime import UTC, datetime, timedelta

from dashboard.operator.filters import Filters
from dashboard.operator.overview import Freshness, History, Now, Overview
from dashboard.operator.overview_fleet import FleetNow
from metering.public import LiveCounts, LivePoint

AT = datetime(2026, 3, 10, 12, 0, 20, tzinfo=UTC)
NOW = Now(AT, LiveCounts(60, ok=30), LivePoint(AT, AT, LiveCounts(60)), LiveCounts(60))
FRESH = Freshness(None, ever=True, sealed_until=None)
NO_FLEET = FleetNow(0, None, None, None, None, simulated=False)
USUAL = Filters()
OWN = Filters("custom", start=AT - timedelta(days=2), end=AT - timedelta(days=1))


def steps(*lengths_s: int) -> list[LivePoint]:
    """Points that end at AT, of these lengths, with one request in each."""
    ends = [AT - timedelta(seconds=sum(lengths_s[n + 1 :])) for n in range(len(lengths_s))]
    return [
        LivePoint(end - timedelta(seconds=s), end, LiveCounts(s, ok=1)) for end, s in zip(ends, lengths_s, strict=True)
    ]


def overview(history: History | None, filters: Filters = USUAL, now: Now | None = NOW) -> Overview:
    return Overview(filters, AT, FRESH, now, NO_FLEET, history)


def test_a_short_last_step_is_replaced_by_the_last_minutes_rate() -> None:
    points = overview(History(steps(60, 60, 20), [], [])).points
    assert [point.counts.ok for point in points] == [1, 1, 30]
    assert points[-1].end == AT


def test_without_the_last_minute_a_short_last_step_is_left_out() -> None:
    points = overview(History(steps(60, 60, 20), [], []), now=None).points
    assert [point.counts.ok for point in points] == [1, 1]


def test_a_last_step_of_a_minute_or_more_stands() -> None:
    points = overview(History(steps(300, 120), [], [])).points
    assert [point.counts.ok for point in points] == [1, 1]


def test_a_window_that_is_over_is_shown_as_it_was() -> None:
    points = overview(History(steps(60, 20), [], []), OWN).points
    assert [point.counts.ok for point in points] == [1, 1]


def test_a_history_that_is_not_read_yet_has_no_points() -> None:
    assert overview(None).points == []
