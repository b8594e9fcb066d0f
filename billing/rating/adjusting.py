"""Adjustments: what a period costs now, less what was billed for it. A delta is never rated alone.

So billed + adjustment is exactly what rating and rounding the whole period gives, line by line, and however often it is corrected.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from billing.rating.exact import ZERO, grouped, minus, total
from billing.rating.keys import parts_of
from billing.rating.lines import Line, LineType
from billing.rating.rounding import rounded

# What a statement is made of. Credits and service credits of a period are settled on its own invoice.
RATED = frozenset({LineType.USAGE, LineType.FLAT_FEE, LineType.PERCENTAGE_FEE, LineType.DISCOUNT, LineType.COMMITMENT})


def adjustments(
    billed_lines: Iterable[Line], now_lines: Iterable[Line], origin: str, currency: str, *, tax_rate: Decimal = ZERO
) -> tuple[Line, ...]:
    """The lines that correct an earlier invoice, `origin`: its number.

    `billed_lines`: those of that invoice, and the adjustments of it that were billed since; lines of other types and adjustments of
    other invoices are left out. `now_lines`: the same period rated again. An adjustment has the key of the line that it corrects,
    quantities and amounts as differences, and is there for billed usage whose quantity or amount differs. One whose usage has no price has
    amounts of None, and blocks the invoice as any such line.
    """
    billed: dict[str, list[Line]] = {}
    for line in billed_lines:
        if line.type in RATED or (line.type is LineType.ADJUSTMENT and line.origin == origin):
            billed.setdefault(line.key, []).append(line)
    now = {line.key: line for line in now_lines}
    found = (_difference(billed.get(key, []), now.get(key), origin, currency) for key in {**now, **billed})
    return tuple(replace(line, tax_rate=tax_rate) for line in found if line is not None)


@dataclass(frozen=True)
class Totals:
    """What one key has in all. Amounts are None without a price."""

    quantity: Decimal
    included: Decimal
    amount_exact: Decimal | None
    amount: Decimal | None

    @classmethod
    def of(cls, lines: Sequence[Line]) -> "Totals":
        priced = all(line.amount is not None for line in lines)
        return cls(
            total(line.quantity for line in lines),
            total(line.included for line in lines),
            total(line.amount_exact or ZERO for line in lines) if priced else None,
            total(line.amount or ZERO for line in lines) if priced else None,
        )


def corrected_type(key: str) -> str:
    """The type of the line that an adjustment with this key corrects."""
    return str(parts_of(key)[0])


def _difference(billed: Sequence[Line], now: Line | None, origin: str, currency: str) -> Line | None:
    like = now or billed[0]
    if not like.billed:
        return None  # requests that failed: nothing was owed, and nothing is
    before = Totals.of(billed)
    after = Totals.of([now] if now else [])
    quantity = minus(after.quantity, before.quantity)
    if before == after:
        return None
    if after.amount is None:
        return _line(like, origin, before, after, f"{_more(quantity, like.unit)} without a price in {currency}")
    said = f"{_more(quantity, like.unit)}: " if quantity and like.type is LineType.USAGE else ""
    said += f"{_shown(after.amount, currency)} {currency} in all, {_shown(before.amount, currency)} were billed"
    return _line(like, origin, before, after, said)


def _line(like: Line, origin: str, before: Totals, after: Totals, said: str) -> Line:
    return replace(
        like,
        type=LineType.ADJUSTMENT,
        origin=origin,
        quantity=minus(after.quantity, before.quantity),
        included=minus(after.included, before.included),
        amount_exact=None if after.amount_exact is None else minus(after.amount_exact, before.amount_exact or ZERO),
        amount=None if after.amount is None else minus(after.amount, before.amount or ZERO),
        explanation=f"Of {origin}, {_name(like)}: {said}",
        detail={"corrects": corrected_type(like.key)},
    )


def _name(like: Line) -> str:
    """What the line is of, in words."""
    kind = corrected_type(like.key)
    if kind != LineType.USAGE:
        return kind.replace("_", " ")
    return " ".join(part for part in (like.model, like.tier, like.kind.replace("_", " ")) if part)


def _more(quantity: Decimal, unit: str) -> str:
    """`1,200 tokens more`."""
    return f"{grouped(quantity.copy_abs())} {unit} {'more' if quantity >= 0 else 'less'}"


def _shown(amount: Decimal | None, currency: str) -> str:
    return format(rounded(amount or ZERO, currency), ",f")
