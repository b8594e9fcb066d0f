"""Which minutes are still to be counted: those that have closed since, those that something arrived late for, and those that hold a
duplicate which a seal has found.

What is due is written down before it is counted, together with what has been looked at, and crossed out after: a crash in between leaves
it due, and counting again replaces what was written.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import Max

from metering import ledger, moments
from metering.clickhouse import client
from metering.clickhouse.queries.objectives import DuplicateMinutes, LateMinutes
from metering.models import Objective, ObjectiveProgress, Seal
from metering.telemetry.spans import MINUTE, Span, blocks, merged, minute_of, without

# Most requests of a minute are in the table this long after it. Late ones correct it.
LAG = timedelta(seconds=30)
BLOCK_MINUTES = 60
FRESH_MINUTES = 10  # come first, so that a long catch-up leaves pages their last minutes
ARRIVALS_AT_ONCE = timedelta(hours=6)
TIMEOUT_S = 60.0


def due(now: datetime) -> Iterator[Span]:
    """The blocks that are due: the newest minutes, then the others from the oldest on. Takes note of what has come up to now.

    Raises ClickHouseUnavailable or ClickHouseRefused.
    """
    waiting = _spans(_note(now))
    if waiting:
        newest = Span(max(waiting[-1].start, waiting[-1].end - FRESH_MINUTES * MINUTE), waiting[-1].end)
        yield newest
        yield from blocks(without(waiting, newest), BLOCK_MINUTES)


def done(span: Span) -> None:
    """Cross these minutes out."""
    with transaction.atomic():
        row = ObjectiveProgress.objects.select_for_update().get()
        _keep(row, without(_spans(row), span))


def left() -> int:
    """How many minutes are due."""
    row = ObjectiveProgress.objects.first()
    return sum(span.minutes for span in _spans(row)) if row else 0


def counted_until(row: ObjectiveProgress) -> datetime:
    """Up to where the minutes that close are counted: what is due at the very end is not."""
    end = row.closed_until
    for span in reversed(_spans(row)):
        if span.end == end:
            end = span.start
    return end


def longest_window() -> timedelta:
    """Of all objectives, with the hour that its begin is rounded down to."""
    days = Objective.objects.aggregate(days=Max("window_days"))["days"]
    return timedelta(days=days or 1, hours=1)


def _note(now: datetime) -> ObjectiveProgress:
    closed = minute_of(now - LAG)
    oldest = minute_of(now - longest_window())
    known = ObjectiveProgress.objects.first() or _begin(closed)
    settled = min((host.settled_before for host in ledger.holding_hosts()), default=known.watermark)
    watermark = max(known.watermark, min(settled, known.watermark + ARRIVALS_AT_ONCE))
    changed = list(_late(known, watermark, oldest))
    seal, corrected = _corrected(known, oldest)
    changed += corrected
    if closed > known.closed_until:
        changed.append(Span(max(known.closed_until, oldest), closed))
    with transaction.atomic():
        row = ObjectiveProgress.objects.select_for_update().get()
        row.watermark = max(row.watermark, watermark)
        row.closed_until = max(row.closed_until, closed)
        row.seal = max(row.seal, seal)
        _keep(row, _from(oldest, [*_spans(row), *changed]))
    return row


def _begin(closed: datetime) -> ObjectiveProgress:
    """What was there before the first objective is counted by its own counting back, which reads everything that has arrived."""
    settled = min((host.settled_before for host in ledger.holding_hosts()), default=closed)
    latest = ledger.latest_seal()
    return ObjectiveProgress.objects.create(
        watermark=min(settled, closed), closed_until=closed, seal=latest.id if latest else 0
    )


def _late(known: ObjectiveProgress, watermark: datetime, oldest: datetime) -> Iterator[Span]:
    """The closed minutes that arrivals since the last time have changed."""
    if watermark > known.watermark and oldest < known.closed_until:
        query = LateMinutes(known.watermark, watermark, oldest, known.closed_until)
        yield from _minutes(query)


def _corrected(known: ObjectiveProgress, oldest: datetime) -> tuple[int, list[Span]]:
    """The closed minutes with duplicates that seals have found since, and the latest of these seals."""
    if oldest >= known.closed_until:
        return known.seal, []
    seals = Seal.objects.filter(state=Seal.State.COMPLETED, pk__gt=known.seal).order_by("pk")
    found: list[Span] = []
    latest = known.seal
    for seal in seals:
        if seal.duplicates:
            scope, _ = ledger.arrivals_scope(seal.watermark_from, seal.watermark)
            found += _minutes(DuplicateMinutes(scope, oldest, known.closed_until))
        latest = seal.pk
    return latest, found


def _minutes(query: client.Query) -> Iterable[Span]:
    rows = client.run(query, timeout_s=TIMEOUT_S).rows
    return merged(Span(at, at + MINUTE) for at in (datetime.fromtimestamp(int(row[0]), UTC) for row in rows))


def _from(oldest: datetime, spans: list[Span]) -> list[Span]:
    return [Span(max(span.start, oldest), span.end) for span in merged(spans) if span.end > oldest]


def _spans(row: ObjectiveProgress) -> list[Span]:
    return [Span(_at(start), _at(end)) for start, end in row.due]


def _keep(row: ObjectiveProgress, spans: list[Span]) -> None:
    row.due = [[moments.seconds(span.start), moments.seconds(span.end)] for span in merged(spans)]
    row.save()


def _at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
