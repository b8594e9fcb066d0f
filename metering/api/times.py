"""Moments in the query of a request."""

from datetime import UTC, datetime

from metering.api.problems import InvalidParameter


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
