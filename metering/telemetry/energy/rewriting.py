"""Computing energy windows anew, on demand: after coefficients were fitted that are to hold for windows written before."""

from collections.abc import Iterator
from datetime import datetime

from django.utils import timezone

from metering.advisory import advisory_lock
from metering.telemetry.energy import writing
from metering.telemetry.processing import ADVISORY_LOCK
from metering.telemetry.progress import BLOCK_MINUTES, WORKED_UP_FOR
from metering.telemetry.spans import Span, blocks, minute_of


class RewriteRefused(ValueError):
    """Why these windows cannot be computed anew."""


def rewrite(start: datetime, end: datetime) -> Iterator[Span]:
    """Compute `[start, end)` anew, block by block; yields each when it is done.

    Raises RewriteRefused for windows of which raw samples may be gone, for an empty time, and while processing is at work.
    """
    begin, finish = minute_of(start), minute_of(end)
    if begin < timezone.now() - WORKED_UP_FOR:
        raise RewriteRefused(
            f"samples are kept for {WORKED_UP_FOR.days} days and a little; windows before that stay as they are"
        )
    if begin >= finish:
        raise RewriteRefused("that is not a minute")
    with advisory_lock(ADVISORY_LOCK) as alone:
        if not alone:
            raise RewriteRefused("telemetry is being worked up right now; try again in a moment")
        for block in blocks([Span(begin, finish)], BLOCK_MINUTES):
            writing.write(block)
            yield block
