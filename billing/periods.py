"""Billing periods: months from an anchor day, between midnights of a time zone. Without a contract: calendar months in UTC.

Days are calendar days of the zone, whatever clocks do on them: the day on which summer time begins counts as one. Where clocks jump over
midnight, a day begins at the moment at which the old time would have shown it.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

from billing.contracts import Period
from metering.contracts import BUCKET_MINUTES

UTC_ZONE = ZoneInfo("UTC")
_DAY = timedelta(days=1)
_NO_PLACE = frozenset({"Factory", "localtime", "posixrules"})  # files of the database that stand for no zone


class ZoneRefused(ValueError):
    """Not a time zone that can be billed in, with the reason."""


@dataclass(frozen=True)
class Schedule:
    """When periods begin: on `anchor_day` of each month (a shorter month's last day stands in for it), from `starts_on` until `ends_on`.

    `ends_on` is the first local day that is not in it, None: no end is known.
    """

    anchor_day: int
    zone: ZoneInfo
    starts_on: date
    ends_on: date | None = None

    @property
    def start(self) -> datetime:
        return midnight(self.starts_on, self.zone)

    @property
    def end(self) -> datetime | None:
        return None if self.ends_on is None else midnight(self.ends_on, self.zone)

    def holds(self, at: datetime) -> bool:
        end = self.end
        return self.start <= at and (end is None or at < end)


def zone_named(text: str) -> ZoneInfo:
    """Raises ZoneRefused for what the time zone database does not name."""
    if text not in _zone_names():
        raise ZoneRefused(f"{text!r} is not a time zone of the IANA database, such as Europe/Berlin")
    return ZoneInfo(text)


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones()) - _NO_PLACE


@lru_cache(maxsize=2**16)
def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The moment in UTC at which a local day begins. Raises ZoneRefused where that is on no edge of the ledger's buckets."""
    moment = datetime.combine(day, time(), zone).astimezone(UTC)
    if moment.second or moment.microsecond or moment.minute % BUCKET_MINUTES:
        raise ZoneRefused(f"in {zone.key}, {day} begins at {moment:%H:%M:%S} UTC, not on a quarter of an hour")
    return moment


def local_day(at: datetime, zone: ZoneInfo) -> date:
    """The local day that `midnight` puts `at` in."""
    day = at.astimezone(zone).date()
    while midnight(day, zone) > at:  # clocks went back over midnight: the day that began goes on
        day -= _DAY
    while midnight(day + _DAY, zone) <= at:
        day += _DAY
    return day


def anchor_before(day: date, anchor_day: int) -> date:
    """The last anchor on or before `day`."""
    anchor = _anchor(day.year, day.month, anchor_day)
    return anchor if anchor <= day else _anchor(*_month_before(day.year, day.month), anchor_day)


def anchor_after(day: date, anchor_day: int) -> date:
    """The first anchor after `day`."""
    anchor = _anchor(day.year, day.month, anchor_day)
    return anchor if anchor > day else _anchor(*_month_after(day.year, day.month), anchor_day)


def billing_period(anchor_day: int, zone: ZoneInfo, at: datetime) -> Period:
    """The whole period, from anchor to anchor, that holds `at`."""
    first = anchor_before(local_day(at, zone), anchor_day)
    return Period(midnight(first, zone), midnight(anchor_after(first, anchor_day), zone))


def period_days(anchor_day: int, zone: ZoneInfo, at: datetime) -> int:
    """Local days of the whole period that holds `at`: 28 to 31."""
    first = anchor_before(local_day(at, zone), anchor_day)
    return (anchor_after(first, anchor_day) - first).days


def days_between(start: datetime, end: datetime, zone: ZoneInfo) -> int:
    """Local days of a span between two of the zone's midnights."""
    return (local_day(end, zone) - local_day(start, zone)).days


def period_of(schedule: Schedule, at: datetime) -> Period:
    """The period of a schedule that holds `at`: the first begins with the schedule, the last ends with it. ValueError outside."""
    if not schedule.holds(at):
        raise ValueError(f"{at.isoformat()} is not within the schedule")
    whole = billing_period(schedule.anchor_day, schedule.zone, at)
    end = schedule.end
    return Period(max(whole.start, schedule.start), whole.end if end is None else min(whole.end, end))


def periods_of(schedule: Schedule, until: datetime) -> Iterator[Period]:
    """All periods of a schedule that end at or before `until`, in order: each begins where the one before it ends."""
    at, end = schedule.start, schedule.end
    while end is None or at < end:
        period = period_of(schedule, at)
        if period.end > until:
            return
        yield period
        at = period.end


def shown(period: Period, zone: ZoneInfo) -> str:
    """`2026-02-15 to 2026-03-14`: the first and the last local day."""
    return f"{local_day(period.start, zone)} to {local_day(period.end, zone) - _DAY}"


def month(text: str) -> Period:
    """`2026-10` as a calendar month in UTC. Raises ValueError for anything else."""
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text, re.ASCII):
        raise ValueError(f"{text!r} is not a month such as 2026-10")
    return _month(int(text[:4]), int(text[5:]))


def month_of(moment: datetime) -> Period:
    """The calendar month in UTC that holds `moment`."""
    utc = moment.astimezone(UTC)
    return _month(utc.year, utc.month)


def _month(year: int, number: int) -> Period:
    try:
        start = datetime(year, number, 1, tzinfo=UTC)
        end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    except ValueError:
        raise ValueError(f"there is no billing period {year}-{number:02d}") from None
    return Period(start, end)


def _anchor(year: int, number: int, anchor_day: int) -> date:
    return date(year, number, min(anchor_day, monthrange(year, number)[1]))


def _month_before(year: int, number: int) -> tuple[int, int]:
    return (year, number - 1) if number > 1 else (year - 1, 12)


def _month_after(year: int, number: int) -> tuple[int, int]:
    return (year, number + 1) if number < 12 else (year + 1, 1)
