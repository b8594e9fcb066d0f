"""Limits of power that were lowered. Pure."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from metering.causes.heard import GpuBefore, GpuHeard, Heard

LOWERED = 0.97  # of the highest of the last two hours: NVML tells limits to the watt, so this is no noise


@dataclass(frozen=True, slots=True)
class CapChange:
    """The GPUs of a node whose limit is lower than it was within the last two hours; W of each, the mean over them."""

    node: str
    region: str
    cluster: str
    gpus: int
    before_w: float
    now_w: float
    since: datetime


@dataclass(frozen=True, slots=True)
class _Lowered:
    before_w: float
    now_w: float
    since: datetime


def cap_changes(found: Heard) -> list[CapChange]:
    """By node: what was taken away in all first."""
    nodes: dict[str, list[tuple[GpuBefore, _Lowered]]] = defaultdict(list)
    for (node, gpu), raw in found.gpus.items():
        before = found.gpus_before.get((node, gpu))
        if before and (lowered := _lowered(before, raw)):
            nodes[node].append((before, lowered))
    changes = [_change(node, gpus) for node, gpus in nodes.items()]
    return sorted(changes, key=lambda each: (-each.gpus * (each.before_w - each.now_w), each.node))


def _lowered(before: GpuBefore, raw: GpuHeard) -> _Lowered | None:
    highest = max(before.highest_w or 0.0, raw.highest_w or 0.0)
    if raw.limit_w is None or raw.limit_w >= LOWERED * highest:
        return None
    seen_lately = raw.highest_w is not None and raw.highest_w >= LOWERED * highest
    return _Lowered(highest, raw.limit_w, raw.highest_until if seen_lately else before.highest_until)


def _change(node: str, gpus: list[tuple[GpuBefore, _Lowered]]) -> CapChange:
    first, count = gpus[0][0], len(gpus)
    return CapChange(
        node,
        first.region,
        first.cluster,
        count,
        sum(each.before_w for _, each in gpus) / count,
        sum(each.now_w for _, each in gpus) / count,
        min(each.since for _, each in gpus),
    )
