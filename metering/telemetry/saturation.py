"""How saturated an engine is, from 0 to 1, and which limit binds. Pure: docs/saturation.md says why, and where the points come from.

The score is the largest reading over its saturation point, the value at which latency starts to climb. A busy engine may score
high and be well: a constraint *binds* only where there is evidence that requests suffer (they queue, are preempted, or the
GPUs are throttled).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

KV_CACHE, POWER, THERMAL, MEMORY_BANDWIDTH, COMPUTE, QUEUE = (
    "kv_cache",
    "power",
    "thermal",
    "memory_bandwidth",
    "compute",
    "queue",
)
# The order decides between constraints that bind alike. A queue binds only where none of the others explains it.
CONSTRAINTS = (KV_CACHE, POWER, THERMAL, MEMORY_BANDWIDTH, COMPUTE, QUEUE)
CONSTRAINT_OF = {
    "kv_cache_usage": KV_CACHE,
    "preemption_rate": KV_CACHE,
    "waiting_per_running": QUEUE,
    "dram_active": MEMORY_BANDWIDTH,
    "tensor_active": COMPUTE,
    "power_share": POWER,
    "power_throttle": POWER,
    "thermal_throttle": THERMAL,
}
# One request waits for every twenty that run: it is no longer the moment between arrival and the next step.
QUEUE_IS_EVIDENT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Of one engine and the GPUs it runs on, over half a minute. None: not known.

    A group of GPUs works in step, so each reading of GPUs is that of the GPU that has most of it.
    """

    kv_cache_usage: float | None = None  # share of the KV cache, at its peak
    preemption_rate: float | None = None  # preemptions a second, for each running request
    waiting_per_running: float | None = None  # requests in the queue over those in the batch, or over 1 if none is
    dram_active: float | None = None  # share of the time
    tensor_active: float | None = None
    power_share: float | None = None  # power over its limit
    power_throttle: float | None = None  # share of the samples that were clocked down by the power cap or brake
    thermal_throttle: float | None = None  # and by heat


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Where each reading saturates. More than 0."""

    kv_cache_usage: float = 0.9
    preemption_rate: float = 0.02
    waiting_per_running: float = 0.25
    dram_active: float = 0.75
    tensor_active: float = 0.6
    power_share: float = 0.97
    power_throttle: float = 0.1
    thermal_throttle: float = 0.1


@dataclass(frozen=True, slots=True)
class Saturation:
    """`constraint`: the one that binds if `bound`, else the one with the highest reading, '' if all are 0.

    `score` is None without any reading. `readings` are those known, `missing` the names of the others.
    """

    score: float | None
    constraint: str
    bound: bool
    readings: Mapping[str, float]
    missing: tuple[str, ...]


READINGS = tuple(field.name for field in fields(Readings))


def saturation(found: Readings, points: Points) -> Saturation:
    """Which constraint binds is decided on readings over their points before they are clipped: of two at their limit, the further."""
    known: dict[str, float] = {}
    missing: list[str] = []
    load = dict.fromkeys(CONSTRAINTS, 0.0)
    for name in READINGS:
        value = getattr(found, name)
        if value is None:
            missing.append(name)
            continue
        known[name] = value
        constraint = CONSTRAINT_OF[name]
        load[constraint] = max(load[constraint], value / getattr(points, name))
    bound = _bound(load, known, points)
    leading = bound or _highest(load, CONSTRAINTS)
    score = min(max(load.values()), 1.0) if known else None
    return Saturation(score, leading, bool(bound), known, tuple(missing))


def worse(one: Saturation, other: Saturation) -> Saturation:
    """The more severe of two readings of an engine: what binds before what does not, then the higher score, then a resource before the
    queue that it may explain, then the latter."""
    return max(other, one, key=_severity)


def _severity(state: Saturation) -> tuple[bool, float, bool]:
    return state.bound, -1.0 if state.score is None else state.score, state.constraint != QUEUE


def _bound(load: Mapping[str, float], known: Mapping[str, float], points: Points) -> str:
    """The constraint that binds, '' if none does."""
    queues = known.get("waiting_per_running", 0.0) >= QUEUE_IS_EVIDENT
    preempts = known.get("preemption_rate", 0.0) > 0
    throttled = known.get("power_throttle", 0.0) >= points.power_throttle
    evidence = {
        KV_CACHE: queues or preempts,
        # At its limit and not throttled, a GPU does all it can within it; where throttling is not told, a queue has to do.
        POWER: throttled or ("power_throttle" not in known and queues),
        THERMAL: True,  # its reading is the throttling
        MEMORY_BANDWIDTH: queues,
        COMPUTE: queues,
    }
    resources = [name for name, shown in evidence.items() if shown and load[name] >= 1]
    if resources:
        return _highest(load, resources)
    return QUEUE if load[QUEUE] >= 1 else ""


def _highest(load: Mapping[str, float], among: "list[str] | tuple[str, ...]") -> str:
    """The first of those with the highest load; '' if that is nothing."""
    found = max(among, key=lambda name: load[name])
    return found if load[found] > 0 else ""
