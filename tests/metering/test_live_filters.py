"""Whatever is filtered, grouped and stepped by, rollups say what the rows say: counts exactly, percentiles within 1 %."""

import itertools
import random
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import live
from metering.clickhouse.queries.live_sources import GRAINS, pieces, source
from metering.clickhouse.queries.live_sources import Subset as Chosen
from metering.live import LiveScope
from metering.live_histograms import BUCKETS, HISTOGRAM_EDGES, live_histogram
from tests.metering.rows import empty_tables, insert_requests

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NAMES = {
    "tenant": ("a", "b", "c"),
    "model": ("m1", "m2"),
    "tier": ("standard", "batch"),
    "region": ("eu", "us"),
    "cluster": ("c1", "c2", ""),
}
COUNT = 1500
Row = dict[str, Any]
SCOPES = [dict.fromkeys(chosen) for size in range(len(NAMES) + 1) for chosen in itertools.combinations(NAMES, size)]


@pytest.fixture(scope="module")
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def rows(clickhouse_schema: None, now: datetime) -> Iterator[list[Row]]:
    """Over the last three days, those of the last hour denser; names are this module's own. Rollups hold nothing else meanwhile."""
    empty_tables(*ROLLUPS)
    draw = random.Random(5)  # noqa: S311 - test data
    own = uuid.uuid4().hex[:6]
    found = []
    for number in range(COUNT):
        length = draw.choice((3 * 86_400, 7200))
        time = now - timedelta(seconds=draw.random() * length + 1)
        row = {
            name: f"{value}-{own}" if value else "" for name, value in ((n, draw.choice(v)) for n, v in NAMES.items())
        }
        found.append(
            row
            | {
                "id": str(number),
                "time": time.replace(microsecond=0),
                "ingested_at": time,
                "status": draw.choice(("ok", "ok", "ok", "error", "cancelled")),
                "input_tokens": draw.randrange(1, 5000),
                "output_tokens": draw.randrange(1, 900),
                "ttft_ms": draw.lognormvariate(5, 1),
            }
        )
    for tenant, of in itertools.groupby(sorted(found, key=lambda row: row["tenant"]), key=lambda row: row["tenant"]):
        insert_requests(str(tenant), *of)
    yield found
    empty_tables(*ROLLUPS)


ROLLUPS = (
    "requests",
    "requests_minute",
    "requests_hour",
    *(f"{kind}_{grain}" for kind in ("tenants", "service", "cuts") for grain in ("minute", "hour", "day")),
    "tenant_day",
)


def of(rows: list[Row], start: datetime, end: datetime, **only: str) -> list[Row]:
    return [
        row for row in rows if start <= row["time"] < end and all(row[name] == value for name, value in only.items())
    ]


def named(rows: list[Row], names: dict[str, None]) -> dict[str, str]:
    """A value that occurs, for each of these names."""
    return {name: rows[7][name] for name in names}


def amounts(rows: list[Row]) -> tuple[int, int, int, int]:
    tokens = (sum(row["input_tokens"] for row in rows), sum(row["output_tokens"] for row in rows))
    return len(rows), sum(row["status"] == "error" for row in rows), *tokens


def counted(counts: live.LiveCounts) -> tuple[int, int, int, int]:
    return counts.requests, counts.error, counts.input_tokens, counts.output_tokens


