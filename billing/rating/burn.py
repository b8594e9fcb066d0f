"""Burning credit down: which grant pays for what. Pure; what a grant still holds is for the ledger to say."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from billing.rating.exact import ZERO, minus, total
from billing.rating.rounding import rounded

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Cell:
    """A part of a line's rounded amount: usage of `model` in `[start, end)`, in which no grant begins or expires."""

    line_key: str
    model: str
    start: datetime
    end: datetime
    amount: Decimal


@dataclass(frozen=True)
class GrantLeft:
    """`left`: what it still holds. It covers usage from `effective_from` until `expires_at` (None: for ever), of `models` (empty: any)."""

    id: int
    left: Decimal
    priority: int
    kind: str
    effective_from: datetime
    expires_at: datetime | None = None
    models: frozenset[str] = frozenset()

    @property
    def order(self) -> tuple[object, ...]:
        return (self.priority, self.expires_at or _NEVER, self.effective_from, self.id)


@dataclass(frozen=True)
class Burn:
    """Of a grant, for a line. Positive."""

    grant_id: int
    line_key: str
    amount: Decimal


def burn(cells: Iterable[Cell], grants: Iterable[GrantLeft], currency: str) -> tuple[Burn, ...]:
    """By priority, then the earliest expiry, then the earliest beginning; each takes the earliest usage that it covers.

    A cell that reaches over a grant's beginning or end is not covered by it: cut cells there. Raises ValueError for an amount that is
    negative or in fractions of the currency's minor unit.
    """
    open_cells = sorted(cells, key=lambda cell: (cell.start, cell.end, cell.line_key, cell.model))
    left = [_checked(cell.amount, currency) for cell in open_cells]
    burnt: dict[tuple[int, str], Decimal] = {}
    for grant in sorted(grants, key=lambda grant: grant.order):
        held = _checked(grant.left, currency)
        for place, cell in enumerate(open_cells):
            taken = min(held, left[place])
            if taken > 0 and covers(grant, cell):
                held, left[place] = minus(held, taken), minus(left[place], taken)
                key = (grant.id, cell.line_key)
                burnt[key] = total((burnt.get(key, ZERO), taken))
    return tuple(Burn(grant_id, line_key, amount) for (grant_id, line_key), amount in burnt.items())


def covers(grant: GrantLeft, cell: Cell) -> bool:
    if grant.models and cell.model not in grant.models:
        return False
    return grant.effective_from <= cell.start and (grant.expires_at is None or cell.end <= grant.expires_at)


def _checked(amount: Decimal, currency: str) -> Decimal:
    if amount < 0 or amount != rounded(amount, currency):
        raise ValueError(f"{amount} {currency} is not an amount that credit can pay")
    return amount
