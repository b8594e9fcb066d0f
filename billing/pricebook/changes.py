"""Changing price books: a version is written as a draft, and holds once it is published. `set_price` does both at once for one price.

Rows are only added. A price holds from its moment until the next row of the same key (model, kind, tier, operation, region, context
threshold, currency); a row of charge model `withdrawn` ends it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from billing import audit_log, rating
from billing.models import Price, PriceBook, PriceBookPublication, PriceBookVersion
from billing.pricebook import books, invoiced
from billing.pricebook.rows import Key, PriceRefused, PriceRow, all_checked, bucket_edge, checked

LONGEST_BOOK = 64


@dataclass(frozen=True)
class PriceSet:
    """`version` is the book's latest; `added` is False if that price was in force already."""

    version: int
    effective_from: datetime
    added: bool


@dataclass(frozen=True)
class Held:
    """The row of a key that holds last, and from when on."""

    row: PriceRow
    starts: datetime


def set_price(
    *,
    model: str,
    kind: str,
    per_million: Decimal | str,
    currency: str,
    tier: str = rating.ANY_TIER,
    operation: str = "",
    region: str = "",
    context_over: int = 0,
    effective_from: datetime | None = None,
    book: str = books.LIST,
    by: str = "command",
) -> PriceSet:
    """Publish one price of a million tokens as a new version of the book. `model` '*': any model; the other matchers '' or 0: any.

    Without `effective_from`, the first price of a key holds from the beginning of time, so that history that is replayed has one, and a
    later price from the next quarter of an hour. Raises PriceRefused for a value that is no price, for a moment that is not on a quarter
    of an hour, and for a change that would give another price to a period that is invoiced.
    """
    row = PriceRow(
        model=model,
        kind=kind,
        currency=currency,
        tier=tier,
        operation=operation,
        region=region,
        context_over=context_over,
        amount=per_million,
        per=1_000_000,
        effective_from=effective_from,
    )
    return add_price(row, book=book, by=by)


@transaction.atomic
def add_price(row: PriceRow, *, book: str = books.LIST, by: str = "command") -> PriceSet:
    """As `set_price`, for a price of any charge model and kind."""
    row = checked(row)
    held_book = _locked(book)
    present = latest_by_key(book)
    held = present.get(row.key)
    if held is not None and row.effective_from is None and held.row.terms == row.terms:
        return PriceSet(books.current_version(book), held.starts, added=False)
    (row,) = _resolved([row], book, present)
    starts = row.effective_from or bucket_edge(timezone.now())
    version = _add(held_book, [replace(row, effective_from=starts)], note="", by=by)
    _publish(version, by)
    return PriceSet(version.number, starts, added=True)


@transaction.atomic
def new_version(
    book: str, rows: Iterable[PriceRow], note: str = "", by: str = "command", *, complete: bool = False
) -> PriceBookVersion:
    """A draft that adds what differs from the prices in force. `complete`: keys that `rows` does not name are withdrawn.

    A row without a moment begins when the draft is published; the first price of a key holds from the beginning of time, unless that
    would change what is invoiced. Raises PriceRefused, also where nothing differs.
    """
    wanted = all_checked(rows)
    held_book = _locked(book)
    present = latest_by_key(book)
    added = _resolved([row for row in wanted if _differs(row, present)], book, present)
    if complete:
        named = {row.key for row in wanted}
        added += [_withdrawal(held.row) for key, held in present.items() if key not in named and _in_force(held)]
    if not added:
        raise PriceRefused(f"nothing differs from version {books.current_version(book)} of price book {book!r}")
    _refuse_if_invoiced(added, book)
    return _add(held_book, added, note=note, by=by)


@transaction.atomic
def publish(book: str, version: int, by: str = "command") -> PriceBookPublication:
    """From now on the version holds. Raises UnknownVersion, or PriceRefused if it is published, if a newer one is, or if what is invoiced
    would have another price.
    """
    _locked(book)
    return _publish(books.version(book, version), by)


