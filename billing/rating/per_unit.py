"""The per-unit charge: so much for a million tokens, whatever the quantity."""

from decimal import Decimal

from billing.rating import exact

PER = 1_000_000
SHIFT = -6  # dividing by PER moves the point; nothing is rounded


def amount(quantity: int, per_million: Decimal) -> Decimal:
    """quantity x per_million / 10^6, to the last digit."""
    return exact.times(Decimal(quantity), per_million).scaleb(SHIFT, context=exact.EXACT)


def explanation(quantity: int, per_million: Decimal, currency: str) -> str:
    return f"{quantity:,} tokens x {exact.plain(per_million)} {currency} per million"
