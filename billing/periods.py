"""Billing periods: calendar months in UTC."""

import re
from datetime import UTC, datetime

from billing.contracts import Period


def month(text: str) -> Period:
    """`2026-10` as a period. Raises ValueError for anything else."""
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text, re.ASCII):
        raise ValueError(f"{text!r} is not a month such as 2026-10")
    return _month(int(text[:4]), int(text[5:]))


def month_of(moment: datetime) -> Period:
    """The period that holds `moment`."""
    utc = moment.astimezone(UTC)
    return _month(utc.year, utc.month)


def _month(year: int, number: int) -> Period:
    try:
        start = datetime(year, number, 1, tzinfo=UTC)
        end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    except ValueError:
        raise ValueError(f"there is no billing period {year}-{number:02d}") from None
    return Period(start, end)
