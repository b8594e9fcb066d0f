"""What a GPU burned from each of its samples to the next, and how that falls into windows."""

from dataclasses import dataclass

import numpy as np

from metering.telemetry.energy.arrays import Bools, Floats, Ints, window_of

# A GPU that draws more than this is a counter that lies: ingest refuses such a reading of power for the same reason.
MOST_POWER_W = 10_000.0
# Samples further apart than three usual intervals leave a gap between them; never below the first, always above the second.
NO_GAP_S, ALWAYS_GAP_S = 30.0, 180.0
INTERVALS_TO_GAP = 3.0
# Of a longer time nothing is said at all; progress.py looks no further either.
LONGEST_GAP_S = 24 * 3600.0


@dataclass(frozen=True)
class Readings:
    """Samples of one GPU: when, the joules of its counter, its watts. NaN where a sample has none."""

    at_s: Floats
    energy_j: Floats
    power_w: Floats


@dataclass(frozen=True)
class Segments:
    """From each sample to the next, in order: `edges_s` has one more than the others.

    `gap`: too long to know what happened in it. `by_power`: the counter was reset, absent or absurd there, so the energy is integrated
    power. `known`: false where the samples are too far apart to be joined; such a segment has no energy.
    """

    edges_s: Floats
    energy_j: Floats
    gap: Bools
    by_power: Bools
    known: Bools

    @property
    def length_s(self) -> Floats:
        return np.diff(self.edges_s)

    def burned_before(self, at_s: Floats) -> Floats:
        """The counter as it would stand had it begun at the first sample and never been reset: interpolated between samples."""
        if not len(self.energy_j):
            return np.zeros(len(at_s))
        return np.interp(at_s, self.edges_s, np.concatenate(([0.0], np.cumsum(self.energy_j))))


@dataclass(frozen=True)
class Pieces:
    """Segments cut at the edges of windows: of which segment, in which window, from when to when, and the energy (evenly spread)."""

    segment: Ints
    window: Ints
    start_s: Floats
    end_s: Floats
    energy_j: Floats


def segments(readings: Readings) -> Segments:
    """Samples may come in any order; of several at one moment the first counts. Those with neither counter nor power say nothing."""
    at, energy, power = _ordered(readings)
    length = np.diff(at)
    by_counter = np.diff(energy)
    plausible = (by_counter >= 0) & (by_counter <= MOST_POWER_W * length)
    known = length <= LONGEST_GAP_S
    joules = np.where(plausible, by_counter, _by_power(energy, power, length))
    return Segments(at, np.where(known, joules, 0.0), length > _longest_joined(length), ~plausible & known, known)


def cut(of: Segments, edges_s: Floats) -> Pieces:
    """The parts of the segments that lie in the windows between these edges."""
    if not len(of.energy_j):
        none = np.zeros(0)
        return Pieces(none.astype(np.int64), none.astype(np.int64), none, none, none)
    first, last = max(of.edges_s[0], edges_s[0]), min(of.edges_s[-1], edges_s[-1])
    points = np.unique(np.concatenate((of.edges_s, edges_s, [first, last])))
    points = points[(points >= first) & (points <= last)]
    start, end = points[:-1], points[1:]
    segment = window_of(start, of.edges_s)
    window = window_of(start, edges_s)
    energy = of.energy_j[segment] * ((end - start) / of.length_s[segment])
    held = of.known[segment]
    return Pieces(segment[held], window[held], start[held], end[held], energy[held])


def _ordered(readings: Readings) -> tuple[Floats, Floats, Floats]:
    says = ~(np.isnan(readings.energy_j) & np.isnan(readings.power_w))
    at, first = np.unique(readings.at_s[says], return_index=True)
    return at, readings.energy_j[says][first], readings.power_w[says][first]


def _by_power(energy: Floats, power: Floats, length: Floats) -> Floats:
    """Trapezoids of power, a rectangle where one end has none. Where neither has, what a counter that began anew shows since."""
    before, after = power[:-1], power[1:]
    mean = np.where(np.isnan(before), after, np.where(np.isnan(after), before, (before + after) / 2))
    anew = np.where((energy[1:] >= 0) & (energy[1:] <= MOST_POWER_W * length), energy[1:], 0.0)
    return np.where(np.isnan(mean), anew, mean * length)


def _longest_joined(length: Floats) -> Floats:
    """For each segment, the length above which it is a gap: by the usual interval of the five segments around it.

    Few neighbours, so that the verdict does not depend on how far around a window samples were read.
    """
    if not len(length):
        return length
    padded = np.pad(length, 2, constant_values=np.nan)
    usual = np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    return np.clip(INTERVALS_TO_GAP * usual, NO_GAP_S, ALWAYS_GAP_S)
