"""The energy and time of a group of GPUs by window: counted, in gaps, idle and busy. Whose the busy part is comes later."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from metering.telemetry.energy.arrays import Bools, Floats, Ints, summed
from metering.telemetry.energy.intervals import Intervals
from metering.telemetry.energy.segments import Segments, cut

NOTHING_S = 1e-6  # less than the millisecond in which times are given


@dataclass(frozen=True)
class Parts:
    """Pieces of segments: the window of each, its energy and length, how much of it is idle, the mean power of its segment, and whether
    that is a gap, at rest from end to end, or measured by power alone."""

    window: Ints
    energy_j: Floats
    length_s: Floats
    idle_s: Floats
    power_w: Floats
    gap: Bools
    at_rest: Bools
    by_power: Bools

    def where(self, chosen: Bools) -> "Parts":
        return Parts(*(getattr(self, field.name)[chosen] for field in fields(self)))


@dataclass(frozen=True)
class GroupTime:
    """By window, all GPUs of the group together; seconds are GPU-seconds.

    `counter_j` is the difference of the counters between the window's edges, computed apart from everything else: what the terms must
    come to. `at_rest_*`: of segments in which no request ran at all; the group's idle power is measured from them. `lowest_w`: of any
    segment of one GPU that is no gap; infinite without one.
    """

    counter_j: Floats
    gap_j: Floats
    covered_s: Floats
    gap_s: Floats
    idle_s: Floats
    at_rest_j: Floats
    at_rest_s: Floats
    lowest_w: Floats
    by_power: Bools
    joined: Parts  # those that are no gaps

    @property
    def busy_s(self) -> Floats:
        return np.maximum(self.covered_s - self.gap_s - self.idle_s, 0.0)


@dataclass(frozen=True)
class Split:
    """Of the energy that lies in no gap."""

    idle_j: Floats
    busy_j: Floats


def group_time(gpus: Sequence[Segments], busy: Intervals, edges_s: Floats) -> GroupTime:
    """`busy`: when a request ran on the group."""
    count = len(edges_s) - 1
    every = _together([_parts(gpu, busy, edges_s) for gpu in gpus])
    gaps, joined = every.where(every.gap), every.where(~every.gap)
    rests = joined.where(joined.at_rest)
    powered = every.where(every.by_power)
    lowest = np.full(count, np.inf)
    np.minimum.at(lowest, joined.window, joined.power_w)
    return GroupTime(
        counter_j=sum((np.diff(gpu.burned_before(edges_s)) for gpu in gpus), np.zeros(count)),
        gap_j=summed(gaps.window, gaps.energy_j, count),
        covered_s=summed(every.window, every.length_s, count),
        gap_s=summed(gaps.window, gaps.length_s, count),
        idle_s=summed(joined.window, joined.idle_s, count),
        at_rest_j=summed(rests.window, rests.energy_j, count),
        at_rest_s=summed(rests.window, rests.length_s, count),
        lowest_w=lowest,
        by_power=summed(powered.window, powered.length_s, count) > 0,
        joined=joined,
    )


def split(time: GroupTime, idle_power_w: Floats) -> Split:
    """`idle_power_w`: of one GPU, by window. A segment at rest is idle whole; one that is idle in part burned idle power meanwhile."""
    parts, count = time.joined, len(time.counter_j)
    at_idle_power = np.minimum(idle_power_w[parts.window] * parts.idle_s, parts.energy_j)
    idle = np.where(parts.at_rest, parts.energy_j, at_idle_power)
    return Split(summed(parts.window, idle, count), summed(parts.window, parts.energy_j - idle, count))


def _parts(gpu: Segments, busy: Intervals, edges_s: Floats) -> Parts:
    pieces = cut(gpu, edges_s)
    length = gpu.length_s
    at_rest = busy.within(gpu.edges_s[:-1], gpu.edges_s[1:]) < NOTHING_S
    of = pieces.segment
    lasts = pieces.end_s - pieces.start_s
    return Parts(
        window=pieces.window,
        energy_j=pieces.energy_j,
        length_s=lasts,
        idle_s=lasts - busy.within(pieces.start_s, pieces.end_s),
        power_w=gpu.energy_j[of] / length[of],
        gap=gpu.gap[of],
        at_rest=at_rest[of],
        by_power=gpu.by_power[of],
    )


def _together(found: Sequence[Parts]) -> Parts:
    every = (_NOTHING, *found)
    return Parts(*(np.concatenate([getattr(one, field.name) for one in every]) for field in fields(Parts)))


_NONE = np.zeros(0)
_NOTHING = Parts(
    window=_NONE.astype(np.int64),
    energy_j=_NONE,
    length_s=_NONE,
    idle_s=_NONE,
    power_w=_NONE,
    gap=_NONE.astype(np.bool_),
    at_rest=_NONE.astype(np.bool_),
    by_power=_NONE.astype(np.bool_),
)
