"""Demand by the hour for some weeks to come, with its interval. Pure: a seasonal profile, a trend, and errors that were really made.

demand = exp(level of the day + profile of the hour) - floor. The interval of the first week is that of the errors that were made over the
past weeks (backtest.py); further ahead the uncertainty of the trend, as the model has it, is added to it.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from metering.capacity.seasons import DAY_H, WEEK_H, by_day, cleaned, floor_of, profile, spread_of
from metering.capacity.trend import levels

Floats = npt.NDArray[np.float64]

WEEKLY, DAILY, SPARSE = "weekly", "daily", "sparse"
LEAST_H = 3 * DAY_H  # below this there is no forecast
WEEKLY_FROM_H = 2 * WEEK_H
SPARSE_FROM = 0.3  # share of hours without any demand
PROFILE_WEEKS, TREND_WEEKS = 8, 13
LONGEST_DAYS = 90
KNOWN_DAY = 4  # the middle of the week over which errors are known
REACH = 2  # a forecast goes this many times as far ahead as its history goes back
QUANTILES = (0.05, 0.25, 0.75, 0.95)
NORMAL = (-1.6449, -0.6745, 0.6745, 1.6449)


@dataclass(frozen=True)
class Shape:
    """A forecast without its calibration, on the log scale. `level` and `drift` (the level's standard deviation) have a value a day,
    `hours` one for each hour of a period; `scatter` is the hours' standard deviation about it."""

    model: str
    level: Floats
    drift: Floats
    hours: Floats
    scatter: float
    floor: float

    @property
    def medians(self) -> Floats:
        """Demand in each hour, 24 for each day."""
        periods = -(-len(self.level) * DAY_H // len(self.hours))
        seasons = np.tile(self.hours, periods)[: len(self.level) * DAY_H]
        return np.asarray(np.maximum(np.exp(np.repeat(self.level, DAY_H) + seasons) - self.floor, 0.0))

    @property
    def peaks(self) -> Floats:
        """The highest median of each day."""
        return np.asarray(self.medians.reshape(-1, DAY_H).max(axis=1))


@dataclass(frozen=True)
class Forecast:
    """From `begin` (a whole hour) on. `bounds`: by how much (log) an hour within the first week misses its median, at QUANTILES;
    `peak_bounds` the same of a day's highest hour, which lies by `peak_bias` above the highest median."""

    begin: datetime
    shape: Shape
    bounds: tuple[float, ...]
    peak_bias: float
    peak_bounds: tuple[float, ...]

    @property
    def days(self) -> int:
        return len(self.shape.level)

    def hours_at(self, quantile: int) -> Floats:
        """Demand of each hour at QUANTILES[quantile]."""
        off = self._off(self.bounds[quantile], NORMAL[quantile])
        return _scaled(self.shape.medians, np.repeat(np.exp(off), DAY_H), self.shape.floor)

    def peak_factor(self, quantile: int | None) -> Floats:
        """By what the medians of each day are multiplied to get its peak hour's, at QUANTILES[quantile]; None: the median peak."""
        off = np.zeros(self.days) if quantile is None else self._off(self.peak_bounds[quantile], NORMAL[quantile])
        return np.asarray(np.exp(self.peak_bias + off))

    def peaks_at(self, quantile: int | None) -> Floats:
        return _scaled(self.shape.peaks, self.peak_factor(quantile), self.shape.floor)

    def _off(self, bound: float, normal: float) -> Floats:
        """`bound` over the first week, and what the trend adds after it."""
        known = float(self.shape.drift[min(KNOWN_DAY, self.days) - 1])
        more = np.maximum(self.shape.drift**2 - known**2, 0.0)
        return np.asarray(np.sign(normal) * np.sqrt(max(bound * np.sign(normal), 0.0) ** 2 + normal**2 * more))


def _scaled(values: Floats, factor: Floats, floor: float) -> Floats:
    return np.asarray(np.maximum((values + floor) * factor - floor, 0.0))


def started(values: Floats) -> Floats:
    """Without the hours before the first demand."""
    busy = np.flatnonzero(values)
    return values[busy[0] :] if busy.size else values[:0]


def reach_days(hours: int) -> int:
    """How far ahead a history of so many hours carries a forecast; 0: not at all."""
    return min(LONGEST_DAYS, REACH * (hours // DAY_H)) if hours >= LEAST_H else 0


def shaped(values: Floats, days: int) -> Shape | None:
    """A forecast of `days` days from whole hours up to now; None if there are too few (LEAST_H, from the first demand on)."""
    values = started(values)
    if len(values) < LEAST_H:
        return None
    if float((values[-4 * WEEK_H :] == 0).mean()) > SPARSE_FROM:
        return _sparse(values, days)
    floor = floor_of(values)
    logs = np.log(values + floor)
    weekly = len(logs) >= WEEKLY_FROM_H
    period = WEEK_H if weekly else DAY_H
    recent = _whole(logs, period, PROFILE_WEEKS * WEEK_H)
    hours = profile(cleaned(recent) if weekly else recent, period)
    longer = _whole(logs, period, TREND_WEEKS * WEEK_H)
    longer = cleaned(longer) if weekly else longer
    left = longer - np.tile(hours, len(longer) // period)
    level, uncertain = levels(by_day(left), days)
    within = (left.reshape(-1, DAY_H) - by_day(left)[:, None]).ravel()[-PROFILE_WEEKS * WEEK_H :]
    return Shape(WEEKLY if weekly else DAILY, level, uncertain, hours, spread_of(within), floor)


def _sparse(values: Floats, days: int) -> Shape:
    """Now and then: the mean of each hour of the day over the last four weeks, and no trend."""
    recent = _whole(values, DAY_H, 4 * WEEK_H)
    means = recent.reshape(-1, DAY_H).mean(axis=0)
    floor = max(floor_of(values), float(recent.mean()) * 0.01, 1e-9)
    logs = np.log(means + floor)
    spread = float(np.std(np.log(recent + floor) - np.tile(logs, len(recent) // DAY_H)))
    drift = 0.1 * np.sqrt(np.arange(1, days + 1, dtype=np.float64))
    return Shape(SPARSE, np.repeat(logs.mean(), days), drift, logs - logs.mean(), spread, floor)


def _whole(values: Floats, period: int, most: int) -> Floats:
    """The newest whole periods, `most` hours of them at most."""
    count = min(len(values), most) // period * period
    return values[len(values) - count :]