def latest_by_key(book: str, version: int | None = None) -> dict[Key, Held]:
    """Of every key the row that holds last, withdrawn ones included, as of a version (default: the latest published)."""
    number = books.current_version(book) if version is None else version
    found: dict[Key, tuple[datetime, int, PriceRow]] = {}
    for price in books.prices(book, number):
        row, starts = books.row_of(price), books.starts(price)
        best = found.get(row.key)
        if best is None or (starts, price.version.number) >= best[:2]:
            found[row.key] = (starts, price.version.number, row)
    return {key: Held(row, starts) for key, (starts, _, row) in found.items()}


def _locked(book: str) -> PriceBook:
    """One change at a time: versions are numbered without gaps."""
    try:
        validate_slug(book)
    except ValidationError:
        raise PriceRefused(f"{book!r} is no name for a price book: letters, digits, - and _") from None
    if len(book) > LONGEST_BOOK:
        raise PriceRefused(f"the name of a price book has at most {LONGEST_BOOK} characters")
    found, made = PriceBook.objects.get_or_create(name=book)
    return found if made else PriceBook.objects.select_for_update().get(pk=found.pk)


def _add(book: PriceBook, rows: Sequence[PriceRow], *, note: str, by: str) -> PriceBookVersion:
    latest = PriceBookVersion.objects.filter(book=book).aggregate(latest=Max("number"))["latest"] or 0
    version = PriceBookVersion.objects.create(book=book, number=latest + 1, note=note[:500], created_by=by[:150])
    Price.objects.bulk_create([Price(version=version, **_columns(row)) for row in rows])
    audit_log.record(by, "add", version, after={"note": note, "prices": [_columns(row) for row in rows]})
    return version


def _publish(version: PriceBookVersion, by: str) -> PriceBookPublication:
    book = version.book.name
    if hasattr(version, "publication"):
        raise PriceRefused(f"{version} is published already")
    latest = books.current_version(book)
    if version.number < latest:
        raise PriceRefused(f"version {latest} of {book!r} is published and newer: make a new version with these prices")
    rows = [books.row_of(price) for price in version.prices.all()]
    starts = bucket_edge(timezone.now())
    _refuse_if_invoiced([replace(row, effective_from=row.effective_from or starts) for row in rows], book)
    undated = any(row.effective_from is None for row in rows)
    made = PriceBookPublication.objects.create(
        version=version, effective_from=starts if undated else None, published_by=by[:150]
    )
    audit_log.record(by, "publish", version, before={"version": latest}, after={"version": version.number})
    return made


def _resolved(rows: Sequence[PriceRow], book: str, present: dict[Key, Held]) -> list[PriceRow]:
    """The first price of a key holds from the beginning of time, if it then changes nothing that is invoiced. Else publication decides."""
    firsts = [_from_beginning(row) for row in rows if row.effective_from is None and row.key not in present]
    reach_back = {row.key for row in firsts} - invoiced.touched(firsts, book)
    return [_from_beginning(row) if row.effective_from is None and row.key in reach_back else row for row in rows]


def _from_beginning(row: PriceRow) -> PriceRow:
    return replace(row, effective_from=rating.BEGINNING)


def _refuse_if_invoiced(rows: Sequence[PriceRow], book: str) -> None:
    if end := invoiced.until([row for row in rows if row.effective_from is not None], book):
        raise PriceRefused(
            f"usage that this price would change is invoiced up to {end:%Y-%m-%d %H:%M}Z: a price can begin then or later"
        )


def _differs(row: PriceRow, present: dict[Key, Held]) -> bool:
    held = present.get(row.key)
    if held is None:
        return row.charge_model != Price.ChargeModel.WITHDRAWN
    return held.row.terms != row.terms or row.effective_from not in {None, held.starts}


def _in_force(held: Held) -> bool:
    return held.row.charge_model != Price.ChargeModel.WITHDRAWN


def _withdrawal(row: PriceRow) -> PriceRow:
    return replace(
        row,
        charge_model=Price.ChargeModel.WITHDRAWN,
        amount=None,
        tiers=None,
        rate=None,
        fixed=None,
        effective_from=None,
    )


def _columns(row: PriceRow) -> dict[str, Any]:
    return asdict(row) | {"tiers": None if row.tiers is None else [dict(tier) for tier in row.tiers]}
