"""What a step of processing is: a name to keep its progress under, and a function that works up whole minutes."""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from metering.clickhouse.queries.telemetry_arrivals import ENGINES, GPUS, REQUESTS
from metering.telemetry.spans import Span


class Step(NamedTuple):
    """`write(span)` computes the minutes of a span, at most an hour, from raw rows and replaces what it had written for them.

    A minute that ended longer than `lag` ago is closed, and written. It is written again when something arrives late that could change
    it: a sample in it or next to it in its series (of the sources in `reads`), a request that ran in it, and any of these up to
    `reach_back` later or `reach_forward` earlier; so `lag` is longer than `reach_back`, or every minute is written twice. What `write`
    raises leaves its span to the next run.
    """

    name: str
    lag: timedelta
    write: Callable[[Span], None]
    reads: tuple[str, ...] = (GPUS, ENGINES, REQUESTS)
    reach_back: timedelta = timedelta()
    reach_forward: timedelta = timedelta()
