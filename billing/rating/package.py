"""The package charge: so much for every package of `per` units that is started."""

from decimal import ROUND_CEILING, Context, Decimal

from billing.rating import exact

_UP = Context(prec=120, rounding=ROUND_CEILING)


def packages(quantity: Decimal, per: int) -> int:
    """0 for nothing, 1 for up to `per` units, 2 for up to twice as many."""
    return int(_UP.divide(quantity, Decimal(per)).to_integral_value(context=_UP)) if quantity > 0 else 0


def amount(quantity: Decimal, price: Decimal, per: int) -> Decimal:
    return exact.times(Decimal(packages(quantity, per)), price)


def explanation(quantity: Decimal, unit: str, price: Decimal, per: int, currency: str) -> str:
    count = packages(quantity, per)
    word = "package" if count == 1 else "packages"
    return f"{exact.grouped(quantity)} {unit}: {count:,} {word} of {per:,} x {exact.plain(price)} {currency}"
