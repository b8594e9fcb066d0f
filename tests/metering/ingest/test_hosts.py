"""What a host publishes, and the sweeper that publishes it: a seal must never pass an event that is not inserted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from metering.ingest import hosts, tasks
from metering.models import IngestHost, Seal
from tests.metering.ingest.batches import ids, names, numbered, spool_at

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]


@pytest.fixture(autouse=True)
def named(settings: Settings, tenant_key: str) -> None:
    settings.HOST_NAME = f"host-of-{tenant_key}"


def row(settings: Settings) -> IngestHost:
    return IngestHost.objects.get(name=settings.HOST_NAME)


def test_a_host_is_settled_up_to_its_oldest_waiting_batch(spool: Path, tenant_key: str, settings: Settings) -> None:
    found = spool_at(spool)
    stamp = found.accept(numbered(tenant_key, 0, 2), None).ingested_at
    found.accept(numbered(tenant_key, 2, 2), None)
    assert hosts.publish() == stamp == row(settings).settled_before
    assert row(settings).pending_files == 2
    assert row(settings).pending_bytes == found.pending_bytes()


def test_what_is_published_never_goes_back(spool: Path, settings: Settings) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    IngestHost.objects.create(name=settings.HOST_NAME, settled_before=later, published_at=later)
    hosts.publish()
    assert row(settings).settled_before == later


def test_a_machine_that_accepts_nothing_never_becomes_a_host(spool: Path, settings: Settings) -> None:
    assert hosts.publish_if_used() is None
    tasks.sweep()
    assert not IngestHost.objects.filter(name=settings.HOST_NAME).exists()


def test_the_sweeper_inserts_what_no_message_announced_and_publishes(
    spool: Path, tenant_key: str, settings: Settings
) -> None:
    found = spool_at(spool)
    stamp = found.accept(numbered(tenant_key, 0, 3), None).ingested_at
    tasks.sweep()
    assert ids(tenant_key) == ["e-0", "e-1", "e-2"]
    assert row(settings).settled_before > stamp
    assert row(settings).pending_files == 0


def test_the_sweeper_removes_what_is_sealed_and_keeps_what_is_not(spool: Path, tenant_key: str) -> None:
    found = spool_at(spool)
    found.accept(numbered(tenant_key, 0, 1), None)
    tasks.sweep()
    assert len(names(found.done)) == 1
    now = datetime.now(UTC)
    Seal.objects.create(watermark_from=now, watermark=now, state=Seal.State.COMPLETED, completed_at=now)
    found.accept(numbered(tenant_key, 1, 1), None)
    tasks.sweep()
    assert len(names(found.done)) == 1
    assert ids(tenant_key) == ["e-0", "e-1"]


def test_a_host_that_lives_is_not_retired(spool: Path, settings: Settings) -> None:
    now = datetime.now(UTC)
    IngestHost.objects.create(name=settings.HOST_NAME, settled_before=now, published_at=now, retired_at=now)
    hosts.publish()
    assert row(settings).retired_at is None
