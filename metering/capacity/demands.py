"""Forecasts of what was asked for, as capacity uses them: tokens in and out, of a model in a region. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metering.capacity.forecast import Forecast
from metering.capacity.seasons import DAY_H

Floats = npt.NDArray[np.float64]
LOW, MEDIAN, HIGH = range(3)  # of the demand: the 5 % quantile, the median, the 95 % quantile
_PEAKS = (0, None, 3)  # in QUANTILES of a forecast
HOUR_S = 3600


@dataclass(frozen=True)
class Asked:
    """Tokens by the hour: of one model and region ('': any)."""

    input: Forecast
    output: Forecast

    @property
    def days(self) -> int:
        return min(self.input.days, self.output.days)


Demands = Mapping[tuple[str, str], Asked]


def busy(forecast: Forecast, days: int) -> Floats:
    """Tokens a second, shape (3, days, 24): each hour as it is on a day whose highest hour is at the quantile."""
    medians = forecast.shape.medians.reshape(-1, DAY_H)[:days]
    factors = np.stack([forecast.peak_factor(which)[:days] for which in _PEAKS])
    floor = forecast.shape.floor
    return np.asarray(np.maximum((medians + floor)[None] * factors[:, :, None] - floor, 0.0) / HOUR_S)


def usual(forecast: Forecast, days: int) -> Floats:
    """The median of each hour in tokens a second, shape (days, 24)."""
    return np.asarray(forecast.shape.medians.reshape(-1, DAY_H)[:days] / HOUR_S)
