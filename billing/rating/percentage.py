"""The percentage charge: a share of money, with a fixed amount for each event or a least amount for the whole."""

from decimal import Decimal
from fractions import Fraction

from billing.rating import exact

_SHIFT = 2


def amount(base: Decimal, rate: Decimal, fixed: Decimal = exact.ZERO, events: int = 0) -> Decimal:
    """base x rate + events x fixed. `rate` is a fraction: 0.029 for 2.9 %."""
    return exact.total((exact.times(base, rate), exact.times(Decimal(events), fixed)))


def at_least(base: Decimal, rate: Decimal, least: Fraction) -> exact.Exact:
    """base x rate, or `least` if that is more."""
    share = amount(base, rate)
    return least if least > share else share


def explanation(base: Decimal, rate: Decimal, currency: str, fixed: Decimal = exact.ZERO, events: int = 0) -> str:
    each = f" + {events:,} x {exact.plain(fixed)} {currency}" if fixed else ""
    return f"{percent(rate)} of {exact.grouped(base)} {currency}{each}"


def percent(rate: Decimal) -> str:
    return f"{exact.plain(rate.scaleb(_SHIFT, context=exact.EXACT))} %"
