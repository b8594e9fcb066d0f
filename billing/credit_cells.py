"""What of an invoice credit may cover, cut into cells of time and model. Pure.

Promotional credit covers usage, less the discounts and service credits that lie on it, and never more than the subtotal. Paid and
carried credit pays the total after tax. What is not usage (fees, the true-up of a commitment) falls due with the period's end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from billing import rating
from billing.rating import ANY_MODEL, Cell, Line, LineType, exact
from billing.rating.terms import AppliesTo

COVERED = frozenset({LineType.USAGE, LineType.ADJUSTMENT})
REDUCES_USAGE = frozenset({LineType.DISCOUNT, LineType.SERVICE_CREDIT})
FEES = frozenset({LineType.FLAT_FEE, LineType.PERCENTAGE_FEE})
QUARTER = timedelta(minutes=15)


@dataclass(frozen=True)
class Part:
    """A cell of one line. `cell.line_key` is its place among all parts, so that a burn says which part it took from."""

    line: Line
    cell: Cell


def coverable(lines: Sequence[Line], cells: Iterable[Cell], currency: str) -> list[Part]:
    """What promotional credit may cover. `cells`: of usage lines, gross, in rounded amounts that sum to each line."""
    parts = _gross(lines, cells)
    for line in lines:
        if line.type in REDUCES_USAGE and line.amount and line.detail.get("applies_to") != AppliesTo.FEES:
            usage = [place for place, part in enumerate(parts) if _lies_on(line, part)]
            parts = _less(parts, _share_of_usage(line, lines, currency), usage, currency)
    subtotal = max(exact.total(line.amount or exact.ZERO for line in lines), exact.ZERO)
    over = exact.minus(_sum(parts), subtotal)
    return _less(parts, over, range(len(parts)), currency) if over > 0 else parts


def payable(
    parts: Sequence[Part],
    taken: Mapping[str, Decimal],
    *,
    total: Decimal,
    subtotal: Decimal,
    end: datetime,
    currency: str,
) -> list[Cell]:
    """The total after tax, spread over what is left of the parts (`taken`: by promotional credit) and the rest of the invoice."""
    left = [exact.minus(part.cell.amount, taken.get(part.cell.line_key, exact.ZERO)) for part in parts]
    rest = max(exact.minus(subtotal, exact.total(left)), exact.ZERO)
    due_at_end = Cell(line_key="", model="", start=end - QUARTER, end=end, amount=exact.ZERO)
    cells = [*(part.cell for part in parts), due_at_end]
    weights = [*left, rest]
    if not any(weights):
        return [replace(due_at_end, amount=total)]
    shares = rating.allocate(total, weights, currency)
    return [replace(cell, amount=share) for cell, share in zip(cells, shares, strict=True) if share > 0]


def _gross(lines: Sequence[Line], cells: Iterable[Cell]) -> list[Part]:
    by_line: dict[str, list[Cell]] = {}
    for cell in cells:
        by_line.setdefault(cell.line_key, []).append(cell)
    found: list[Part] = []
    for line in lines:
        if line.type not in COVERED or line.amount is None or line.amount <= 0:
            continue
        # The key of an adjustment is that of a line of its own period, whose cells are not its.
        own = by_line.get(line.key) if line.type is LineType.USAGE else None
        for cell in own or [Cell(line.key, line.model, line.start, line.end, line.amount)]:
            if cell.amount > 0:
                key = f"{len(found):06}"
                found.append(Part(line, Cell(key, cell.model, cell.start, cell.end, cell.amount)))
    return found


def _share_of_usage(reduction: Line, lines: Sequence[Line], currency: str) -> Decimal:
    """How much of a reduction lies on usage: of one off everything, the part that usage has in everything."""
    amount = exact.minus(exact.ZERO, reduction.amount or exact.ZERO)
    if reduction.detail.get("applies_to") != AppliesTo.ALL:
        return amount
    usage = exact.total(line.amount or exact.ZERO for line in lines if line.type is LineType.USAGE)
    fees = exact.total(line.amount or exact.ZERO for line in lines if line.type in FEES)
    return rating.allocate(amount, [usage, fees], currency)[0] if fees > 0 else amount


def _lies_on(reduction: Line, part: Part) -> bool:
    return part.line.type is LineType.USAGE and reduction.model in {"", ANY_MODEL, part.cell.model}


def _less(parts: list[Part], amount: Decimal, places: Sequence[int], currency: str) -> list[Part]:
    """With `amount` taken off the parts in these places, in proportion; never below zero."""
    weights = [parts[place].cell.amount for place in places]
    taken = min(amount, exact.total(weights))
    if taken <= 0:
        return parts
    found = list(parts)
    for place, share in zip(places, rating.allocate(taken, weights, currency), strict=True):
        part = found[place]
        found[place] = replace(part, cell=replace(part.cell, amount=exact.minus(part.cell.amount, share)))
    return found


def _sum(parts: Iterable[Part]) -> Decimal:
    return exact.total(part.cell.amount for part in parts)
