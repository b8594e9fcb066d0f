"""The arithmetic of a margin: what adds up, and when a difference may be stated. Pure, and exact to the last digit.

margin = revenue - energy cost - GPU cost, all three of the same window, tenant and model. It is stated only where all of it is known and
in one currency: nothing is ever converted, and an amount that is not known is not taken for zero.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal

from billing.contracts import CostRow, MarginAmounts, MarginGap, MarginRow
from billing.rating import NOT_BILLED, exact
from metering.contracts import EnergyCostRow

MEASURED_SHARE = 0.99  # a late event or two may not have reached energy yet
SHARE_DIGITS = Decimal("0.000001")
_UNPRICED = frozenset({MarginGap.UNPRICED_ENERGY, MarginGap.UNPRICED_GPU_TIME})
_SHARES = Context(prec=40, rounding=ROUND_HALF_EVEN)  # a quotient may have no end, so `exact` cannot hold it


@dataclass
class Sum:
    """Revenue and costs of one row, or of several together. Amounts by currency."""

    requests: int = 0
    failed_requests: int = 0  # of those; they may have run nowhere, so no energy need be known for them
    unpriced_tokens: int = 0
    measured_requests: int = 0
    energy_j: float = 0.0
    gpu_s: float = 0.0
    revenue: dict[str, Decimal] = field(default_factory=dict)
    energy_cost: dict[str, Decimal] = field(default_factory=dict)
    gpu_cost: dict[str, Decimal] = field(default_factory=dict)
    cost_in: frozenset[str] | None = (
        None  # the currencies in which all of both costs is known; None: there is no cost, so in any
    )
    unpriced_in: set[str] = field(default_factory=set)  # the currencies in which some of the revenue is not known
    gaps: set[MarginGap] = field(default_factory=set)
    simulated: bool = False

    def add_usage(self, row: CostRow) -> None:
        """Grouped by status, at least."""
        self.requests += row.requests
        self.failed_requests += row.requests if row.groups["status"] in NOT_BILLED else 0
        self.unpriced_tokens += row.unpriced_tokens
        if row.cost is None:
            self.unpriced_in.add(row.currency)
            self.gaps.add(MarginGap.UNPRICED_USAGE)
        _add(self.revenue, {row.currency: row.cost or exact.ZERO})

    def add_cost(self, row: EnergyCostRow) -> None:
        self.measured_requests += row.requests if row.energy_j or row.gpu_s else 0
        self.energy_j += row.energy_j
        self.gpu_s += row.gpu_s
        self.simulated |= row.simulated
        _add(self.energy_cost, row.energy_cost)
        _add(self.gpu_cost, row.gpu_cost)
        for used, currencies in ((row.energy_j, row.energy_priced_in), (row.gpu_s, row.gpu_priced_in)):
            self.cost_in = _both(self.cost_in, currencies if used else None)
        if row.unpriced_energy_j > 0:
            self.gaps.add(MarginGap.UNPRICED_ENERGY)
        if row.unpriced_gpu_s > 0:
            self.gaps.add(MarginGap.UNPRICED_GPU_TIME)

    def add(self, other: "Sum") -> None:
        self.requests += other.requests
        self.failed_requests += other.failed_requests
        self.unpriced_tokens += other.unpriced_tokens
        self.measured_requests += other.measured_requests
        self.energy_j += other.energy_j
        self.gpu_s += other.gpu_s
        for mine, its in zip(self._by_currency(), other._by_currency(), strict=True):
            _add(mine, its)
        self.cost_in = _both(self.cost_in, other.cost_in)
        self.unpriced_in |= other.unpriced_in
        self.gaps |= other.gaps
        self.simulated |= other.simulated

    def close(self, *, closed: bool) -> None:
        """Say what is missing, once everything of one window, tenant and model is in."""
        if self.measured_requests < (self.requests - self.failed_requests) * MEASURED_SHARE:
            self.gaps.add(MarginGap.NOT_MEASURED)
        if not closed:
            self.gaps.add(MarginGap.OPEN)

    @property
    def billed_in(self) -> set[str]:
        """The currencies in which there is revenue, or some that is not known."""
        return {name for name, amount in self.revenue.items() if amount} | self.unpriced_in

    def row(self, at: datetime, tenant: str, model: str, label: str, prefer: str = "") -> MarginRow:
        """`prefer`: the currency of a row without revenue whose cost is known in several."""
        currencies, gaps = self._whole_in(prefer), set(self.gaps)
        amounts = tuple(self._amount(one) for one in currencies) if len(currencies) == 1 else self._amounts()
        if len(currencies) != 1 and amounts and not gaps & _UNPRICED:
            gaps.add(MarginGap.CURRENCIES_DIFFER)
        margin = None if gaps else exact.total(_net(one) for one in amounts)
        return MarginRow(
            window_start=at,
            tenant=tenant,
            model=model,
            label=label,
            requests=self.requests,
            measured_requests=self.measured_requests,
            unpriced_tokens=self.unpriced_tokens,
            energy_j=self.energy_j,
            gpu_s=self.gpu_s,
            amounts=amounts,
            margin=margin,
            margin_share=_share(margin, amounts),
            gaps=tuple(gap for gap in MarginGap if gap in gaps),
            simulated=self.simulated,
        )

    def _whole_in(self, prefer: str) -> set[str]:
        """The currencies in which all of it is known: costs that have prices in two are whole in each."""
        billed = self.billed_in
        found = billed or set(self.revenue) if self.cost_in is None else self.cost_in & (billed or self.cost_in)
        if len(billed) > 1:
            return set()
        return {prefer} if prefer in found else set(found)

    def _by_currency(self) -> tuple[dict[str, Decimal], dict[str, Decimal], dict[str, Decimal]]:
        return self.revenue, self.energy_cost, self.gpu_cost

    def _amounts(self) -> tuple[MarginAmounts, ...]:
        """One for each currency that has an amount other than zero, or one that is not known."""
        found = (self._amount(currency) for currency in sorted(set().union(*self._by_currency())))
        return tuple(one for one in found if any(amount is None or amount for amount in _sides(one)))

    def _amount(self, currency: str) -> MarginAmounts:
        """A side of which a part is not known is None: a part of an amount would pass for all of it."""
        known = currency not in self.unpriced_in
        return MarginAmounts(
            currency=currency,
            revenue=self.revenue.get(currency, exact.ZERO) if known else None,
            energy_cost=_unless(MarginGap.UNPRICED_ENERGY in self.gaps, self.energy_cost, currency),
            gpu_cost=_unless(MarginGap.UNPRICED_GPU_TIME in self.gaps, self.gpu_cost, currency),
        )


def together(sums: Iterable[Sum]) -> Sum:
    found = Sum()
    for one in sums:
        found.add(one)
    return found


def _unless(unknown: bool, amounts: Mapping[str, Decimal], currency: str) -> Decimal | None:
    return None if unknown else amounts.get(currency, exact.ZERO)


def _add(held: dict[str, Decimal], amounts: Mapping[str, Decimal]) -> None:
    for currency, amount in amounts.items():
        held[currency] = exact.total((held.get(currency, exact.ZERO), amount))


def _sides(one: MarginAmounts) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    return one.revenue, one.energy_cost, one.gpu_cost


def _net(one: MarginAmounts) -> Decimal:
    revenue, energy, gpu = (side or exact.ZERO for side in _sides(one))
    return exact.minus(exact.minus(revenue, energy), gpu)


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """None stands for all currencies."""
    if one is None or other is None:
        return one if other is None else other
    return one & other


def _share(margin: Decimal | None, amounts: tuple[MarginAmounts, ...]) -> Decimal | None:
    """Of the revenue; None without revenue."""
    revenue = amounts[0].revenue if amounts else None
    return _SHARES.quantize(_SHARES.divide(margin, revenue), SHARE_DIGITS) if revenue and margin is not None else None
