"""Exact decimal arithmetic: an operation that would lose a digit raises instead.

Decimal's default context rounds to 28 digits without a word; a month of a large tenant times a price has more.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Clamped, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

ZERO = Decimal(0)
EXACT = Context(
    prec=120, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, Clamped]
)


def times(left: Decimal, right: Decimal) -> Decimal:
    return EXACT.multiply(left, right)


def minus(left: Decimal, right: Decimal) -> Decimal:
    return EXACT.subtract(left, right)


def total(amounts: Iterable[Decimal]) -> Decimal:
    found = ZERO
    for amount in amounts:
        found = EXACT.add(found, amount)
    return found


def plain(amount: Decimal) -> str:
    """All digits, no exponent, no zeros at the end of the fraction: `1200`, `0.0000015`."""
    text = format(amount, "f")
    shown = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if shown in {"-0", ""} else shown
