"""Rounded amounts of lines by what fees, discounts and commitments ask for: the stretch of the agreement, and the model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.rating.allocation import allocate
from billing.rating.exact import ZERO, minus, total
from billing.rating.gathering import Gathered
from billing.rating.lines import Line
from billing.rating.stretches import alike
from billing.rating.terms import Agreement


@dataclass(slots=True)
class Portion:
    """`left` of a line's amount after the discounts so far. `model` '' and `usage` False: of a fee."""

    usage: bool
    stretch: int
    model: str
    left: Decimal


def portions_of_usage(gathered: Sequence[Gathered], lines: Sequence[Line], currency: str) -> list[Portion]:
    """Of each line in proportion to what was charged. What has no price is left out: it blocks the invoice anyway."""
    found = []
    for held, line in zip(gathered, lines, strict=True):
        if line.amount:
            shares = held.ordered()
            amounts = allocate(line.amount, [share.charged for _, share in shares], currency)
            found += [
                Portion(True, key.stretch, key.model, amount) for (key, _), amount in zip(shares, amounts, strict=True)
            ]
    return found


def portions_of_fee(line: Line, stretches: Sequence[int], agreement: Agreement, currency: str) -> list[Portion]:
    """Of a fee in proportion to the days of the stretches in which it held."""
    first = alike(agreement)
    days: dict[int, int] = {}
    for number in stretches:
        days[first[number]] = days.get(first[number], 0) + agreement.stretches[number].days
    amounts = allocate(line.amount or ZERO, [Decimal(count) for count in days.values()], currency)
    return [Portion(False, number, "", amount) for number, amount in zip(days, amounts, strict=True)]


def sum_of(portions: Iterable[Portion]) -> Decimal:
    return total(portion.left for portion in portions)


def take(amount: Decimal, portions: Sequence[Portion], currency: str) -> None:
    """Take an amount, at most their sum, off portions in proportion to what is left of them."""
    taken = allocate(amount, [portion.left for portion in portions], currency)
    for portion, part in zip(portions, taken, strict=True):
        portion.left = minus(portion.left, part)
