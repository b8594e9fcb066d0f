"""Spans of time in whole minutes, in UTC: what telemetry is processed in."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from metering import moments

MINUTE = timedelta(minutes=1)
# Samples of a series that are further apart are not joined: nobody can say what the time between them was.
LONGEST_GAP = timedelta(days=1)


@dataclass(frozen=True, order=True, slots=True)
class Span:
    """`[start, end)`, both on whole minutes. Raises ValueError for anything else, and for a span without a minute."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if minute_of(self.start) != self.start or minute_of(self.end) != self.end or self.start >= self.end:
            raise ValueError(f"not a span of whole minutes: {self.start.isoformat()} to {self.end.isoformat()}")

    @property
    def minutes(self) -> int:
        return (self.end - self.start) // MINUTE

    @property
    def start_ms(self) -> int:
        return moments.milliseconds(self.start)

    @property
    def end_ms(self) -> int:
        return moments.milliseconds(self.end)


def minute_of(moment: datetime) -> datetime:
    """The start of the minute that holds `moment`."""
    return moment.replace(second=0, microsecond=0)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time in as few spans as it takes, the oldest first."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def without(spans: Iterable[Span], done: Span) -> list[Span]:
    """What is left of `spans` when the time of `done` is taken out."""
    found = []
    for span in spans:
        pieces = ((span.start, min(span.end, done.start)), (max(span.start, done.end), span.end))
        found += [Span(start, end) for start, end in pieces if start < end]
    return found


def blocks(spans: Iterable[Span], most: int) -> Iterator[Span]:
    """The spans cut into pieces of at most `most` minutes, in their order."""
    for span in spans:
        for start in range(0, span.minutes, most):
            yield Span(span.start + start * MINUTE, min(span.start + (start + most) * MINUTE, span.end))
