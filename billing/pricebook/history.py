"""A book to look at: the prices in force, those to come, and what one version changed against another."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.utils import timezone

from billing import rating
from billing.models import Price
from billing.pricebook import books
from billing.pricebook.rows import Key, PriceRow

KINDS = [str(kind) for kind in rating.Kind]
WITHDRAWN = Price.ChargeModel.WITHDRAWN


@dataclass(frozen=True)
class PriceInfo:
    """A row of a book. It holds in `[starts, ends)`; `ends` None: until another takes its place. `dated` False: a draft's row that
    begins when that is published.
    """

    row: PriceRow
    book: str
    version: int
    starts: datetime
    ends: datetime | None
    dated: bool = True

    @property
    def withdrawn(self) -> bool:
        return self.row.charge_model == WITHDRAWN

    def holds(self, at: datetime) -> bool:
        return self.starts <= at and (self.ends is None or at < self.ends)


@dataclass(frozen=True)
class PriceChange:
    """One key: what held last before, and after. `share`: by how much an amount rose (0.1: 10 %), where both are one amount for as many
    units; else None.
    """

    before: PriceInfo | None
    after: PriceInfo | None

    @property
    def share(self) -> Decimal | None:
        if self.before is None or self.after is None:
            return None
        old, new = self.before.row, self.after.row
        same_unit = (old.charge_model, old.per) == (new.charge_model, new.per)
        if not (same_unit and isinstance(old.amount, Decimal) and isinstance(new.amount, Decimal) and old.amount):
            return None
        return (new.amount - old.amount) / old.amount


def courses(book: str, version: int | None = None) -> dict[Key, list[PriceInfo]]:
    """The rows of every key in the order in which they hold, as of a version (default: the latest published); not those that never do."""
    number = books.current_version(book) if version is None else version
    rows: dict[Key, dict[datetime, Price]] = {}
    for price in sorted(books.prices(book, number), key=lambda one: (one.version.number, one.pk)):
        rows.setdefault(books.row_of(price).key, {})[books.starts(price)] = (
            price  # of one moment the later version holds
        )
    return {key: _course(book, held) for key, held in sorted(rows.items(), key=lambda item: _order(item[0]))}


def in_force(book: str, version: int | None = None, *, at: datetime | None = None) -> list[PriceInfo]:
    """The prices that hold at `at` (default: now) and those that begin later; not those that are withdrawn and stay so."""
    now = at or timezone.now()
    found = [one for held in courses(book, version).values() for one in held if one.ends is None or one.ends > now]
    return [one for one in found if not (one.withdrawn and one.starts <= now)]


def differences(book: str, older: int, newer: int) -> list[PriceChange]:
    """What `newer` says otherwise than `older`, by key: of each what holds last. `older` 0: an empty book.

    Raises UnknownVersion.
    """
    for number in filter(None, (older, newer)):
        books.version(book, number)
    before, after = courses(book, older), courses(book, newer)
    found = []
    for key in sorted({**before, **after}, key=_order):
        old, new = before.get(key, [None])[-1], after.get(key, [None])[-1]
        if (old and (old.row.terms, old.starts)) != (new and (new.row.terms, new.starts)):
            found.append(PriceChange(old, new))
    return found


def _course(book: str, held: dict[datetime, Price]) -> list[PriceInfo]:
    moments = sorted(held)
    ends: list[datetime | None] = [*moments[1:], None]
    return [_info(book, held[starts], starts, end) for starts, end in zip(moments, ends, strict=True)]


def _info(book: str, price: Price, starts: datetime, ends: datetime | None) -> PriceInfo:
    published = hasattr(price.version, "publication")
    dated = published or price.effective_from is not None
    return PriceInfo(books.row_of(price), book, price.version.number, starts, ends, dated)


def _order(key: Key) -> tuple[object, ...]:
    """By currency and model, the general one last; then as a person reads them."""
    model, kind, tier, operation, region, context_over, currency = key
    place = KINDS.index(kind) if kind in KINDS else len(KINDS)
    return (currency, model == rating.ANY_MODEL, model, tier, operation, region, context_over, place, kind)
