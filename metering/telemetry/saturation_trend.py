"""How long a limit has bound, and how long there is until the next one is reached. Pure: a straight line, and no promise."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from metering.telemetry.saturation import CONSTRAINT_OF, Points

LEAST_MINUTES = 5  # fewer make no line
LEAST_FIT = 0.5  # of the readings' variance that the line explains; below it they go up and down more than up
FURTHEST = timedelta(hours=24)
BREAK = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Trend:
    """A reading that rises: by `slope` a minute, to `value` now, along a line through `minutes` minutes of fit R^2."""

    reading: str
    slope: float
    value: float
    minutes: int
    fit: float


@dataclass(frozen=True, slots=True)
class Headroom:
    """The reading that comes first to its saturation point if it goes on as in the last quarter of an hour."""

    reading: str
    constraint: str
    minutes: float


@dataclass(frozen=True, slots=True)
class Held:
    """`constraint` bound in `[start, end)`."""

    constraint: str
    start: datetime
    end: datetime


def headroom(trends: Iterable[Trend], points: Points) -> Headroom | None:
    """None if no reading rises clearly, or none gets there within FURTHEST. One that is past its point has no room left to speak of."""
    found = []
    for trend in trends:
        room = getattr(points, trend.reading) - trend.value
        if trend.minutes >= LEAST_MINUTES and trend.fit >= LEAST_FIT and trend.slope > 0 and room > 0:
            found.append(Headroom(trend.reading, CONSTRAINT_OF[trend.reading], room / trend.slope))
    first = min(found, key=lambda each: each.minutes, default=None)
    return (
        first if first and first.minutes <= FURTHEST / timedelta(minutes=1) else None
    )  # minutes may be too many for a timedelta


def since(constraint: str, now: datetime, held: Sequence[Held]) -> datetime | None:
    """Since when `constraint`, which binds at `now`, has bound without a break of more than BREAK; None if `held` does not say."""
    begin = now
    for each in sorted(held, key=lambda each: each.end, reverse=True):
        if each.constraint == constraint and each.end >= begin - BREAK:
            begin = min(begin, each.start)
    return begin if begin < now else None
