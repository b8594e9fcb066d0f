"""Moments in the query of a request."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter

from metering.api.problems import InvalidParameter

DEFAULT_PAST, LONGEST_PAST = timedelta(days=7), timedelta(days=366)
PAST = [  # the parameters of `past`
    OpenApiParameter("from", str, description="default: seven days before `to`"),
    OpenApiParameter("to", str, description="exclusive; default: now"),
]


def moment(name: str, text: str) -> datetime:
    """RFC 3339 with an offset, or a date, which is its midnight in UTC. Raises InvalidParameter, naming the parameter."""
    # A "+" that was not escaped arrives as a blank; nothing else in a time that has a blank is meant by it.
    text = text if text.count(" ") != 1 or "T" not in text else text.replace(" ", "+")
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None and len(text) == len("2026-10-01"):
            return found.replace(tzinfo=UTC)
        if found.tzinfo is not None and 1970 <= found.year < 2200:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidParameter(name, f"{text[:80]!r} is neither a date nor an RFC 3339 time") from None
    raise InvalidParameter(name, f"{text[:80]!r} has no offset, or lies outside of 1970 to 2200: 2026-10-01T00:00:00Z")


def past(given: Mapping[str, str]) -> tuple[datetime, datetime]:
    """The range that `from` and `to` name. Raises InvalidParameter if it is empty or longer than 366 days."""
    end = moment("to", given["to"]) if given.get("to") else timezone.now()
    start = moment("from", given["from"]) if given.get("from") else end - DEFAULT_PAST
    if not timedelta(0) < end - start <= LONGEST_PAST:
        raise InvalidParameter("from", "the range is empty, or longer than 366 days")
    return start, end
