"""What is seen of the engines of a block, and its groups of GPUs: each for as long as it stays the same."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from metering.telemetry.energy import counters, intervals
from metering.telemetry.energy.arrays import Floats, edges
from metering.telemetry.energy.counters import Compared
from metering.telemetry.energy.groups import Group, grouped
from metering.telemetry.energy.inputs import Block, Engine, Gpu
from metering.telemetry.energy.intervals import Intervals
from metering.telemetry.energy.missing import missing
from metering.telemetry.energy.timing import GroupTime, group_time


@dataclass(frozen=True)
class Seen:
    """Of one engine, by window of the block: counters against events, what no event tells, and (over more time) when it was busy."""

    compared: Compared
    missing_prefill: Floats
    missing_decode: Floats
    busy: Intervals


@dataclass(frozen=True)
class Part:
    """A group of one node in windows `first` to `last` - 1. `engines`: places in Block.engines, in the group's order."""

    node: str
    group: Group
    first: int
    last: int
    engines: tuple[int, ...]
    gpus: tuple[Gpu, ...]
    time: GroupTime

    @property
    def windows(self) -> slice:
        return slice(self.first, self.last)

    @property
    def product(self) -> str:
        """Of most of its GPUs; of two equally frequent ones, the first by name."""
        found = Counter(gpu.product for gpu in self.gpus)
        return min(found, key=lambda name: (-found[name], name), default="")


def seen(engine: Engine, block: Block) -> Seen:
    around = 2 * block.look
    compared = counters.compare(engine.readings, engine.requests, edges(-around, block.windows + around))
    here = slice(around, around + block.windows)
    return Seen(
        compared.within(here),
        missing(compared.engine_prefill, compared.event_prefill, block.look)[here],
        missing(compared.engine_decode, compared.event_decode, block.look)[here],
        counters.busy(engine.readings, engine.requests),
    )


def parts(block: Block, found: Sequence[Seen]) -> Iterator[Part]:
    """Every group of every node of the block, the windows of each node one after the other."""
    for node in sorted({gpu.node for gpu in block.gpus} | {engine.node for engine in block.engines}):
        gpus = {gpu.gpu: gpu for gpu in block.gpus if gpu.node == node}
        places = {engine.engine: n for n, engine in enumerate(block.engines) if engine.node == node}
        layouts = (_layout(block, places, gpus, window) for window in range(block.windows))
        for layout, run in groupby(enumerate(layouts), key=lambda one: one[1]):
            windows = [window for window, _ in run]
            for group in layout:
                engines = tuple(places[name] for name in group.engines)
                held = tuple(gpus[name] for name in group.gpus)
                time = _time(held, [found[place].busy for place in engines], windows[0], windows[-1] + 1)
                yield Part(node, group, windows[0], windows[-1] + 1, engines, held, time)


def _layout(block: Block, places: dict[str, int], gpus: dict[str, Gpu], window: int) -> tuple[Group, ...]:
    claims = {name: claim.gpus for name, place in places.items() if (claim := block.engines[place].claims[window])}
    return grouped(claims, gpus)


def _time(gpus: Sequence[Gpu], busy: Sequence[Intervals], first: int, last: int) -> GroupTime:
    nothing = np.zeros(0)
    start, end = ([getattr(one, side) for one in busy] for side in ("start_s", "end_s"))
    any_of_them = intervals.union(np.concatenate([nothing, *start]), np.concatenate([nothing, *end]))
    return group_time([gpu.segments for gpu in gpus], any_of_them, edges(first, last))
