"""The prices of one tenant: the list's in its currency, and before them those of the book that its contract names."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from billing import pricebook, rating
from billing.agreements import Agreed, agreements
from billing.contracts import Period
from billing.pricebook import Books, PriceInfo
from metering import public as metering
from metering.contracts import TenantInfo


@dataclass(frozen=True)
class TenantPrices:
    """What a tenant's usage at a moment is priced from. `book`: the contract's at that moment, '' none. `versions`: of each book."""

    tenant: TenantInfo
    currency: str
    contract: str
    period: Period
    at: datetime
    book: str
    sheet: rating.PriceSheet


def tenant_prices(tenant: str, at: datetime | None = None) -> TenantPrices:
    """As of the latest published versions. `at` None: now. Raises LookupError for an unknown tenant."""
    info = metering.tenant(tenant)
    if info is None:
        raise LookupError(f"there is no tenant {tenant!r}")
    moment = at or timezone.now()
    agreed = agreements([info], moment)[info.key]
    books: Books = pricebook.books_of(agreed.agreement)
    sheet = pricebook.sheet(agreed.currency, books)
    return TenantPrices(info, agreed.currency, agreed.contract, agreed.period, moment, _book(agreed, moment), sheet)


def prices_of(tenant: str) -> list[PriceInfo]:
    """In force now or to come, those of the tenant's own book first. Raises LookupError for an unknown tenant."""
    found = tenant_prices(tenant)
    books = [name for name in (found.book, pricebook.LIST) if name]
    return [
        one
        for name in dict.fromkeys(books)
        for one in pricebook.in_force(name, at=found.at)
        if one.row.currency == found.currency
    ]


def _book(agreed: Agreed, at: datetime) -> str:
    held = [stretch for stretch in agreed.agreement.stretches if stretch.start <= at]
    return (held or agreed.agreement.stretches)[-1 if held else 0].terms.price_book
