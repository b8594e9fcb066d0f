"""Buckets of histograms, checked; exponential ones are rewritten with explicit bounds."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from metering.contracts import RejectReason
from metering.ingest.decoders.common import BadEvent

MOST_BUCKETS = 2048

Bounded = tuple[list[float], list[int]]  # upper edges of all buckets but the last, which is open; counts


def explicit(point: Any) -> Bounded:
    """Of a HistogramDataPoint; both lists empty if it only has a count and a sum."""
    bounds, buckets = list(point.explicit_bounds), list(point.bucket_counts)
    if bounds or buckets:
        if len(buckets) != len(bounds) + 1:
            message = f"bucketCounts has {len(buckets)} items, with {len(bounds)} bounds it must have {len(bounds) + 1}"
            raise BadEvent("bucketCounts", RejectReason.INVARIANT, message)
        _check(bounds, buckets, point.count)
    return bounds, buckets


def from_exponential(point: Any) -> Bounded:
    """Of an ExponentialHistogramDataPoint, without loss: bucket i of the positive side ends at 2 ** ((offset + i + 1) / 2 ** scale).

    Empty buckets fill the gaps between its sides and around zero. OTLP's negative buckets hold their lower edge and not their upper
    one; here it is the other way round, as for all explicit bounds.
    """
    if len(point.positive.bucket_counts) + len(point.negative.bucket_counts) > MOST_BUCKETS:
        raise BadEvent("positive", RejectReason.TOO_LONG, f"more than {MOST_BUCKETS} buckets")
    try:
        negative = _negative(point)
        below = negative[-1][0] if negative else -math.inf
        segments = [*negative, *_zero(point, below), *_positive(point)]
    except OverflowError:
        raise BadEvent("scale", RejectReason.OUT_OF_RANGE, "a bucket ends beyond what 64-bit numbers hold") from None
    bounds, buckets = [bound for bound, _ in segments], [*(count for _, count in segments), 0]
    _check(bounds, buckets, point.count)
    return bounds, buckets


Segment = tuple[float, int]  # upper edge, count


def _edge(scale: int, index: int) -> float:
    return float(2.0 ** math.ldexp(index, -scale))


def _filled(side: Any) -> tuple[int, list[int]]:
    """Offset and counts of one side, without the empty buckets at its ends: SDKs send up to 160 of them, most of them empty."""
    counts, offset = list(side.bucket_counts), side.offset
    while counts and not counts[-1]:
        counts.pop()
    skipped = next((place for place, count in enumerate(counts) if count), 0)
    return offset + skipped, counts[skipped:]


def _negative(point: Any) -> list[Segment]:
    """The most negative first, after an empty one below all."""
    offset, counts = _filled(point.negative)
    if not counts:
        return []
    filled = [(-_edge(point.scale, offset + index), counts[index]) for index in reversed(range(len(counts)))]
    return [(-_edge(point.scale, offset + len(counts)), 0), *filled]


def _zero(point: Any, below: float) -> list[Segment]:
    """What lies within the zero threshold; with a threshold of 0, what is exactly 0. `below`: where the negative buckets end."""
    threshold = point.zero_threshold
    found = [(threshold, point.zero_count)]
    return [(-threshold, 0), *found] if threshold > 0 and below < -threshold else found


def _positive(point: Any) -> list[Segment]:
    offset, counts = _filled(point.positive)
    if not counts:
        return []
    start = _edge(point.scale, offset)
    gap = [(start, 0)] if start != point.zero_threshold else []
    return gap + [(_edge(point.scale, offset + index + 1), count) for index, count in enumerate(counts)]


def _check(bounds: Sequence[float], buckets: Sequence[int], count: int) -> None:
    if len(buckets) > MOST_BUCKETS + 4:
        raise BadEvent("bucketCounts", RejectReason.TOO_LONG, f"more than {MOST_BUCKETS} buckets")
    if not all(map(math.isfinite, bounds)) or any(one >= other for one, other in pairwise(bounds)):
        raise BadEvent(
            "explicitBounds", RejectReason.INVARIANT, "the buckets' bounds must be finite and strictly increase"
        )
    if sum(buckets) != count:
        raise BadEvent("count", RejectReason.INVARIANT, f"count is {count}, the buckets have {sum(buckets)} in all")
