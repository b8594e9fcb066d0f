"""The idle power of an engine's GPUs, measured while no request ran on them: over the hour so far and the 24 hours before it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metering.telemetry.energy.arrays import Bools, Floats, Ints, ratio

HOURS_BACK = 24
HOUR_S = 3600


@dataclass(frozen=True)
class RestingHour:
    """What the windows of one hour measured of an engine's GPUs. `lowest_w` is infinite if nothing was measured."""

    hour: int  # hours since the epoch
    at_rest_j: float
    at_rest_s: float
    lowest_w: float


@dataclass(frozen=True)
class IdlePower:
    """Of one GPU, by window. Not `measured`: the GPUs never rested, and it is the lowest power that was seen (0 if none was)."""

    power_w: Floats
    measured: Bools

    def within(self, windows: slice) -> "IdlePower":
        return IdlePower(self.power_w[windows], self.measured[windows])


def idle_power(
    before: Sequence[RestingHour], at_rest_j: Floats, at_rest_s: Floats, lowest_w: Floats, starts_s: Ints
) -> IdlePower:
    """Of windows that start at these moments (epoch seconds), from theirs and those before them, and what earlier hours had.

    `before` holds windows before the first of these alone.
    """
    hours = starts_s // HOUR_S
    joules, seconds = np.cumsum(at_rest_j), np.cumsum(at_rest_s)
    lowest = np.minimum.accumulate(lowest_w)
    for hour in np.unique(hours):
        here = hours == hour
        counted = [row for row in before if hour - HOURS_BACK <= row.hour <= hour]
        joules[here] += sum(row.at_rest_j for row in counted)
        seconds[here] += sum(row.at_rest_s for row in counted)
        lowest[here] = np.minimum(lowest[here], min((row.lowest_w for row in counted), default=np.inf))
    measured = seconds > 0
    seen = np.where(np.isfinite(lowest), lowest, 0.0)
    return IdlePower(np.where(measured, ratio(joules, seconds), seen), measured)
