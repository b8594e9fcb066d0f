"""Which tax a customer is charged: what seller and buyer are to each other decides. Standard cases of electronic services; no tax advice.

Rules: Council Directive 2006/112/EC, Articles 44 and 196 (between businesses), 58 (to consumers, taxed where they are; the turnover of
10,000 EUR a year below which a seller may charge its own country's tax is not used). Codes of categories: UNCL5305, as in EN 16931.
"""

from collections.abc import Iterable
from datetime import date

from stdnum.eu import vat
from stdnum.exceptions import ValidationError

from billing.rating.exact import ZERO
from billing.rating.tax_rates import EU, CountryRate, standard_rate
from billing.rating.terms import TaxTreatment

STANDARD, EXEMPT, REVERSE_CHARGE, OUTSIDE = "S", "E", "AE", "O"
REVERSE_CHARGE_NOTE = "Reverse charge: VAT is due from the recipient (Article 196 of Directive 2006/112/EC)"
OUTSIDE_NOTE = "Not subject to tax: the place of supply is outside the seller's tax territory"
EU_OUTSIDE_NOTE = "Not subject to VAT: the place of supply is outside the European Union (Articles 44 and 59 of Directive 2006/112/EC)"
_PREFIXES = {"GR": "EL"}


def tax_treatment(  # noqa: PLR0917 - seller, buyer, day: the order in which one would say it
    seller_country: str,
    buyer_country: str,
    buyer_tax_id: str,
    exempt_reason: str,
    on: date,
    rates: Iterable[CountryRate] = (),
) -> TaxTreatment:
    """`rates`: what was set over the shipped table. A country that is not known ('') means no tax, for nothing can be said."""
    if not seller_country or not buyer_country:
        return TaxTreatment()
    if exempt_reason:
        return TaxTreatment(category=EXEMPT, name="VAT", note=exempt_reason)
    if buyer_country != seller_country:
        if seller_country not in EU:
            return TaxTreatment(category=OUTSIDE, note=OUTSIDE_NOTE)
        if buyer_country not in EU:
            return TaxTreatment(category=OUTSIDE, name="VAT", note=EU_OUTSIDE_NOTE)
        if is_vat_id(buyer_tax_id, buyer_country):
            return TaxTreatment(category=REVERSE_CHARGE, name="VAT", note=REVERSE_CHARGE_NOTE)
    return _charged(buyer_country, on, rates)


def is_vat_id(text: str, country: str) -> bool:
    """Whether it may be a VAT number of that country of the EU: prefix, form and check digits. Whether it is in use, only VIES knows."""
    try:
        number = vat.validate(text)
    except ValidationError:
        return False
    return bool(number[:2] == _PREFIXES.get(country, country))


def _charged(country: str, on: date, rates: Iterable[CountryRate]) -> TaxTreatment:
    """At the standard rate; without tax where none is known, as in the USA."""
    found = standard_rate(country, on, rates)
    if found is None:
        return TaxTreatment()
    category = STANDARD if found.rate != ZERO else "Z"
    return TaxTreatment(rate=found.rate, category=category, name=found.name)
