"""Rounding to what can be paid: half-even, to the minor unit of the currency, once per invoice line."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import cache

from iso4217 import Currency  # generated from the maintenance agency's own table

from billing.rating.exact import Exact

EXACT_PLACES = 18  # digits after the point that an exact amount is stored with
_FINEST = Decimal(1).scaleb(-EXACT_PLACES)
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


@cache
def minor_unit(currency: str) -> Decimal:
    """The smallest amount there is: 0.01 for USD."""
    return Decimal(1).scaleb(-minor_digits(currency))


def rounded(amount: Exact, currency: str) -> Decimal:
    if isinstance(amount, Fraction):
        return _quantised(amount, minor_digits(currency))
    return amount.quantize(minor_unit(currency), context=_ROUNDING)


def settled(amount: Exact, currency: str) -> tuple[Decimal, Decimal]:
    """The amount to 18 digits (half-even; all it has, unless it has more), and rounded to what can be paid.

    The second is rounded from the amount itself, never from the first: rounding twice may go the wrong way.
    """
    return finite(amount), rounded(amount, currency)


def finite(amount: Exact) -> Decimal:
    """To 18 digits after the point, half-even; what has no more is as it was."""
    if isinstance(amount, Fraction):
        return _quantised(amount, EXACT_PLACES)
    if amount.as_tuple().exponent < -EXACT_PLACES:  # type: ignore[operator] # amounts are finite
        return amount.quantize(_FINEST, context=_ROUNDING)
    return amount


def _quantised(amount: Fraction, places: int) -> Decimal:
    whole = round(amount * 10**places)  # half-even, as `round` of a Fraction is
    return Decimal(whole).scaleb(-places, context=_ROUNDING)
