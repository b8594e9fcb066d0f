"""From usage and prices to invoice lines: every token on exactly one line, every line explained.

Version 1 of the rules. What an invoice was made with is stored on it, so a change of these rules is a new version, and the old
one stays (see `billing.rating.rater`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.rating import exact, per_unit
from billing.rating.kinds import Kind, Tokens, partition
from billing.rating.prices import PriceSheet, UnitPrice
from billing.rating.rounding import rounded

NOT_BILLED = frozenset({"error"})  # metered and shown; a cancelled stream's delivered tokens are billed


@dataclass(frozen=True)
class Usage:
    """Usage of one model, tier and status in `[start, end)`. No price changes inside it."""

    start: datetime
    end: datetime
    model: str
    tier: str
    status: str
    requests: int
    tokens: Tokens


@dataclass(frozen=True)
class Line:
    """Tokens of one kind at one price. `per_million` and the amounts are None where there is no price.

    `amount` is what is charged, `residual` what rounding left out: amount_exact = amount + residual.
    A line that is not billed (failed requests) has no price and amounts of zero.
    """

    model: str
    tier: str
    kind: Kind
    start: datetime
    end: datetime
    quantity: int
    billed: bool
    per_million: Decimal | None
    amount_exact: Decimal | None
    amount: Decimal | None
    explanation: str

    @property
    def residual(self) -> Decimal | None:
        if self.amount is None or self.amount_exact is None:
            return None
        return exact.minus(self.amount_exact, self.amount)

    @property
    def unpriced(self) -> bool:
        return self.billed and self.per_million is None


@dataclass(frozen=True)
class Part:
    """Tokens of one kind in one piece of usage, with the price that holds for them: what lines and costs are made from."""

    usage: Usage
    kind: Kind
    quantity: int
    billed: bool
    price: UnitPrice | None

    @property
    def cost(self) -> Decimal | None:
        """Unrounded; None without a price, zero where it is not billed."""
        if not self.billed:
            return exact.ZERO
        return per_unit.amount(self.quantity, self.price.per_million) if self.price else None


def parts(usage: Usage, sheet: PriceSheet) -> list[Part]:
    billed = usage.status not in NOT_BILLED
    found = []
    for kind, quantity in partition(usage.tokens).items():
        if quantity:
            price = sheet.price(usage.model, kind, usage.tier, usage.start) if billed else None
            found.append(Part(usage, kind, quantity, billed, price))
    return found


def rate(usages: Iterable[Usage], sheet: PriceSheet) -> tuple[Line, ...]:
    """Lines in the order model, tier, billed first, kind, time. Splitting or joining `usages` changes nothing in them."""
    groups: dict[tuple[object, ...], list[Part]] = {}
    for usage in usages:
        for part in parts(usage, sheet):
            # A price that ends and comes back makes two lines: effective_from tells them apart.
            since = part.price.effective_from if part.price else None
            per_million = part.price.per_million if part.price else None
            key = (usage.model, usage.tier, part.kind, part.billed, per_million, since)
            groups.setdefault(key, []).append(part)
    order = list(Kind)
    lines = (_line(group, sheet.currency) for group in groups.values())
    return tuple(
        sorted(lines, key=lambda line: (line.model, line.tier, not line.billed, order.index(line.kind), line.start))
    )


def _line(group: Sequence[Part], currency: str) -> Line:
    first = group[0]
    quantity = sum(part.quantity for part in group)
    per_million = first.price.per_million if first.price else None
    amount_exact = exact.ZERO if not first.billed else None
    if per_million is not None:
        amount_exact = per_unit.amount(quantity, per_million)
    return Line(
        model=first.usage.model,
        tier=first.usage.tier,
        kind=first.kind,
        start=min(part.usage.start for part in group),
        end=max(part.usage.end for part in group),
        quantity=quantity,
        billed=first.billed,
        per_million=per_million,
        amount_exact=amount_exact,
        amount=None if amount_exact is None else rounded(amount_exact, currency),
        explanation=_explanation(first, quantity, currency),
    )


def _explanation(part: Part, quantity: int, currency: str) -> str:
    if not part.billed:
        return f"{quantity:,} tokens of requests with status {part.usage.status}: not billed"
    if part.price is None:
        return f"{quantity:,} tokens without a price in {currency}"
    how = per_unit.explanation(quantity, part.price.per_million, currency)
    if part.price.kind is not part.kind:
        how += f" (the price of {part.price.kind})"
    return how
