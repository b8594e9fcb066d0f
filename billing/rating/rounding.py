"""Rounding to what can be paid: half-even, to the minor unit of the currency, once per invoice line."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import cache

from iso4217 import Currency  # generated from the maintenance agency's own table

_ROUNDING = Context(prec=120, rounding=ROUND_HALF_EVEN)


class UnknownCurrency(ValueError):
    """Not a code of ISO 4217, or one without a minor unit (gold, test codes): nothing can be billed in it."""


@cache
def minor_digits(currency: str) -> int:
    """Digits after the point: 2 for USD, 0 for JPY, 3 for KWD."""
    try:
        digits = Currency(currency).exponent
    except ValueError:
        digits = None
    if digits is None:
        raise UnknownCurrency(f"{currency!r} is not a currency of ISO 4217 that amounts can be billed in")
    return int(digits)


def rounded(amount: Decimal, currency: str) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-minor_digits(currency)), context=_ROUNDING)
