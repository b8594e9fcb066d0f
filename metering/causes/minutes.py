"""Series of minutes that end now: whole minutes, and a last point of what has happened since, which is 30 to 90 seconds long."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from metering import moments
from metering.telemetry.spans import MINUTE, minute_of

LOOKED_BACK = timedelta(hours=2)
LEAST_POINT_S = 30


@dataclass(frozen=True)
class Minutes:
    """`[start, recent)` in whole minutes, and `[recent, now)` as one point."""

    start: datetime
    recent: datetime
    now: datetime

    @classmethod
    def until(cls, now: datetime, length: timedelta = LOOKED_BACK) -> "Minutes":
        minute = minute_of(now)
        recent = minute if (now - minute).total_seconds() >= LEAST_POINT_S else minute - MINUTE
        return cls(minute_of(now - length), recent, now)

    @property
    def from_s(self) -> int:
        return moments.seconds(self.start)

    @property
    def recent_s(self) -> int:
        return moments.seconds(self.recent)

    @property
    def now_s(self) -> int:
        return max(moments.seconds(self.now), self.recent_s + 1)

    @property
    def until_s(self) -> int:
        """Of rows of minutes: the minute that is not over is in it."""
        return moments.seconds(minute_of(self.now) + MINUTE)

    @property
    def lengths_s(self) -> list[float]:
        """Of each point."""
        return [60.0] * self._whole + [float(self.now_s - self.recent_s)]

    def sums(self, rows: Iterable[tuple[int, float]]) -> list[float]:
        """Amounts by the minute (epoch s) that they lie in, added up for each point."""
        found = [0.0] * (self._whole + 1)
        for at_s, amount in rows:
            found[min((at_s - self.from_s) // 60, self._whole)] += amount
        return found

    def rates(self, rows: Iterable[tuple[int, float]]) -> list[float]:
        """The same for each second."""
        return [amount / length for amount, length in zip(self.sums(rows), self.lengths_s, strict=True)]

    def at(self, point: int) -> datetime:
        """When this point begins."""
        return datetime.fromtimestamp(self.from_s + 60 * point, UTC)

    @property
    def _whole(self) -> int:
        return (self.recent_s - self.from_s) // 60
