"""Which hours a page of energy or money shows for a range: those are added up by whole hours, and known up to the last settled one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dashboard.operator.filters import RANGES, Filters

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WHOLE_DAYS_FROM = timedelta(days=7)
BY_HOUR_UP_TO = timedelta(days=7)


@dataclass(frozen=True)
class Hours:
    """`[start, end)` on whole hours of UTC; from a week on it begins at midnight. `step`: an hour, or a day beyond a week."""

    start: datetime
    end: datetime

    @property
    def empty(self) -> bool:
        """A range of one's own may lie wholly after what is settled."""
        return self.start >= self.end

    @property
    def step(self) -> timedelta:
        return HOUR if self.end - self.start <= BY_HOUR_UP_TO + DAY else DAY

    @property
    def steps(self) -> list[datetime]:
        count = -((self.start - self.end) // self.step)
        return [self.start + number * self.step for number in range(count)]

    @property
    def by_day(self) -> "Hours":
        """From midnight on, so that it can be cut into days."""
        return Hours(self.start.replace(hour=0), self.end)

    @property
    def previous(self) -> "Hours":
        """As long, and just before; whole days where these are."""
        length = self.end - self.start
        back = -(-length // DAY) * DAY if self.step == DAY else length
        return Hours(self.start - back, self.end - back)


def hours_of(filters: Filters, settled: datetime | None, now: datetime) -> Hours:
    """`settled`: the end of the latest hour that is; None: none is yet, and what is there up to this hour is shown."""
    end = settled or _hour(now)
    if filters.start and filters.end:
        return Hours(_hour(filters.start), min(_hour(filters.end + HOUR - timedelta(microseconds=1)), end))
    length = max(RANGES[filters.range].length, HOUR)
    start = end - length
    return Hours(start.replace(hour=0) if length >= WHOLE_DAYS_FROM else start, end)


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
