"""Invoices of tests that are made the whole way: usage, a contract or none, tax or none."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from billing import customers
from billing.models import Invoice, InvoiceState
from metering.contracts import TenantInfo
from tests.billing.conftest import Use, close


@dataclass(frozen=True)
class Made:
    tenant: TenantInfo
    invoice: Invoice

    @property
    def number(self) -> str:
        return self.invoice.number

    @property
    def state(self) -> InvoiceState:
        return InvoiceState.objects.get(invoice=self.invoice)


def in_germany(tenant: TenantInfo, **more: Any) -> None:
    """Seller and customer are both there: 19 % VAT."""
    customers.save_seller(
        actor="ada", name="Tokens GmbH", country="DE", tax_id="DE123456788", email="billing@tokens.example"
    )
    customers.save_customer(tenant.key, **{"actor": "ada", "country": "DE", "emails": ["pay@customer.example"]} | more)


def made(tenant: TenantInfo, use: Use, *rows: dict[str, Any]) -> Made:
    """Of MONTH. Without rows: 20 million tokens in and 10 million out, 3.00 and 6.00 USD."""
    use(tenant.key, *(rows or ({"input_tokens": 20_000_000, "output_tokens": 10_000_000},)))
    (closed,) = close(tenant)
    assert closed.number is not None, closed
    return Made(tenant, Invoice.objects.get(number=closed.number))


D = Decimal
