"""The month that a usage page shows, from its address, and the months that it offers."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from billing.contracts import Period
from billing.public import month, month_of

OFFERED = 13  # a year, and the same month of the year before


@dataclass(frozen=True)
class Month:
    """`key` is its form in addresses, `2026-11`."""

    key: str
    label: str
    period: Period
    is_current: bool


def chosen(text: str | None, now: datetime) -> Month:
    """The month named `2026-11`, or the current one for no text. Raises ValueError for other text."""
    return _as_month(month(text) if text else month_of(now), now)


def offered(chosen_month: Month, now: datetime) -> list[Month]:
    """The newest first. The chosen one is always among them."""
    months = [_as_month(month_of(now), now)]
    while len(months) < OFFERED:
        months.append(_as_month(month_of(months[-1].period.start - timedelta(days=1)), now))
    return months if chosen_month in months else [*months, chosen_month]


def days(period: Period, now: datetime) -> list[datetime]:
    """The midnights of the period's days that have begun; all of them for a month that lies ahead."""
    end = period.end if period.start > now else min(period.end, now.astimezone(UTC))
    return [period.start + timedelta(days=n) for n in range((end - period.start - timedelta(microseconds=1)).days + 1)]


def _as_month(period: Period, now: datetime) -> Month:
    return Month(f"{period.start:%Y-%m}", f"{period.start:%B %Y}", period, period.start <= now < period.end)
