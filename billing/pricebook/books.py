"""Reading price books: which versions there are, and the prices of a book as of one of them.

As of a version, a book is the rows of all published versions up to it; a draft is that and its own rows. So a version, once
published, says the same for ever.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from billing import rating
from billing.models import Price, PriceBook, PriceBookVersion
from billing.pricebook.rows import Amount, PriceRow, bucket_edge
from billing.rating.terms import Agreement

LIST = "list"  # everybody's; a contract may name a book of its own, whose prices come first
Books = str | tuple[str, ...]  # a contract's: '' none


class UnknownVersion(LookupError):
    """There is no such book, or no such version of it."""


@dataclass(frozen=True)
class VersionInfo:
    """`published_at` None: a draft, and `open` says whether it can still be published. `rows`: how many prices it adds."""

    book: str
    number: int
    note: str
    created_by: str
    created_at: datetime
    published_by: str
    published_at: datetime | None
    rows: int
    open: bool


@dataclass(frozen=True)
class BookInfo:
    """`version`: the latest published one, 0 without any. `drafts`: numbers that can still be published."""

    name: str
    description: str
    version: int
    drafts: tuple[int, ...]
    published_at: datetime | None


def current_version(book: str = LIST) -> int:
    """The latest that is published; 0 for a book without a price."""
    return current_versions().get(book, 0)


def current_versions() -> dict[str, int]:
    """Of every book that has a published version, the latest. One query."""
    rows = PriceBookVersion.objects.filter(publication__isnull=False).values("book__name")
    return {row["book__name"]: row["latest"] for row in rows.annotate(latest=Max("number"))}


def sheet(currency: str, book: Books = "", versions: Mapping[str, int] | None = None) -> rating.PriceSheet:
    """The list's prices of a currency, and those of a contract's book, or of several where it names one after the other in a period.

    `versions`: as of which version of each book (default: the latest published). A draft is in the sheet only if it is the one named.
    """
    return sheets([(currency, book)], versions)[currency, book]


def sheets(
    asked: Iterable[tuple[str, Books]], versions: Mapping[str, int] | None = None
) -> dict[tuple[str, Books], rating.PriceSheet]:
    """As `sheet`, for many pairs of currency and books, in a constant number of queries."""
    known = current_versions() if versions is None else versions
    return {
        (currency, book): rating.PriceSheet(found, versions=_named(book, known), currency=currency)
        for (currency, book), found in rules(asked, known).items()
    }


def rules(
    asked: Iterable[tuple[str, Books]], versions: Mapping[str, int]
) -> dict[tuple[str, Books], list[rating.PriceRule]]:
    """For each pair of currency and books their rows and those of the list."""
    pairs = set(asked)
    wanted = _named(tuple({name for _, book in pairs for name in _names(book)}), versions)
    held: dict[tuple[str, str], list[rating.PriceRule]] = {}
    for price in _rows(wanted, {currency for currency, _ in pairs}):
        held.setdefault((price.currency, price.version.book.name), []).append(_rule_of(price))
    return {
        (currency, book): [rule for name in _named(book, versions) for rule in held.get((currency, name), ())]
        for currency, book in pairs
    }


def books_of(agreement: Agreement) -> Books:
    """The books that a contract names in a period, for `sheet`."""
    found = sorted({stretch.terms.price_book for stretch in agreement.stretches} - {"", LIST})
    return tuple(found) if len(found) > 1 else "".join(found)


def _names(book: Books) -> tuple[str, ...]:
    return (book,) if isinstance(book, str) else book


def _named(book: Books, versions: Mapping[str, int]) -> dict[str, int]:
    """The version of the list, and of the books besides it."""
    return {name: versions.get(name, 0) for name in (LIST, *_names(book)) if name}


def prices(book: str, version: int) -> list[Price]:
    """Every row of a book as of a version, of all currencies, in the order in which they were added; with version and publication."""
    return list(_rows({book: version}, None))


def rule(row: PriceRow, starts: datetime, version: int, book: str) -> rating.PriceRule:
    """A checked row as rating takes it."""
    return rating.PriceRule(
        model=row.model,
        kind=row.kind,
        tier=row.tier,
        operation=row.operation,
        region=row.region,
        context_over=row.context_over,
        currency=row.currency,
        charge_model=row.charge_model,
        amount=_decimal(row.amount),
        per=row.per or 1,
        tiers=rating.tiers_of(row.tiers or ()),
        rate=_decimal(row.rate),
        fixed=_decimal(row.fixed),
        effective_from=starts,
        version=version,
        book=book,
    )


def row_of_rule(rule: rating.PriceRule) -> PriceRow:
    """The other way round."""
    return PriceRow(
        model=rule.model,
        kind=rule.kind,
        currency=rule.currency,
        tier=rule.tier,
        operation=rule.operation,
        region=rule.region,
        context_over=rule.context_over,
        charge_model=str(rule.charge_model),
        amount=rule.amount,
        per=rule.per,
        tiers=tuple(_tier(one) for one in rule.tiers) or None,
        rate=rule.rate,
        fixed=rule.fixed,
        effective_from=rule.effective_from,
    )


def _tier(one: rating.Tier) -> dict[str, Any]:
    up_to = None if one.up_to is None else int(one.up_to)
    return {"up_to": up_to, "amount": rating.plain(one.amount), "flat": rating.plain(one.flat)}


def _decimal(value: Amount | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _rule_of(price: Price) -> rating.PriceRule:
    return rule(row_of(price), starts(price), price.version.number, price.version.book.name)


def row_of(row: Price) -> PriceRow:
    """As it was written, for a new version from an old one."""
    return PriceRow(
        model=row.model,
        kind=row.kind,
        currency=row.currency,
        tier=row.tier,
        operation=row.operation,
        region=row.region,
        context_over=row.context_over,
        charge_model=row.charge_model,
        amount=row.amount,
        per=row.per,
        tiers=None if row.tiers is None else tuple(row.tiers),
        rate=row.rate,
        fixed=row.fixed,
        effective_from=row.effective_from,
    )


def starts(row: Price) -> datetime:
    """A price without a moment of its own begins when its version is published; that of a draft, as if that were now."""
    if row.effective_from is not None:
        return row.effective_from
    publication = getattr(row.version, "publication", None)
    published = publication.effective_from if publication else None
    return published or bucket_edge(timezone.now())


def version(book: str, number: int) -> PriceBookVersion:
    """Raises UnknownVersion."""
    found = PriceBookVersion.objects.filter(book__name=book, number=number)
    row = found.select_related("book", "publication").first() if 0 < number < 2**31 else None
    if row is None:
        raise UnknownVersion(f"price book {book!r} has no version {number}")
    return row


def all_books() -> list[BookInfo]:
    """The list first, then the others by name."""
    versions = _infos(PriceBookVersion.objects.all())
    found = []
    for book in PriceBook.objects.all():
        mine = [one for one in versions if one.book == book.name]
        published = next((one for one in mine if one.published_at), None)
        found.append(
            BookInfo(
                book.name,
                book.description,
                published.number if published else 0,
                tuple(one.number for one in mine if one.open),
                published.published_at if published else None,
            )
        )
    return sorted(found, key=lambda one: (one.name != LIST, one.name))


def versions_of(book: str) -> list[VersionInfo]:
    """The newest first. Raises UnknownVersion for a book that there is not."""
    if not PriceBook.objects.filter(name=book).exists():
        raise UnknownVersion(f"there is no price book {book!r}")
    return _infos(PriceBookVersion.objects.filter(book__name=book))


def version_info(book: str, number: int) -> VersionInfo:
    """Raises UnknownVersion."""
    return _infos(PriceBookVersion.objects.filter(pk=version(book, number).pk))[0]


def _infos(versions: "QuerySet[PriceBookVersion]") -> list[VersionInfo]:
    latest = current_versions()
    rows = versions.select_related("book", "publication").annotate(rows=Count("prices")).order_by("-number")
    return [_info(row, latest.get(row.book.name, 0)) for row in rows]


def _info(row: "PriceBookVersion", latest: int) -> VersionInfo:
    publication = getattr(row, "publication", None)
    return VersionInfo(
        row.book.name,
        row.number,
        row.note,
        row.created_by,
        row.created_at,
        publication.published_by if publication else "",
        publication.published_at if publication else None,
        row.rows,  # type: ignore[attr-defined] # annotated by _infos
        publication is None and row.number > latest,
    )


def _rows(as_of: Mapping[str, int], currencies: set[str] | None) -> "QuerySet[Price]":
    wanted = Q(pk__in=())
    for book, number in as_of.items():
        held = Q(version__publication__isnull=False, version__number__lte=number) | Q(version__number=number)
        wanted |= Q(version__book__name=book) & held
    found = Price.objects.filter(wanted).select_related("version__book", "version__publication").order_by("pk")
    return found if currencies is None else found.filter(currency__in=currencies)
