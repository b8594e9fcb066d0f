"""Costs of usage as it is now, sealed or not: for the usage endpoint and for the cost to date. Nothing is rounded here."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial

from django.utils import timezone

from billing import periods, pricebook, rating, usage
from billing.contracts import CostRow, CostToDate, ModelCost, Period, UnpricedUsage
from billing.rating import exact
from metering import public as metering
from metering.contracts import MEASURES, SealInfo, UsageRow

NO_CURRENCY = "XXX"  # ISO 4217's code for none: usage of a tenant that is not (or no longer) in the list


@dataclass
class _Sum:
    measures: list[int] = field(default_factory=lambda: [0] * len(MEASURES))
    cost: Decimal = exact.ZERO
    unpriced_tokens: int = 0

    def add(self, row: UsageRow, parts: Iterable[rating.Part]) -> None:
        for position, name in enumerate(MEASURES):
            self.measures[position] += getattr(row, name)
        for part in parts:
            if part.cost is None:
                self.unpriced_tokens += part.quantity
            else:
                self.cost = exact.total((self.cost, part.cost))

    def row(self, at: datetime, tenant: str, groups: dict[str, str | int], currency: str) -> CostRow:
        return CostRow(
            window_start=at,
            tenant=tenant,
            groups=groups,
            cost=None if self.unpriced_tokens else self.cost,
            currency=currency,
            unpriced_tokens=self.unpriced_tokens,
            **dict(zip(MEASURES, self.measures, strict=True)),
        )


def costed_usage(
    start: datetime,
    end: datetime,
    *,
    tenant: str | None,
    group_by: Sequence[str],
    window: str,
    by_tenant: bool = False,
) -> list[CostRow]:
    """Usage of `[start, end)` with its cost, ordered by window, tenant, groups and currency.

    `tenant` None: all, summed unless `by_tenant`. `group_by`: metering.contracts.DIMENSIONS. The currency is always a group.
    Raises ValueError as metering.public.current_usage does.
    """
    currencies = _currencies(tenant)
    version = pricebook.current_version()
    sheets = {currency: pricebook.sheet(currency, version) for currency in set(currencies.values())}
    sheets[NO_CURRENCY] = rating.PriceSheet((), version=version, currency=NO_CURRENCY)
    asked = tuple(dict.fromkeys(group_by))
    read = partial(_current, tenant=tenant, groups=asked, window=window, seal=metering.latest_seal())
    sums: defaultdict[tuple[datetime, str, tuple[str | int, ...], str], _Sum] = defaultdict(_Sum)
    for since, until in usage.segments(start, end, sheets.values()):
        for row in read(since, until):
            currency = currencies.get(row.tenant, NO_CURRENCY)
            at = start if window == "total" else row.window_start
            key = (at, row.tenant if by_tenant else "", tuple(getattr(row, name) for name in asked), currency)
            sums[key].add(row, rating.parts(usage.rated(row, since, until), sheets[currency]))
    return [
        held.row(at, owner, dict(zip(asked, values, strict=True)), currency)
        for (at, owner, values, currency), held in sorted(sums.items(), key=lambda item: item[0])
    ]


def cost_to_date(tenant: str, period: Period | None = None) -> CostToDate:
    """What the tenant's period (default: this month) costs so far. Raises LookupError for an unknown tenant."""
    info = metering.tenant(tenant)
    if info is None:
        raise LookupError(f"there is no tenant {tenant!r}")
    now = timezone.now()
    span = period or periods.month_of(now)
    sheet = pricebook.sheet(info.currency)
    read = partial(_current, tenant=tenant, groups=(), window="total", seal=metering.latest_seal())
    used = usage.by_tenant(span.start, span.end, [sheet], read).get(tenant, [])
    by_model = _by_model(used, sheet)
    unpriced = tuple(
        UnpricedUsage(line.model, line.tier, line.kind, line.start, line.quantity)
        for line in rating.rate(used, sheet)
        if line.unpriced
    )
    amount = exact.total(row.cost for row in by_model)
    return CostToDate(tenant, span, info.currency, amount, now, by_model, unpriced)


def _by_model(used: list[rating.Usage], sheet: rating.PriceSheet) -> tuple[ModelCost, ...]:
    """The dearest first."""
    groups: dict[str, list[rating.Usage]] = {}
    for one in used:
        groups.setdefault(one.model, []).append(one)
    rows = []
    for model, members in groups.items():
        sums = usage.totals(members)
        cost = exact.total(part.cost for one in members for part in rating.parts(one, sheet) if part.cost is not None)
        rows.append(ModelCost(model, sums.requests, sums.input_tokens, sums.output_tokens, cost))
    return tuple(sorted(rows, key=lambda row: (-row.cost, row.model)))


def _current(
    start: datetime, end: datetime, *, tenant: str | None, groups: tuple[str, ...], window: str, seal: SealInfo | None
) -> list[UsageRow]:
    wanted = tuple(dict.fromkeys((*groups, *usage.RATED_BY)))
    return metering.current_usage(start, end, tenant=tenant, group_by=wanted, window=window, as_of=seal)


def _currencies(tenant: str | None) -> dict[str, str]:
    if tenant is None:
        return {info.key: info.currency for info in metering.tenants()}
    info = metering.tenant(tenant)
    return {info.key: info.currency} if info else {}
