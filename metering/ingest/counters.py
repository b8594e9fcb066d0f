"""What ingest did, counted in Redis over all processes: for the health page and Prometheus, never for anything exact.

Two hashes get every count: one for ever, one for its minute. Redis may be wiped at any time; the counts then begin anew, as
Prometheus expects of counters. Duplicates, conflicts and late events are exact: they come with the seals, from PostgreSQL.

Counting must never cost an event: nothing here raises, and after a failure this process leaves Redis alone for a while.
"""

import logging
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate

from metering import moments
from metering.ingest.spool import SpooledFile
from metering.redis_link import TROUBLE, link

logger = logging.getLogger(__name__)

TOTAL = "tallywatt:ingest:total"
MINUTE = "tallywatt:ingest:minute:"
KEPT_S = 2 * 3600
HOUR_MINUTES = 60
RECENT_MINUTES = 15
PAUSE_S = 5.0
# Upper edges, in seconds, of the time from receipt to queryable; a last bucket without an edge follows.
EDGES_S = tuple(2.0**power for power in range(-4, 13))
REJECTS = "rejects"  # the kind of file that holds what was refused


class _Circuit:
    """Open for PAUSE_S after a failure, so that a dead Redis costs a request nothing."""

    def __init__(self) -> None:
        self._closed_from = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._closed_from

    def open(self) -> None:
        self._closed_from = time.monotonic() + PAUSE_S

    def close(self) -> None:
        self._closed_from = 0.0


circuit = _Circuit()


@dataclass(frozen=True)
class Histogram:
    """Rows by the time from receipt to queryable: `counts` for the buckets of EDGES_S and the open one; the sum in seconds."""

    counts: tuple[int, ...] = (0,) * (len(EDGES_S) + 1)
    sum_s: float = 0.0

    @property
    def total(self) -> int:
        return sum(self.counts)

    def cumulative(self) -> list[int]:
        return list(accumulate(self.counts))

    def quantile(self, level: float) -> float | None:
        """In seconds, as Prometheus' histogram_quantile: even within a bucket, the last edge for the open one; None without rows."""
        if not self.total:
            return None
        wanted = level * self.total
        up_to = self.cumulative()
        bucket = bisect_left(up_to, wanted)
        if bucket >= len(EDGES_S):
            return EDGES_S[-1]
        lower = EDGES_S[bucket - 1] if bucket else 0.0
        before = up_to[bucket] - self.counts[bucket]
        return lower + (EDGES_S[bucket] - lower) * (wanted - before) / max(self.counts[bucket], 1)


@dataclass(frozen=True)
class Tally:
    """Counts over some time. By decoder: events accepted, requests, seconds that they took. By kind of file: rows inserted."""

    accepted: Mapping[str, int] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)  # by reason
    refused: Mapping[str, int] = field(default_factory=dict)  # requests, by HTTP status
    inserted_rows: Mapping[str, int] = field(default_factory=dict)
    inserted_files: int = 0
    inserted_bytes: int = 0
    queryable: Histogram = field(default_factory=Histogram)


@dataclass(frozen=True)
class Snapshot:
    """Since Redis began to count, in the last hour, and in the last quarter of an hour."""

    total: Tally
    hour: Tally
    recent: Tally


def requests_taken(decoder: str, accepted: int, rejects_by_reason: Mapping[str, int], seconds: float) -> None:
    """A request was answered with its valid events on disk: how many, what was rejected, and how long it took."""
    counts = {f"accepted|{decoder}": accepted, f"requests|{decoder}": 1, f"us|{decoder}": round(seconds * 1e6)}
    _add(counts | {f"rejected|{reason}": count for reason, count in rejects_by_reason.items()})


def refused(status: int) -> None:
    """A whole request was refused with this HTTP status."""
    _add({f"refused|{status}": 1})


def inserted(files: Iterable[SpooledFile], inserted_at: datetime) -> None:
    """A group became queryable at `inserted_at`."""
    now_us = moments.microseconds(inserted_at)
    counts: dict[str, int] = {}

    def count(name: str, amount: int) -> None:
        counts[name] = counts.get(name, 0) + amount

    for file in files:
        count("files|", 1)
        count("bytes|", file.size)
        count(f"rows|{file.kind}", file.rows)
        if file.kind != REJECTS:
            waited_us = max(now_us - file.stamp_us, 0)
            count(f"queryable|{bisect_left(EDGES_S, waited_us / 1e6)}", file.rows)
            count("waited_ms|", waited_us // 1000 * file.rows)
    _add(counts)


def snapshot() -> Snapshot:
    """Raises what redis_link.TROUBLE names."""
    minute = int(time.time()) // 60
    pipe = link().pipeline(transaction=False)
    for key in (TOTAL, *(f"{MINUTE}{minute - back}" for back in range(HOUR_MINUTES))):
        pipe.hgetall(key)
    total, *minutes = pipe.execute()
    return Snapshot(_tally([total]), _tally(minutes), _tally(minutes[:RECENT_MINUTES]))


def _add(counts: Mapping[str, int]) -> None:
    if circuit.is_open:
        return
    minute = f"{MINUTE}{int(time.time()) // 60}"
    try:
        pipe = link().pipeline(transaction=False)
        for name, amount in counts.items():
            if amount:
                pipe.hincrby(TOTAL, name, amount)
                pipe.hincrby(minute, name, amount)
        pipe.expire(minute, KEPT_S)
        pipe.execute()
    except (*TROUBLE, ValueError) as error:  # ValueError: an address that is none
        circuit.open()
        logger.warning("not counted, and nothing else for %s s: %s", PAUSE_S, error)


def _tally(hashes: Iterable[Mapping[bytes, bytes]]) -> Tally:
    found: dict[str, dict[str, int]] = {}
    for each in hashes:
        for name, amount in each.items():
            what, _, label = name.decode().partition("|")
            group = found.setdefault(what, {})
            group[label] = group.get(label, 0) + int(amount)
    buckets = found.get("queryable", {})
    return Tally(
        accepted=found.get("accepted", {}),
        requests=found.get("requests", {}),
        seconds={decoder: us / 1e6 for decoder, us in found.get("us", {}).items()},
        rejected=found.get("rejected", {}),
        refused=found.get("refused", {}),
        inserted_rows=found.get("rows", {}),
        inserted_files=found.get("files", {}).get("", 0),
        inserted_bytes=found.get("bytes", {}).get("", 0),
        queryable=Histogram(
            counts=tuple(buckets.get(str(bucket), 0) for bucket in range(len(EDGES_S) + 1)),
            sum_s=found.get("waited_ms", {}).get("", 0) / 1000,
        ),
    )
