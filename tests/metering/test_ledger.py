"""Sealing: each event once, whatever arrives twice, late, or while a sealer dies."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connections

from metering import ledger
from metering.clickhouse import client
from metering.clickhouse.queries.usage import Scope, SealUsage
from metering.models import IngestHost, Seal
from metering.moments import EPOCH, milliseconds
from metering.usage import current_usage, ledger_differences, raw_usage, sealed_usage
from tests.metering.rows import NOON, empty_tables, insert_requests, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ledger")]

DAY = timedelta(days=1)
START, END = NOON - 20 * DAY, NOON + 20 * DAY


@pytest.fixture
def tenant() -> str:
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def nothing_before(ledger: object) -> None:
    """A seal covers all tenants, so what other tests left behind would be counted here too."""
    empty_tables("requests", "usage_ledger", "quarantine")


def seal(until: datetime) -> ledger.SealOutcome:
    settled(until)
    return ledger.seal_usage(now=True)


def total(tenant: str) -> tuple[int, int]:
    seal_now = ledger.latest_seal()
    assert seal_now is not None
    rows = sealed_usage(START.replace(minute=0), END, tenant=tenant, group_by=(), window="total", as_of=seal_now)
    return (rows[0].requests, rows[0].input_tokens) if rows else (0, 0)


def test_an_event_that_arrives_twice_is_counted_once(tenant: str) -> None:
    insert_requests(tenant, {"id": "a"}, {"id": "a", "ingested_at": NOON + timedelta(seconds=1)}, {"id": "b"})
    outcome = seal(NOON + DAY)
    assert (outcome.events, outcome.duplicates, outcome.conflicts) == (2, 1, 0)
    assert total(tenant) == (2, 200)


def test_a_duplicate_that_arrives_after_the_first_was_sealed_adds_nothing(tenant: str) -> None:
    insert_requests(tenant, {"id": "a"})
    seal(NOON + DAY)
    insert_requests(tenant, {"id": "a", "ingested_at": NOON + 2 * DAY})
    outcome = seal(NOON + 3 * DAY)
    assert (outcome.events, outcome.duplicates) == (0, 1)
    assert total(tenant) == (1, 100)


@pytest.mark.parametrize(
    ("apart", "events"),
    [
        (timedelta(hours=24) - timedelta(milliseconds=1), 1),
        (timedelta(hours=24), 1),
        (timedelta(hours=24, milliseconds=1), 2),
    ],
)
def test_the_same_identity_is_one_event_within_24_hours_of_use(tenant: str, apart: timedelta, events: int) -> None:
    insert_requests(tenant, {"id": "a"}, {"id": "a", "time": NOON + apart, "ingested_at": NOON + timedelta(seconds=1)})
    assert seal(NOON + 5 * DAY).events == events


def test_the_lowest_arrival_is_first_whatever_order_the_rows_were_written_in(tenant: str) -> None:
    insert_requests(tenant, {"id": "a", "input_tokens": 7, "ingested_at": NOON + timedelta(seconds=9)})
    insert_requests(tenant, {"id": "a", "input_tokens": 5})
    assert seal(NOON + DAY).conflicts == 1
    assert total(tenant) == (1, 5)


def test_same_identity_with_other_content_is_listed_as_a_conflict_and_the_first_is_billed(tenant: str) -> None:
    insert_requests(tenant, {"id": "a"}, {"id": "a", "output_tokens": 11, "ingested_at": NOON + timedelta(seconds=1)})
    seal(NOON + DAY)
    rows = client.statement("test", "SELECT reason, raw FROM quarantine WHERE tenant = %(tenant)s", {"tenant": tenant})
    assert [reason for reason, _ in rows] == ["conflict"]
    assert '"output_tokens":11' in rows[0][1]


def test_a_time_that_the_sender_did_not_give_is_no_conflict(tenant: str) -> None:
    later = NOON + timedelta(seconds=30)
    insert_requests(
        tenant, {"id": "a", "time_given": False}, {"id": "a", "time_given": False, "time": later, "ingested_at": later}
    )
    outcome = seal(NOON + DAY)
    assert (outcome.duplicates, outcome.conflicts) == (1, 0)


def test_the_same_id_of_another_source_or_tenant_is_another_event(tenant: str) -> None:
    insert_requests(tenant, {"id": "a"}, {"id": "a", "source": "gw-2"})
    insert_requests(f"{tenant}-2", {"id": "a"})
    assert seal(NOON + DAY).events == 3


def test_what_an_observing_key_sent_is_never_in_the_ledger(tenant: str) -> None:
    insert_requests(tenant, {"id": "a"}, {"id": "b", "observed": True})
    assert seal(NOON + DAY).events == 1


def test_a_late_event_becomes_a_further_delta_and_older_seals_answer_as_before(tenant: str) -> None:
    insert_requests(tenant, {"id": "a"})
    first = seal(NOON + DAY).seal
    insert_requests(tenant, {"id": "late", "ingested_at": NOON + 2 * DAY})
    seal(NOON + 3 * DAY)
    assert first is not None
    before = sealed_usage(START, END, tenant=tenant, group_by=(), window="total", as_of=first)
    assert [row.requests for row in before] == [1]
    assert total(tenant) == (2, 200)


def test_the_watermark_itself_belongs_to_the_next_seal(tenant: str) -> None:
    insert_requests(tenant, {"id": "a"})
    assert seal(NOON).events == 0
    assert seal(NOON + timedelta(microseconds=1)).events == 1


def test_without_now_the_current_bucket_is_left_open() -> None:
    settled(datetime.now(UTC))
    outcome = ledger.seal_usage()
    assert outcome.seal is not None
    assert outcome.seal.watermark == ledger.bucket_start(outcome.seal.watermark) <= datetime.now(UTC)


def test_the_slowest_host_holds_the_seal_and_a_silent_one_is_named() -> None:
    settled(NOON + DAY)
    settled(NOON, name="slow")
    IngestHost.objects.filter(name="slow").update(published_at=NOON)
    outcome = ledger.seal_usage(now=True)
    assert outcome.seal is not None
    assert outcome.seal.watermark == NOON
    assert [(host.name, host.silent) for host in outcome.held_by] == [("slow", True), ("host-1", False)]


def test_a_retired_host_no_longer_holds_the_seal() -> None:
    settled(NOON + DAY)
    settled(NOON, name="gone")
    assert ledger.retire_host("gone")
    outcome = ledger.seal_usage(now=True)
    assert outcome.seal is not None
    assert outcome.seal.watermark == NOON + DAY


def test_rows_of_a_seal_that_died_before_completion_never_count(tenant: str) -> None:
    insert_requests(tenant, {"id": "a"})
    dead = Seal.objects.create(watermark_from=EPOCH, watermark=NOON + DAY)
    day = milliseconds(NOON.replace(hour=0))
    sql, parameters = SealUsage(dead.pk, Scope(((day, day + ledger.DAY_MS),), None, EPOCH, NOON + DAY)).sql()
    client.statement("test_dead_seal", sql, parameters)
    outcome = seal(NOON + DAY)
    assert outcome.events == 1
    assert total(tenant) == (1, 100)
    dead.refresh_from_db()
    assert dead.state == Seal.State.ABANDONED


def test_two_sealers_at_once_do_not_both_run() -> None:
    settled(NOON)
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [ledger.ADVISORY_LOCK])
        with pytest.raises(ledger.SealBusy):
            ledger.seal_usage(now=True)
    finally:
        with other.cursor() as cursor:  # a pooled connection keeps its session, and so the lock
            cursor.execute("SELECT pg_advisory_unlock_all()")
        other.close()


def test_raw_events_ledger_and_current_usage_agree_by_every_dimension(tenant: str) -> None:
    insert_requests(
        tenant,
        {"id": "a", "project": "p1", "input_tokens": 32_000},
        {"id": "b", "project": "p1", "input_tokens": 32_001, "time": NOON + timedelta(minutes=20)},
        {"id": "c", "project": "p2", "input_tokens": 1_000_001, "status": "error"},
        {
            "id": "c",
            "project": "p2",
            "input_tokens": 1_000_001,
            "status": "error",
            "ingested_at": NOON + timedelta(hours=1),
        },
    )
    sealed_at = seal(NOON + DAY).seal
    assert sealed_at is not None
    ask = {"tenant": tenant, "group_by": ("project", "status", "context_band"), "window": "day"}
    sealed = sealed_usage(START, END, as_of=sealed_at, **ask)
    assert [(row.project, row.context_band, row.requests) for row in sealed] == [
        ("p1", 32_000, 1),
        ("p1", 64_000, 1),
        ("p2", 4_294_967_295, 1),
    ]
    assert raw_usage(START, END, as_of=sealed_at, **ask) == sealed == current_usage(START, END, **ask)


def test_current_usage_adds_what_is_not_sealed_and_leaves_out_its_duplicates(tenant: str) -> None:
    insert_requests(tenant, {"id": "a"})
    seal(NOON + DAY)
    late = NOON + 2 * DAY
    insert_requests(
        tenant, {"id": "a", "ingested_at": late}, {"id": "b", "ingested_at": late}, {"id": "b", "ingested_at": late}
    )
    rows = current_usage(START, END, tenant=tenant, group_by=("model",), window="total")
    assert [(row.model, row.requests, row.input_tokens) for row in rows] == [("m", 2, 200)]


def test_current_usage_takes_bounds_inside_a_bucket(tenant: str) -> None:
    insert_requests(tenant, *({"id": str(minute), "time": NOON + timedelta(minutes=minute)} for minute in range(60)))
    seal(NOON + DAY)
    begin, end = NOON + timedelta(minutes=7), NOON + timedelta(minutes=52)
    rows = current_usage(begin, end, tenant=tenant, group_by=(), window="total")
    assert [(row.window_start, row.requests) for row in rows] == [(begin, 45)]


def test_an_altered_ledger_row_is_found_with_its_bucket_and_measure(tenant: str) -> None:
    insert_requests(tenant, {"id": "a"}, {"id": "b", "time": NOON + timedelta(hours=1)})
    sealed_at = seal(NOON + DAY).seal
    assert sealed_at is not None
    assert ledger_differences(START, END, tenant=tenant, as_of=sealed_at) == []
    client.statement(
        "test_alter",
        "ALTER TABLE usage_ledger UPDATE output_tokens = output_tokens + 1 WHERE tenant = %(tenant)s AND bucket > %(noon)s "
        "SETTINGS mutations_sync = 1",
        {"tenant": tenant, "noon": int(NOON.timestamp())},
    )
    found = ledger_differences(START, END, tenant=tenant, as_of=sealed_at)
    assert [(d.bucket, d.measure, d.ledger, d.raw) for d in found] == [
        (NOON + timedelta(hours=1), "output_tokens", 11, 10)
    ]


@pytest.mark.parametrize("group", ["tenant; DROP TABLE requests", "id", "Model"])
def test_an_unknown_group_raises(tenant: str, group: str) -> None:
    with pytest.raises(ValueError, match="unknown group"):
        current_usage(START, END, tenant=tenant, group_by=(group,), window="day")
