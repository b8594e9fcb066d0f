"""Finding one invoice by its number, as everything that shows or proves a part of it does."""

import re

from billing.models import Invoice

NUMBER = re.compile(
    r"\A[A-Za-z0-9-]{1,32}\Z"
)  # PostgreSQL refuses some characters, so what is no number is not looked for


class UnknownInvoice(LookupError):
    """There is no invoice of that number, or it is another tenant's: the two are not told apart."""

    def __init__(self, number: str) -> None:
        super().__init__(f"there is no invoice {number[:64]!r}")


def final_invoice(number: str, tenant: str | None = None) -> Invoice:
    """`tenant` None: anybody's. Raises UnknownInvoice."""
    rows = Invoice.objects.filter(number=number, finalised_at__isnull=False)
    found = (rows if tenant is None else rows.filter(tenant=tenant)).first() if NUMBER.match(number) else None
    if found is None:
        raise UnknownInvoice(number)
    return found
