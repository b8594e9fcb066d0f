"""Live readings for dashboards: seconds old, from the rollups and the newest raw rows. Money never reads this.

All functions take `now` from the caller, so that the parts of one page agree with each other and tests hold the clock.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.conf import settings

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.live import (
    LATENCIES,
    STATUSES,
    Breakdown,
    ModelsSeen,
    NewestArrival,
    NewestHour,
    Pulse,
    Series,
    Subset,
    Totals,
)

MILLISECOND = timedelta(milliseconds=1)
PULSE = timedelta(seconds=60)
ARRIVALS_WATCHED = timedelta(minutes=15)
TIMEOUT_S = 5.0
GROUP_LIMIT = 50


@dataclass(frozen=True)
class LiveScope:
    """Which requests a reading covers; None means all."""

    tenant: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Quantiles:
    """Of one latency, in milliseconds, 1 % accurate."""

    p50: float
    p90: float
    p95: float
    p99: float


@dataclass(frozen=True)
class LiveCounts:
    """Requests by status, and tokens, over `seconds` of time. `input_tokens` includes what came from a cache."""

    seconds: float
    ok: int = 0
    error: int = 0
    cancelled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def requests(self) -> int:
        return self.ok + self.error + self.cancelled

    @property
    def error_ratio(self) -> float | None:
        """Errors over all requests; None without requests."""
        return self.error / self.requests if self.requests else None

    def per_second(self, amount: int) -> float:
        return amount / self.seconds


@dataclass(frozen=True)
class LivePoint:
    """One step of a series, `[start, end)`; the latest one ends at `now`. A latency that nothing measured is None."""

    start: datetime
    end: datetime
    counts: LiveCounts
    ttft_ms: Quantiles | None = None
    tpot_ms: Quantiles | None = None
    e2e_ms: Quantiles | None = None


@dataclass(frozen=True)
class LiveGroup:
    """One model or tenant over the whole range, with the latency that was asked for."""

    name: str
    counts: LiveCounts
    latency: Quantiles | None


def live_pulse(scope: LiveScope, now: datetime) -> LiveCounts:
    """The sixty seconds up to `now`, from raw rows."""
    until = moments.milliseconds(now)
    query = Pulse(until - PULSE // MILLISECOND, until, settings.INGEST_MAX_FUTURE // MILLISECOND, _subset(scope))
    return LiveCounts(PULSE.total_seconds(), *(int(value) for value in _run(query).rows[0]))


def newest_arrival(now: datetime) -> datetime | None:
    """When the newest event was accepted, if that was in the last 15 minutes."""
    newest = int(_run(NewestArrival(moments.milliseconds(now - ARRIVALS_WATCHED))).rows[0][0])
    return datetime.fromtimestamp(newest / 1000, UTC) if newest else None


def newest_hour() -> datetime | None:
    """The start of the latest hour of use with an event in it; None if there has never been an event."""
    newest = int(_run(NewestHour()).rows[0][0])
    return datetime.fromtimestamp(newest, UTC) if newest else None


def live_recent(scope: LiveScope, minutes: int, now: datetime) -> LivePoint:
    """The current minute so far and the `minutes` whole ones before it, with latencies."""
    start = now.replace(second=0, microsecond=0) - timedelta(minutes=minutes)
    return _point(
        start, now, _run(Totals("minute", moments.seconds(start), moments.seconds(now) + 1, _subset(scope))).rows[0]
    )


def live_day(scope: LiveScope, now: datetime) -> LiveCounts:
    """Since midnight UTC."""
    start = now.replace(hour=0, minute=0, second=0, microsecond=0)
    row = _run(
        Totals("hour", moments.seconds(start), moments.seconds(now) + 1, _subset(scope), with_latencies=False)
    ).rows[0]
    return _counts((now - start).total_seconds(), row)


def live_series(scope: LiveScope, start: datetime, step: timedelta, now: datetime) -> list[LivePoint]:
    """Points of `step` from `start` (on a whole step) to `now`, one for every step: those without requests are zero.

    Steps of whole hours read the hourly rollup, others the minutes'.
    """
    seconds = int(step.total_seconds())
    query = Series(_grain(step), moments.seconds(start), moments.seconds(now) + 1, seconds, _subset(scope))
    found = {int(row[0]): row[1:] for row in _run(query).rows}
    edges = [*range(moments.seconds(start), moments.seconds(now) + 1, seconds), moments.seconds(now)]
    points = []
    for begin, end in pairwise(edges):
        if end > begin:
            finish = now if end == edges[-1] else datetime.fromtimestamp(end, UTC)
            points.append(_point(datetime.fromtimestamp(begin, UTC), finish, found.get(begin)))
    return points


def live_breakdown(
    scope: LiveScope, start: datetime, step: timedelta, now: datetime, *, group: str, latency: str
) -> list[LiveGroup]:
    """The busiest GROUP_LIMIT models or tenants in `[start, now)`. Raises ValueError for another group or latency."""
    query = Breakdown(
        _grain(step), moments.seconds(start), moments.seconds(now) + 1, group, latency, GROUP_LIMIT, _subset(scope)
    )
    seconds = (now - start).total_seconds()
    return [LiveGroup(str(row[0]), _counts(seconds, row[1:6]), _quantiles(row[6])) for row in _run(query).rows]


def models_seen(since: datetime, tenant: str | None = None) -> list[str]:
    return [str(row[0]) for row in _run(ModelsSeen(moments.seconds(since), Subset(tenant))).rows]


def _grain(step: timedelta) -> str:
    return "minute" if step % timedelta(hours=1) else "hour"


def _subset(scope: LiveScope) -> Subset:
    return Subset(scope.tenant, scope.model)


def _run(query: client.Query) -> client.Result:
    return client.run(query, timeout_s=TIMEOUT_S)


def _counts(seconds: float, row: tuple[Any, ...]) -> LiveCounts:
    return LiveCounts(max(seconds, 1.0), *(int(value) for value in row))


def _point(start: datetime, end: datetime, row: tuple[Any, ...] | None) -> LivePoint:
    seconds = (end - start).total_seconds()
    if row is None:
        return LivePoint(start, end, LiveCounts(max(seconds, 1.0)))
    sums = len(STATUSES) + 2
    latencies = dict(zip(LATENCIES, map(_quantiles, row[sums:]), strict=True))
    return LivePoint(start, end, _counts(seconds, row[:sums]), **latencies)


def _quantiles(values: Any) -> Quantiles | None:
    """The sketch of nothing answers NaN, which is not a latency."""
    if any(value != value for value in values):  # noqa: PLR0124 - true for NaN alone
        return None
    return Quantiles(*(float(value) for value in values))
