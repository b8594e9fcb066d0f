"""Live rollups agree with the ledger once a seal has found the duplicates, whatever dies in between."""

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering import ledger, rollup_correction, sealing
from metering.clickhouse import client
from metering.models import Seal
from tests.metering.rows import NOON, empty_tables, insert_requests, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clickhouse")]

DAY = timedelta(days=1)
TABLES = ("requests_minute", "requests_hour")
# Made from these, whenever the use was; and the two that hold minutes of the last day only.
MADE = (
    *(f"{kind}_{grain}" for kind in ("tenants", "service", "cuts") for grain in ("hour", "day")),
    "service_minute",
    "tenant_day",
)
RECENT = ("tenants_minute", "cuts_minute")


class Killed(BaseException):
    """Stands for kill -9: no handler of the code under test takes it."""


@pytest.fixture(autouse=True)
def nothing_before(clickhouse: object) -> None:
    empty_tables("requests", "usage_ledger", "quarantine", *TABLES, *MADE, *RECENT)


def live(tenant: str, table: str = "requests_minute", *, final: bool = False) -> dict[str, Any]:
    """Measures of the rollup that are not zero."""
    sums = ", ".join(f"sum({name}) AS m_{name}" for name in ledger_measures())
    sql = f"SELECT {sums} FROM {table} {'FINAL' if final else ''} WHERE tenant = %(tenant)s"
    row = client.statement("test_live", sql, {"tenant": tenant})[0]
    return {name: value for name, value in zip(ledger_measures(), row, strict=True) if value}


def ledger_measures() -> tuple[str, ...]:
    return (
        "requests",
        "input_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
    )


def twice(tenant: str, **fields: Any) -> None:
    """One event in two batches, a second apart."""
    insert_requests(tenant, {"id": "a"} | fields)
    insert_requests(tenant, {"id": "a", "ingested_at": NOON + timedelta(seconds=1)} | fields)


def seal(until: Any = NOON + DAY) -> ledger.SealOutcome:
    settled(until)
    return ledger.seal_usage(now=True)


@pytest.mark.parametrize("table", TABLES)
def test_a_duplicate_is_live_twice_until_its_seal_and_once_after_it(tenant_key: str, table: str) -> None:
    full = {"cached_input_tokens": 7, "cache_write_tokens": 5, "output_tokens": 9, "reasoning_tokens": 4}
    twice(tenant_key, **full)
    once = {"requests": 1, "input_tokens": 100} | full
    assert live(tenant_key, table) == {name: value * 2 for name, value in once.items()}
    settled(NOON + DAY)
    sealing.seal_usage(now=True)
    assert live(tenant_key, table) == once
    assert live(tenant_key, table, final=True) == once


@pytest.mark.parametrize("table", MADE)
def test_what_is_made_from_the_rollups_is_corrected_as_well(tenant_key: str, table: str) -> None:
    twice(tenant_key, cached_input_tokens=7, status="error")
    cut = "WHERE cut = 'all'" if table.startswith("cuts") else ""
    read = f"SELECT sum(ok), sum(error), sum(input_tokens), sum(cached_input_tokens), sum(output_tokens) FROM {table} {cut}"
    assert client.statement("test", read) == [(0, 2, 200, 14, 20)]
    settled(NOON + DAY)
    sealing.seal_usage(now=True)
    assert client.statement("test", read) == [(0, 1, 100, 7, 10)]
    client.statement("test_merge", f"OPTIMIZE TABLE {table} FINAL")
    assert client.statement("test", read) == [(0, 1, 100, 7, 10)]


@pytest.mark.parametrize("table", TABLES)
def test_merges_keep_what_was_subtracted(tenant_key: str, table: str) -> None:
    twice(tenant_key)
    seal()
    rollup_correction.correct()
    client.statement("test_merge", f"OPTIMIZE TABLE {table} FINAL")
    assert client.statement("test", f"SELECT requests, input_tokens FROM {table}") == [(1, 100)]
    twice(tenant_key, id="b")
    assert live(tenant_key, table) == {"requests": 3, "input_tokens": 300, "output_tokens": 30}


@pytest.mark.parametrize("table", TABLES)
def test_percentiles_are_still_there_after_a_correction(tenant_key: str, table: str) -> None:
    twice(tenant_key, ttft_ms=80.0)
    seal()
    rollup_correction.correct()
    client.statement("test_merge", f"OPTIMIZE TABLE {table} FINAL")
    sql = f"SELECT quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(ttft_ms) FROM {table}"
    assert client.statement("test", sql)[0][0] == pytest.approx([80.0] * 4, rel=0.02)


