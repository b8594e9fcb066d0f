"""Until everything that was sent is in ClickHouse and worked up."""

import time
from collections.abc import Callable
from datetime import datetime

from metering.ingest import local
from metering.models import TelemetryProgress

WITHIN_S = 1800.0
LOOK_EVERY_S = 2.0
STEPS = ("rollups", "energy")
QUIET_LOOKS = 6  # what has just been inserted is noticed at the next run of processing, ten seconds later


def until_worked_up(end: datetime, say: Callable[[str], None]) -> float:
    """Seconds that it took. Raises RuntimeError."""
    began = told = time.monotonic()
    quiet = 0
    while quiet < QUIET_LOOKS:
        time.sleep(LOOK_EVERY_S)
        left = _left(end)
        quiet = 0 if left else quiet + 1
        if time.monotonic() - began > WITHIN_S:
            raise RuntimeError(f"not worked up within {WITHIN_S:.0f} s: {left}")
        if left and time.monotonic() - told > 30:
            told = time.monotonic()
            say(f"waiting for {left}")
    return time.monotonic() - began - QUIET_LOOKS * LOOK_EVERY_S


def _left(end: datetime) -> str:
    """What is still to be done, in words; '' for nothing."""
    spool = local.spool()
    if waiting := len(spool.pending()):
        return f"{waiting} files in the spool"
    rows = {row.name: row for row in TelemetryProgress.objects.filter(name__in=STEPS)}
    for name in STEPS:
        row = rows.get(name)
        if row is None or row.closed_until < end:
            return f"{name} to reach the end of the day"
        # Minutes after the day close one by one all the time.
        if minutes := sum((until - since) // 60 for since, until in row.due if since < end.timestamp()):
            return f"{minutes} minutes of {name}"
    return ""
