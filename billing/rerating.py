"""Making the lines of a final invoice again from what is stored on it: as of its watermark for audits, as of a later one for late usage."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing import pricebook, rating, usage
from billing.agreements import past_agreements
from billing.contracts import Period
from billing.models import Invoice
from billing.rating import Line
from billing.rating.terms import Agreement
from billing.usage import Metered
from metering.contracts import SealInfo


@dataclass(frozen=True)
class Basis:
    """What an invoice was rated by: the contract's revision and the versions of the prices that are named on it."""

    invoice: Invoice
    agreement: Agreement
    sheet: rating.PriceSheet

    def cuts(self, others: Iterable[datetime] = ()) -> list[datetime]:
        changes = usage.changes(self.agreement)
        return usage.edges(period_of(self.invoice), [self.sheet], (*changes, *others))

    def lines(self, metered: Metered) -> tuple[Line, ...]:
        """Without tax rates. Raises ValueError for a rating version that this installation does not have."""
        invoice = self.invoice
        rater = rating.rater(invoice.rating_version)
        return rater(
            metered.usages, metered.meters, self.agreement, self.sheet, invoice.period_start, invoice.period_end
        )


def bases(invoices: Sequence[Invoice]) -> dict[int, Basis]:
    """By the invoice's primary key. A few queries, however many invoices, if they name the same versions."""
    asked = {row.pk: (row.contract, row.contract_revision, period_of(row)) for row in invoices}
    agreements = past_agreements(asked.values())
    sheets: dict[tuple[str, pricebook.Books, str], rating.PriceSheet] = {}
    found = {}
    for row in invoices:
        agreement = agreements[asked[row.pk]]
        book = pricebook.books_of(agreement)
        key = (row.currency, book, repr(sorted(row.price_versions.items())))
        if key not in sheets:
            sheets[key] = pricebook.sheet(row.currency, book, row.price_versions)
        found[row.pk] = Basis(row, agreement, sheets[key])
    return found


def period_of(invoice: Invoice) -> Period:
    return Period(invoice.period_start, invoice.period_end)


def seal_of(invoice: Invoice) -> SealInfo:
    return SealInfo(invoice.seal, invoice.watermark, invoice.created_at)