def test_a_crash_between_the_insert_and_its_record_subtracts_once(
    tenant_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice(tenant_key)
    seal()
    real = rollup_correction._subtract

    def killed(row: Seal) -> None:
        real(row)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(rollup_correction, "_subtract", killed)
        with pytest.raises(Killed):
            rollup_correction.correct()
    assert Seal.objects.get(state=Seal.State.COMPLETED).corrected_at is None
    assert rollup_correction.correct() == 1
    assert [live(tenant_key, table)["requests"] for table in TABLES] == [1, 1]
    assert Seal.objects.get(state=Seal.State.COMPLETED).corrected_at is not None
    assert rollup_correction.correct() == 0


def test_a_cascade_that_was_cut_off_is_completed_by_the_repetition(tenant_key: str) -> None:
    """As if the server had died after the minutes were written and before the hours were."""
    twice(tenant_key)
    seal()
    client.statement("test", "DETACH TABLE requests_minute_to_hour")
    try:
        rollup_correction.correct()
    finally:
        client.statement("test", "ATTACH TABLE requests_minute_to_hour")
    assert [live(tenant_key, table)["requests"] for table in TABLES] == [1, 2]
    Seal.objects.update(corrected_at=None)
    rollup_correction.correct()
    assert [live(tenant_key, table)["requests"] for table in TABLES] == [1, 1]


def test_a_conflict_is_taken_out_with_its_own_figures(tenant_key: str) -> None:
    insert_requests(tenant_key, {"id": "a"})
    later = NOON + timedelta(hours=2)
    insert_requests(tenant_key, {"id": "a", "time": later, "ingested_at": later, "input_tokens": 7, "model": "other"})
    seal()
    rollup_correction.correct()
    sql = "SELECT model, sum(requests), sum(input_tokens) FROM requests_minute GROUP BY model ORDER BY model"
    assert client.statement("test", sql) == [("m", 1, 100), ("other", 0, 0)]


def test_what_an_observing_key_sent_twice_stays_as_it_is(tenant_key: str) -> None:
    twice(tenant_key, observed=True)
    seal()
    rollup_correction.correct()
    assert live(tenant_key)["requests"] == 2


def test_a_correction_may_span_more_months_than_clickhouse_allows_by_default(tenant_key: str) -> None:
    for year in range(2015, 2025):
        months = [NOON.replace(year=year, month=month) for month in range(1, 13)]
        insert_requests(tenant_key, *({"id": str(moment), "time": moment} for moment in months))
    insert_requests(
        tenant_key,
        *({"id": str(each), "time": each, "ingested_at": NOON + timedelta(seconds=1)} for each in months[-3:]),
    )
    seal()
    assert live(tenant_key)["requests"] == 123
    rollup_correction.correct()
    assert [live(tenant_key, table)["requests"] for table in TABLES] == [120, 120]


def test_without_clickhouse_the_correction_waits_for_the_next_run(tenant_key: str, settings: Any) -> None:
    twice(tenant_key)
    seal()
    url = settings.CLICKHOUSE_URL
    settings.CLICKHOUSE_URL = "clickhouse://nobody:x@127.0.0.1:1/nothing"
    rollup_correction.correct_if_possible()
    settings.CLICKHOUSE_URL = url
    assert Seal.objects.filter(corrected_at=None).count() == 1
    rollup_correction.correct_if_possible()
    assert live(tenant_key)["requests"] == 1


def test_a_second_process_leaves_the_correction_to_the_first(tenant_key: str) -> None:
    twice(tenant_key)
    seal()
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [rollup_correction.ADVISORY_LOCK])
        assert rollup_correction.correct() == 0
    finally:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")
        other.close()
    assert live(tenant_key)["requests"] == 2


ARRIVALS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.sampled_from(["m", "n"])), min_size=1, max_size=12
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrivals=ARRIVALS, cuts=st.sets(st.integers(1, 11), max_size=3))
def test_live_equals_the_ledger_however_events_arrive_and_are_sealed(
    arrivals: list[tuple[str, int, str]], cuts: set[int]
) -> None:
    """Each arrival: an id, the minute of use, a model (which makes conflicts). Seals are cut between arrivals."""
    Seal.objects.all().delete()
    empty_tables("requests", "usage_ledger", *TABLES)
    tenant = f"t-{uuid4().hex[:12]}"
    for number, (identity, minute, model) in enumerate(arrivals):
        times = {"time": NOON + timedelta(minutes=minute), "ingested_at": NOON + timedelta(seconds=number)}
        insert_requests(tenant, {"id": identity, "model": model} | times)
    for cut in [*sorted(cuts), len(arrivals)]:
        seal(NOON + timedelta(seconds=cut))
        rollup_correction.correct()
    first = {identity: model for identity, _, model in reversed(arrivals)}
    expected = sorted((model, count) for model, count in Counter(first.values()).items())
    for table in TABLES:
        sql = f"SELECT model, sum(requests) AS n FROM {table} GROUP BY model HAVING n > 0 ORDER BY model"
        assert client.statement("test", sql) == expected
