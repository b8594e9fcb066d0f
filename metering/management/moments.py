"""Moments as arguments of commands."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime


def moment(text: str) -> datetime:
    """A date is its midnight in UTC; a time needs its offset."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is neither a date such as 2026-10-01 nor an RFC 3339 time") from None
    if found.tzinfo is None and len(text) > len("2026-10-01"):
        raise ArgumentTypeError(f"{text!r} has no offset: write e.g. 2026-10-01T06:00Z")
    return found if found.tzinfo else found.replace(tzinfo=UTC)
