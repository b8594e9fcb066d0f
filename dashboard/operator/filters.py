"""What the operator's overview shows: a range of time, one tenant or all, one model or all. All of it is in the URL."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from metering.public import LiveScope


@dataclass(frozen=True)
class Range:
    """`refresh_s`: how old its history may be; a longer range costs more to read and moves less."""

    label: str
    length: timedelta
    step: timedelta
    refresh_s: float

    def start(self, now: datetime) -> datetime:
        """On a whole step, so that the points of a range stay where they are while time goes on."""
        step_s = int(self.step.total_seconds())
        first = int((now - self.length).timestamp())
        return datetime.fromtimestamp(first - first % step_s, UTC)


RANGES = {
    "15m": Range("15 minutes", timedelta(minutes=15), timedelta(minutes=1), 0.9),
    "1h": Range("1 hour", timedelta(hours=1), timedelta(minutes=1), 0.9),
    "6h": Range("6 hours", timedelta(hours=6), timedelta(minutes=5), 1.9),
    "24h": Range("24 hours", timedelta(hours=24), timedelta(hours=1), 10),
    "7d": Range("7 days", timedelta(days=7), timedelta(hours=1), 20),
    "35d": Range("35 days", timedelta(days=35), timedelta(hours=6), 30),
}
LATENCIES = {"ttft": "Time to first token", "tpot": "Time per output token", "e2e": "End to end"}


class UnknownFilter(ValueError):
    """The address names a range or a latency that there is not."""


@dataclass(frozen=True)
class Filters:
    """`tenant` and `model` are '' for all. Any text is accepted for them: a name without requests shows an empty page."""

    range: str = "1h"
    tenant: str = ""
    model: str = ""
    latency: str = "ttft"

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filters":
        """From a query string. Raises UnknownFilter."""
        found = cls(**{field.name: query[field.name] for field in fields(cls) if query.get(field.name)})
        if found.range not in RANGES:
            raise UnknownFilter(f"There is no range {found.range!r}: choose one of {', '.join(RANGES)}.")
        if found.latency not in LATENCIES:
            raise UnknownFilter(f"There is no latency {found.latency!r}: choose one of {', '.join(LATENCIES)}.")
        return found

    @property
    def span(self) -> Range:
        return RANGES[self.range]

    @property
    def scope(self) -> LiveScope:
        return LiveScope(self.tenant or None, self.model or None)

    def query(self) -> str:
        """The shortest query string that means the same."""
        return urlencode({name: value for name, value in asdict(self).items() if value != getattr(Filters, name)})

    def narrowed(self, group: str, name: str) -> "Filters":
        return replace(self, model=name) if group == "model" else replace(self, tenant=name)
