"""From a sum of usage down to the hours, minutes and requests that it is made of: exactly those that were counted, each once.

Hours come from the ledger, in one small question however long the time. Minutes and requests come from the events, an hour at most at
a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from metering.clickhouse import client
from metering.clickhouse.queries.drilldown import (
    PARTS,
    REQUEST,
    REQUEST_COLUMNS,
    SliceHours,
    SliceMinutes,
    SliceRequests,
)
from metering.clickhouse.queries.drilldown import Slice as SliceQuery
from metering.clickhouse.queries.usage import Scope
from metering.contracts import SealInfo
from metering.ledger import abandoned_up_to
from metering.moments import from_microseconds, milliseconds, seconds

TIMEOUT_S = 60
MAX_ROWS = 200_000
PART_NAMES = frozenset({*PARTS, REQUEST})


@dataclass(frozen=True)
class UsageSlice:
    """Usage in `[start, end)` with these values of dimensions, of which `parts` are meant (PART_NAMES): the kinds that tokens are billed
    as, and `request` for requests themselves. A moment of one combination of values is in one slice at most.
    """

    start: datetime
    end: datetime
    dimensions: tuple[tuple[str, str | int], ...]
    parts: tuple[str, ...]


@dataclass(frozen=True)
class SliceSum:
    """`quantity` in an hour or a minute. `requests` had these dimensions; in an hour also those that have nothing of the parts."""

    start: datetime
    requests: int
    quantity: int


@dataclass(frozen=True)
class SliceRequest:
    """One request, with how much of it is meant."""

    time: datetime
    quantity: int
    source: str
    id: str
    model: str
    operation: str
    tier: str
    region: str
    status: str
    project: str
    api_key_id: str
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int

    @property
    def position(self) -> tuple[datetime, str, str]:
        """Its place in the order."""
        return self.time, self.source, self.id


def slice_hours(
    tenant: str, slices: Sequence[UsageSlice], as_of: SealInfo, after: SealInfo | None = None
) -> list[SliceSum]:
    """UTC hours, those with a quantity. `after`: only what arrived since that seal."""
    if not slices:
        return []
    query = SliceHours(tenant, _sliced(slices), after.id if after else 0, as_of.id, abandoned_up_to(as_of.id))
    return _sums(client.run(query, timeout_s=TIMEOUT_S, max_rows=MAX_ROWS).rows)


def slice_minutes(
    tenant: str,
    slices: Sequence[UsageSlice],
    span: tuple[datetime, datetime],
    as_of: SealInfo,
    after: SealInfo | None = None,
) -> list[SliceSum]:
    """The minutes of a span, best an hour, those with a quantity."""
    if not slices:
        return []
    query = SliceMinutes(_scope(tenant, span, as_of, after), _sliced(slices))
    return _sums(client.run(query, timeout_s=TIMEOUT_S, max_rows=MAX_ROWS).rows)


def slice_requests(
    tenant: str,
    slices: Sequence[UsageSlice],
    span: tuple[datetime, datetime],
    as_of: SealInfo,
    after: SealInfo | None = None,
) -> list[SliceRequest]:
    """The requests of a span, best some minutes, in the order of time, source and id."""
    if not slices:
        return []
    query = SliceRequests(_scope(tenant, span, as_of, after), _sliced(slices))
    rows = client.run(query, timeout_s=TIMEOUT_S, max_rows=MAX_ROWS).rows
    return [_request(*row) for row in rows]


def _request(time_ms: int, quantity: int, *values: Any) -> SliceRequest:
    named = dict(zip(REQUEST_COLUMNS, values, strict=True))
    return SliceRequest(from_microseconds(time_ms * 1000), quantity, **named)


def _sums(rows: Sequence[tuple[int, int, int]]) -> list[SliceSum]:
    return [SliceSum(datetime.fromtimestamp(start_s, UTC), int(n), int(quantity)) for start_s, n, quantity in rows]


def _scope(tenant: str, span: tuple[datetime, datetime], as_of: SealInfo, after: SealInfo | None) -> Scope:
    ranges = ((milliseconds(span[0]), milliseconds(span[1])),)
    return Scope(ranges, tenant, after.watermark if after else None, as_of.watermark)


def _sliced(slices: Sequence[UsageSlice]) -> tuple[SliceQuery, ...]:
    for one in slices:
        if not one.parts or not PART_NAMES.issuperset(one.parts):
            raise ValueError(f"unknown parts {one.parts}: of {', '.join(sorted(PART_NAMES))}")
    return tuple(SliceQuery(seconds(one.start), seconds(one.end), one.dimensions, one.parts) for one in slices)
