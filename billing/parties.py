"""Who is on an invoice: copies of seller and buyer as they are when it is finalised, so that it says the same for ever."""

from typing import Any

from billing.agreements import CustomerInfo
from billing.models import Seller

SELLER = (
    "name",
    "address_line1",
    "address_line2",
    "postal_code",
    "city",
    "country",
    "tax_id",
    "registration",
    "email",
    "phone",
    "iban",
    "bic",
    "bank",
    "logo",
)
BUYER = (
    "tenant",
    "legal_name",
    "address_line1",
    "address_line2",
    "postal_code",
    "city",
    "state",
    "country",
    "tax_id",
    "buyer_reference",
    "emails",
    "collection",
)


def seller_copy() -> dict[str, Any]:
    """Empty until somebody has said who sells: `manage.py set_seller`."""
    row = Seller.objects.order_by("pk").first()
    return {} if row is None else {name: getattr(row, name) for name in SELLER}


def buyer_copy(customer: CustomerInfo) -> dict[str, Any]:
    """`name` is the legal name."""
    found = {name: getattr(customer, name) for name in BUYER}
    found["name"] = found.pop("legal_name")
    found["emails"] = list(found["emails"])
    return found
