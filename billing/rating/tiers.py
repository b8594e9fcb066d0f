"""Tables of tiers, for the charge models that have them.

A tier holds for what lies above the bound before it, up to and including its own: (before, up_to]. So the unit at a bound belongs to the
lower tier, and no number is in two tiers or in none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from billing.rating import exact
from billing.rating.rounding import finite


@dataclass(frozen=True)
class Tier:
    """`amount` for every `per` units of the price, and `flat` once. `up_to` None: no end."""

    up_to: Decimal | None
    amount: Decimal
    flat: Decimal = exact.ZERO


@dataclass(frozen=True)
class TierCharge:
    """What one tier charged: `quantity` units, and its exact amount with the flat part."""

    tier: Tier
    quantity: Decimal
    amount: exact.Exact


def tiers_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Tier, ...]:
    """From rows as the price book stores them: {"up_to": number or null, "amount": text, "flat": text}."""
    return tuple(
        Tier(
            up_to=None if row.get("up_to") is None else Decimal(row["up_to"]),
            amount=Decimal(row.get("amount") or 0),
            flat=Decimal(row.get("flat") or 0),
        )
        for row in rows
    )


def tier_problems(tiers: Sequence[Tier]) -> tuple[str, ...]:
    """Why nothing can be rated with these tiers; empty if it can."""
    if not tiers:
        return ("a charge with tiers needs at least one",)
    found = []
    bounds = [tier.up_to for tier in tiers]
    if bounds[-1] is not None:
        found.append(f"the last tier has no end: what would more than {exact.grouped(bounds[-1])} units cost?")
    if None in bounds[:-1]:
        found.append("a tier without an end is the last one")
    rising = [exact.ZERO, *(bound for bound in bounds if bound is not None)]
    found += [
        f"a tier up to {exact.grouped(after)} cannot follow {exact.grouped(before)}: bounds rise from above 0"
        for before, after in pairwise(rising)
        if after <= before
    ]
    if any(amount < 0 for tier in tiers for amount in (tier.amount, tier.flat)):
        found.append("an amount is below zero: more usage would be paid for")
    return tuple(found)


def volume_drops(tiers: Sequence[Tier], per: int) -> tuple[str, ...]:
    """The bounds at which a volume charge falls, so that a little more usage costs less. Usual in such price lists, but to be known.

    A graduated charge never falls: its tiers only add up.
    """
    found = []
    for lower, upper in pairwise(tiers):
        if lower.up_to is None:
            continue
        at, above = (_whole(tier, lower.up_to, per) for tier in (lower, upper))
        if above < at:
            found.append(
                f"above {exact.grouped(lower.up_to)} units the charge falls from {exact.plain(at)} to {exact.plain(above)}"
            )
    return tuple(found)


def _whole(tier: Tier, quantity: Decimal, per: int) -> Decimal:
    return finite(exact.added((exact.quotient(exact.times(quantity, tier.amount), per), tier.flat)))
