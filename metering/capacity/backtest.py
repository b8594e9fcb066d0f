"""How good a forecast would have been: made anew from the past of each of many moments, and held against what came. Pure.

An interval is calibrated with errors that were known at the time, and judged on what came after: its coverage is one that it did not see.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from metering.capacity.forecast import KNOWN_DAY, NORMAL, QUANTILES, Forecast, Shape, reach_days, shaped, started
from metering.capacity.seasons import DAY_H, WEEK_H

Floats = npt.NDArray[np.float64]

HORIZON_DAYS = 7
HORIZON_H = HORIZON_DAYS * DAY_H
JUDGED_H = 4 * WEEK_H  # the last weeks are held out
CALIBRATED_H = 8 * WEEK_H  # errors of so many weeks make the interval
EVERY_H = 2 * DAY_H  # two days, so that forecasts begin on every day of the week
LEAST_TRAINED_H = 2 * WEEK_H
SURE_FROM = 12  # origins; with fewer an interval is never narrower than the model's own


@dataclass(frozen=True)
class Trial:
    """A forecast from hour `origin`, with what came: `actual` and `naive` (the same hour of the last week that was known)."""

    origin: int
    shape: Shape
    actual: Floats
    naive: Floats

    @property
    def errors(self) -> Floats:
        """Of each hour's logarithm."""
        return np.asarray(np.log(self.actual + self.shape.floor) - np.log(self.shape.medians + self.shape.floor))

    @property
    def peak_errors(self) -> Floats:
        """Of the logarithm of each day's highest hour."""
        highest = self.actual.reshape(-1, DAY_H).max(axis=1)
        return np.asarray(np.log(highest + self.shape.floor) - np.log(self.shape.peaks + self.shape.floor))


@dataclass(frozen=True)
class Score:
    """Of forecasts HORIZON_DAYS ahead from `origins` moments of the last weeks. Errors: sum of the absolute errors over sum of the demand
    (WAPE), of the forecast and of the seasonal-naive one. `mase`: mean absolute error over that of the seasonal-naive forecast within
    the history. `coverage`: shares of the hours inside the 50 % and the 90 % interval; `peak_coverage`: of the days' highest hours
    inside the 90 % one. None: too little history for an interval that was not made from the same days."""

    origins: int
    hours: int
    wape: float
    naive_wape: float
    mase: float
    coverage_50: float | None
    coverage_90: float | None
    peak_coverage_90: float | None

    @property
    def better_by(self) -> float:
        """Share of the seasonal-naive error that is saved; negative where the forecast is worse."""
        return 1 - self.wape / self.naive_wape if self.naive_wape > 0 else 0.0


def trials(
    values: Floats, *, every_h: int = EVERY_H, days: int = HORIZON_DAYS, back_h: int | None = None
) -> list[Trial]:
    """Of demand from its beginning on; the newest ends with the last hour. Newest last."""
    horizon = days * DAY_H
    back = back_h if back_h is not None else CALIBRATED_H + JUDGED_H
    first = max(LEAST_TRAINED_H, len(values) - horizon - back)
    found = []
    for origin in range(len(values) - horizon, first - 1, -every_h):
        shape = shaped(values[:origin], days)
        if shape is not None:
            week = values[origin - WEEK_H : origin]
            naive = np.tile(week, -(-horizon // WEEK_H))[:horizon]
            found.append(Trial(origin, shape, values[origin : origin + horizon], naive))
    return found[::-1]


def score(values: Floats, made: Sequence[Trial]) -> Score | None:
    """Of those that begin within the last weeks; None if there is none."""
    judged = [one for one in made if one.origin >= len(values) - JUDGED_H]
    if not judged:
        return None
    actual = np.concatenate([one.actual for one in judged])
    off = np.concatenate([np.abs(one.actual - one.shape.medians) for one in judged])
    naive = np.concatenate([np.abs(one.actual - one.naive) for one in judged])
    within = np.abs(values[WEEK_H:-HORIZON_H] - values[: -HORIZON_H - WEEK_H])
    total = float(actual.sum()) or 1.0
    seen = [_inside(one, known) for one in judged if (known := known_at(one.origin, made))]
    shares = np.mean(seen, axis=0) if seen else (None, None, None)
    return Score(
        origins=len(judged),
        hours=len(actual),
        wape=float(off.sum()) / total,
        naive_wape=float(naive.sum()) / total,
        mase=float(off.mean() / max(float(within.mean()), 1e-12)),
        coverage_50=_share(shares[0]),
        coverage_90=_share(shares[1]),
        peak_coverage_90=_share(shares[2]),
    )


def forecast(values: Floats, begin: datetime) -> tuple[Forecast | None, Score | None]:
    """From whole hours of demand up to `begin`. None: too little history for one, or for judging it."""
    values = started(values)
    shape = shaped(values, reach_days(len(values)))
    if shape is None:
        return None, None
    made = trials(values)
    usable = [
        one for one in made if one.shape.model == shape.model and one.origin >= len(values) - CALIBRATED_H - HORIZON_H
    ]
    return calibrated(begin, shape, usable), score(values, made)


def calibrated(begin: datetime, shape: Shape, known: Sequence[Trial]) -> Forecast:
    """Without any errors to go by, the model's own interval."""
    usual = float(np.hypot(shape.scatter, shape.drift[min(KNOWN_DAY, len(shape.drift)) - 1]))
    least = tuple(usual * z for z in NORMAL)
    if not known:
        return Forecast(begin, shape, least, 0.0, least)
    highest = np.concatenate([one.peak_errors[:HORIZON_DAYS] for one in known])
    bias = float(np.median(highest))
    peaks = highest - bias
    hours = np.concatenate([one.errors[:HORIZON_H] for one in known])
    sure = len(known) >= SURE_FROM
    return Forecast(begin, shape, _bounds(hours, least, sure), bias, _bounds(peaks, least, sure))


def _bounds(errors: Floats, least: tuple[float, ...], sure: bool) -> tuple[float, ...]:
    """The errors' own quantiles; while few are known, the model's interval where that is wider."""
    found = np.quantile(errors, QUANTILES)
    if not sure:
        found = np.sign(NORMAL) * np.maximum(np.sign(NORMAL) * found, np.abs(least))
    return tuple(float(value) for value in found)


def known_at(origin: int, made: Sequence[Trial]) -> list[Trial]:
    """Those whose first week was over by then, of the weeks that make an interval."""
    return [one for one in made if origin - CALIBRATED_H - HORIZON_H <= one.origin <= origin - HORIZON_H]


def _inside(one: Trial, known: Sequence[Trial]) -> tuple[float, float, float]:
    """Shares of a trial's hours in the 50 % and in the 90 % interval, and of its peaks in the 90 % one, as calibrated on `known`."""
    made = calibrated(datetime.min, one.shape, known)  # noqa: DTZ901 - a moment that nobody asks for
    low, lower, upper, high = (made.hours_at(index) for index in range(len(QUANTILES)))
    highest = one.actual.reshape(-1, DAY_H).max(axis=1)
    half = (one.actual >= lower) & (one.actual <= upper)
    most = (one.actual >= low) & (one.actual <= high)
    peak = (highest >= made.peaks_at(0)) & (highest <= made.peaks_at(3))
    return float(half.mean()), float(most.mean()), float(peak.mean())


def _share(value: float | None) -> float | None:
    return None if value is None else float(value)
