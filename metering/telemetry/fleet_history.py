"""How the fleet went: GPUs, engines and their saturation over time, from minutes and the steps that they are added up to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.fleet_series import (
    ENGINE_GROUPS,
    GPU_GROUPS,
    EngineSeries,
    EnginesOnGpu,
    GpuSeries,
    SaturationSeries,
    Steps,
)
from metering.telemetry.saturation import CONSTRAINTS
from metering.telemetry.saturation_scopes import BoundShare
from metering.telemetry.spans import MINUTE, minute_of

TIMEOUT_S = 20.0
MOST_POINTS = 100_000


@dataclass(frozen=True)
class FleetRange:
    """`[start, end)` on whole minutes, in steps of whole minutes. `group`: a row for each of these; `only`: narrowed to these values, one
    or several of each."""

    start: datetime
    end: datetime
    step: timedelta = MINUTE
    group: tuple[str, ...] = ()
    only: Mapping[str, str | Sequence[str]] = field(default_factory=dict)


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
    memory_clock_mhz: float | None = None
    power_w_max: float | None = None  # of one GPU
    xid_last: int | None = None  # of the errors in the step
    throttle: Mapping[str, float] | None = None  # share of the time by reason; None: not asked for, or no GPU tells


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
    waiting_max: float | None = None  # of one engine
    minutes: int = 0  # that were measured, of the engine that has the most

    @property
    def prefix_hit_rate(self) -> float | None:
        """Tokens found in the prefix cache over those looked up."""
        queries = self.prefix_cache_queries
        return self.prefix_cache_hits / queries if queries and self.prefix_cache_hits is not None else None

    @property
    def batch(self) -> float | None:
        """Requests that run in an engine at a time."""
        return None if self.running is None or not self.engines else self.running / self.engines


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
    readings: Mapping[str, float] = field(
        default_factory=dict
    )  # means over the engines that have them; empty unless asked for

    @property
    def bound_share(self) -> float:
        """Of all GPU time, the share that anything bound."""
        return sum(each.share for each in self.bound)

    @property
    def constraint(self) -> str:
        """The one that bound the most; '' if nothing bound."""
        return self.bound[0].constraint if self.bound else ""


def gpu_series(asked: FleetRange, *, reasons: bool = False) -> list[GpuPoint]:
    """In order of time and group; steps without GPUs are left out. `reasons`: with why they were throttled.

    Raises ValueError for an unknown group, ClickHouseRefused (code 396) for more than MOST_POINTS points, ClickHouseUnavailable; as all
    functions here.
    """
    return [_gpu(asked, row, reasons=reasons) for row in _run(GpuSeries(_steps(asked, GPU_GROUPS), reasons))]


def engine_series(asked: FleetRange) -> list[EnginePoint]:
    return [
        EnginePoint(*_head(asked, row), *_rest(asked, row)) for row in _run(EngineSeries(_steps(asked, ENGINE_GROUPS)))
    ]


def saturation_series(asked: FleetRange, *, readings: bool = False) -> list[SaturationPoint]:
    """`readings`: with what the scores were computed from."""
    query = SaturationSeries(_steps(asked, ENGINE_GROUPS), readings)
    return [_saturation(asked, row, readings=readings) for row in _run(query)]


def engines_on_gpu(node: str, gpu: str, start: datetime, end: datetime) -> list[str]:
    """Names of the engines that ran on it, to a quarter of an hour or more, by the length of the time."""
    query = EnginesOnGpu(node, gpu, moments.seconds(start), moments.seconds(end))
    return [name for (name,) in _run(query)]


def _gpu(asked: FleetRange, row: tuple[Any, ...], *, reasons: bool) -> GpuPoint:
    *values, known_minutes, xid_last = _rest(asked, row)[: -1 if reasons else None]
    shares = None
    if reasons and known_minutes:
        shares = {name: total / known_minutes for name, total in _rest(asked, row)[-1].items()}
    told: tuple[Any, ...] = (*_head(asked, row), *values, xid_last, shares)
    return GpuPoint(*told)


def _saturation(asked: FleetRange, row: tuple[Any, ...], *, readings: bool) -> SaturationPoint:
    engines, gpus, score, highest, node, engine, simulated, gpu_minutes, held, *read = _rest(asked, row)
    shares = {name: held.get(name, 0.0) / gpu_minutes for name in CONSTRAINTS}
    bound = tuple(BoundShare(name, share) for name, share in sorted(shares.items(), key=lambda each: -each[1]) if share)
    state = (engines, gpus, score, highest, node, engine, bound, bool(simulated))
    told: tuple[Any, ...] = (*_head(asked, row), *state, read[0] if readings else {})
    return SaturationPoint(*told)


def _steps(asked: FleetRange, allowed: tuple[str, ...]) -> Steps:
    for name in (*asked.group, *asked.only):
        if name not in allowed:
            raise ValueError(f"unknown group {name!r}: one of {', '.join(allowed)}")
    start, end = moments.seconds(minute_of(asked.start)), moments.seconds(asked.end)
    to_now = asked.end + MINUTE >= datetime.now(UTC)
    return Steps(start, end, int(asked.step.total_seconds()), asked.group, asked.only, to_now)


def _head(asked: FleetRange, row: tuple[Any, ...]) -> tuple[datetime, dict[str, str]]:
    return datetime.fromtimestamp(row[0], UTC), dict(zip(asked.group, row[1:], strict=False))


def _rest(asked: FleetRange, row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[1 + len(asked.group) :]


def _run(query: client.Query) -> list[tuple[Any, ...]]:
    return client.run(query, timeout_s=TIMEOUT_S, max_rows=MOST_POINTS).rows
