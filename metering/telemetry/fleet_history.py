"""How the fleet went: GPUs, engines and their saturation over time, from rows of minutes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.fleet import (
    ENGINE_GROUPS,
    GPU_GROUPS,
    EngineSeries,
    GpuSeries,
    Minutes,
    SaturationSeries,
)
from metering.telemetry.saturation import CONSTRAINTS
from metering.telemetry.saturation_scopes import BoundShare
from metering.telemetry.spans import MINUTE, minute_of

TIMEOUT_S = 20.0
MOST_POINTS = 100_000


@dataclass(frozen=True)
class FleetRange:
    """`[start, end)` on whole minutes, in steps of whole minutes. `group`: a row for each of these; `only`: narrowed to these values."""

    start: datetime
    end: datetime
    step: timedelta = MINUTE
    group: tuple[str, ...] = ()
    only: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GpuPoint:
    """GPUs over one step. Power, energy and memory are theirs together; activities (0 to 1) and clocks their mean, temperatures the
    highest. None: no GPU tells."""

    start: datetime
    group: Mapping[str, str]
    gpus: int
    simulated: bool
    power_w: float | None
    power_limit_w: float | None
    energy_j: float | None
    gpu_utilization: float | None
    sm_active: float | None
    tensor_active: float | None
    dram_active: float | None
    memory_used_bytes: float | None
    memory_total_bytes: float | None
    sm_clock_mhz: float | None
    temperature_c: float | None
    memory_temperature_c: float | None
    throttled_share: float | None
    xid_errors: int | None


@dataclass(frozen=True, slots=True)
class EnginePoint:
    """Engines over one step. Requests running and waiting are theirs together, counters what they counted in it; latencies are means over
    all requests, of `itl_s` over all tokens. None: no engine tells."""

    start: datetime
    group: Mapping[str, str]
    engines: int
    simulated: bool
    up_share: float
    running: float | None
    waiting: float | None
    kv_cache_usage: float | None
    kv_cache_usage_max: float | None
    preemptions: int | None
    prompt_tokens: int | None
    cached_prompt_tokens: int | None
    generation_tokens: int | None
    prefix_cache_queries: int | None
    prefix_cache_hits: int | None
    requests_finished: int | None
    requests_aborted: int | None
    restarts: int
    ttft_s: float | None
    itl_s: float | None
    e2e_s: float | None
    queue_s: float | None
    prefill_s: float | None
    decode_s: float | None

    @property
    def prefix_hit_rate(self) -> float | None:
        """Tokens found in the prefix cache over those looked up."""
        queries = self.prefix_cache_queries
        return self.prefix_cache_hits / queries if queries and self.prefix_cache_hits is not None else None


@dataclass(frozen=True, slots=True)
class SaturationPoint:
    """Saturation over one step: the mean score by GPUs, the highest, whose it was, and of all GPU time the share that each constraint
    bound, the largest first. `gpus`: how many there were on average."""

    start: datetime
    group: Mapping[str, str]
    engines: int
    gpus: float
    score: float | None
    highest: float | None
    worst_node: str
    worst_engine: str
    bound: tuple[BoundShare, ...]
    simulated: bool

    @property
    def bound_share(self) -> float:
        """Of all GPU time, the share that anything bound."""
        return sum(each.share for each in self.bound)

    @property
    def constraint(self) -> str:
        """The one that bound the most; '' if nothing bound."""
        return self.bound[0].constraint if self.bound else ""


def gpu_series(asked: FleetRange) -> list[GpuPoint]:
    """In order of time and group; steps without GPUs are left out. Raises ValueError for an unknown group, ClickHouseRefused (code 396)
    for more than MOST_POINTS points, ClickHouseUnavailable; as all functions here."""
    return [GpuPoint(*_head(asked, row), *_rest(asked, row)) for row in _run(GpuSeries(_minutes(asked, GPU_GROUPS)))]


def engine_series(asked: FleetRange) -> list[EnginePoint]:
    return [
        EnginePoint(*_head(asked, row), *_rest(asked, row))
        for row in _run(EngineSeries(_minutes(asked, ENGINE_GROUPS)))
    ]


def saturation_series(asked: FleetRange) -> list[SaturationPoint]:
    query = SaturationSeries(_minutes(asked, ENGINE_GROUPS), CONSTRAINTS)
    return [_saturation(asked, row) for row in _run(query)]


def _saturation(asked: FleetRange, row: tuple[Any, ...]) -> SaturationPoint:
    engines, gpus, score, highest, node, engine, simulated, *shares = _rest(asked, row)
    held = sorted(zip(CONSTRAINTS, shares, strict=True), key=lambda each: -each[1])
    bound = tuple(BoundShare(name, share) for name, share in held if share)
    return SaturationPoint(*_head(asked, row), engines, gpus, score, highest, node, engine, bound, bool(simulated))


def _minutes(asked: FleetRange, allowed: tuple[str, ...]) -> Minutes:
    for name in (*asked.group, *asked.only):
        if name not in allowed:
            raise ValueError(f"unknown group {name!r}: one of {', '.join(allowed)}")
    start, end = moments.seconds(minute_of(asked.start)), moments.seconds(asked.end)
    return Minutes(start, end, int(asked.step.total_seconds()), asked.group, asked.only)


def _head(asked: FleetRange, row: tuple[Any, ...]) -> tuple[datetime, dict[str, str]]:
    return datetime.fromtimestamp(row[0], UTC), dict(zip(asked.group, row[1:], strict=False))


def _rest(asked: FleetRange, row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[1 + len(asked.group) :]


def _run(query: client.Query) -> list[tuple[Any, ...]]:
    return client.run(query, timeout_s=TIMEOUT_S, max_rows=MOST_POINTS).rows
