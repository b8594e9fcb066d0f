"""How ingest is doing: one reading for the operators' page and for Prometheus.

Three servers are asked, and any may be down: its part is None then, and its name is in `down`. ClickHouse and Redis are asked under
a time limit. Exact figures (duplicates, conflicts, late events) come from PostgreSQL; what Redis holds may begin anew.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import Q, Sum
from django.utils import timezone

from metering.bounded import Bounded
from metering.clickhouse import client
from metering.clickhouse.queries.health import ActiveMerges, RejectsByReason, TableSizes
from metering.ingest import counters, presence
from metering.ingest.counters import Snapshot
from metering.live_difference import LiveDifference, published
from metering.models import IngestHost, Seal
from metering.redis_link import TROUBLE

logger = logging.getLogger(__name__)
T = TypeVar("T")

POSTGRESQL, REDIS, CLICKHOUSE = "postgresql", "redis", "clickhouse"
PARTS = (POSTGRESQL, REDIS, CLICKHOUSE)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
QUERY_LIMIT_S = 2.0
CLICKHOUSE_LIMIT_S = 3.0  # over its queries, a connection that hangs included
FAILURES = (
    client.ClickHouseUnavailable,
    client.ClickHouseRefused,
    TimeoutError,
    DatabaseError,
    InterfaceError,
    *TROUBLE,
)


@dataclass(frozen=True)
class SealCounts:
    """`events` and `duplicates` together are all arrivals. Conflicts are among the duplicates; `late`, those of the events that came
    after their quarter of an hour had been sealed."""

    events: int = 0
    duplicates: int = 0
    conflicts: int = 0
    late: int = 0


@dataclass(frozen=True)
class SealHealth:
    """`watermark`: everything accepted before it is in the ledger; None before the first seal.

    `uncorrected`: duplicates of completed seals that the live rollups still hold.
    """

    watermark: datetime | None
    completed_at: datetime | None
    day: SealCounts
    total: SealCounts
    uncorrected: int


@dataclass(frozen=True)
class HostHealth:
    """One spool, as its host published it at `published_at`. A silent host holds every seal at `settled_before`."""

    name: str
    settled_before: datetime
    published_at: datetime
    silent: bool
    pending_files: int
    pending_bytes: int
    oldest_pending_at: datetime | None
    kept_bytes: int
    spool_max_bytes: int

    @property
    def fill(self) -> float:
        """How full the spool is, 0 to 1; what is inserted and kept until sealed does not count. 0 without a limit."""
        return self.pending_bytes / self.spool_max_bytes if self.spool_max_bytes else 0.0


@dataclass(frozen=True)
class Rejected:
    """Events in quarantine with one reason, conflicts left out."""

    reason: str
    last_hour: int
    last_day: int


@dataclass(frozen=True)
class TableHealth:
    """`most_parts`: in the partition that has the most; ClickHouse slows inserts down from 1,000 and refuses them from 3,000."""

    name: str
    parts: int
    most_parts: int
    rows: int
    size_bytes: int


@dataclass(frozen=True)
class LedgerHealth:
    """What PostgreSQL knows."""

    seals: SealHealth
    hosts: tuple[HostHealth, ...]  # the one that is furthest back first


@dataclass(frozen=True)
class CountersHealth:
    """What Redis knows."""

    counts: Snapshot
    workers: tuple[str, ...]
    difference: LiveDifference | None


@dataclass(frozen=True)
class StoreHealth:
    """What ClickHouse knows."""

    rejected: tuple[Rejected, ...]
    tables: tuple[TableHealth, ...]
    merges: int
    longest_merge_s: float


@dataclass(frozen=True)
class IngestHealth:
    """A part is None if its server does not answer."""

    at: datetime
    ledger: LedgerHealth | None
    counters: CountersHealth | None
    store: StoreHealth | None

    @property
    def down(self) -> tuple[str, ...]:
        """Which of PARTS do not answer."""
        found = zip(PARTS, (self.ledger, self.counters, self.store), strict=True)
        return tuple(name for name, part in found if part is None)


def ingest_health() -> IngestHealth:
    """Never raises for a server that is down, and takes a few seconds at the very most."""
    now = timezone.now()
    return IngestHealth(
        at=now,
        ledger=_part(POSTGRESQL, lambda: _ledger(now)),
        counters=_part(REDIS, _counters),
        store=_part(CLICKHOUSE, _store.get),
    )


def _part(name: str, read: Callable[[], T]) -> T | None:
    try:
        return read()
    except FAILURES as error:
        logger.warning("%s cannot say how ingest is doing: %s: %s", name, type(error).__name__, error)
        return None


def _ledger(now: datetime) -> LedgerHealth:
    hosts = IngestHost.objects.filter(retired_at=None).order_by("settled_before", "name")
    return LedgerHealth(_seals(now), tuple(_host(host, now) for host in hosts))


def _seals(now: datetime) -> SealHealth:
    completed = Seal.objects.filter(state=Seal.State.COMPLETED)
    latest = completed.order_by("-id").first()
    uncorrected = completed.filter(corrected_at=None).aggregate(found=Sum("duplicates"))["found"]
    return SealHealth(
        watermark=latest.watermark if latest else None,
        completed_at=latest.completed_at if latest else None,
        day=_sums(Q(completed_at__gte=now - DAY)),
        total=_sums(Q()),
        uncorrected=uncorrected or 0,
    )


def _sums(which: Q) -> SealCounts:
    names = ("events", "duplicates", "conflicts", "late")
    found = Seal.objects.filter(which, state=Seal.State.COMPLETED).aggregate(
        **{f"sum_{name}": Sum(name) for name in names}
    )
    return SealCounts(**{name: int(found[f"sum_{name}"] or 0) for name in names})


def _host(host: IngestHost, now: datetime) -> HostHealth:
    return HostHealth(
        name=host.name,
        settled_before=host.settled_before,
        published_at=host.published_at,
        silent=host.published_at < now - settings.HOST_SILENT_AFTER,
        pending_files=host.pending_files,
        pending_bytes=host.pending_bytes,
        oldest_pending_at=host.oldest_pending_at,
        kept_bytes=host.kept_bytes,
        spool_max_bytes=host.spool_max_bytes,
    )


def _counters() -> CountersHealth:
    return CountersHealth(counters.snapshot(), presence.workers(), published())


def _read_store() -> StoreHealth:
    now = timezone.now()
    rejected = client.run(RejectsByReason(now - HOUR, now - DAY), timeout_s=QUERY_LIMIT_S).rows
    tables = client.run(TableSizes(), timeout_s=QUERY_LIMIT_S).rows
    merges, longest = client.run(ActiveMerges(), timeout_s=QUERY_LIMIT_S).rows[0]
    return StoreHealth(
        rejected=tuple(Rejected(str(row[0]), int(row[1]), int(row[2])) for row in rejected),
        tables=tuple(TableHealth(str(row[0]), *(int(value) for value in row[1:])) for row in tables),
        merges=int(merges),
        longest_merge_s=float(longest),
    )


_store = Bounded(_read_store, CLICKHOUSE_LIMIT_S)
