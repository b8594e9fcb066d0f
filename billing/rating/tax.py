"""Tax: once per rate, on the sum of the rounded lines of that rate."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from billing.rating import exact
from billing.rating.rounding import rounded


@dataclass(frozen=True)
class Tax:
    """`rate` is a fraction: 0.19 for 19 %."""

    rate: Decimal
    base: Decimal
    amount: Decimal


def taxes(bases: Iterable[tuple[Decimal, Decimal]], currency: str) -> tuple[Tax, ...]:
    """From pairs (rate, rounded line amount) to one tax per rate, lowest rate first."""
    by_rate: dict[Decimal, list[Decimal]] = {}
    for rate, amount in bases:
        by_rate.setdefault(rate, []).append(amount)
    return tuple(_tax(rate, exact.total(by_rate[rate]), currency) for rate in sorted(by_rate))


def _tax(rate: Decimal, base: Decimal, currency: str) -> Tax:
    return Tax(rate, base, rounded(exact.times(base, rate), currency))
