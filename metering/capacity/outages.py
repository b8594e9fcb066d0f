"""Hours of an outage in a history of demand: nobody knows what would have been asked for, so they do not stand for demand of nothing. Pure.

What is told from what: an outage is a run of hours in which next to nothing came, where the same hours of the weeks around it let many
requests expect. Nights and weekends without a request are none, for those around them have none either; nor is a customer who has gone.
"""

import warnings

import numpy as np
import numpy.typing as npt

from metering.capacity.seasons import DAY_H, WEEK_H

Floats = npt.NDArray[np.float64]

REQUESTS_COLUMN = 2  # it says whether anything came
NEXT_TO_NOTHING = 0.02  # of what is usual
SURE_FROM = 30.0  # requests that were to be expected over all of it
LONGEST_H = 7 * DAY_H
LONGEST_YET_H = 3 * DAY_H  # of one that goes on: whoever sends nothing for longer has gone
WEEKS_FROM_H = 3 * WEEK_H  # with less history, the days around are all that there is
AROUND = {WEEK_H: 3, DAY_H: 6}


def bridged(hours: Floats) -> tuple[Floats, int]:
    """`hours` (rows; input tokens, output tokens, requests), whole hours up to now from the first demand on. Returns them with each outage
    as busy as the hours around it let expect, and how many hours that were."""
    requests = hours[:, REQUESTS_COLUMN]
    expected = _usual(requests)
    out = np.zeros(len(hours), dtype=np.bool_)
    for begin, end in _runs(requests <= NEXT_TO_NOTHING * expected):
        longest = LONGEST_YET_H if end == len(hours) else LONGEST_H
        out[begin:end] = end - begin <= longest and expected[begin:end].sum() >= SURE_FROM
    if not out.any():
        return hours, 0
    # Of a long outage, the hours around one of its hours lie in it as well.
    usual = _usual(np.where(out[:, None], np.nan, hours))
    return np.where(out[:, None], usual, hours), int(out.sum())


def _usual(hours: Floats) -> Floats:
    """Of each hour the median of the same hour of AROUND weeks before and after it; with a short history, of days. 0 without any."""
    period = WEEK_H if len(hours) >= WEEKS_FROM_H else DAY_H
    shifts = [sign * period * count for count in range(1, AROUND[period] + 1) for sign in (-1, 1)]
    around = np.full((len(shifts), *hours.shape), np.nan)
    for found, shift in zip(around, shifts, strict=True):
        if abs(shift) < len(hours):
            there = slice(max(shift, 0), len(hours) + min(shift, 0))
            found[there] = hours[max(-shift, 0) : len(hours) - max(shift, 0)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an hour with nothing around it
        return np.asarray(np.nan_to_num(np.nanmedian(around, axis=0)))


def _runs(down: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """`[begin, end)` of each stretch of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], down, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
