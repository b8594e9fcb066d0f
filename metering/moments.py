"""Moments as whole numbers since the epoch, exactly: `datetime.timestamp` would round through a float. And as text, and their hours."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def milliseconds(moment: datetime) -> int:
    """Rounded down."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def seconds(moment: datetime) -> int:
    """Rounded down."""
    return (moment - EPOCH) // timedelta(seconds=1)


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC with a Z; the fraction only where there is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def from_microseconds(count: int) -> datetime:
    return EPOCH + timedelta(microseconds=count)


def hour_start(moment: datetime) -> datetime:
    """The beginning of the hour that a moment lies in, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
