"""Metering's usage in the shape that rating takes: cut where a price or a credit begins or ends, by what decides a price."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from django.utils import timezone

from billing import rating
from billing.contracts import Period, UsageTotals
from billing.rating.terms import Agreement
from metering import public as metering
from metering.contracts import SealInfo, UsageRow


@dataclass(frozen=True)
class Metered:
    """What one tenant used in a period."""

    usages: tuple[rating.Usage, ...] = ()
    meters: tuple[rating.MeterUsage, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.usages or self.meters)


NOTHING = Metered()


def edges(period: Period, sheets: Iterable[rating.PriceSheet], others: Iterable[datetime] = ()) -> list[datetime]:
    """The period's bounds, and the moments in it at which a price of any sheet changes. `others`: of them those inside it."""
    inside = {moment for moment in others if period.start < moment < period.end}
    changes = (sheet.changes(period.start, period.end) for sheet in sheets)
    return sorted({period.start, period.end, *inside}.union(*changes))


def changes(agreement: Agreement) -> tuple[datetime, ...]:
    """Where within a period what is agreed changes: no piece of usage may lie on both sides."""
    return tuple(stretch.start for stretch in agreement.stretches[1:])


def sealed(
    tenants: Sequence[str], cuts: Sequence[datetime], sheet: rating.PriceSheet, seal: SealInfo
) -> dict[str, Metered]:
    """What these tenants used between the first and the last of `cuts`, from the ledger as of the seal."""
    rows = metering.sealed_usage(
        cuts[0],
        cuts[-1],
        tenant=tenants[0] if len(tenants) == 1 else None,
        tenants=tenants if len(tenants) > 1 else (),
        group_by=sheet.dimensions(),
        window=metering.pieces(cuts),
        as_of=seal,
    )
    return _by_tenant(rows, cuts, _meters(tenants, cuts, sheet, seal))


def raw(tenant: str, cuts: Sequence[datetime], sheet: rating.PriceSheet, seal: SealInfo) -> Metered:
    """The same of one tenant, recomputed from raw events."""
    rows = metering.raw_usage(
        cuts[0], cuts[-1], tenant=tenant, group_by=sheet.dimensions(), window=metering.pieces(cuts), as_of=seal
    )
    return _by_tenant(rows, cuts, _meters([tenant], cuts, sheet, seal)).get(tenant, NOTHING)


def current(tenant: str, cuts: Sequence[datetime], sheet: rating.PriceSheet) -> Metered:
    """The same of one tenant as it is now, what is not sealed yet included."""
    now = timezone.now()
    rows = metering.current_usage(
        cuts[0], cuts[-1], tenant=tenant, group_by=sheet.dimensions(), window=metering.pieces(cuts)
    )
    meters = _meters([tenant], cuts, sheet, SealInfo(0, now, now))  # meters are read by arrival: up to this moment
    return _by_tenant(rows, cuts, meters).get(tenant, NOTHING)


def rated(row: UsageRow, start: datetime, end: datetime) -> rating.Usage:
    """One row as usage within `[start, end)`."""
    tokens = rating.Tokens(
        input=row.input_tokens,
        cached_input=row.cached_input_tokens,
        cache_write=row.cache_write_tokens,
        output=row.output_tokens,
        reasoning=row.reasoning_tokens,
    )
    return rating.Usage(
        start, end, row.model, row.tier, row.status, row.requests, tokens, row.operation, row.region, row.context_band
    )


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


def _by_tenant(
    rows: Iterable[UsageRow], cuts: Sequence[datetime], meters: dict[str, list[rating.MeterUsage]]
) -> dict[str, Metered]:
    until = dict(pairwise(cuts))
    usages: dict[str, list[rating.Usage]] = {}
    for row in rows:
        usages.setdefault(row.tenant, []).append(rated(row, row.window_start, until[row.window_start]))
    owners: Collection[str] = usages.keys() | meters.keys()
    return {owner: Metered(tuple(usages.get(owner, ())), tuple(meters.get(owner, ()))) for owner in owners}


def _meters(
    tenants: Sequence[str], cuts: Sequence[datetime], sheet: rating.PriceSheet, seal: SealInfo
) -> dict[str, list[rating.MeterUsage]]:
    """What meters measured, of those that the sheet has a price for: cut where prices change only, since not every measure adds up."""
    slugs = sheet.meters()
    if not slugs:
        return {}
    edges = sorted({cuts[0], cuts[-1], *sheet.changes(cuts[0], cuts[-1])})
    until = dict(pairwise(edges))
    found: dict[str, list[rating.MeterUsage]] = {}
    rows = metering.meter_totals(cuts[0], cuts[-1], None, slugs, seal, tenants=tenants, window=metering.pieces(edges))
    for row in rows:
        start = row.window_start
        one = rating.MeterUsage(
            start, until[start], row.meter, row.quantity, row.events, row.model, row.tier, row.region
        )
        found.setdefault(row.tenant, []).append(one)
    return found
