"""The price book: adding prices, and reading the book as of any version of it.

Rows are only added. A price holds from its `effective_from` until the next row of the same (model, kind, tier, currency).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from billing import rating
from billing.models import PRICE_DIGITS, InvoiceLine, Price, PriceBook, PriceBookVersion
from metering.contracts import BUCKET_MINUTES

LIST = "list"  # the one book, until contracts bring their own
_BUCKET = timedelta(minutes=BUCKET_MINUTES)


class PriceRefused(ValueError):
    """A price that cannot be added, with the reason."""


@dataclass(frozen=True)
class PriceSet:
    """`version` is the book's latest; `added` is False if that price was in force already."""

    version: int
    effective_from: datetime
    added: bool


def current_version() -> int:
    """0 for a book without a price."""
    found = PriceBookVersion.objects.filter(book__name=LIST).aggregate(latest=Max("number"))
    return found["latest"] or 0


def sheet(currency: str, version: int | None = None) -> rating.PriceSheet:
    """The prices of a currency as of a version of the book (default: the latest)."""
    as_of = current_version() if version is None else version
    rows = Price.objects.filter(version__book__name=LIST, version__number__lte=as_of, currency=currency)
    return rating.PriceSheet(
        [_unit_price(row) for row in rows.select_related("version")], version=as_of, currency=currency
    )


def set_price(
    *,
    model: str,
    kind: str,
    per_million: Decimal | str,
    currency: str,
    tier: str = rating.ANY_TIER,
    effective_from: datetime | None = None,
) -> PriceSet:
    """Add a price as a new version of the book. `model` '*': any model; `tier` '': any tier.

    Without `effective_from`, the first price of a (model, kind, tier, currency) holds from the beginning of time, so that history
    that is replayed has one, and a later price from the next quarter of an hour. Raises PriceRefused for a value that is no price,
    for a moment that is not on a quarter of an hour, and for a change that would give another price to a period that is invoiced.
    """
    price = _checked(model, kind, per_million, currency, tier)
    with transaction.atomic():
        book, _ = PriceBook.objects.get_or_create(name=LIST)
        PriceBook.objects.select_for_update().get(
            pk=book.pk
        )  # one change at a time: versions are numbered without gaps
        before = sheet(price.currency)
        held = before.rows(*price.key)
        if held and effective_from is None and held[0].per_million == price.per_million:
            return PriceSet(before.version, held[0].effective_from, added=False)
        starts = _start(price, before, effective_from)
        version = PriceBookVersion.objects.create(book=book, number=before.version + 1)
        Price.objects.create(
            version=version,
            model=price.model,
            kind=price.kind,
            tier=price.tier,
            currency=price.currency,
            per_million=price.per_million,
            effective_from=starts,
        )
    return PriceSet(version.number, starts, added=True)


def _checked(model: str, kind: str, per_million: Decimal | str, currency: str, tier: str) -> rating.UnitPrice:
    digits, places = PRICE_DIGITS
    try:
        amount = Decimal(per_million)
        known = rating.kind_named(kind)
        rating.minor_digits(currency)
    except InvalidOperation:
        raise PriceRefused(f"{per_million!r} is not a decimal number") from None
    except ValueError as error:
        raise PriceRefused(str(error)) from None
    if not amount.is_finite() or amount.is_signed() or amount >= Decimal(10) ** (digits - places):
        raise PriceRefused(f"a price is at least 0 and below 10^{digits - places}, not {per_million}")
    if amount != round(amount, places):
        raise PriceRefused(f"a price has at most {places} digits after the point, not {per_million}")
    if not model or len(model) > 200 or len(tier) > 64:
        raise PriceRefused(
            "a price needs the name of a model (at most 200 characters, '*' for any) and a tier of at most 64"
        )
    return rating.UnitPrice(model, known, tier, currency, amount, rating.BEGINNING, 0)


def _start(price: rating.UnitPrice, before: rating.PriceSheet, asked: datetime | None) -> datetime:
    """When the price begins to hold."""
    if asked is not None:
        if asked.tzinfo is None or asked != _bucket_edge(asked):
            raise PriceRefused(f"a price begins on a quarter of an hour (UTC), not at {asked.isoformat()}")
        if invoiced_until := _invoiced(price, before, asked):
            raise PriceRefused(
                f"usage that this price would change is invoiced up to {invoiced_until:%Y-%m-%d %H:%M}Z: "
                "a price can begin then or later"
            )
        return asked.astimezone(UTC)
    if not before.rows(*price.key) and not _invoiced(price, before, rating.BEGINNING):
        return rating.BEGINNING
    return _bucket_edge(timezone.now())


def _invoiced(price: rating.UnitPrice, before: rating.PriceSheet, starts: datetime) -> datetime | None:
    """The end of the last invoiced line to which the book would give another price if this one were added."""
    row = rating.UnitPrice(
        price.model, price.kind, price.tier, price.currency, price.per_million, starts, before.version + 1
    )
    after = rating.PriceSheet([*before, row], version=row.version, currency=row.currency)
    lines = InvoiceLine.objects.filter(
        invoice__finalised_at__isnull=False, invoice__currency=price.currency, billed=True, end__gt=starts
    )
    if price.model != rating.ANY_MODEL:
        lines = lines.filter(model=price.model)
    # Each model and period once, however many tenants were billed for it.
    spans = lines.order_by("-end").values_list("model", "kind", "tier", "start", "end").distinct()
    for model, kind, tier, start, end in spans:
        asked = (model, rating.Kind(kind), tier, start, end)
        if before.course(*asked) != after.course(*asked):
            return end
    return None


def _bucket_edge(moment: datetime) -> datetime:
    """The first edge of the ledger's buckets at or after `moment`."""
    since = moment.astimezone(UTC) - rating.BEGINNING
    return rating.BEGINNING + -(-since // _BUCKET) * _BUCKET


def _unit_price(row: Price) -> rating.UnitPrice:
    return rating.UnitPrice(
        row.model,
        rating.Kind(row.kind),
        row.tier,
        row.currency,
        row.per_million,
        row.effective_from,
        row.version.number,
    )
