"""The rhythm of day and week in hourly demand, on a log scale: a factor for each hour of the week, and what is left. Pure."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DAY_H, WEEK_H = 24, 168
FLOOR = 0.01  # of the mean: added before the logarithm is taken, so that an hour without demand has one
HALF_LIFE_WEEKS = 3.0
FAR_OUT = 4.0  # standard deviations, by the median's
LEAST_FAR = 0.25  # on the log scale: what is nearer is never an outlier


def floor_of(values: Floats) -> float:
    """What is added to demand before its logarithm is taken. More than 0 where there is any demand."""
    return float(FLOOR * values[-8 * WEEK_H :].mean())


def cleaned(logs: Floats) -> Floats:
    """Hours that are far from what the same hour of the weeks around it had (an outage, a burst) drawn in to the border of what is far.

    A whole day that is different (a holiday) stays: what is compared is an hour with its own day. `logs`: whole weeks, two at least.
    """
    weeks = logs.reshape(-1, WEEK_H)
    usual = np.array([np.median(weeks[max(0, at - 2) : at + 3], axis=0) for at in range(len(weeks))])
    off = weeks - usual
    of_day = np.repeat(np.median(off.reshape(-1, DAY_H), axis=1), DAY_H).reshape(weeks.shape)
    within = off - of_day
    far = max(FAR_OUT * 1.4826 * float(np.median(np.abs(within - np.median(within)))), LEAST_FAR)
    return np.asarray((usual + of_day + np.clip(within, -far, far)).ravel(), dtype=np.float64)


def profile(logs: Floats, period_h: int) -> Floats:
    """By how much each hour of the period lies above the level around it, on average 0; the newest periods count most.

    The period begins where `logs` does; whole periods, two at least.
    """
    around = np.convolve(logs, np.ones(period_h) / period_h, "valid")
    half = period_h // 2
    level = np.concatenate([np.repeat(around[0], half), around, np.repeat(around[-1], period_h - 1 - half)])
    above = (logs - level).reshape(-1, period_h)
    age_weeks = (len(above) - 1 - np.arange(len(above))) * period_h / WEEK_H
    weights = 0.5 ** (age_weeks / HALF_LIFE_WEEKS)
    found = weights @ above / weights.sum()
    return np.asarray(found - found.mean(), dtype=np.float64)


def by_day(logs: Floats) -> Floats:
    """The mean of each 24 hours; whole days."""
    return np.asarray(logs.reshape(-1, DAY_H).mean(axis=1), dtype=np.float64)


def spread_of(values: Floats) -> float:
    """The standard deviation, by the median absolute deviation: a few outliers do not move it."""
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) if values.size else 0.0
