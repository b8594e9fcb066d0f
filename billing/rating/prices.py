"""The price book as rating sees it: which price holds for a kind of usage at a moment.

Of the prices that match, the most specific wins: those of a contract's book before the list's; then those that name the model, the tier,
the higher context threshold, the operation, the region, in this order of weight, each before those that take any.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from billing.rating.kinds import PRICED_LIKE, Kind
from billing.rating.tiers import Tier

if TYPE_CHECKING:
    from billing.rating.period_prices import PeriodPrices

ANY_MODEL = "*"
ANY_TIER = ""
LIST = "list"  # everybody's book
REQUEST = "request"  # the kind of a price for each request
METER = "meter:"  # and of one for what a meter measures, before its slug
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
ALWAYS_DECIDE = ("model", "tier", "status")


class ChargeModel(StrEnum):
    PER_UNIT = "per_unit"
    GRADUATED = "graduated"
    VOLUME = "volume"
    PACKAGE = "package"
    PERCENTAGE = "percentage"
    WITHDRAWN = "withdrawn"  # from then on its key has no price


TIERED = frozenset(
    {ChargeModel.GRADUATED, ChargeModel.VOLUME, ChargeModel.PACKAGE}
)  # a unit's cost depends on how many there are


class Key(NamedTuple):
    """What a row is a price of. A later row of the same key takes its place. '' and 0 (model: '*') match any."""

    book: str
    model: str
    kind: str
    tier: str
    operation: str
    region: str
    context_over: int

    @property
    def rank(self) -> tuple[object, ...]:
        """The most specific sorts first."""
        return (
            self.book == LIST,
            self.book,
            self.model == ANY_MODEL,
            not self.tier,
            -self.context_over,
            not self.operation,
            not self.region,
        )


@dataclass(frozen=True)
class PriceRule:
    """A row of a book: what one kind of usage costs from a moment on, until a later row of the same key. See `billing.models.Price`."""

    model: str
    kind: str
    tier: str
    currency: str
    effective_from: datetime
    version: int
    book: str = LIST
    operation: str = ""
    region: str = ""
    context_over: int = 0
    charge_model: str = ChargeModel.PER_UNIT
    amount: Decimal | None = None
    per: int = 1_000_000
    tiers: tuple[Tier, ...] = ()
    rate: Decimal | None = None
    fixed: Decimal | None = None

    @property
    def key(self) -> Key:
        return Key(self.book, self.model, self.kind, self.tier, self.operation, self.region, self.context_over)

    @property
    def tiered(self) -> bool:
        return self.charge_model in TIERED

    @property
    def withdrawn(self) -> bool:
        return self.charge_model == ChargeModel.WITHDRAWN


class UsageLike(Protocol):
    """What of a piece of usage decides its price. `context_band`: the upper edge of the ledger's band, 0 if not asked for."""

    @property
    def model(self) -> str: ...
    @property
    def tier(self) -> str: ...
    @property
    def operation(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def context_band(self) -> int: ...


class PriceSheet:
    """The prices of one currency as of one version of each of its books. A book that `versions` does not name is left out."""

    def __init__(self, rules: Iterable[PriceRule], *, versions: Mapping[str, int], currency: str) -> None:
        self.versions = dict(versions)
        self.currency = currency
        self._rows: dict[Key, list[PriceRule]] = {}
        self._keys: dict[tuple[str, str], list[Key]] = {}  # by kind and model, the most specific first
        for rule in sorted(rules, key=lambda row: (row.effective_from, row.version)):
            if rule.currency == currency and rule.version <= self.versions.get(rule.book, -1):
                self._rows.setdefault(rule.key, []).append(rule)
        for key in sorted(self._rows, key=lambda key: key.rank):
            self._keys.setdefault((key.kind, key.model), []).append(key)
        self._moments = sorted({rule.effective_from for rule in self})
        self.tiered = any(rule.tiered for rule in self)
        self.periods: dict[tuple[datetime, datetime], PeriodPrices] = {}  # what `period_prices` has worked out of it

    def rule(
        self,
        usage: UsageLike,
        kind: str,
        at: datetime,
        *,
        period_start: datetime | None = None,
        book: str | None = None,
    ) -> PriceRule | None:
        """What holds for a kind of usage at a moment; None if nothing does.

        `period_start`: of the billing period that `at` lies in, since a change of tiers waits for the next one (default: as if one began
        at `at`). `book`: the contract's, '' none (default: all books that the sheet has).
        """
        return self.holding(self.matching(usage, kind, book), period_start or at, at)

    def matching(self, usage: UsageLike, kind: str, book: str | None = None) -> list[Key]:
        """The keys that match, the most specific first; those of the kind that stands in for it (output for reasoning) come last."""
        return [
            key for one in stand_ins(kind) for key in self.near(usage.model, one, book) if why_not(key, usage) is None
        ]

    def near(self, model: str, kind: str, book: str | None = None) -> list[Key]:
        """The keys of that kind for the model and for any, whatever else they ask for, the most specific first."""
        found = [*self._keys.get((kind, model), ())]
        if model != ANY_MODEL:
            found += self._keys.get((kind, ANY_MODEL), ())
        books = None if book is None else {book, LIST}
        return sorted((key for key in found if books is None or key.book in books), key=lambda key: key.rank)

    def holding(self, keys: Iterable[Key], period_start: datetime, at: datetime) -> PriceRule | None:
        """The first of these keys that has a price."""
        for key in keys:
            row = in_force(self._rows[key], period_start, at)
            if row is not None and not row.withdrawn:
                return row
        return None

    def rows(self, key: Key) -> list[PriceRule]:
        """Exactly this key's rows, the earliest first."""
        return list(self._rows.get(key, ()))

    def dimensions(self) -> tuple[str, ...]:
        """Metering's dimensions that decide a price of this sheet: always model, tier and status."""
        asked = {
            "operation": any(key.operation for key in self._rows),
            "region": any(key.region for key in self._rows),
            "context_band": any(key.context_over for key in self._rows),
        }
        return (*ALWAYS_DECIDE, *(name for name, wanted in asked.items() if wanted))

    def meters(self) -> tuple[str, ...]:
        """The slugs of the meters that have a price."""
        return tuple(sorted({key.kind.removeprefix(METER) for key in self._rows if key.kind.startswith(METER)}))

    def changes(self, start: datetime, end: datetime) -> list[datetime]:
        """The moments strictly within the period at which any price begins."""
        return self._moments[bisect_right(self._moments, start) : bisect_left(self._moments, end)]

    def __iter__(self) -> Iterator[PriceRule]:
        return (row for rows in self._rows.values() for row in rows)


def in_force(rows: Iterable[PriceRule], period_start: datetime, at: datetime) -> PriceRule | None:
    """Of the rows of one key, the earliest first, the one that holds: the last that has begun.

    Within a billing period no count of tiers begins anew: a row with tiers that takes another's place, or takes the place of one with
    tiers, waits for the next period.
    """
    held: PriceRule | None = None
    for row in rows:
        if row.effective_from > at:
            break
        if row.effective_from <= period_start or not waits(held, row):
            held = row
    return held


def waits(held: PriceRule | None, row: PriceRule) -> bool:
    """Whether a row that begins within a billing period waits for the next one."""
    return held is not None and not held.withdrawn and (held.tiered or row.tiered)


def why_not(key: Key, usage: UsageLike) -> str | None:
    """The first thing that keeps a key from matching, in words; None if it matches."""
    for name, asked, used in (
        ("model", "" if key.model == ANY_MODEL else key.model, usage.model),
        ("tier", key.tier, usage.tier),
        ("operation", key.operation, usage.operation),
        ("region", key.region, usage.region),
    ):
        if asked and asked != used:
            return f"{name} {asked} is not {used or 'empty'}"
    if key.context_over and usage.context_band <= key.context_over:
        return f"not more than {key.context_over:,} input tokens"
    return None


def stand_ins(kind: str) -> tuple[str, ...]:
    """The kind, and then the one whose price it has if it has none of its own."""
    other = PRICED_LIKE.get(Kind(kind)) if kind in PRICED_LIKE else None
    return (kind, other) if other else (kind,)
