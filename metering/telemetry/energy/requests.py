"""The requests of an engine, as their events tell: when each ran, and the tokens it has had by any moment."""

from dataclasses import dataclass

import numpy as np

from metering.telemetry.energy.arrays import Floats


@dataclass(frozen=True)
class Requests:
    """When each left the queue, had its first token, and ended; prompt tokens that were computed, and that came from a cache; output.

    A request without latencies ran for no time at all: `begin`, `first` and `end` are the same moment.
    """

    begin_s: Floats
    first_s: Floats
    end_s: Floats
    prefill: Floats
    cached: Floats
    output: Floats


NONE = Requests(*(np.zeros(0) for _ in range(6)))


def at_moments(moments_s: Floats, amounts: Floats, at_s: Floats) -> Floats:
    """How much has come before each of `at_s`, if every amount comes at its moment: as an engine counts a prompt, at its first token."""
    order = np.argsort(moments_s, kind="stable")
    held = np.concatenate(([0.0], np.cumsum(amounts[order])))
    return np.asarray(held[np.searchsorted(moments_s[order], at_s, side="left")], dtype=np.float64)


def evenly(start_s: Floats, end_s: Floats, amounts: Floats, at_s: Floats) -> Floats:
    """The same, if every amount comes evenly from its start to its end: as an engine counts output."""
    length = end_s - start_s
    lasts = length > 0
    rate = amounts[lasts] / length[lasts]
    ramps = _ramps(start_s[lasts], rate, at_s) - _ramps(end_s[lasts], rate, at_s)
    return ramps + at_moments(end_s[~lasts], amounts[~lasts], at_s)


def _ramps(start_s: Floats, rate: Floats, at_s: Floats) -> Floats:
    """The sum of rate x (at - start) over all that have started before `at`."""
    order = np.argsort(start_s, kind="stable")
    start, rate = start_s[order], rate[order]
    begun = np.searchsorted(start, at_s, side="left")
    rates = np.concatenate(([0.0], np.cumsum(rate)))[begun]
    offsets = np.concatenate(([0.0], np.cumsum(rate * start)))[begun]
    return np.asarray(rates * at_s - offsets, dtype=np.float64)
