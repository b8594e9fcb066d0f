"""Minutes of telemetry added up to quarters of an hour, hours and six hours, which is what pages over a day and more read."""

import logging
import time
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.telemetry_steps import STEPS_S, TABLES, OldestMinute, WriteSteps
from metering.models import TelemetryProgress
from metering.telemetry import progress
from metering.telemetry.spans import Span

logger = logging.getLogger(__name__)
# Under this name, what was written before there were steps and is still to be added up.
CATCH_UP = "steps"
TIMEOUT_S = 120.0
LONGEST = timedelta(seconds=STEPS_S[-1])
PLAIN_INSERT = {"async_insert": 0}


def write(start: datetime, end: datetime, version: int) -> None:
    """Add up every step that has some of `[start, end)` in it, the shorter first: each is added up from the next shorter ones.

    Raises ClickHouseUnavailable or ClickHouseRefused.
    """
    from_s, until_s = moments.seconds(start), moments.seconds(end)
    for step_s in STEPS_S:
        from_s, until_s = from_s // step_s * step_s, -(-until_s // step_s) * step_s
        for table in TABLES:
            text, parameters = WriteSteps(table, step_s, from_s, until_s, version).sql()
            client.statement(WriteSteps.name, text, parameters, timeout_s=TIMEOUT_S, settings=PLAIN_INSERT)


def catch_up(*, budget_s: float) -> int:
    """Add up minutes that were written before there were steps, the latest first; how many stretches are left.

    By one process at a time. Raises ClickHouseUnavailable.
    """
    deadline = time.monotonic() + budget_s
    row = TelemetryProgress.objects.filter(name=CATCH_UP).first() or _begin(timezone.now())
    waiting = [_span(*each) for each in row.due]
    while waiting and time.monotonic() < deadline:
        last = waiting[-1]
        block = Span(max(last.start, last.end - LONGEST), last.end)
        write(block.start, block.end, time.time_ns() // 1000)
        progress.done(CATCH_UP, block)
        waiting[-1:] = [Span(last.start, block.start)] if block.start > last.start else []
    return len(waiting)


def _begin(now: datetime) -> TelemetryProgress:
    """All that there is; nothing, where the first minute is still to come: whoever writes one adds it up."""
    first_s = int(client.run(OldestMinute(), timeout_s=TIMEOUT_S).rows[0][0])
    longest_s = STEPS_S[-1]
    end_s = -(-moments.seconds(now) // longest_s) * longest_s
    due = [[first_s // longest_s * longest_s, end_s]] if first_s else []
    return TelemetryProgress.objects.create(name=CATCH_UP, watermark=now, closed_until=now, due=due)


def _span(start_s: int, end_s: int) -> Span:
    return Span(datetime.fromtimestamp(start_s, UTC), datetime.fromtimestamp(end_s, UTC))
