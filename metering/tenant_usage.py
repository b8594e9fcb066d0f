"""What each tenant used and what latency it saw, for pages: seconds old, from the live rollups. Money never reads this."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.live_sources import Subset
from metering.clickhouse.queries.tenants import OTHERS, Slice, TenantCounts, TenantLatencies, TenantParts, TenantSteps
from metering.live import LiveCounts, LiveScope, Quantiles

TIMEOUT_S = 10.0
MOST_PARTS = 200
GRAINS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


@dataclass(frozen=True)
class TenantWindow:
    """`[start, end)`, `start` on a whole `grain` (minute, hour or day) of UTC; `end` too, or now."""

    start: datetime
    end: datetime
    grain: str

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()

    @property
    def before(self) -> datetime:
        """Where the period before begins: as long, on a whole grain."""
        grain = GRAINS[self.grain]
        return self.start - grain * -((self.start - self.end) // grain)


@dataclass(frozen=True)
class TenantUsage:
    """`before_requests` and `before_tokens`: over as long a time just before, of `before_s` seconds."""

    tenant: str
    counts: LiveCounts
    before_requests: int
    before_tokens: int
    before_s: float

    @property
    def tokens(self) -> int:
        return self.counts.input_tokens + self.counts.output_tokens

    @property
    def growth(self) -> float | None:
        """Of the mean rate of tokens; None if there was nothing before."""
        if not self.before_tokens:
            return None
        return (self.tokens / self.counts.seconds) / (self.before_tokens / self.before_s) - 1


@dataclass(frozen=True)
class TenantLatency:
    """None where nothing was measured."""

    ttft_ms: Quantiles | None = None
    tpot_ms: Quantiles | None = None
    e2e_ms: Quantiles | None = None


@dataclass(frozen=True)
class TenantStep:
    """Of one tenant, or of those who are not named: `tenant` is OTHERS."""

    start: datetime
    tenant: str
    requests: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class TenantPart:
    """One value of a dimension."""

    value: str
    counts: LiveCounts
    latency: TenantLatency


def tenant_usage(scope: LiveScope, window: TenantWindow) -> list[TenantUsage]:
    """Of all tenants with requests in the window or in the one before, those with the most tokens first.

    Raises ClickHouseUnavailable or ClickHouseRefused, as all functions here.
    """
    found = Slice(window.grain, moments.seconds(window.before), _until(window), _subset(scope))
    before_s = (window.start - window.before).total_seconds()
    rows = client.run(TenantCounts(found, moments.seconds(window.start)), timeout_s=TIMEOUT_S).rows
    usages = [
        TenantUsage(row[0], _counts(window, row[1:6]), int(row[6]), int(row[7]), before_s)
        for row in rows
        if any(row[1:])
    ]
    return sorted(usages, key=lambda one: (-one.tokens, -one.before_tokens, one.tenant))


def tenant_latencies(scope: LiveScope, window: TenantWindow, tenants: Sequence[str]) -> dict[str, TenantLatency]:
    """By tenant, of those that had requests."""
    if not tenants:
        return {}
    rows = client.run(TenantLatencies(_slice(scope, window), tuple(tenants)), timeout_s=TIMEOUT_S).rows
    return {row[0]: _latency(row[1:]) for row in rows}


def tenant_steps(scope: LiveScope, window: TenantWindow, step: timedelta, named: Sequence[str]) -> list[TenantStep]:
    """In order of time and tenant; steps without requests are left out. `step` is of whole grains."""
    query = TenantSteps(_slice(scope, window), int(step.total_seconds()), tuple(named) or (OTHERS,))
    rows = client.run(query, timeout_s=TIMEOUT_S).rows
    return [TenantStep(datetime.fromtimestamp(row[0], UTC), row[1], *(int(value) for value in row[2:])) for row in rows]


def tenant_parts(scope: LiveScope, window: TenantWindow, dimension: str) -> list[TenantPart]:
    """By model, tier or region; the most tokens first."""
    rows = client.run(TenantParts(_slice(scope, window, dimension), dimension, MOST_PARTS), timeout_s=TIMEOUT_S).rows
    return [TenantPart(row[0], _counts(window, row[1:6]), _latency(row[6:])) for row in rows]


def _slice(scope: LiveScope, window: TenantWindow, by: str = "") -> Slice:
    return Slice(window.grain, moments.seconds(window.start), _until(window), _subset(scope), by)


def _until(window: TenantWindow) -> int:
    """So that what has come in of a grain that is not over counts."""
    return moments.seconds(window.end) + (1 if window.end.microsecond else 0)


def _subset(scope: LiveScope) -> Subset:
    return Subset(scope.tenant, scope.model, scope.tier, scope.region, scope.cluster)


def _counts(window: TenantWindow, row: Sequence[Any]) -> LiveCounts:
    return LiveCounts(max(window.seconds, 1.0), *(int(value) for value in row))


def _latency(row: Sequence[Any]) -> TenantLatency:
    return TenantLatency(*(_quantiles(values) for values in row))


def _quantiles(values: Sequence[float]) -> Quantiles | None:
    """A sketch of nothing gives NaN."""
    return None if math.isnan(values[0]) else Quantiles(*values)
