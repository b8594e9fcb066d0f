"""The price book as rating sees it: which price holds for a kind of token of a model and tier at a moment.

Of the prices that match, the most specific wins: (model, tier), (model, any tier), (any model, tier), (any model, any tier).
Of the prices of one such key, the latest `effective_from` that is not in the future wins, and of equals the higher version.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from billing.rating.kinds import PRICED_LIKE, Kind

ANY_MODEL = "*"
ANY_TIER = ""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

Key = tuple[str, Kind, str]  # model, kind, tier


@dataclass(frozen=True)
class UnitPrice:
    """A row of the book: what a million tokens cost from a moment on, until a later row of the same key."""

    model: str
    kind: Kind
    tier: str
    currency: str
    per_million: Decimal
    effective_from: datetime
    version: int

    @property
    def key(self) -> Key:
        return (self.model, self.kind, self.tier)


class PriceSheet:
    """The prices of one currency as of one version of the book."""

    def __init__(self, prices: Iterable[UnitPrice], *, version: int, currency: str) -> None:
        self.version = version
        self.currency = currency
        self._by_key: dict[Key, list[UnitPrice]] = {}
        for price in sorted(prices, key=lambda row: (row.effective_from, row.version), reverse=True):
            if price.currency == currency and price.version <= version:
                self._by_key.setdefault(price.key, []).append(price)

    def price(self, model: str, kind: Kind, tier: str, at: datetime) -> UnitPrice | None:
        """None if nothing matches, with the kind that stands in for it (output for reasoning) tried last."""
        for candidate in _candidates(kind):
            for key in ((model, candidate, tier), (model, candidate, ANY_TIER), (ANY_MODEL, candidate, tier),
                        (ANY_MODEL, candidate, ANY_TIER)):  # fmt: skip
                for row in self._by_key.get(key, ()):
                    if row.effective_from <= at:
                        return row
        return None

    def rows(self, model: str, kind: Kind, tier: str) -> list[UnitPrice]:
        """Exactly this key's rows, the latest first."""
        return list(self._by_key.get((model, kind, tier), ()))

    def changes(self, start: datetime, end: datetime) -> list[datetime]:
        """The moments strictly within the period at which any price begins."""
        return sorted({row.effective_from for row in self if start < row.effective_from < end})

    def course(
        self, model: str, kind: Kind, tier: str, start: datetime, end: datetime
    ) -> dict[datetime, Decimal | None]:
        """What holds from `start`, and from each later change before `end`."""
        found: dict[datetime, Decimal | None] = {}
        held: list[Decimal | None] = []
        for moment in (start, *self.changes(start, end)):
            row = self.price(model, kind, tier, moment)
            per_million = row.per_million if row else None
            if held[-1:] != [per_million]:
                held.append(per_million)
                found[moment] = per_million
        return found

    def __iter__(self) -> Iterator[UnitPrice]:
        return (row for rows in self._by_key.values() for row in rows)


def _candidates(kind: Kind) -> tuple[Kind, ...]:
    return (kind, PRICED_LIKE[kind]) if kind in PRICED_LIKE else (kind,)
