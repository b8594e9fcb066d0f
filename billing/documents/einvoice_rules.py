"""What EN 16931 demands of an invoice before it can be one, checked before it is written: `BR-...` are the standard's rules."""

import re

from billing.documents.document import Document, Kind, Party
from billing.documents.reference import VAT_PREFIXES, is_country
from billing.documents.texts import printable
from billing.models import InvoiceState
from billing.rating.rounding import minor_digits

MOST_DIGITS = 2  # BR-DEC: of every amount
CATEGORIES = {"S", "Z", "E", "AE", "G", "O"}
VAT_ID = re.compile(r"\A[A-Z]{2}[A-Z0-9+*.]{2,14}\Z")
# Categories in which the seller's tax number, or also the buyer's, is demanded (BR-S-02, BR-AE-02 and so on).
WITH_SELLERS_NUMBER = {"S", "Z", "E", "AE", "G"}


def reasons_against(document: Document) -> tuple[str, ...]:
    """In words, each with what to do about it; empty if it can be written."""
    seller, buyer, category = document.seller, document.buyer, document.tax_category
    number, scheme = tax_registration(seller, category)
    demands = (
        (document.status != InvoiceState.Status.VOID, "the invoice is void"),
        (
            minor_digits(document.currency) <= MOST_DIGITS,
            f"EN 16931 has two decimals, and {document.currency} has more",
        ),
        (category in CATEGORIES, f"the tax category {category!r} is none of {', '.join(sorted(CATEGORIES))}"),
        (bool(printable(seller.name)), "the seller has no name: set it in the back office"),
        (is_country(seller.country), "the seller has no country: set it in the back office"),
        (bool(seller.registration or seller.tax_id), "the seller has neither a tax ID nor a registration"),  # BR-CO-26
        (category not in WITH_SELLERS_NUMBER or bool(number), "the seller has no tax ID"),
        (category not in {"AE", "G"} or scheme == "VA", "the seller has no VAT ID"),
        (bool(printable(buyer.name)), "the customer has no name"),
        (is_country(buyer.country), "the customer has no country: add it to the customer"),
        (
            category != "AE" or tax_registration(buyer, category)[1] == "VA",
            "the customer has no VAT ID, and pays the tax",
        ),
        (document.kind is not Kind.TOP_UP or bool(document.lines), "it has no lines"),
    )
    return tuple(reason for fulfilled, reason in demands if not fulfilled)


def tax_registration(party: Party, category: str) -> tuple[str, str]:
    """The number, and its scheme: VA for a VAT ID with its country's letters, FC for another. ('', '') where none may be (BR-O-02)."""
    number = re.sub(r"[\s-]", "", party.tax_id).upper()
    if not number:
        return "", ""
    prefixes = VAT_PREFIXES.get(party.country, (party.country,))
    if VAT_ID.match(number) and number.startswith(tuple(prefix for prefix in prefixes if prefix)):
        return ("", "") if category == "O" else (number, "VA")
    return party.tax_id, "FC"
