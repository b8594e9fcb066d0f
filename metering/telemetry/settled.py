"""How far a step of telemetry processing can be relied on."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from metering.models import TelemetryProgress
from metering.telemetry.spans import Span

WAITING_SHARE = 0.01  # late events have a few minutes worked up again all the time: that leaves a month settled


@dataclass(frozen=True)
class Settled:
    """`closed_until`: every minute before it is worked up or in `waiting`; None for a step that has never run."""

    closed_until: datetime | None
    waiting: tuple[Span, ...] = ()

    @property
    def hour(self) -> datetime | None:
        """The end of the latest whole hour that is closed."""
        return self.closed_until and self.closed_until.replace(minute=0, second=0, microsecond=0)

    def covers(self, start: datetime, end: datetime) -> bool:
        """Whether `[start, end)` is closed, and not more than a hundredth of it waits to be worked up."""
        if self.closed_until is None or end > self.closed_until:
            return False
        waits = sum((_overlap(span, start, end) for span in self.waiting), timedelta())
        return waits <= (end - start) * WAITING_SHARE


def settled(step: str) -> Settled:
    row = TelemetryProgress.objects.filter(name=step).first()
    if row is None:
        return Settled(None)
    spans = (Span(datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)) for start, end in row.due)
    return Settled(row.closed_until, tuple(spans))


def energy_settled() -> Settled:
    """Of the minutes that energy, margins and reconciliation stand on."""
    return settled("energy")


def _overlap(span: Span, start: datetime, end: datetime) -> timedelta:
    return max(min(span.end, end) - max(span.start, start), timedelta())