@pytest.mark.parametrize("names", SCOPES, ids="-".join)
@pytest.mark.parametrize("step", [timedelta(minutes=15), 2 * HOUR, timedelta(days=1)], ids=str)
def test_a_series_is_what_the_rows_are(rows: list[Row], now: datetime, names: dict[str, None], step: timedelta) -> None:
    only = named(rows, names)
    start = datetime.fromtimestamp(
        (now - 2 * 24 * HOUR).timestamp() // step.total_seconds() * step.total_seconds(), UTC
    )
    points = live.live_series(LiveScope(**only), start, step, now)
    assert [counted(point.counts) for point in points] == [
        amounts(of(rows, point.start, point.start + step, **only)) for point in points
    ]
    for point in points:
        measured = sorted(row["ttft_ms"] for row in of(rows, point.start, point.start + step, **only))
        assert (point.ttft_ms is None) == (not measured)
        if point.ttft_ms:
            assert measured[0] * 0.98 <= point.ttft_ms.p50 <= measured[-1] * 1.02
            below = measured[(len(measured) - 1) // 2]
            above = measured[len(measured) // 2]
            assert below * 0.98 <= point.ttft_ms.p50 <= above * 1.02


@pytest.mark.parametrize("names", SCOPES, ids="-".join)
@pytest.mark.parametrize("ago", [timedelta(0), timedelta(hours=5, minutes=17)], ids=["open", "closed"])
def test_totals_of_any_range_are_what_the_rows_are(
    rows: list[Row], now: datetime, names: dict[str, None], ago: timedelta
) -> None:
    only = named(rows, names)
    end = now if not ago else (now - ago).replace(second=0, microsecond=0)
    start = (now - timedelta(hours=51, minutes=23)).replace(second=0, microsecond=0)
    assert counted(live.live_totals(LiveScope(**only), start, end)) == amounts(of(rows, start, end, **only))


@pytest.mark.parametrize("names", [names for names in SCOPES if len(names) < 3], ids="-".join)
@pytest.mark.parametrize("step", [HOUR, 6 * HOUR, timedelta(days=1)], ids=str)
def test_a_range_that_ended_within_a_step_has_that_step_only_so_far(
    rows: list[Row], now: datetime, names: dict[str, None], step: timedelta
) -> None:
    """The previous period is compared with one that is not over."""
    only = named(rows, names)
    end = (now - timedelta(hours=7, minutes=23)).replace(second=0, microsecond=0)
    start = datetime.fromtimestamp((end - 50 * HOUR).timestamp() // step.total_seconds() * step.total_seconds(), UTC)
    expected = [len(of(rows, begin, min(begin + step, end), **only)) for begin, _ in live.steps_of(start, step, end)]
    series = live.live_series(LiveScope(**only), start, step, end)
    assert [point.counts.requests for point in series] == expected
    assert [sum(point.counts) for point in live_histogram(LiveScope(**only), start, step, end, "e2e_ms")] == [0] * len(
        expected
    )
    assert [sum(one.counts) for one in live_histogram(LiveScope(**only), start, step, end, "input_tokens")] == expected


def test_a_range_of_nothing_is_empty(rows: list[Row], now: datetime) -> None:
    hour = (now - 24 * HOUR).replace(minute=0, second=0, microsecond=0)
    assert live.live_series(LiveScope(), hour, HOUR, hour) == []
    assert live.live_breakdown(LiveScope(), hour, HOUR, hour, group="model", latency="ttft_ms") == []
    assert live_histogram(LiveScope(), hour, HOUR, hour, "ttft_ms") == []


@pytest.mark.parametrize("group", NAMES)
@pytest.mark.parametrize("names", [names for names in SCOPES if len(names) < 2], ids="-".join)
def test_a_breakdown_is_what_the_rows_are(rows: list[Row], now: datetime, group: str, names: dict[str, None]) -> None:
    only = named(rows, names)
    start = (now - timedelta(hours=30, minutes=7)).replace(second=0, microsecond=0)
    found = live.live_breakdown(LiveScope(**only), start, HOUR, now, group=group, latency=("ttft_ms", "tpot_ms"))
    values = {row[group] for row in of(rows, start, now, **only)}
    assert {one.name: counted(one.counts) for one in found} == {
        value: amounts(of(rows, start, now, **(only | {group: value})))
        for value in values
        if only.get(group, value) == value
    }
    assert [one.counts.requests for one in found] == sorted((one.counts.requests for one in found), reverse=True)
    assert all(one.tpot_ms is None and one.latency == one.ttft_ms is not None for one in found)
    series = live.live_group_series(LiveScope(**only), start.replace(minute=0), HOUR, now, group=group)
    assert {name: sum(point.counts.requests for point in points) for name, points in series.items()} == {
        value: len(of(rows, start.replace(minute=0), now, **(only | {group: value}))) for value in series
    }


def test_a_breakdown_that_is_cut_off_has_the_busiest(rows: list[Row], now: datetime) -> None:
    everything = live.live_breakdown(LiveScope(), now - 48 * HOUR, HOUR, now, group="tenant", latency="e2e_ms")
    first = live.live_breakdown(LiveScope(), now - 48 * HOUR, HOUR, now, group="tenant", latency="", limit=1)
    assert [one.name for one in first] == [everything[0].name]


@pytest.mark.parametrize("names", [names for names in SCOPES if len(names) < 3], ids="-".join)
@pytest.mark.parametrize(("step", "measure"), [(15 * MINUTE, "ttft_ms"), (2 * HOUR, "input_tokens")])
def test_a_histogram_has_every_request_in_its_bucket(
    rows: list[Row], now: datetime, names: dict[str, None], step: timedelta, measure: str
) -> None:
    only = named(rows, names)
    start = (now - 40 * HOUR).replace(minute=0, second=0, microsecond=0)
    found = live_histogram(LiveScope(**only), start, step, now, measure)
    edges = HISTOGRAM_EDGES[measure]
    for point in found:
        values = [row[measure] for row in of(rows, point.start, point.start + step, **only)]
        assert sum(point.counts) == len(values)
        for bucket, count in enumerate(point.counts):
            # A sketch is 1 % off in the value, so what lies that near to an edge may be beside it.
            lower = edges[bucket - 1] * 0.98 if bucket else 0
            assert count <= sum(lower < value <= edges[bucket] * 1.02 for value in values) + len(values) / 100
            certain = sum(lower * 1.04 < value <= edges[bucket] * 0.98 for value in values)
            assert count >= certain - 1 - len(values) / 100
    assert len(found) == -((start - now) // step)
    assert all(len(edges) == BUCKETS for edges in HISTOGRAM_EDGES.values())


def test_an_unknown_measure_is_refused(now: datetime) -> None:
    with pytest.raises(ValueError, match="unknown measure"):
        live_histogram(LiveScope(), now - HOUR, MINUTE, now, "ttft_ms; DROP TABLE requests")


def test_the_day_with_the_most_tokens(rows: list[Row], now: datetime) -> None:
    days: dict[Any, int] = {}
    for row in rows:
        days[row["time"].date()] = days.get(row["time"].date(), 0) + row["input_tokens"] + row["output_tokens"]
    days.pop(now.date(), None)
    best = max(days, key=lambda day: days[day])
    assert live.token_record(now) == (best, days[best])


def test_names_seen_are_those_of_the_rows(rows: list[Row], now: datetime) -> None:
    for name in NAMES:
        assert live.names_seen(name, now - 24 * 4 * HOUR) == sorted({row[name] for row in rows} - {""})
    tenant = rows[0]["tenant"]
    assert live.models_seen(now - 96 * HOUR, tenant) == sorted(
        {row["model"] for row in rows if row["tenant"] == tenant}
    )


@given(
    st.integers(0, 20_000).map(lambda minutes: minutes * 60),
    st.integers(1, 20_000).map(lambda minutes: minutes * 60),
    st.booleans(),
)
def test_pieces_cover_a_range_once(start: int, length: int, open_ended: bool) -> None:
    end = start + length
    found = pieces(start, end, open_ended=open_ended)
    assert found[0].from_s == start
    assert all(first.until_s == second.from_s for first, second in itertools.pairwise(found))
    assert found[-1].until_s >= end if open_ended else found[-1].until_s == end
    assert all(piece.from_s % GRAINS[piece.grain] == 0 for piece in found)
    assert len([piece for piece in found if piece.grain == "minute"]) <= 2


@pytest.mark.parametrize(
    ("subset", "group", "table"),
    [
        (Chosen(), None, "cuts_hour"),
        (Chosen(region="r"), "model", "cuts_hour"),
        (Chosen(region="r", tier="t"), "region", "cuts_hour"),
        (Chosen(region="r", tier="t"), "model", "service_hour"),
        (Chosen(region="r", model="m", tier="t"), None, "service_hour"),
        (Chosen(region="r", tier="t"), "cluster", "cuts_hour"),
        (Chosen(tenant="t"), None, "tenants_hour"),
        (Chosen(), "tenant", "tenants_hour"),
        (Chosen(tenant="t"), "model", "requests_hour"),
        (Chosen(tier="t"), "tenant", "requests_hour"),
    ],
)
def test_the_smallest_rollup_is_read(subset: Chosen, group: str | None, table: str) -> None:
    assert source("hour", subset, group).table == table
    assert source("minute", subset, group).table == table.replace("hour", "minute")


def test_minutes_of_long_ago_are_read_from_the_rollups_that_keep_them() -> None:
    assert source("minute", Chosen(), recent=False).table == "service_minute"
    assert source("minute", Chosen(tenant="t"), recent=False).table == "requests_minute"
    assert source("hour", Chosen(tenant="t"), recent=False).table == "tenants_hour"


@pytest.mark.parametrize("names", [names for names in SCOPES if len(names) < 3], ids="-".join)
@pytest.mark.parametrize("hours_ago", [2, 23, 30])
def test_minutes_agree_with_the_rows_whenever_they_were(
    rows: list[Row], now: datetime, names: dict[str, None], hours_ago: int
) -> None:
    only = named(rows, names)
    start = now.replace(second=0, microsecond=0) - hours_ago * HOUR
    for end in (start + 50 * MINUTE, now):
        points = live.live_series(LiveScope(**only), start, 5 * MINUTE, end)
        assert [point.counts.requests for point in points] == [
            len(of(rows, point.start, min(point.start + 5 * MINUTE, end), **only)) for point in points
        ]
        spread = live_histogram(LiveScope(**only), start, 5 * MINUTE, end, "output_tokens")
        assert [sum(one.counts) for one in spread] == [point.counts.requests for point in points]


def test_unknown_names_are_refused() -> None:
    ask: Callable[[str | None], Any] = lambda group: source("hour", Chosen(), group)  # noqa: E731 - it is one thing
    with pytest.raises(ValueError, match="unknown group"):
        ask("end_user")
    with pytest.raises(ValueError, match="unknown grain"):
        source("week", Chosen())
