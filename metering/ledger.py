"""Sealing: moving events, each once, into the append-only usage ledger. And reading the ledger as of a seal.

What each failure leaves behind: a crash before the claim leaves nothing; after it, a CLAIMED seal whose rows (all, some or
none) no reader counts, and which the next run marks ABANDONED before it claims a new id; a statement still running in
ClickHouse then writes rows of an abandoned seal, which never count either.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from django.conf import settings
from django.utils import timezone

from metering import moments
from metering.advisory import advisory_lock
from metering.clickhouse import client
from metering.clickhouse.queries.usage import (
    ArrivalSteps,
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
    """What a run of `seal` did, all its seals together. `seal` is the latest completed one; `advanced` False if there was none to do.

    `events` are the new ones, `late` those of them whose quarter of an hour an earlier seal had passed.
    """

    seal: SealInfo | None
    advanced: bool = False
    events: int = 0
    duplicates: int = 0
    conflicts: int = 0
    late: int = 0
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


@dataclass(frozen=True)
class _Arrivals:
    """What arrived in an interval: its scope, how many events, and how many of them late."""

    scope: Scope
    events: int
    late: int


def seal_usage(*, now: bool = False) -> SealOutcome:
    """Seal everything that every host has settled; without `now`, only what arrived before the current 15-minute bucket.

    More than SEAL_MAX_EVENTS settled events do not wait for the bucket's end, and are sealed in steps of about that many, so that
    no statement has to hold a whole bucket of a large provider. Raises SealBusy if another process is at it,
    ClickHouseUnavailable or ClickHouseRefused if ClickHouse is in the way; the steps before that stay sealed.
    """
    with _only_one():
        hosts = holding_hosts()
        previous = latest_seal()
        begin = previous.watermark if previous else EPOCH
        outcome = SealOutcome(seal=previous, held_by=hosts)
        for start, until in pairwise(_edges(begin, hosts, now=now)):
            outcome = _added(outcome, _seal(start, until))
        return outcome


def _edges(begin: datetime, hosts: list[HoldingHost], *, now: bool) -> list[datetime]:
    """Where the next seals start and end: `begin`, then watermarks; `begin` alone if there is nothing to seal."""
    # A silent host holds it: its spool may hold events nobody else knows of. Without any host nothing was ever accepted.
    settled = min((host.settled_before for host in hosts), default=begin)
    until = settled if now else min(settled, bucket_start(timezone.now()))
    if settled <= begin:
        return [begin]
    steps = _steps(begin, settled)
    if sum(events for _, events in steps) > settings.SEAL_MAX_EVENTS:
        until = settled
    cuts = [start for start, _ in steps[1:] if start < until]
    return [begin, *cuts, until] if until > begin else [begin]


def _steps(begin: datetime, until: datetime) -> list[tuple[datetime, int]]:
    """The arrivals of an interval in steps of about SEAL_MAX_EVENTS: when each starts, and how many it has."""
    found = client.run(ArrivalSteps(begin, until, settings.SEAL_MAX_EVENTS), timeout_s=SEAL_TIMEOUT_S).rows
    return [(moments.from_microseconds(int(second) * 10**6), int(events)) for second, events in found]


def _seal(begin: datetime, until: datetime) -> SealOutcome:
    Seal.objects.filter(state=Seal.State.CLAIMED).update(state=Seal.State.ABANDONED)
    claim = Seal.objects.create(watermark_from=begin, watermark=until)
    arrived = _arrivals(begin, until)
    duplicates = conflicts = late_duplicates = 0
    if arrived.events:
        _write(SealUsage(claim.pk, arrived.scope))
        found = client.run(Duplicates(arrived.scope), timeout_s=SEAL_TIMEOUT_S).rows[0]
        duplicates, conflicts, late_duplicates = found
        if conflicts:
            _write(QuarantineConflicts(arrived.scope), token=f"conflicts-{until.isoformat()}")
    events, late = arrived.events - duplicates, arrived.late - late_duplicates
    completed = Seal.objects.filter(pk=claim.pk, state=Seal.State.CLAIMED).update(
        state=Seal.State.COMPLETED,
        completed_at=timezone.now(),
        events=events,
        duplicates=duplicates,
        conflicts=conflicts,
        late=late,
    )
    if completed != 1:  # our lock was lost (PostgreSQL restarted) and another run has abandoned this seal
        raise SealBusy(f"seal {claim.pk} was taken over by another process")
    return SealOutcome(seal_info(claim.pk), True, events, duplicates, conflicts, late)


def _added(so_far: SealOutcome, step: SealOutcome) -> SealOutcome:
    """The outcome of a run after one more of its seals."""
    return SealOutcome(
        seal=step.seal,
        advanced=True,
        events=so_far.events + step.events,
        duplicates=so_far.duplicates + step.duplicates,
        conflicts=so_far.conflicts + step.conflicts,
        late=so_far.late + step.late,
        held_by=so_far.held_by,
    )


def arrivals_scope(begin: datetime, until: datetime, tenant: str | None = None) -> tuple[Scope, int]:
    """The events that arrived in `[begin, until)`, as a scope that names the days of use they touch, and how many arrived."""
    found = _arrivals(begin, until, tenant)
    return found.scope, found.events


def _arrivals(begin: datetime, until: datetime, tenant: str | None = None) -> _Arrivals:
    days = client.run(ArrivedDays(begin, until, tenant), timeout_s=SEAL_TIMEOUT_S).rows
    spans = tuple((int(day), int(day) + DAY_MS) for day, _, _ in days)
    return _Arrivals(
        scope=Scope(spans, tenant, begin, until),
        events=sum(events for _, events, _ in days),
        late=sum(late for _, _, late in days),
    )


def _write(query: SealUsage | QuarantineConflicts, token: str = "") -> None:
    sql, parameters = query.sql()
    deduplication = {"insert_deduplication_token": token} if token else {"insert_deduplicate": 0}
    # Ten years of use may arrive at once, and a partition is a month: the default limit of 100 would hold every later seal.
    limits = {"async_insert": 0, "max_partitions_per_insert_block": 0}
    client.statement(query.name, sql, parameters, timeout_s=SEAL_TIMEOUT_S, settings=deduplication | limits)


def bucket_start(moment: datetime) -> datetime:
    """The start of the 15-minute UTC bucket that holds `moment`."""
    return moment.replace(minute=moment.minute - moment.minute % BUCKET_MINUTES, second=0, microsecond=0)


def bucket_end(moment: datetime) -> datetime:
    """The first bucket edge at or after `moment`."""
    start = bucket_start(moment)
    return start if start == moment else start + timedelta(minutes=BUCKET_MINUTES)


@contextmanager
def _only_one() -> Iterator[None]:
    with advisory_lock(ADVISORY_LOCK) as alone:
        if not alone:
            raise SealBusy("another process is sealing; try again in a moment")
        yield


def _info(row: Seal) -> SealInfo:
    assert row.completed_at is not None  # noqa: S101 - completed rows have it; this is for the type checker
    return SealInfo(row.pk, row.watermark, row.completed_at)


def retire_host(name: str) -> bool:
    """Stop waiting for a host that will not come back; False if no such host is active. What its spool held is not billed."""
    return bool(IngestHost.objects.filter(name=name, retired_at=None).update(retired_at=timezone.now()))
