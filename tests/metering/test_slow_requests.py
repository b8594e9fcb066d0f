"""The slowest requests, against a search by hand through all of them."""

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metering import slow_requests as slow
from metering.clickhouse import client
from metering.live import LiveScope
from metering.slow_requests import request_story, slow_requests
from tests.metering.rows import insert_requests

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MEASURES = ("ttft_ms", "tpot_ms", "e2e_ms")


@pytest.fixture(autouse=True)
def ready(clickhouse: None) -> None:
    pass


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def request(at: datetime, **fields: Any) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "time": at, "ingested_at": at} | fields


def some(count: int, over: timedelta, until: datetime, seed: int) -> list[dict[str, Any]]:
    pick = random.Random(seed)  # noqa: S311 - the same rows at every run
    return [
        request(
            until - timedelta(seconds=int(pick.uniform(1, over.total_seconds()))),
            model=pick.choice(["a", "b"]),
            tier=pick.choice(["standard", "batch"]),
            region=pick.choice(["eu", "us"]),
            cluster=pick.choice(["c1", "c2"]),
            status=pick.choice(["ok", "error"]),
            ttft_ms=pick.choice([None, round(pick.uniform(1, 9_000), 1)]),
            tpot_ms=round(pick.uniform(1, 90), 2),
            e2e_ms=round(pick.lognormvariate(7, 2), 1),
        )
        for _ in range(count)
    ]


def by_hand(rows: list[dict[str, Any]], start: datetime, end: datetime, measure: str, **only: str) -> list[str]:
    fitting = [
        row
        for row in rows
        if start <= row["time"] < end
        and row[measure] is not None
        and all(row[name] == value for name, value in only.items())
    ]
    return [f"{row['time']}, {row[measure]:.6g}" for row in sorted(fitting, key=lambda row: -row[measure])]


def keys(found: list[slow.SlowRequest], measure: str = "e2e_ms") -> list[str]:
    return [f"{one.time}, {getattr(one, measure):.6g}" for one in found]


@pytest.mark.parametrize("most_read", [0, slow.MOST_READ], ids=["finer", "coarse"])
@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("over", [15 * MINUTE, 6 * HOUR, 3 * DAY, 30 * DAY], ids=["15m", "6h", "3d", "30d"])
def test_the_slowest_are_found_whatever_the_range(
    tenant_key: str, measure: str, over: timedelta, most_read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow, "MOST_READ", most_read)
    until = now().replace(second=0) if over > HOUR else now()
    rows = some(400, over * 1.5, until, seed=3)
    insert_requests(tenant_key, *rows[:200])
    insert_requests(tenant_key, *rows[200:])
    start = (until - over).replace(second=0)
    found = slow_requests(LiveScope(tenant=tenant_key), start, until, measure, 20)
    assert keys(found, measure) == by_hand(rows, start, until, measure)[:20]


@pytest.mark.parametrize(
    "only",
    [{"model": "a"}, {"tier": "batch", "region": "us"}, {"model": "b", "cluster": "c1", "tier": "standard"}],
    ids=["model", "tier and region", "three"],
)
def test_filters_leave_the_slowest_of_what_they_let_through(tenant_key: str, only: dict[str, str]) -> None:
    until = now()
    rows = some(300, 20 * DAY, until, seed=5)
    insert_requests(tenant_key, *rows)
    start = until - 12 * DAY
    found = slow_requests(LiveScope(tenant=tenant_key, **only), start, until, "e2e_ms", 10)
    assert keys(found) == by_hand(rows, start, until, "e2e_ms", **only)[:10]


def test_a_range_months_ago_is_read_by_hours(tenant_key: str) -> None:
    until = now().replace(minute=0, second=0) - 60 * DAY
    rows = some(200, 2 * DAY, until, seed=8)
    insert_requests(tenant_key, *rows)
    # What a time to live removes is not needed either.
    client.statement("test_gone", "DELETE FROM slowest_minute WHERE tenant = %(tenant)s", {"tenant": tenant_key})
    found = slow_requests(LiveScope(tenant=tenant_key), until - DAY, until, "e2e_ms", 20)
    assert keys(found) == by_hand(rows, until - DAY, until, "e2e_ms")[:20]


