"""What each piece of usage cost of the lines that it is on, unrounded: for costs by hour, project or model, and for drilling into a line.

Of a price without tiers a piece costs its quantity times the price. Where the cost depends on all of the line (tiers, included usage), it
is shared out in proportion, to 18 digits by largest remainder, so that the pieces sum to the line's exact amount to the last digit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.rating.allocation import spread
from billing.rating.allowances import cover
from billing.rating.charging import linear
from billing.rating.exact import ZERO
from billing.rating.gathering import Gathered, Keep, gather
from billing.rating.lines import MeterUsage, Usage
from billing.rating.period_prices import period_prices
from billing.rating.prices import PriceRule, PriceSheet
from billing.rating.rounding import EXACT_PLACES, finite
from billing.rating.terms import Agreement, without_contract
from billing.rating.usage_lines import usage_line


@dataclass(frozen=True, slots=True)
class Part:
    """One kind in one piece of usage. `cost` is None without a price, zero where it is not billed. `line_key`: the line that it is on."""

    kind: str
    quantity: Decimal
    billed: bool
    rule: PriceRule | None
    line_key: str
    cost: Decimal | None


def costed(  # noqa: PLR0917 - as `statement`
    usages: Sequence[Usage],
    meters: Sequence[MeterUsage],
    agreement: Agreement,
    sheet: PriceSheet,
    period_start: datetime,
    period_end: datetime,
) -> list[list[Part]]:
    """The parts of each piece of usage, in the order given: first the usages, then the meters.

    All usage of the billing period must be there, or tiers and allowances are counted wrongly. Before discounts and fees.
    """
    found: list[list[Part]] = [[] for _ in range(len(usages) + len(meters))]
    prices = period_prices(sheet, period_start, period_end)
    gathered = gather(usages, meters, agreement, prices, Keep.PIECES)
    cover(gathered, agreement)
    for held in gathered:
        slot = held.slot
        pieces = [(key.kind, piece) for key, share in held.ordered() for piece in share.pieces]
        for (kind, piece), cost in zip(pieces, _costs(held, sheet.currency), strict=True):
            found[piece.place].append(Part(kind, piece.quantity, slot.billed, slot.rule, slot.key, cost))
    return found


def parts(usage: Usage, sheet: PriceSheet) -> list[Part]:
    """Of one piece of usage on its own, without a contract. Raises ValueError where its cost depends on all usage of the period."""
    (found,) = costed([usage], (), without_contract(usage.start, usage.end), sheet, usage.start, usage.end)
    if any(part.rule is not None and part.rule.tiered for part in found):
        raise ValueError(f"{usage.model} has a price with tiers: what a part of its usage costs depends on all of it")
    return found


def _costs(held: Gathered, currency: str) -> list[Decimal | None]:
    """Of the pieces of a line, in the order of its shares."""
    rule = held.slot.rule
    pieces = [piece for _, share in held.ordered() for piece in share.pieces]
    if rule is None:
        return [None if held.slot.billed else ZERO for _ in pieces]
    if not rule.tiered and not held.included:
        found = [linear(rule, piece.quantity, piece.events) for piece in pieces]
        if all(isinstance(amount, Decimal) and finite(amount) is amount for amount in found):
            return [finite(amount) for amount in found]
    return list(_shared_out(held, currency))


def _shared_out(held: Gathered, currency: str) -> Iterator[Decimal]:
    """The exact amount of the line by what is charged, and within a share by quantity: a part of it is not more included than another."""
    shares = [share for _, share in held.ordered()]
    amount = usage_line(held, currency, ZERO).amount_exact or ZERO
    for share, part in zip(shares, spread(amount, [share.charged for share in shares], EXACT_PLACES), strict=True):
        yield from spread(part, [piece.quantity for piece in share.pieces], EXACT_PLACES)
