"""Exact decimal arithmetic: an operation that would lose a digit raises instead.

Decimal's default context rounds to 28 digits without a word; a month of a large tenant times a price has more. A quotient may have
endless digits: then it is a Fraction, which is as exact, until it is settled (`rounding.settled`).
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Clamped, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from fractions import Fraction
from functools import cache

ZERO = Decimal(0)
EXACT = Context(
    prec=120, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, Clamped]
)
Exact = Decimal | Fraction  # to the last digit, whichever of the two it is


def times(left: Decimal, right: Decimal) -> Decimal:
    return EXACT.multiply(left, right)


def minus(left: Decimal, right: Decimal) -> Decimal:
    return EXACT.subtract(left, right)


def total(amounts: Iterable[Decimal]) -> Decimal:
    found = ZERO
    for amount in amounts:
        found = EXACT.add(found, amount)
    return found


def added(amounts: Iterable[Exact]) -> Exact:
    """Their sum: a Decimal, unless one of them is a Fraction."""
    found = list(amounts)
    decimals = [amount for amount in found if isinstance(amount, Decimal)]
    whole = total(decimals)
    if len(decimals) == len(found):
        return whole
    return sum((amount for amount in found if isinstance(amount, Fraction)), Fraction(whole))


def quotient(amount: Decimal, divisor: int) -> Exact:
    """A Decimal for 1, 10, 100, ..., where dividing moves the point; else a Fraction."""
    places = _places(divisor)
    if places is None:
        return Fraction(amount) / divisor
    return amount.scaleb(-places, context=EXACT) if places else amount


def fraction_of(amount: Decimal, part: int, whole: int) -> Fraction:
    """`part` of `whole`: 10 of 30 days."""
    return Fraction(amount) * part / whole


def plain(amount: Decimal) -> str:
    """All digits, no exponent, no zeros at the end of the fraction: `1200`, `0.0000015`."""
    return _without_padding(format(amount, "f"))


def grouped(quantity: Decimal | int) -> str:
    """`plain`, with thousands marked: `1,200.5`."""
    return f"{quantity:,}" if isinstance(quantity, int) else _without_padding(format(quantity, ",f"))


def _without_padding(text: str) -> str:
    shown = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if shown in {"-0", ""} else shown


@cache
def _places(divisor: int) -> int | None:
    text = str(divisor)
    return len(text) - 1 if divisor > 0 and text.strip("0") == "1" else None
