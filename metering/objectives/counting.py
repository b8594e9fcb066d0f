"""Counting requests for objectives: exactly, from raw rows, minute by minute once a minute has closed; and back over the window of an
objective that is new.

A minute is counted from all its rows as long as no seal has found a duplicate that could lie in it, and else from the first of each
identity. So a duplicate counts for a quarter of an hour at most: the seal that finds it makes its minute due again.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from metering import moments
from metering.advisory import advisory_lock
from metering.clickhouse import client
from metering.clickhouse.client import ClickHouseRefused
from metering.clickhouse.queries.objectives import AddUpHours, Counted, CountMinutes
from metering.clickhouse.queries.usage import Scope
from metering.models import Objective, ObjectiveProgress, Seal
from metering.objectives import progress
from metering.objectives.definitions import SELECTOR
from metering.objectives.states import window_start
from metering.telemetry.spans import Span

logger = logging.getLogger(__name__)

ADVISORY_LOCK = 0x7A11_0006  # one process at a time over all hosts
BUDGET_S = 15.0  # no further block is begun after this
BACK_AT_ONCE = timedelta(hours=6)  # a piece of counting back
BACK_IN_TROUBLE = timedelta(hours=1)  # and one that ClickHouse may yet manage where it refused that
TIMEOUT_S = 120.0
WRITING = {"async_insert": 0, "max_partitions_per_insert_block": 0}
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Outcome:
    """Minutes counted in this run, minutes of windows counted back, and how many are still due."""

    counted: int = 0
    back: int = 0
    left: int = 0


def run(now: datetime | None = None, *, budget_s: float = BUDGET_S) -> Outcome | None:
    """Count what is due. None if another process is at it.

    Raises ClickHouseUnavailable; a block that is refused is logged and stays due.
    """
    with advisory_lock(ADVISORY_LOCK) as alone:
        if not alone:
            return None
        if not Objective.objects.exists():
            # Nothing is counted, so what has been looked at is worth nothing once there is one again.
            ObjectiveProgress.objects.all().delete()
            return Outcome()
        deadline = time.monotonic() + budget_s
        counted = _count_due(now or timezone.now(), deadline)
        back = _count_back(deadline)
        return Outcome(counted, back, progress.left())


def count(rows: list[Objective], span: Span) -> None:
    """Count the minutes of a span anew, and the hours that they lie in."""
    version = moments.microseconds(timezone.now())
    scope = Scope(((span.start_ms, span.end_ms),)) if _may_hold_duplicates(span) else None
    skew = settings.INGEST_MAX_FUTURE // MILLISECOND
    _write(CountMinutes(tuple(_counted(row) for row in rows), span.start, span.end, version, scope, skew))
    first, last = span.start.replace(minute=0), span.end.replace(minute=0)
    end = last if last == span.end else last + timedelta(hours=1)
    _write(AddUpHours(tuple(row.counts for row in rows), first, end, version))


def _count_due(now: datetime, deadline: float) -> int:
    done = 0
    try:
        for block in progress.due(now):
            if done and time.monotonic() >= deadline:
                break
            rows = list(Objective.objects.all())
            if rows:
                count(rows, block)
            progress.done(block)
            done += block.minutes
    except ClickHouseRefused:
        logger.exception("objectives: a block was refused and stays due")
    return done


def _count_back(deadline: float) -> int:
    """The windows of objectives that are not whole yet, the latest hours first: piece by piece, each objective in its turn."""
    closed = ObjectiveProgress.objects.get().closed_until
    # From here on the minutes that close are counted for all.
    Objective.objects.filter(counted_from=None).update(counted_from=closed)
    done = 0
    while time.monotonic() < deadline:
        waiting = [row for row in Objective.objects.all() if _begins(row, closed) < _from(row)]
        if not waiting:
            break
        latest = max(_from(row) for row in waiting)
        # Those that have come equally far share a piece: a new set of objectives reads the window once.
        together = [row for row in waiting if _from(row) == latest]
        piece = _piece(together, closed, latest)
        if not piece:
            break
        done += piece.minutes
    return done


def _piece(rows: list[Objective], closed: datetime, end: datetime) -> Span | None:
    """Counts one piece that ends there, and notes it; None if ClickHouse refuses even a short one."""
    oldest = min(_begins(row, closed) for row in rows)
    for length in (BACK_AT_ONCE, BACK_IN_TROUBLE):
        span = Span(max(oldest, end - length), end)
        try:
            count(rows, span)
        except ClickHouseRefused:
            logger.exception("objectives: counting %s to %s back was refused", span.start, span.end)
            continue
        # An objective that was changed meanwhile has other counts, and is left alone.
        Objective.objects.filter(counts__in=[row.counts for row in rows]).update(counted_from=span.start)
        return span
    return None


def _begins(row: Objective, closed: datetime) -> datetime:
    return window_start(closed, row.window_days)


def _from(row: Objective) -> datetime:
    assert row.counted_from is not None  # noqa: S101 - set before; this is for the type checker
    return row.counted_from


def _may_hold_duplicates(span: Span) -> bool:
    """Whether a seal has found a duplicate whose time may lie in the span: one that arrived no earlier than its time allows."""
    earliest = span.start - settings.INGEST_MAX_FUTURE
    return Seal.objects.filter(state=Seal.State.COMPLETED, duplicates__gt=0, watermark__gt=earliest).exists()


def _counted(row: Objective) -> Counted:
    selector = tuple((name, getattr(row, name)) for name in SELECTOR if getattr(row, name))
    threshold_us = int(row.threshold_ms * 1000) if row.threshold_ms is not None else 0
    return Counted(row.counts, row.measure, threshold_us, selector)


def _write(query: CountMinutes | AddUpHours) -> None:
    sql, parameters = query.sql()
    client.statement(query.name, sql, parameters, timeout_s=TIMEOUT_S, settings=WRITING)
