"""`make backtest`: the forecaster of metering/capacity on simulated years (year.py), against the seasonal-naive forecast, by horizon.

Forecasts begin every two days of the year, from the tenth week on, and go four weeks ahead. Their intervals are calibrated with errors that
were known at the time.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from metering.capacity.backtest import Trial, calibrated, known_at, trials
from tests.backtest.year import year

DAYS = 28
FIRST_H = 70 * 24
PARTS = ((1, 1), (2, 2), (3, 3), (4, 7), (1, 7), (8, 14), (15, 28))
MEASURES = ("input_tokens", "output_tokens", "requests")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="how many simulated years")
    parser.add_argument("--measure", choices=MEASURES, default="output_tokens")
    asked = parser.parse_args()
    found: dict[tuple[int, int], list[tuple[float, ...]]] = {part: [] for part in PARTS}
    for seed in range(1, asked.seeds + 1):
        values = getattr(year(seed), asked.measure)
        made = trials(values, days=DAYS, back_h=len(values))
        for part, numbers in judged(made).items():
            found[part].append(numbers)
        wape, naive, _, held, _ = found[1, 7][-1]
        say(
            f"seed {seed}: WAPE {wape:.1%} of the first week, seasonal naive {naive:.1%}, 90 % interval held {held:.1%}"
        )
    say(table(found))


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def judged(made: Sequence[Trial]) -> dict[tuple[int, int], tuple[float, ...]]:
    """By days ahead: WAPE, the seasonal-naive one, shares of hours in the 50 % and 90 % interval, and of daily peaks in the 90 % one."""
    rows = [
        row
        for one in made
        if one.origin >= FIRST_H and (known := known_at(one.origin, made))
        for row in [_one(one, known)]
    ]
    off, naive, actual, half, most, peak = (np.array(each) for each in zip(*rows, strict=True))
    result = {}
    for first, last in PARTS:
        days = slice(first - 1, last)
        total = actual[:, days].sum()
        shares = (float(each[:, days].mean()) for each in (half, most, peak))
        result[first, last] = (float(off[:, days].sum() / total), float(naive[:, days].sum() / total), *shares)
    return result


def _one(one: Trial, known: Sequence[Trial]) -> tuple[np.ndarray, ...]:
    """A value for each day ahead."""
    made = calibrated(datetime.min, one.shape, known)  # noqa: DTZ901 - a moment that nobody asks for
    low, lower, upper, high = (made.hours_at(index) for index in range(4))
    days = (-1, 24)
    highest = one.actual.reshape(days).max(axis=1)
    return (
        np.abs(one.actual - one.shape.medians).reshape(days).sum(axis=1),
        np.abs(one.actual - one.naive).reshape(days).sum(axis=1),
        one.actual.reshape(days).sum(axis=1),
        ((one.actual >= lower) & (one.actual <= upper)).reshape(days).mean(axis=1),
        ((one.actual >= low) & (one.actual <= high)).reshape(days).mean(axis=1),
        ((highest >= made.peaks_at(0)) & (highest <= made.peaks_at(3))).astype(float),
    )


def table(found: dict[tuple[int, int], list[tuple[float, ...]]]) -> str:
    lines = ["days ahead   WAPE   seasonal naive   saved   50 % interval held   90 % held   90 % held of daily peaks"]
    for (first, last), rows in found.items():
        wape, naive, half, most, peak = np.mean(np.array(rows), axis=0)
        name = f"{first}" if first == last else f"{first} to {last}"
        lines.append(
            f"{name:>10} {wape:6.1%} {naive:16.1%} {1 - wape / naive:7.1%} {half:20.1%} {most:11.1%} {peak:26.1%}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
