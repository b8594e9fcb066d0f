"""Which minutes of telemetry a step has still to work up: those that were closed since, and those that something arrived late for.

What is due is written down before it is worked up, together with the watermark up to which arrivals have been looked at, and crossed out
after: a crash in between leaves it due, and working it up again replaces what was written.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from metering import ledger, moments
from metering.clickhouse import client
from metering.clickhouse.queries.telemetry_arrivals import (
    REQUESTS,
    Arrivals,
    FirstArrival,
    LateRequests,
    LateSamples,
    SamplesAfterGap,
)
from metering.models import TelemetryProgress
from metering.telemetry.spans import LONGEST_GAP, MINUTE, Span, blocks, merged, minute_of, without
from metering.telemetry.steps import Step

# Raw samples are kept for 14 days. A minute from which some may be gone is never worked up again: it would lose what it had.
WORKED_UP_FOR = timedelta(days=13)
LONGEST_REQUEST = timedelta(days=1)
BLOCK_MINUTES = 60  # a block is the unit of work
FRESH_MINUTES = 10  # of those, the newest come first, so that a long catch-up leaves pages their last minutes
# Arrivals that are looked at in one go: days of them, after a host has been silent for that long, may be more than a query can take.
ARRIVALS_AT_ONCE = timedelta(hours=6)
TIMEOUT_S = 60.0


def due(step: Step) -> Iterator[Span]:
    """The blocks that are due: the newest minutes, then the others from the oldest on. Takes note of what arrived up to now.

    Raises ClickHouseUnavailable or ClickHouseRefused.
    """
    _note(step, timezone.now())
    waiting = _spans(_row(step.name))
    if waiting:
        newest = Span(max(waiting[-1].start, waiting[-1].end - FRESH_MINUTES * MINUTE), waiting[-1].end)
        yield newest
        yield from blocks(without(waiting, newest), BLOCK_MINUTES)


def done(name: str, span: Span) -> None:
    """Cross these minutes out."""
    with transaction.atomic():
        row = TelemetryProgress.objects.select_for_update().get(name=name)
        _keep(row, without(_spans(row), span))


def left(name: str) -> int:
    """How many minutes are due; none of a step that has never run."""
    row = TelemetryProgress.objects.filter(name=name).first()
    return sum(span.minutes for span in _spans(row)) if row else 0


def closed_until(name: str) -> datetime | None:
    """Every minute before it has been closed, worked up or due; None for a step that has never run."""
    row = TelemetryProgress.objects.filter(name=name).first()
    return row.closed_until if row else None


def _note(step: Step, now: datetime) -> None:
    """Add to what is due: the minutes that closed by `now`, and the closed ones that arrivals since the last time may change."""
    closed, oldest = minute_of(now - step.lag), minute_of(now - WORKED_UP_FOR)
    known = TelemetryProgress.objects.filter(name=step.name).first() or _begin(step, closed)
    settled = min((host.settled_before for host in ledger.holding_hosts()), default=known.watermark)
    watermark = max(known.watermark, min(settled, known.watermark + ARRIVALS_AT_ONCE))
    # Arrivals up to `reach_back` after a closed minute may change it.
    changed = _late(step, Arrivals(known.watermark, watermark, oldest, known.closed_until + step.reach_back))
    if closed > known.closed_until:
        changed.append(Span(max(known.closed_until, oldest), closed))
    with transaction.atomic():
        row = TelemetryProgress.objects.select_for_update().get(name=step.name)
        row.watermark = max(row.watermark, watermark)
        row.closed_until = max(row.closed_until, closed)
        _keep(row, _from(oldest, [*_spans(row), *changed]))


def _begin(step: Step, closed: datetime) -> TelemetryProgress:
    """Nothing that arrived before the first sample can be worked up: years of requests may have, before the first agent was there."""
    first = int(client.run(FirstArrival(), timeout_s=TIMEOUT_S).rows[0][0])
    settled = min((host.settled_before for host in ledger.holding_hosts()), default=closed)
    watermark = min(moments.from_microseconds(first), settled) if first else settled
    return TelemetryProgress.objects.create(name=step.name, watermark=watermark, closed_until=closed)


def _late(step: Step, arrivals: Arrivals) -> list[Span]:
    """The closed minutes that these arrivals may change."""
    if arrivals.begin >= arrivals.until or arrivals.oldest >= arrivals.closed:
        return []
    found: list[tuple[int, int]] = []
    for source in step.reads:
        if source == REQUESTS:
            found += _rows(LateRequests(arrivals, LONGEST_REQUEST))
        else:
            found += _rows(LateSamples(source, arrivals, LONGEST_GAP))
            found += _rows(SamplesAfterGap(source, arrivals, LONGEST_GAP, settings.INGEST_MAX_FUTURE))
    latest = arrivals.closed - step.reach_back
    return [span for begin, until in found if (span := _span(step, begin, until, arrivals.oldest, latest))]


def _span(step: Step, begin_ms: int, until_ms: int, oldest: datetime, latest: datetime) -> Span | None:
    """The minutes between `oldest` and `latest` that what happened from one moment to another may change."""
    start = max(minute_of(_moment(begin_ms) - step.reach_back), oldest)
    end = min(minute_of(_moment(until_ms)) + MINUTE + step.reach_forward, latest)
    return Span(start, end) if start < end else None


def _from(oldest: datetime, spans: list[Span]) -> list[Span]:
    return [Span(max(span.start, oldest), span.end) for span in merged(spans) if span.end > oldest]


def _rows(query: client.Query) -> list[tuple[int, int]]:
    return [(int(begin), int(until)) for begin, until in client.run(query, timeout_s=TIMEOUT_S).rows]


def _row(name: str) -> TelemetryProgress:
    return TelemetryProgress.objects.get(name=name)


def _spans(row: TelemetryProgress) -> list[Span]:
    return [Span(_at(start), _at(end)) for start, end in row.due]


def _keep(row: TelemetryProgress, spans: list[Span]) -> None:
    row.due = [[moments.seconds(span.start), moments.seconds(span.end)] for span in merged(spans)]
    row.save()


def _at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _moment(millisecond: int) -> datetime:
    return moments.from_microseconds(millisecond * 1000)
