"""The graduated charge: each unit costs what the tier it falls into says. The flat part of a tier is due once a unit falls into it."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from billing.rating import exact, per_unit
from billing.rating.exact import Exact
from billing.rating.tiers import Tier, TierCharge


def charges(quantity: Decimal, tiers: Sequence[Tier], per: int) -> Iterator[TierCharge]:
    """The tiers that hold any of the quantity, lowest first."""
    below = exact.ZERO
    for tier in tiers:
        if quantity <= below:
            return
        upper = quantity if tier.up_to is None else min(quantity, tier.up_to)
        within = exact.minus(upper, below)
        yield TierCharge(tier, within, exact.added((per_unit.amount(within, tier.amount, per), tier.flat)))
        below = upper


def amount(quantity: Decimal, tiers: Sequence[Tier], per: int) -> Exact:
    return exact.added(charge.amount for charge in charges(quantity, tiers, per))


def explanation(quantity: Decimal, unit: str, tiers: Sequence[Tier], per: int, currency: str) -> str:
    parts = []
    for charge in charges(quantity, tiers, per):
        flat = f" + {exact.plain(charge.tier.flat)}" if charge.tier.flat else ""
        parts.append(f"{exact.grouped(charge.quantity)} x {exact.plain(charge.tier.amount)}{flat}")
    shown = "; ".join(parts) or "none"
    return f"{exact.grouped(quantity)} {unit}, graduated, {currency} {per_unit.each(per)}: {shown}"
