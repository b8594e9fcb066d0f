"""How latencies and lengths of requests are spread over time, from the sketches that percentiles come from: 1 % accurate in the value, and
in how many to one in LEVELS of a step's requests. Buckets are 19 % wide."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.histograms import LEVELS, MEASURES, Spread
from metering.live import TIMEOUT_S, LiveScope, pieces_of, steps_of, subset_of

BUCKETS = 97  # up to 2^24: 4.7 hours in ms, 16.8 million tokens; what is beyond is in the last
UPPER_EDGES = tuple(2 ** (bucket / 4) for bucket in range(BUCKETS))
# The upper edge of each bucket, in the measure's unit; the first bucket begins at 0.
HISTOGRAM_EDGES = dict.fromkeys(MEASURES, UPPER_EDGES)


@dataclass(frozen=True, slots=True)
class HistogramPoint:
    """How many requests of one step lie in each bucket of HISTOGRAM_EDGES. Their sum is the step's requests: those without the measure are
    taken to be spread as the others; all 0 where none has it."""

    start: datetime
    end: datetime
    counts: tuple[int, ...]


def live_histogram(
    scope: LiveScope, start: datetime, step: timedelta, end: datetime, measure: str
) -> list[HistogramPoint]:
    """One for each step from `start` to `end`, those without requests included. Raises ValueError for an unknown measure.

    Lengths of a part of one tenant's requests (of one model, say, or by the minute) are counted from the requests as
    they arrived: a million of them in a tenth of a second, and none is left out.
    """
    query = Spread(pieces_of(start, step, end), int(step.total_seconds()), measure, subset_of(scope))
    found = {
        int(at_s): _counts(int(requests), spread)
        for at_s, requests, spread in client.run(query, timeout_s=TIMEOUT_S).rows
    }
    nothing = (0,) * BUCKETS
    return [
        HistogramPoint(begin, until, found.get(moments.seconds(begin), nothing))
        for begin, until in steps_of(start, step, end)
    ]


def _counts(requests: int, spread: Sequence[float]) -> tuple[int, ...]:
    """Up to LEVELS requests each has its own level; of more, each level stands for an equal share, and whole numbers by the largest
    remainders."""
    if requests <= 0 or math.isnan(spread[0]):
        return (0,) * BUCKETS
    exact = [0.0] * BUCKETS
    if requests <= LEVELS:
        for number in range(requests):
            exact[_bucket(spread[math.ceil(number * LEVELS / max(requests - 1, 1))])] += 1
    else:
        for level, value in enumerate(spread):
            exact[_bucket(value)] += requests / LEVELS / (2 if level in {0, LEVELS} else 1)
    counts = [math.floor(amount) for amount in exact]
    missing = requests - sum(counts)
    for bucket in sorted(range(BUCKETS), key=lambda one: counts[one] - exact[one])[:missing]:
        counts[bucket] += 1
    return tuple(counts)


def _bucket(value: float) -> int:
    return min(max(0, math.ceil(4 * math.log2(value) - 1e-9)), BUCKETS - 1) if value > 1 else 0
