"""When a series of minutes took a step that it has kept to since. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

LEAST_BEFORE = 10  # points that say what is usual
CLEAR = 5.0  # spreads of what is usual
LEAST_SPREAD = 0.03  # of what is usual: a series that hardly moves is not to cry at every move
TO_DEVIATION = 1.4826  # the median absolute deviation, of a normal distribution, times this is its standard deviation


@dataclass(frozen=True, slots=True)
class Step:
    """From point `at` on the series is at `after` (its median), before it was at `before`. `clear`: how many spreads lie between."""

    at: int
    before: float
    after: float
    clear: float

    @property
    def ratio(self) -> float:
        """How many times as much; infinite from nothing."""
        return self.after / self.before if self.before else float("inf")


def last_step(values: Sequence[float], *, least_before: int = LEAST_BEFORE) -> Step | None:
    """The latest clear step, up or down; one point after it is enough. None if there is none.

    The step is where two levels explain the series best (least squares, on square roots, which give bursts and quiet the same say); what
    comes after is searched again, so that an earlier step does not hide a later one.
    """
    roots = [sqrt(max(value, 0.0)) for value in values]
    found, begin = None, 0
    while len(values) - begin > least_before:
        at = begin + _split(roots[begin:], least_before)
        step = _step(values, begin, at)
        if step.clear < CLEAR:
            break
        found, begin = step, at
    return found


def _step(values: Sequence[float], begin: int, at: int) -> Step:
    before, after = values[begin:at], values[at:]
    usual = median(before)
    spread = TO_DEVIATION * median(abs(value - usual) for value in before)
    now = median(after)
    least = max(spread, LEAST_SPREAD * max(usual, now), 1e-12)
    return Step(at, usual, now, abs(now - usual) / least)


def _split(values: Sequence[float], least_before: int) -> int:
    """Where two means leave the least squares: the largest gain between segments."""
    total, left, best, where = sum(values), sum(values[:least_before]), -1.0, least_before
    count = len(values)
    for at in range(least_before, count):
        gap = left / at - (total - left) / (count - at)
        gain = gap * gap * at * (count - at) / count
        if gain > best:
            best, where = gain, at
        left += values[at]
    return where
