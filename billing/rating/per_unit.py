"""The per-unit charge: so much for every `per` units (a million tokens), whatever the quantity."""

from decimal import Decimal
from functools import lru_cache

from billing.rating import exact
from billing.rating.exact import Exact

PER = 1_000_000


def amount(quantity: Decimal | int, price: Decimal, per: int = PER) -> Exact:
    """quantity x price / per, to the last digit."""
    return exact.quotient(exact.times(Decimal(quantity), price), per)


def explanation(quantity: Decimal | int, unit: str, price: Decimal, per: int, currency: str) -> str:
    return f"{exact.grouped(quantity)} {unit} x {price_text(price, per, currency)}"


@lru_cache(maxsize=10_000)
def price_text(price: Decimal, per: int, currency: str) -> str:
    return f"{exact.plain(price)} {currency} {each(per)}"


def each(per: int) -> str:
    if per == PER:
        return "per million"
    return "each" if per == 1 else f"per {per:,}"
