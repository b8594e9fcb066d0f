"""Contracts, customers and invoices of tests, in one line each."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from billing import agreements
from billing.contract_terms import ContractInfo
from billing.models import Invoice, InvoiceState
from billing.rating.terms import FlatFee, Terms

BASE_FEE = FlatFee("base", "Base fee", Decimal(310))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def contract(tenant: str, starts_on: date, terms: Terms | None = None, **more: Any) -> ContractInfo:
    return agreements.create_contract(tenant=tenant, starts_on=starts_on, terms=terms, **{"actor": "ada"} | more)


def change(number: str, day: date, terms: Terms, **more: Any) -> ContractInfo:
    return agreements.change_contract(number, effective_on=day, terms=terms, **{"actor": "ada"} | more)


def invoice(tenant: str, start: datetime, end: datetime, *, void: bool = False, **more: Any) -> Invoice:
    """A final invoice of a period, over nothing."""
    nothing = dict.fromkeys(
        ("requests", "requests_not_billed", "input_tokens", "cached_input_tokens", "cache_write_tokens"), 0
    )
    row = Invoice.objects.create(
        **{
            "number": f"TW-{start:%Y}-{Invoice.objects.count() + 1:06d}",
            "tenant": tenant,
            "period_start": start,
            "period_end": end,
            "currency": "USD",
            "seal": 1,
            "watermark": end,
            "price_versions": {},
            "rating_version": 2,
            **nothing,
            "output_tokens": 0,
            "reasoning_tokens": 0,
            "subtotal": 0,
            "tax": 0,
            "total": 0,
            "amount_due": 0,
            "issued_on": end.date(),
            "due_on": end.date(),
        }
        | more
    )
    Invoice.objects.filter(pk=row.pk).update(finalised_at=end)
    InvoiceState.objects.create(invoice=row, status="void" if void else "open")
    return row
