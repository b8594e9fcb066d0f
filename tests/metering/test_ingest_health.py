"""The reading behind the health page and `/metrics`: each figure from where it is exact, and what is down is named."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytest_django.fixtures import Settings

from metering import ingest_health as module
from metering import ledger, live_difference, sealing, tasks
from metering.bounded import Bounded
from metering.clickhouse import client
from metering.ingest import counters, hosts, presence
from metering.ingest import tasks as ingest_tasks
from metering.ingest_health import IngestHealth, ingest_health
from metering.models import IngestHost, Seal
from metering.redis_link import link
from tests.metering.ingest.batches import numbered, spool_at
from tests.metering.rows import NOON, empty_tables, insert_requests, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clickhouse")]

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def empty(clickhouse: object) -> None:
    counters.circuit.close()
    for key in link().scan_iter("tallywatt:*"):
        link().delete(key)
    empty_tables("requests", "usage_ledger", "quarantine", "requests_minute", "requests_hour")


def sealed(completed_at: datetime, **counts: int) -> None:
    Seal.objects.create(
        watermark_from=NOON, watermark=completed_at, state=Seal.State.COMPLETED, completed_at=completed_at, **counts
    )


def quarantined(reason: str, at: datetime, count: int = 1) -> None:
    columns = ("ingested_at", "batch", "row", "reason")
    batch = "00000000-0000-0000-0000-000000000000"
    client.insert("test", "quarantine", columns, [[at] * count, [batch] * count, list(range(count)), [reason] * count])


def test_duplicates_conflicts_and_late_events_are_those_of_the_seals() -> None:
    now = datetime.now(UTC)
    sealed(now - 25 * HOUR, events=10, duplicates=3, conflicts=1, late=2)
    sealed(now - HOUR, events=5, duplicates=2, conflicts=0, late=1)
    Seal.objects.create(watermark_from=NOON, watermark=now, events=99, state=Seal.State.ABANDONED)
    Seal.objects.filter(events=10).update(corrected_at=now)
    found = ingest_health().ledger
    assert found is not None
    assert found.seals.day == module.SealCounts(5, 2, 0, 1)
    assert found.seals.total == module.SealCounts(15, 5, 1, 3)
    assert (found.seals.watermark, found.seals.uncorrected) == (now - HOUR, 2)


def test_rejects_are_counted_by_reason_for_the_hour_and_the_day_without_conflicts() -> None:
    now = datetime.now(UTC)
    quarantined("malformed", now - 10 * SECOND, 3)
    quarantined("malformed", now - 2 * HOUR, 2)
    quarantined("too_old", now - 3 * HOUR)
    quarantined("too_old", now - 25 * HOUR)
    quarantined("conflict", now - SECOND)
    found = ingest_health().store
    assert found is not None
    assert [(one.reason, one.last_hour, one.last_day) for one in found.rejected] == [
        ("malformed", 3, 5),
        ("too_old", 0, 1),
    ]


def test_tables_have_parts_rows_and_bytes(tenant_key: str) -> None:
    insert_requests(tenant_key, {"id": "a"}, {"id": "b", "time": NOON - 60 * DAY})
    found = ingest_health().store
    assert found is not None
    table = next(one for one in found.tables if one.name == "requests")
    assert (table.rows, table.parts, table.most_parts) == (2, 2, 1)
    assert table.size_bytes > 0
    assert found.merges >= 0


def test_a_host_publishes_what_waits_and_what_is_kept(spool: Path, tenant_key: str, settings: Settings) -> None:
    settings.HOST_NAME = tenant_key
    settings.SPOOL_MAX_BYTES = 10**6
    found = spool_at(spool)
    stamp = found.accept(numbered(tenant_key, 0, 2), None).ingested_at
    found.accept(numbered(tenant_key, 2, 2), None)
    hosts.publish()
    waiting = _host(ingest_health(), tenant_key)
    assert (waiting.pending_files, waiting.oldest_pending_at, waiting.kept_bytes) == (2, stamp, 0)
    assert waiting.fill == found.pending_bytes() / 10**6
    size = found.pending_bytes()
    ingest_tasks.drain()
    time.sleep(0.01)  # done/ is added up again once it has rested
    hosts.publish()
    kept = _host(ingest_health(), tenant_key)
    assert (kept.pending_files, kept.pending_bytes, kept.oldest_pending_at, kept.kept_bytes) == (0, 0, None, size)


def test_a_host_that_stopped_publishing_is_silent_and_a_retired_one_is_gone() -> None:
    settled(NOON, "a")
    settled(NOON, "b")
    settled(NOON, "c")
    IngestHost.objects.filter(name="b").update(published_at=datetime.now(UTC) - timedelta(minutes=5))
    ledger.retire_host("c")
    found = ingest_health().ledger
    assert found is not None
    assert [(host.name, host.silent) for host in found.hosts] == [("a", False), ("b", True)]


def test_workers_are_those_whose_heart_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time()
    monkeypatch.setattr(presence.time, "time", lambda: real - presence.GONE_AFTER_S - 1)
    ingest_tasks.say_alive(SimpleNamespace(eventer=SimpleNamespace(hostname="worker@gone")))
    monkeypatch.setattr(presence.time, "time", lambda: real)
    ingest_tasks.say_alive(SimpleNamespace(eventer=SimpleNamespace(hostname="worker@here")))
    found = ingest_health().counters
    assert found is not None
    assert found.workers == ("worker@here",)


def test_the_difference_counts_sealed_duplicates_until_they_are_taken_out(tenant_key: str) -> None:
    quarter = ledger.bucket_start(datetime.now(UTC))
    at = quarter - 2 * HOUR
    rows = ({"id": "a", "time": at, "ingested_at": at + n * SECOND} for n in range(3))
    insert_requests(tenant_key, *rows, {"id": "b", "time": at - 30 * DAY, "ingested_at": at, "observed": True})
    settled(quarter)
    ledger.seal_usage(now=True)
    insert_requests(tenant_key, {"id": "late", "time": at, "ingested_at": quarter + SECOND})
    before = live_difference.read()
    assert before is not None
    assert (before.live.requests, before.ledger.requests, before.unsealed.requests) == (4, 1, 1)
    assert before.difference == live_difference.Amount(2, 220)
    sealing.seal_usage()
    after = live_difference.read()
    assert after is not None
    assert after.difference == live_difference.Amount(0, 0)


def test_the_difference_reads_minutes_where_the_last_hour_is_not_whole(
    tenant_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = NOON + timedelta(minutes=45)
    for minutes in (-30, 0, 20, 44, 45):
        at = NOON + timedelta(minutes=minutes)
        insert_requests(tenant_key, {"id": str(minutes), "time": at, "ingested_at": at})
    settled(end + SECOND)
    ledger.seal_usage(now=True)
    found = live_difference.read()
    assert found is not None
    assert (found.end, found.live.requests, found.ledger.requests, found.difference.requests) == (end, 4, 4, 0)


def test_rows_of_abandoned_seals_are_no_difference(tenant_key: str) -> None:
    insert_requests(tenant_key, {"id": "a"})
    Seal.objects.create(watermark_from=NOON, watermark=NOON + DAY)
    dead = Seal.objects.get()
    client.insert(
        "test", "usage_ledger", ("tenant", "bucket", "seal", "requests"), [[tenant_key], [NOON], [dead.pk], [7]]
    )
    settled(NOON + HOUR)
    ledger.seal_usage(now=True)
    found = live_difference.read()
    assert found is not None
    assert (found.ledger.requests, found.difference.requests) == (1, 0)


def test_the_task_that_seals_leaves_the_difference_where_pages_read_it(tenant_key: str) -> None:
    at = ledger.bucket_start(datetime.now(UTC)) - 2 * HOUR
    insert_requests(tenant_key, {"id": "a", "time": at, "ingested_at": at})
    settled(datetime.now(UTC))
    tasks.seal()
    found = ingest_health().counters
    assert found is not None
    assert found.difference is not None
    assert (found.difference.live.requests, found.difference.difference.requests) == (1, 0)


def test_a_server_that_is_down_takes_only_its_own_part_away(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert ingest_health().down == ("redis",)
    live_difference.publish()
    settings.CLICKHOUSE_URL = "clickhouse://u:p@127.0.0.1:1/none"
    found = ingest_health()
    assert found.down == ("redis", "clickhouse")
    assert found.ledger is not None


def test_a_reading_that_hangs_is_waited_for_no_longer_than_its_limit_and_not_begun_twice() -> None:
    go, begun = threading.Event(), []

    def hanging() -> int:
        begun.append(1)
        assert go.wait(60)
        return 7

    slow = Bounded(hanging, 0.05)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            slow.get()
    assert len(begun) == 1
    go.set()
    assert Bounded(hanging, 30).get() == 7


def test_what_a_reading_raises_reaches_the_caller() -> None:
    def failing() -> int:
        raise client.ClickHouseUnavailable("gone")

    with pytest.raises(client.ClickHouseUnavailable):
        Bounded(failing, 1).get()


def _host(found: IngestHealth, name: str) -> module.HostHealth:
    assert found.ledger is not None
    return next(host for host in found.ledger.hosts if host.name == name)
