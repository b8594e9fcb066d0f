"""Metering's usage in the shape that rating takes: cut where a price begins, by model, tier and status."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import pairwise

from billing import rating
from billing.contracts import UsageTotals
from metering.contracts import UsageRow

RATED_BY = ("model", "tier", "status")  # what decides the price, and whether there is one
Reader = Callable[[datetime, datetime], Iterable[UsageRow]]


def segments(
    start: datetime, end: datetime, sheets: Iterable[rating.PriceSheet]
) -> Iterator[tuple[datetime, datetime]]:
    """`[start, end)` in pieces within which no price of any sheet changes."""
    edges = sorted({start, end}.union(*(sheet.changes(start, end) for sheet in sheets)))
    return pairwise(edges)


def by_tenant(
    start: datetime, end: datetime, sheets: Iterable[rating.PriceSheet], read: Reader
) -> dict[str, list[rating.Usage]]:
    """Usage of the period per tenant. `read` answers for one piece, grouped by RATED_BY, in one window."""
    found: dict[str, list[rating.Usage]] = {}
    for since, until in segments(start, end, sheets):
        for row in read(since, until):
            found.setdefault(row.tenant, []).append(rated(row, since, until))
    return found


def rated(row: UsageRow, start: datetime, end: datetime) -> rating.Usage:
    """One row as usage within `[start, end)`."""
    tokens = rating.Tokens(
        input=row.input_tokens,
        cached_input=row.cached_input_tokens,
        cache_write=row.cache_write_tokens,
        output=row.output_tokens,
        reasoning=row.reasoning_tokens,
    )
    return rating.Usage(start, end, row.model, row.tier, row.status, row.requests, tokens)


def totals(usages: Iterable[rating.Usage]) -> UsageTotals:
    found = list(usages)
    return UsageTotals(
        requests=sum(usage.requests for usage in found),
        requests_not_billed=sum(usage.requests for usage in found if usage.status in rating.NOT_BILLED),
        input_tokens=sum(usage.tokens.input for usage in found),
        cached_input_tokens=sum(usage.tokens.cached_input for usage in found),
        cache_write_tokens=sum(usage.tokens.cache_write for usage in found),
        output_tokens=sum(usage.tokens.output for usage in found),
        reasoning_tokens=sum(usage.tokens.reasoning for usage in found),
    )
