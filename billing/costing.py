"""Costs of usage as it is now, sealed or not: for the usage endpoint and for the cost to date. Nothing is rounded here.

The cost of usage is what its lines would say before discounts, fees and commitments; a charge by tiers, and what a contract includes, is
shared out over the usage it was made from, in proportion.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from django.utils import timezone

from billing import rating, usage
from billing.agreements import agreements
from billing.contracts import CostRow, CostToDate, ModelCost, Period, UnpricedUsage
from billing.costing_scopes import Scope, scopes
from billing.rating import exact
from metering import public as metering
from metering.contracts import MEASURES, SealInfo, TenantInfo, UsageRow


@dataclass(frozen=True)
class _Ask:
    """What was asked for. `only`: one tenant's key, None all. `among`: of all, these alone, if any are named."""

    span: Period
    only: str | None
    groups: tuple[str, ...]
    window: str
    among: tuple[str, ...] = ()

    def holds(self, since: datetime, until: datetime) -> bool:
        return self.span.start <= since and until <= self.span.end


@dataclass(frozen=True)
class _Costed:
    """One row of usage with its parts, of one tenant. `since`: from when on its prices hold."""

    row: UsageRow
    since: datetime
    parts: Sequence[rating.Part]
    currency: str


@dataclass
class _Sum:
    measures: list[int] = field(default_factory=lambda: [0] * len(MEASURES))
    cost: Decimal = exact.ZERO
    unpriced_tokens: int = 0
    unpriced_kinds: set[str] = field(default_factory=set)

    def add(self, row: UsageRow, parts: Iterable[rating.Part]) -> None:
        for position, name in enumerate(MEASURES):
            self.measures[position] += getattr(row, name)
        for part in parts:
            if part.cost is None:
                self.unpriced_tokens += int(part.quantity)
                if part.quantity:
                    self.unpriced_kinds.add(str(part.kind))
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
            priced_cost=self.cost,
            unpriced_kinds=frozenset(self.unpriced_kinds),
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
    among: Sequence[str] = (),
) -> list[CostRow]:
    """Usage of `[start, end)` with its cost, ordered by window, tenant, groups and currency.

    `tenant` None: all, or those `among` them (at most a few hundred), summed unless `by_tenant`. `group_by`:
    metering.contracts.DIMENSIONS. The currency is always a group. Raises ValueError as metering.public.current_usage does.
    """
    asked = tuple(dict.fromkeys(group_by))
    sums: defaultdict[tuple[datetime, str, tuple[str | int, ...], str], _Sum] = defaultdict(_Sum)
    ask = _Ask(Period(start, end), tenant, asked, window, tuple(among))
    for one in _costed(ask, _tenants(tenant, ask.among)):
        at = start if window == "total" else one.row.window_start
        groups = tuple(getattr(one.row, name) for name in asked)
        sums[at, one.row.tenant if by_tenant else "", groups, one.currency].add(one.row, one.parts)
    return [
        held.row(at, owner, dict(zip(asked, values, strict=True)), currency)
        for (at, owner, values, currency), held in sorted(sums.items(), key=lambda item: item[0])
    ]


def cost_to_date(tenant: str, period: Period | None = None) -> CostToDate:
    """What the usage of a tenant's period (default: its billing period now) costs so far. Raises LookupError for an unknown tenant."""
    info = metering.tenant(tenant)
    if info is None:
        raise LookupError(f"there is no tenant {tenant!r}")
    now = timezone.now()
    span = period or agreements([info], now)[tenant].period
    found = list(_costed(_Ask(span, tenant, ("model", "tier"), "total"), [info]))
    by_model = _by_model(found)
    amount = exact.total(row.cost for row in by_model)
    return CostToDate(tenant, span, info.currency, amount, now, by_model, _unpriced(found))


def _by_model(found: Iterable[_Costed]) -> tuple[ModelCost, ...]:
    """The dearest first."""
    sums: defaultdict[str, _Sum] = defaultdict(_Sum)
    for one in found:
        sums[one.row.model].add(one.row, one.parts)
    rows = []
    for model, held in sums.items():
        measures = dict(zip(MEASURES, held.measures, strict=True))
        rows.append(
            ModelCost(model, measures["requests"], measures["input_tokens"], measures["output_tokens"], held.cost)
        )
    return tuple(sorted(rows, key=lambda row: (-row.cost, row.model)))


def _unpriced(found: Iterable[_Costed]) -> tuple[UnpricedUsage, ...]:
    sums: defaultdict[tuple[str, str, str, datetime], Decimal] = defaultdict(Decimal)
    for one in found:
        for part in one.parts:
            if part.cost is None and part.quantity:
                sums[one.row.model, one.row.tier, str(part.kind), one.since] += part.quantity
    return tuple(UnpricedUsage(*key, quantity=int(quantity)) for key, quantity in sorted(sums.items()))


def _costed(ask: _Ask, tenants: Sequence[TenantInfo]) -> Iterator[_Costed]:
    """Every row of usage that was asked for, rated with all that its cost depends on."""
    seal = metering.latest_seal()
    for scope in scopes(ask.span, tenants, everybody=ask.only is None and not ask.among):
        rows: defaultdict[str, list[tuple[UsageRow, datetime, datetime]]] = defaultdict(list)
        for since, until in pairwise(scope.cuts):
            for row in _read(ask, scope, since, until, seal):
                rows[row.tenant].append((row, since, until))
        for tenant, held in rows.items():
            yield from _rated(ask, scope, tenant, held)


def _read(ask: _Ask, scope: Scope, since: datetime, until: datetime, seal: SealInfo | None) -> list[UsageRow]:
    """What lies outside of what was asked for is read as one window, by what decides its price alone."""
    inside = ask.holds(since, until)
    return metering.current_usage(
        since,
        until,
        tenant=ask.only,
        group_by=tuple(dict.fromkeys((*ask.groups, *scope.dimensions))) if inside else scope.dimensions,
        window=ask.window if inside else "total",
        as_of=seal,
        tenants=ask.among,
    )


def _rated(
    ask: _Ask, scope: Scope, tenant: str, held: Sequence[tuple[UsageRow, datetime, datetime]]
) -> Iterator[_Costed]:
    pricing = scope.pricing(tenant)
    if pricing is None:
        return
    usages = [usage.rated(row, since, until) for row, since, until in held]
    start, end = scope.period.start, scope.period.end
    costs = rating.costed(usages, (), pricing.agreement, pricing.sheet, start, end)
    for (row, since, until), parts in zip(held, costs, strict=True):
        if ask.holds(since, until):
            yield _Costed(row, since, parts, pricing.sheet.currency)


def _tenants(only: str | None, among: Sequence[str] = ()) -> Sequence[TenantInfo]:
    if among:
        return metering.tenants_named(among)
    if only is None:
        return metering.tenants()
    info = metering.tenant(only)
    return [info] if info else []
