"""Live readings: against a real ClickHouse, each test with a tenant of its own."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metering import live
from metering.clickhouse import client
from metering.clickhouse.queries.live import Breakdown, NewestArrival, Pulse, Series
from metering.clickhouse.queries.live_sources import Piece, Subset
from metering.live import LiveScope
from tests.metering.rows import insert_requests

NOW = datetime(2026, 3, 10, 12, 34, 30, tzinfo=UTC)
STEP = timedelta(minutes=1)


def ago(seconds: float) -> dict[str, Any]:
    """A request that finished and arrived this long before NOW."""
    moment = NOW - timedelta(seconds=seconds)
    return {"time": moment, "ingested_at": moment}


def add(tenant: str, *rows: dict[str, Any]) -> LiveScope:
    insert_requests(tenant, *({"id": str(n)} | row for n, row in enumerate(rows)))
    return LiveScope(tenant)


def test_the_pulse_counts_the_sixty_seconds_before_now_by_status(clickhouse: None, tenant_key: str) -> None:
    scope = add(
        tenant_key,
        ago(0.001),
        ago(30) | {"status": "error", "output_tokens": 0},
        ago(60) | {"status": "cancelled"},  # the window is half-open: its first moment is in it
        ago(60.001),
        ago(0),  # and its last is not
    )
    found = live.live_pulse(scope, NOW)
    assert (found.ok, found.error, found.cancelled) == (1, 1, 1)
    assert (found.input_tokens, found.output_tokens) == (300, 20)
    assert found.per_second(found.requests) == pytest.approx(3 / 60)
    assert found.error_ratio == pytest.approx(1 / 3)


def test_a_request_whose_time_lies_ahead_of_its_arrival_is_in_the_pulse(clickhouse: None, tenant_key: str) -> None:
    scope = add(tenant_key, {"time": NOW - timedelta(seconds=5), "ingested_at": NOW - timedelta(seconds=500)})
    assert live.live_pulse(scope, NOW).requests == 1


def test_what_came_by_an_observing_key_is_left_out_of_every_reading(clickhouse: None, tenant_key: str) -> None:
    scope = add(tenant_key, ago(10), ago(10) | {"observed": True})
    assert live.live_pulse(scope, NOW).requests == 1
    assert live.live_day(scope, NOW).requests == 1
    assert live.live_recent(scope, 5, NOW).counts.requests == 1
    start = NOW.replace(second=0) - timedelta(minutes=3)
    assert sum(point.counts.requests for point in live.live_series(scope, start, STEP, NOW)) == 1
    assert live.live_breakdown(scope, start, STEP, NOW, group="model", latency="e2e_ms")[0].counts.requests == 1


def test_a_series_has_a_point_for_every_step_and_ends_now(clickhouse: None, tenant_key: str) -> None:
    scope = add(tenant_key, ago(10), ago(150))
    start = NOW.replace(second=0) - timedelta(minutes=3)
    points = live.live_series(scope, start, STEP, NOW)
    assert [point.counts.requests for point in points] == [0, 1, 0, 1]
    assert points[0].start == start
    assert points[-1].end == NOW
    assert points[-1].counts.seconds == 30
    assert points[0].e2e_ms is None


def test_steps_of_whole_hours_read_the_hourly_rollup_and_agree_with_the_minutes(
    clickhouse: None, tenant_key: str
) -> None:
    scope = add(tenant_key, *(ago(600 * n + 1) | {"e2e_ms": 100.0 * n} for n in range(12)))
    start = datetime(2026, 3, 10, 10, tzinfo=UTC)
    hours = live.live_series(scope, start, timedelta(hours=1), NOW)
    minutes = live.live_series(scope, start, STEP, NOW)
    assert [point.counts.requests for point in hours] == [
        sum(point.counts.requests for point in minutes if point.start.hour == hour) for hour in (10, 11, 12)
    ]
    assert sum(point.counts.requests for point in hours) == 12


def test_percentiles_are_merged_from_sketches_and_not_averaged(clickhouse: None, tenant_key: str) -> None:
    """Two minutes of very different size: the mean of their medians would be 550, the median is 100."""
    quiet = [ago(90) | {"ttft_ms": 1000.0}]
    busy = [ago(20) | {"ttft_ms": 100.0} for _ in range(99)]
    found = live.live_recent(add(tenant_key, *quiet, *busy), 5, NOW).ttft_ms
    assert found is not None
    assert found.p50 == pytest.approx(100, rel=0.01)
    assert found.p99 <= 1010


def test_a_latency_that_nobody_measured_is_none(clickhouse: None, tenant_key: str) -> None:
    recent = live.live_recent(add(tenant_key, ago(5) | {"e2e_ms": 40.0}), 5, NOW)
    assert recent.ttft_ms is None
    assert recent.tpot_ms is None
    assert recent.e2e_ms is not None
    assert recent.e2e_ms.p50 == pytest.approx(40, rel=0.01)


def test_a_breakdown_lists_the_busiest_first_with_mean_rates(clickhouse: None, tenant_key: str) -> None:
    scope = add(tenant_key, *(ago(40) | {"model": "big"} for _ in range(3)), ago(40) | {"model": "small"})
    start = NOW.replace(second=0) - timedelta(minutes=3)
    found = live.live_breakdown(scope, start, STEP, NOW, group="model", latency="ttft_ms")
    assert [(one.name, one.counts.requests) for one in found] == [("big", 3), ("small", 1)]
    assert found[0].counts.per_second(found[0].counts.input_tokens) == pytest.approx(300 / 210)


def test_filters_by_model_and_tenant_hold_together(clickhouse: None, tenant_key: str) -> None:
    add(tenant_key, ago(5) | {"model": "a"}, ago(5) | {"model": "b"})
    assert live.live_pulse(LiveScope(tenant_key, "a"), NOW).requests == 1
    assert live.live_pulse(LiveScope(tenant_key, "c"), NOW).requests == 0
    assert live.models_seen(NOW - timedelta(days=1), tenant_key) == ["a", "b"]


def test_the_day_begins_at_midnight_utc(clickhouse: None, tenant_key: str) -> None:
    midnight = NOW.replace(hour=0, minute=0, second=0)
    scope = add(
        tenant_key,
        {"time": midnight, "ingested_at": NOW},
        {"time": midnight - timedelta(milliseconds=1), "ingested_at": NOW},
    )
    assert live.live_day(scope, NOW).requests == 1


def test_the_newest_arrival_is_known_at_once(clickhouse: None, tenant_key: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    add(tenant_key, {"time": now, "ingested_at": now})
    newest = live.newest_arrival(now)
    assert newest is not None
    assert newest >= now
    assert live.newest_hour() is not None


@pytest.mark.parametrize(
    ("group", "latency", "message"),
    [
        ("end_user", "ttft_ms", "unknown group"),
        ("model; DROP TABLE requests", "ttft_ms", "unknown group"),
        ("model", "itl_ms", "unknown latency"),
    ],
)
def test_names_that_are_not_in_the_list_are_refused(group: str, latency: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Breakdown((Piece("minute", 0, 60),), group, 10, Subset(), (latency,)).sql()


def test_an_unknown_grain_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown grain"):
        Series((Piece("second", 0, 60),), 1, Subset()).sql()


def test_a_tenant_is_a_parameter_and_never_text_of_the_query() -> None:
    sql, parameters = Pulse(0, 60_000, 0, Subset("x' OR 1=1 --", "m")).sql()
    assert "OR 1=1" not in sql
    assert parameters["tenant"] == "x' OR 1=1 --"
    assert parameters["model"] == "m"


def test_the_queries_of_one_second_read_by_index(clickhouse: None) -> None:
    """`force_data_skipping_indices` makes ClickHouse refuse a plan that does not use the index by arrival."""
    for query in (Pulse(0, 60_000, 0, Subset()), NewestArrival(0)):
        sql, parameters = query.sql()
        client.statement(query.name, sql, parameters, settings={"force_data_skipping_indices": "by_arrival"})
