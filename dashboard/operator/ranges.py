"""The ranges of time that the fleet's pages offer, from their addresses."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.operator.filters import UnknownFilter


@dataclass(frozen=True)
class TimeRange:
    """`length` None: since the month began."""

    label: str
    length: timedelta | None

    def start(self, end: datetime) -> datetime:
        """Where the range begins that ends at `end`."""
        if self.length is not None:
            return end - self.length
        last = end - timedelta(microseconds=1)  # a month that has just ended is shown whole
        return last.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


Ranges = Mapping[str, TimeRange]
HOURS: Ranges = {
    "24h": TimeRange("24 hours", timedelta(hours=24)),
    "7d": TimeRange("7 days", timedelta(days=7)),
    "30d": TimeRange("30 days", timedelta(days=30)),
}
HOURS_AND_MONTH: Ranges = {**HOURS, "month": TimeRange("month so far", None)}
MINUTES: Ranges = {
    "1h": TimeRange("1 hour", timedelta(hours=1)),
    "6h": TimeRange("6 hours", timedelta(hours=6)),
    "24h": TimeRange("24 hours", timedelta(hours=24)),
    "7d": TimeRange("7 days", timedelta(days=7)),
}


def chosen(text: str | None, offered: Ranges, default: str) -> str:
    """The key of the range that `text` names, `default` for no text. Raises UnknownFilter."""
    key = text or default
    if key not in offered:
        raise UnknownFilter(f"There is no range {key!r}: choose one of {', '.join(offered)}.")
    return key
