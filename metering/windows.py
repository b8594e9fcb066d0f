"""Windows of time on the clock of a time zone: minutes, hours, days and months.

Both ends of a window are computed here, from Python's zone data, and travel to ClickHouse as numbers: so a day that has 23 or
25 hours has them in every answer, whatever zones the server knows. Moments are whole seconds since the epoch.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

from metering.moments import seconds

DAY_S = 24 * 3600
MOST_EDGES = 12_000  # they stand in the statement, whose text ClickHouse limits to 256 KiB


class WindowSize(StrEnum):
    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"


class TooManyWindows(ValueError):
    """The time asked for has more windows than an answer can hold."""


class Windows(Protocol):
    def sql(self, at_s: str) -> str:
        """The start of the window that holds `at_s`, an expression of epoch seconds."""

    def end(self, start_s: int) -> int:
        """The end of the window that starts there."""

    def fits(self, grain_s: int) -> bool:
        """Whether every edge is a multiple of `grain_s`, so that rows summed up at that grain can be used."""


@dataclass(frozen=True)
class Whole:
    """One window: all of the time that was asked for."""

    start_s: int
    end_s: int

    def sql(self, at_s: str) -> str:
        return str(self.start_s)

    def end(self, start_s: int) -> int:
        return self.end_s

    def fits(self, grain_s: int) -> bool:
        return True  # what lies between grains at the two ends is the reader's to cut off


@dataclass(frozen=True)
class Steps:
    """Windows of equal length. `shift_s`: how far the zone's clock is ahead of UTC, within one step."""

    step_s: int
    shift_s: int = 0

    def sql(self, at_s: str) -> str:
        return f"{at_s} - modulo({at_s} + {self.shift_s}, {self.step_s})"

    def end(self, start_s: int) -> int:
        return start_s + self.step_s

    def fits(self, grain_s: int) -> bool:
        return self.step_s % grain_s == 0 == self.shift_s % grain_s


@dataclass(frozen=True)
class Edges:
    """Windows from each edge to the next. The first edge lies at or before what is asked for, the last at or after its end."""

    edges_s: tuple[int, ...]

    def sql(self, at_s: str) -> str:
        return f"roundDown({at_s}, [{', '.join(map(str, self.edges_s))}])"

    def end(self, start_s: int) -> int:
        return self.edges_s[bisect_right(self.edges_s, start_s)]

    def fits(self, grain_s: int) -> bool:
        return all(edge % grain_s == 0 for edge in self.edges_s)


def windows(size: WindowSize | None, zone: ZoneInfo, start: datetime, end: datetime) -> Windows:
    """The windows that `[start, end)` touches; None: the whole of it is one. Raises TooManyWindows."""
    if size is None:
        return Whole(seconds(start), seconds(end))
    if size is WindowSize.MINUTE:  # every zone's offset is whole minutes
        return Steps(60)
    if size is WindowSize.HOUR:
        shifts = {offset % 3600 for offset in _offsets(zone, start, end)}
        return Steps(3600, shifts.pop()) if len(shifts) == 1 else _edges(_hours(zone, start), end)
    return _edges(_dates(zone, start, _next_day if size is WindowSize.DAY else _next_month), end)


def first_of_month(zone: ZoneInfo, moment: datetime) -> datetime:
    """When the month of `moment` began in that zone."""
    return _midnight(zone, moment.astimezone(zone).date().replace(day=1))


def _edges(found: Iterator[int], end: datetime) -> Edges:
    edges: list[int] = []
    for edge in found:
        if edges and edge <= edges[-1]:  # a date that the zone skipped has no window
            continue
        edges.append(edge)
        if len(edges) > MOST_EDGES:
            raise TooManyWindows(f"more than {MOST_EDGES} windows: ask for a shorter time or a larger windowSize")
        if edge >= seconds(end) and len(edges) > 1:
            break
    return Edges(tuple(edges))


def _dates(zone: ZoneInfo, start: datetime, following: Callable[[date], date]) -> Iterator[int]:
    day = start.astimezone(zone).date()
    if following is _next_month:
        day = day.replace(day=1)
    while True:
        yield seconds(_midnight(zone, day))
        day = following(day)


def _hours(zone: ZoneInfo, start: datetime) -> Iterator[int]:
    at = seconds(start)
    at -= (at + _offset(zone, at)) % 3600
    while True:
        yield at
        at += 3600 - (at + _offset(zone, at)) % 3600


def _midnight(zone: ZoneInfo, day: date) -> datetime:
    """The first moment of that date; where a change of the clock skips midnight, the moment of the change."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _next_day(day: date) -> date:
    return day + timedelta(days=1)


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _offset(zone: ZoneInfo, at_s: int) -> int:
    """How far the zone's clock is ahead of UTC at that moment, in seconds."""
    shown = datetime.fromtimestamp(at_s, UTC).astimezone(zone).utcoffset()
    return int(shown.total_seconds()) if shown else 0


def _offsets(zone: ZoneInfo, start: datetime, end: datetime) -> set[int]:
    """Every offset in use between the two: no zone changes its clock twice within a day."""
    return {_offset(zone, at) for at in (*range(seconds(start), seconds(end), DAY_S), seconds(end))}
