"""The volume charge: the whole quantity at the price of the tier that it reaches, with that tier's flat part. Nothing costs nothing."""

from collections.abc import Sequence
from decimal import Decimal

from billing.rating import exact, per_unit
from billing.rating.exact import Exact
from billing.rating.tiers import Tier


def reached(quantity: Decimal, tiers: Sequence[Tier]) -> Tier:
    """Raises ValueError for tiers that end below the quantity."""
    for tier in tiers:
        if tier.up_to is None or quantity <= tier.up_to:
            return tier
    raise ValueError(f"no tier for {exact.grouped(quantity)} units")


def amount(quantity: Decimal, tiers: Sequence[Tier], per: int) -> Exact:
    if quantity <= 0:
        return exact.ZERO
    tier = reached(quantity, tiers)
    return exact.added((per_unit.amount(quantity, tier.amount, per), tier.flat))


def explanation(quantity: Decimal, unit: str, tiers: Sequence[Tier], per: int, currency: str) -> str:
    tier = reached(quantity, tiers)
    which = "in the last tier" if tier.up_to is None else f"in the tier up to {exact.grouped(tier.up_to)}"
    flat = f" + {exact.plain(tier.flat)}" if tier.flat else ""
    price = f"{exact.plain(tier.amount)} {currency} {per_unit.each(per)}{flat}"
    return f"{exact.grouped(quantity)} {unit}, all {which}: x {price}"
