"""The fleet as it is now: how saturated each engine is and what binds it, from raw samples a few seconds old."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.fleet import GpusKnown, GpusNow
from metering.clickhouse.queries.saturation import BoundSince, SaturationNow, Trends
from metering.telemetry.engine_readings import EngineReadings, readings_of, weights
from metering.telemetry.rollups import SLICE_MS
from metering.telemetry.saturation import Points, Saturation, saturation
from metering.telemetry.saturation_scopes import EngineState
from metering.telemetry.saturation_trend import Headroom, Held, Trend, headroom, since
from metering.telemetry.settings import saturation_points
from metering.telemetry.spans import MINUTE

TIMEOUT_S = 5.0
SEEN = timedelta(minutes=2)  # an engine whose last sample is older is not there
GPU_SEEN = timedelta(minutes=15)  # GPUs are listed longer, with the time of their sample
BOUND_LOOKED_BACK = timedelta(hours=24)
RECENT = timedelta(minutes=10)
KNOWN_FOR = timedelta(hours=24)
TREND = timedelta(minutes=15)
MILLISECOND = timedelta(milliseconds=1)
SLICE = timedelta(milliseconds=SLICE_MS)
# Raw samples, also to say since when a limit has bound: the minutes before are worked up.
READ_BACK = timedelta(minutes=4)
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class GpuState:
    """The latest sample of a GPU, or of one of its MIG instances. What the source does not tell is None."""

    node: str
    gpu: str
    mig: str
    at: datetime
    index: int | None
    name: str
    region: str
    cluster: str
    simulated: bool
    source: str
    gpu_utilization: float | None
    sm_active: float | None
    sm_occupancy: float | None
    tensor_active: float | None
    dram_active: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    power_w: float | None
    power_limit_w: float | None
    sm_clock_mhz: int | None
    memory_clock_mhz: int | None
    temperature_c: float | None
    memory_temperature_c: float | None
    throttle: tuple[str, ...] | None
    xid_errors: int | None
    xid_last: int | None


@dataclass(frozen=True, slots=True)
class GoneGpu:
    """One that sends nothing any more. `until`: it was seen last in the quarter of an hour before."""

    node: str
    gpu: str
    index: int | None
    name: str
    region: str
    cluster: str
    until: datetime


def fleet_gpus(now: datetime, node: str | None = None, *, timeout_s: float = TIMEOUT_S) -> list[GpuState]:
    """Every GPU with a sample in the last GPU_SEEN, by node and index.

    Raises ClickHouseUnavailable or ClickHouseRefused, as all functions here.
    """
    until = moments.milliseconds(now) + 1
    table = "gpu_recent" if _is_recent(now) else "gpu_samples"
    query = GpusNow(until - GPU_SEEN // MILLISECOND, until, node, table)
    return [_gpu(row) for row in client.run(query, timeout_s=timeout_s).rows]


def fleet_gpus_gone(now: datetime, *, timeout_s: float = TIMEOUT_S) -> list[GoneGpu]:
    """GPUs that were there within KNOWN_FOR and have sent nothing for GPU_SEEN; and for a while those of `fleet_gpus` as well."""
    rows = client.run(GpusKnown(moments.seconds(now - KNOWN_FOR)), timeout_s=timeout_s).rows
    found = [_gone(*row) for row in rows]
    return [one for one in found if one.until <= now]


def _gone(*row: Any) -> GoneGpu:
    values: tuple[Any, ...] = (*row[:-1], datetime.fromtimestamp(row[-1], UTC))
    return GoneGpu(*values)


def fleet_engines(now: datetime, *, timeout_s: float = TIMEOUT_S) -> list[EngineState]:
    """Every engine with a sample in the last SEEN, by node and name: over the half minute up to its newest one.

    `timeout_s` is for each of at most three queries.
    """
    found = _slices(now, timeout_s)
    until = moments.milliseconds(now) + 1
    latest = [each for each in found if each.slice == 0 and each.newest_ms >= until - SEEN // MILLISECOND]
    points = saturation_points()
    shares, room = weights(latest), _headrooms(now, points, timeout_s)
    states = [_engine(each, saturation(each.readings, points), shares, room) for each in latest]
    bound = {(each.node, each.engine): each for each in states if each.saturation.bound}
    if not bound:
        return states
    held = _held_by_minutes(bound, now, timeout_s)
    for each in found:
        if each.slice and (state := bound.get((each.node, each.engine))):
            held[state.node, state.engine] += _held(each, state, points)
    return [_since(each, held[each.node, each.engine]) if each.saturation.bound else each for each in states]


def _slices(now: datetime, timeout_s: float) -> list[EngineReadings]:
    """Of every engine, as far back as it says since when one is bound: little dearer than the latest alone, and one query less."""
    until_ms = moments.milliseconds(now) + 1
    query = SaturationNow(until_ms - READ_BACK // MILLISECOND, until_ms, SLICE_MS, _is_recent(now))
    return [readings_of(row) for row in client.run(query, timeout_s=timeout_s).rows]


def _is_recent(now: datetime) -> bool:
    """Whether the tables of recent samples hold all that is looked at. They have half an hour."""
    return now > datetime.now(UTC) - RECENT


def _engine(
    found: EngineReadings, state: Saturation, shares: dict[Key, float], room: dict[Key, Headroom | None]
) -> EngineState:
    key = found.node, found.engine
    return EngineState(
        node=found.node,
        engine=found.engine,
        engine_kind=found.engine_kind,
        model=found.model,
        region=found.region,
        cluster=found.cluster,
        simulated=found.simulated,
        gpus=found.gpus,
        weight=shares[key],
        at=moments.from_microseconds(found.newest_ms * 1000),
        up=found.up,
        running=found.running if found.up else None,
        waiting=found.waiting if found.up else None,
        prompt_tokens_per_s=found.prompt_tokens_per_s,
        generation_tokens_per_s=found.generation_tokens_per_s,
        saturation=state,
        headroom=room.get(key) if found.up else None,
    )


def _since(state: EngineState, held: list[Held]) -> EngineState:
    constraint = state.saturation.constraint
    last = Held(constraint, state.at - SLICE, state.at)
    return replace(state, since=since(constraint, state.at, [*held, last]))


def _held(found: EngineReadings, now: EngineState, points: Points) -> list[Held]:
    """Whether and how that slice of raw samples was bound: minutes that are worked up end a while ago."""
    state = saturation(found.readings, points)
    end = now.at - SLICE * found.slice
    return [Held(state.constraint, end - SLICE, end)] if state.bound else []


def _held_by_minutes(bound: Iterable[Key], now: datetime, timeout_s: float) -> dict[Key, list[Held]]:
    """When constraints held these engines, by the minutes that are worked up."""
    found: dict[Key, list[Held]] = defaultdict(list)
    nodes, engines = {node for node, _ in bound}, {engine for _, engine in bound}
    query = BoundSince(moments.seconds(now - BOUND_LOOKED_BACK), tuple(sorted(nodes)), tuple(sorted(engines)))
    for node, engine, constraint, last_s, since_s in client.run(query, timeout_s=timeout_s).rows:
        end = datetime.fromtimestamp(last_s, UTC) + MINUTE
        found[node, engine].append(Held(constraint, datetime.fromtimestamp(since_s, UTC), end))
    return found


def _headrooms(now: datetime, points: Points, timeout_s: float) -> dict[Key, Headroom | None]:
    trends: dict[Key, list[Trend]] = defaultdict(list)
    query = Trends(moments.seconds(now - TREND), moments.seconds(now))
    for node, engine, reading, slope, value, minutes, fit, _ in client.run(query, timeout_s=timeout_s).rows:
        trends[node, engine].append(Trend(reading, slope, value, minutes, fit))
    return {key: headroom(found, points) for key, found in trends.items()}


def _gpu(row: tuple[Any, ...]) -> GpuState:
    values: tuple[Any, ...] = (
        *row[:3],
        moments.from_microseconds(row[3] * 1000),
        *row[4:-4],
        tuple(row[-4]) if row[-3] else None,  # the throttle reasons, and whether they are told
        *row[-2:],
    )
    return GpuState(*values)
