"""When a request ran: unions of intervals, and the time that they cover."""

from dataclasses import dataclass

import numpy as np

from metering.telemetry.energy.arrays import Bools, Floats, Ints


@dataclass(frozen=True)
class Intervals:
    """Disjoint and in order; none is empty."""

    start_s: Floats
    end_s: Floats

    def covered_before(self, at_s: Floats) -> Floats:
        """How much of the time before each moment lies in an interval."""
        if not len(self.start_s):
            return np.zeros(len(at_s))
        edges = np.ravel(np.column_stack((self.start_s, self.end_s)))
        covered = np.cumsum(self.end_s - self.start_s)
        held = np.ravel(np.column_stack((covered - (self.end_s - self.start_s), covered)))
        return np.interp(at_s, edges, held)

    def within(self, start_s: Floats, end_s: Floats) -> Floats:
        """How much of each time from start to end lies in an interval."""
        return np.clip(self.covered_before(end_s) - self.covered_before(start_s), 0.0, end_s - start_s)


def union(start_s: Floats, end_s: Floats) -> Intervals:
    """Of any intervals, in any order."""
    real = end_s > start_s
    order = np.argsort(start_s[real], kind="stable")
    start, end = start_s[real][order], np.maximum.accumulate(end_s[real][order])
    begins = np.ones(len(start), dtype=np.bool_)
    begins[1:] = start[1:] > end[:-1]
    ends = np.roll(begins, -1)
    return Intervals(start[begins], end[ends])


def running_at(start_s: Floats, end_s: Floats, at_s: Floats) -> Ints:
    """How many of the intervals hold each moment; they are half-open."""
    begun = np.searchsorted(np.sort(start_s), at_s, side="right")
    ended = np.searchsorted(np.sort(end_s), at_s, side="right")
    return np.asarray(begun - ended, dtype=np.int64)


def around(at_s: Floats, chosen: Bools, most_s: float) -> tuple[Floats, Floats]:
    """The time for which each chosen sample speaks: half way to its neighbours, at most half of `most_s` to either side."""
    half = np.minimum(np.diff(at_s) / 2, most_s / 2)
    before = np.concatenate(([0.0], half))[: len(at_s)]
    after = np.concatenate((half, [0.0]))[: len(at_s)]
    return (at_s - before)[chosen], (at_s + after)[chosen]
