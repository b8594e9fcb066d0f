"""Which tax a customer is charged: the rows of `TaxRate` over the table that is shipped, and what seller and buyer are to each other."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import transaction

from billing import audit_log, rating
from billing.customers import CustomerInfo, country_problem, seller
from billing.models import TaxRate
from billing.rating.terms import TaxTreatment

NO_TAX = TaxTreatment()


class TaxRateRefused(ValueError):
    """A rate that cannot be added, with the reason."""


@dataclass(frozen=True)
class TaxTable:
    """The seller's country ('' while no seller is set) and the rates that were set here, the earliest first."""

    seller_country: str
    rates: tuple[rating.CountryRate, ...]

    @classmethod
    def read(cls) -> "TaxTable":
        """Two queries."""
        issuer = seller()
        rows = TaxRate.objects.order_by("effective_from", "pk")
        held = {(row.country, row.effective_from): row for row in rows}  # of two for a day, the later
        rates = (
            rating.CountryRate(row.country, row.rate.normalize(), row.name, row.effective_from) for row in held.values()
        )
        return cls(issuer.country if issuer else "", tuple(rates))

    def treatment(self, customer: CustomerInfo, on: date) -> TaxTreatment:
        """Without a seller or the customer's country nothing can be said, and no tax is charged."""
        if not self.seller_country or not customer.country:
            return NO_TAX
        return rating.tax_treatment(
            self.seller_country, customer.country, customer.tax_id, customer.tax_exempt, on, self.rates
        )


@transaction.atomic
def set_tax_rate(
    *, country: str, rate: Decimal, effective_from: date, actor: str, name: str = "VAT", address: str | None = None
) -> TaxRate:
    """The standard rate of a country from a day on: 0.19 for 19 %. Of two for the same day the later holds. Raises TaxRateRefused.

    Invoices that are final keep their rate; one that is made from then on has the rate of its period's last day.
    """
    code = country.strip().upper()
    if problem := country_problem(code):
        raise TaxRateRefused(problem)
    if not (rate.is_finite() and 0 <= rate < 1 and rate == round(rate, 8)):
        raise TaxRateRefused(f"{rate} is not a rate from 0 to below 1: 0.19 is 19 %")
    if not name.strip() or len(name) > 32:
        raise TaxRateRefused("a tax needs a name of at most 32 characters, such as VAT")
    row = TaxRate.objects.create(country=code, rate=rate, name=name.strip(), effective_from=effective_from)
    audit_log.record(actor, "add", row, None, audit_log.snapshot(row), address=address)
    return row
