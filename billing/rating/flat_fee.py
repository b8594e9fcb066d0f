"""The flat fee: an amount for a whole period, in proportion to the days of it that the fee held."""

from decimal import Decimal
from fractions import Fraction

from billing.rating import exact


def amount(fee: Decimal, days: int, period_days: int) -> Fraction:
    """fee x days / period_days, exact; the days are the contract's local ones, so a period of 31 days has cheaper days than one of 28."""
    return exact.fraction_of(fee, days, period_days)


def explanation(fee: Decimal, days: int, period_days: int, currency: str) -> str:
    shown = f"{exact.plain(fee)} {currency}"
    return shown if days == period_days else f"{shown} x {days} of {period_days} days"