def test_one_that_came_twice_is_listed_once_as_it_came_first(tenant_key: str) -> None:
    at = now() - HOUR
    first = request(at, e2e_ms=5_000.0, model="first")
    again = first | {"ingested_at": at + MINUTE, "model": "second", "e2e_ms": 7_000.0}
    insert_requests(tenant_key, again, first, request(at, e2e_ms=10.0))
    found = slow_requests(LiveScope(tenant=tenant_key), at - MINUTE, at + MINUTE, "e2e_ms")
    assert [(one.e2e_ms, one.model) for one in found] == [(5_000.0, "first"), (10.0, "m")]


def test_what_was_only_observed_and_what_says_nothing_is_not_listed(tenant_key: str) -> None:
    at = now() - HOUR
    insert_requests(tenant_key, request(at, e2e_ms=9.0, observed=True))
    insert_requests(tenant_key, request(at), request(at))
    insert_requests(tenant_key, request(at, ttft_ms=3.0))
    assert slow_requests(LiveScope(tenant=tenant_key), at - MINUTE, at + MINUTE, "e2e_ms") == []


def test_the_slowest_of_all_customers_are_found_among_many(tenant_key: str) -> None:
    at = now() - 5 * DAY
    model = f"model-{tenant_key}"
    for number in range(5):
        rows = [request(at + n * MINUTE, model=model, e2e_ms=float(100 * number + n)) for n in range(20)]
        insert_requests(f"{tenant_key}-{number}", *rows)
    found = slow_requests(LiveScope(model=model), at - DAY, at + DAY, "e2e_ms", 25)
    assert [one.e2e_ms for one in found] == [*(float(400 + n) for n in range(19, -1, -1)), 319, 318, 317, 316, 315]


def test_an_unknown_measure_is_refused(tenant_key: str) -> None:
    with pytest.raises(ValueError, match="unknown measure"):
        slow_requests(LiveScope(), now() - HOUR, now(), "queue_ms")


def test_a_story_is_found_by_tenant_time_and_key(tenant_key: str) -> None:
    at = now() - HOUR
    row = request(
        at,
        id="a/b ?#",
        source="gw",
        node="n1",
        engine="e1",
        gpus=["GPU-0", "GPU-1"],
        stream=True,
        input_tokens=1000,
        cached_input_tokens=400,
        queue_ms=5.0,
        e2e_ms=2_000.0,
        attributes={"simulated": "true"},
    )
    insert_requests(tenant_key, row)
    (listed,) = slow_requests(LiveScope(tenant=tenant_key), at - MINUTE, at + MINUTE, "e2e_ms")
    found = request_story(tenant_key, listed.time, listed.key)
    assert found is not None
    assert {name: getattr(found, name) for name in vars(listed)} == vars(listed)
    assert (found.id, found.source, found.gpus, found.uncached_tokens) == ("a/b ?#", "gw", ("GPU-0", "GPU-1"), 600)
    assert found.started == at - timedelta(seconds=2)
    assert (found.ttft_ms, found.made_up) == (None, "simulated")


@pytest.mark.parametrize("key", ["", "x", "-1", "1" * 30, "12"])
def test_there_is_no_story_of_another_key_or_tenant(tenant_key: str, key: str) -> None:
    at = now() - HOUR
    insert_requests(tenant_key, request(at, e2e_ms=9.0))
    (listed,) = slow_requests(LiveScope(tenant=tenant_key), at - MINUTE, at + MINUTE, "e2e_ms")
    assert request_story(tenant_key, at, key) is None
    assert request_story("somebody-else", at, listed.key) is None
    assert request_story(tenant_key, at + MINUTE, listed.key) is None
