"""Sealing: moving events, each once, into the append-only usage ledger. And reading the ledger as of a seal.

What each failure leaves behind: a crash before the claim leaves nothing; after it, a CLAIMED seal whose rows (all, some or
none) no reader counts, and which the next run marks ABANDONED before it claims a new id; a statement still running in
ClickHouse then writes rows of an abandoned seal, which never count either.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from metering.clickhouse import client
from metering.clickhouse.queries.usage import (
    ArrivedDays,
    Duplicates,
    QuarantineConflicts,
    Scope,
    SealUsage,
)
from metering.contracts import BUCKET_MINUTES, SealInfo
from metering.models import IngestHost, Seal
from metering.moments import EPOCH

DAY_MS = 24 * 3600 * 1000
ADVISORY_LOCK = 0x7A11_0001  # one seal at a time over all hosts
SEAL_TIMEOUT_S = 1800


@dataclass(frozen=True)
class HoldingHost:
    """A host that keeps the watermark back, and whether it has stopped publishing altogether."""

    name: str
    settled_before: datetime
    published_at: datetime
    silent: bool


@dataclass(frozen=True)
class SealOutcome:
    """What a run of `seal` did. `seal` is the latest completed one; `events` 0 and `advanced` False if nothing was to do."""

    seal: SealInfo | None
    advanced: bool = False
    events: int = 0
    duplicates: int = 0
    conflicts: int = 0
    held_by: list[HoldingHost] = field(default_factory=list)


class SealBusy(RuntimeError):
    """Another process is sealing right now."""


def latest_seal() -> SealInfo | None:
    row = Seal.objects.filter(state=Seal.State.COMPLETED).order_by("-id").first()
    return _info(row) if row else None


def seal_info(seal_id: int) -> SealInfo:
    """Raises Seal.DoesNotExist for an id that is unknown or not completed."""
    return _info(Seal.objects.get(pk=seal_id, state=Seal.State.COMPLETED))


def abandoned_up_to(seal_id: int) -> tuple[int, ...]:
    """Seals whose rows must not be counted."""
    return tuple(
        Seal.objects.filter(id__lte=seal_id)
        .exclude(state=Seal.State.COMPLETED)
        .order_by("id")
        .values_list("id", flat=True)
    )


def holding_hosts() -> list[HoldingHost]:
    """Every host that is not retired, the one that is furthest back first."""
    silent_since = timezone.now() - settings.HOST_SILENT_AFTER
    return [
        HoldingHost(host.name, host.settled_before, host.published_at, host.published_at < silent_since)
        for host in IngestHost.objects.filter(retired_at=None).order_by("settled_before")
    ]


def seal_usage(*, now: bool = False) -> SealOutcome:
    """Seal everything that every host has settled; without `now`, only what arrived before the current 15-minute bucket.

    Raises SealBusy if another process is at it, ClickHouseUnavailable or ClickHouseRefused if ClickHouse is in the way.
    """
    with _only_one():
        hosts = holding_hosts()
        previous = latest_seal()
        begin = previous.watermark if previous else EPOCH
        until = _watermark(hosts, now=now)
        if until is None or until <= begin:
            return SealOutcome(seal=previous, held_by=hosts)
        return _seal(begin, until, hosts)


def _seal(begin: datetime, until: datetime, hosts: list[HoldingHost]) -> SealOutcome:
    Seal.objects.filter(state=Seal.State.CLAIMED).update(state=Seal.State.ABANDONED)
    claim = Seal.objects.create(watermark_from=begin, watermark=until)
    scope, events = arrivals_scope(begin, until)
    duplicates = conflicts = 0
    if events:
        _write(SealUsage(claim.pk, scope))
        duplicates, conflicts = client.run(Duplicates(scope), timeout_s=SEAL_TIMEOUT_S).rows[0]
        if conflicts:
            _write(QuarantineConflicts(scope), token=f"conflicts-{until.isoformat()}")
    completed = Seal.objects.filter(pk=claim.pk, state=Seal.State.CLAIMED).update(
        state=Seal.State.COMPLETED,
        completed_at=timezone.now(),
        events=events - duplicates,
        duplicates=duplicates,
        conflicts=conflicts,
    )
    if completed != 1:  # our lock was lost (PostgreSQL restarted) and another run has abandoned this seal
        raise SealBusy(f"seal {claim.pk} was taken over by another process")
    return SealOutcome(seal_info(claim.pk), True, events - duplicates, duplicates, conflicts, hosts)


def arrivals_scope(begin: datetime, until: datetime, tenant: str | None = None) -> tuple[Scope, int]:
    """The events that arrived in `[begin, until)`, as a scope that names the days of use they touch, and how many arrived."""
    days = client.run(ArrivedDays(begin, until, tenant), timeout_s=SEAL_TIMEOUT_S).rows
    spans = tuple((int(day), int(day) + DAY_MS) for day, _ in days)
    return Scope(spans, tenant, begin, until), sum(count for _, count in days)


def _write(query: SealUsage | QuarantineConflicts, token: str = "") -> None:
    sql, parameters = query.sql()
    deduplication = {"insert_deduplication_token": token} if token else {"insert_deduplicate": 0}
    client.statement(
        query.name, sql, parameters, timeout_s=SEAL_TIMEOUT_S, settings=deduplication | {"async_insert": 0}
    )


def _watermark(hosts: list[HoldingHost], *, now: bool) -> datetime | None:
    """None if no host has ever accepted anything. A silent host holds it: its spool may hold events nobody else knows of."""
    if not hosts:
        return None
    settled = min(host.settled_before for host in hosts)
    return settled if now else min(settled, bucket_start(timezone.now()))


def bucket_start(moment: datetime) -> datetime:
    """The start of the 15-minute UTC bucket that holds `moment`."""
    return moment.replace(minute=moment.minute - moment.minute % BUCKET_MINUTES, second=0, microsecond=0)


def bucket_end(moment: datetime) -> datetime:
    """The first bucket edge at or after `moment`."""
    start = bucket_start(moment)
    return start if start == moment else start + timedelta(minutes=BUCKET_MINUTES)


@contextmanager
def _only_one() -> Iterator[None]:
    """Hold a lock of PostgreSQL's that dies with its connection, so that a killed sealer never blocks the next."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_LOCK])
        if not cursor.fetchone()[0]:
            raise SealBusy("another process is sealing; try again in a moment")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])


def _info(row: Seal) -> SealInfo:
    assert row.completed_at is not None  # noqa: S101 - completed rows have it; this is for the type checker
    return SealInfo(row.pk, row.watermark, row.completed_at)


def retire_host(name: str) -> bool:
    """Stop waiting for a host that will not come back; False if no such host is active. What its spool held is not billed."""
    return bool(IngestHost.objects.filter(name=name, retired_at=None).update(retired_at=timezone.now()))
