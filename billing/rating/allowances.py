"""Included usage: what an allowance covers is not charged, and tiers do not count it.

A period's allowance is cut to the days that it held, in whole units. It covers usage of the stretches in which it was agreed, and of no
others: the earliest price first, then in the order of the lines.
"""

from collections.abc import Iterable
from decimal import Decimal

from billing.rating import exact
from billing.rating.gathering import Gathered, ShareKey
from billing.rating.prices import ANY_MODEL
from billing.rating.stretches import Holding, holdings
from billing.rating.terms import Agreement, Allowance


def cover(lines: Iterable[Gathered], agreement: Agreement) -> None:
    """Takes off the shares what is included, and notes it on the lines."""
    found = holdings(agreement, lambda terms: terms.allowances)
    if not found:
        return
    priced = [held for held in lines if held.slot.rule is not None]
    by_time = sorted(priced, key=lambda held: (held.start, held.slot.order, held.slot.key))
    for allowance in found:
        _use(allowance, quantity_of(allowance, agreement.period_days), by_time)


def quantity_of(allowance: Holding[Allowance], period_days: int) -> Decimal:
    """What is included for the days that it held, rounded down to whole units. All of it, whole or not, for a whole period."""
    quantity = allowance.item.quantity
    if allowance.days == period_days:
        return quantity
    share = exact.fraction_of(quantity, allowance.days, period_days)
    return Decimal(share.numerator // share.denominator)


def _use(allowance: Holding[Allowance], left: Decimal, lines: Iterable[Gathered]) -> None:
    for held in lines:
        for key, share in held.ordered():
            taken = min(left, share.charged)
            if taken > 0 and key.stretch in allowance.stretches and _meant(allowance.item, held, key):
                share.charged = exact.minus(share.charged, taken)
                left = exact.minus(left, taken)
                code = allowance.item.code
                held.included[code] = exact.total((held.included.get(code, exact.ZERO), taken))


def _meant(allowance: Allowance, held: Gathered, key: ShareKey) -> bool:
    rule = held.slot.rule
    kinds = {
        key.kind,
        rule.kind if rule else "",
    }  # output that is included may be reasoning, where that has output's price
    return allowance.kind in kinds and allowance.model in {ANY_MODEL, key.model} and allowance.tier in {"", key.tier}
