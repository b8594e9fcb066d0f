"""From events under a contract to the documents of the invoice that a run makes of them, and of a credit note over it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.utils import timezone

from billing import agreements, credit_notes, credits, customers, documents, pricebook, runs
from billing.documents import reading
from billing.models import Invoice
from billing.pricebook.rows import PriceRow
from billing.rating.terms import Allowance, AppliesTo, Discount, FlatFee, PercentageFee, Terms
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.api import get, key
from tests.billing.conftest import NOON, Use
from tests.billing.documents import words_of
from tests.billing.en16931 import broken_rules

TERMS = Terms(
    plan="Scale",
    flat_fees=(FlatFee("base", "Base fee", Decimal(310)),),
    percentage_fees=(PercentageFee("support", "Premium support", Decimal("0.03")),),
    allowances=(Allowance("free", "m", "input", "", Decimal(1_000_000)),),
    discounts=(
        Discount("launch", "Launch discount", AppliesTo.USAGE, share=Decimal("0.10")),
        Discount("loyal", "Loyalty", AppliesTo.ALL, amount=Decimal(5)),
    ),
    commitment=Decimal(100),
)


@dataclass(frozen=True)
class Billed:
    tenant: TenantInfo
    invoice: Invoice


@pytest.fixture
def billed(tenant_key: str, use: Use, settled: datetime) -> Billed:
    """January 2026 in Berlin, in EUR: usage with included and graduated parts, fees, discounts, commitment, both kinds of credit."""
    tenant = metering.create_tenant(tenant_key, "Acme", "EUR")
    address = {"address_line1": "Hafenstraße 4", "postal_code": "40221", "city": "Düsseldorf", "country": "DE"}
    numbers = {"tax_id": "DE136695976", "iban": "DE89370400440532013000", "bic": "COBADEFFXXX"}
    customers.save_seller(
        actor="ada", name="Rheinwerk Inferenz GmbH", email="billing@rheinwerk.example", **address, **numbers
    )
    customers.save_customer(
        tenant.key, actor="ada", legal_name="株式会社 Acme & Söhne", **address, emails=["ap@acme.example"]
    )
    for kind, amount in (("input", "0.60"), ("cached_input", "0.075"), ("output", "1.20")):
        pricebook.set_price(model="m", kind=kind, per_million=amount, currency="EUR")
    steps = ({"up_to": 1_000_000, "amount": "2", "flat": "0"}, {"up_to": None, "amount": "1.5", "flat": "0"})
    pricebook.add_price(PriceRow("big", "input", "EUR", charge_model="graduated", tiers=steps))
    pricebook.set_price(model="big", kind="output", per_million="6", currency="EUR")
    agreements.create_contract(
        tenant=tenant.key, starts_on=date(2026, 1, 1), actor="ada", terms=TERMS, time_zone="Europe/Berlin"
    )
    for kind, amount in (("promotional", "3.00"), ("paid", "50.00")):
        credits.grant(
            tenant=tenant.key,
            currency="EUR",
            kind=kind,
            amount=Decimal(amount),
            name=f"{kind} credit",
            effective_from=NOON - timedelta(days=20),
            source=f"test:{kind}",
            actor="ada",
        )
    use(
        tenant.key,
        {"input_tokens": 18_059_974, "output_tokens": 245_896, "cached_input_tokens": 1_000_000},
        {"input_tokens": 9_000, "output_tokens": 0, "status": "error"},
        {"model": "big", "input_tokens": 2_500_000, "output_tokens": 1_000},
        {"model": "m", "tier": "batch", "input_tokens": 777, "output_tokens": 9, "time": NOON + timedelta(days=9)},
    )
    runs.start_run(timezone.now(), [tenant.key], wait_s=5)
    return Billed(tenant, Invoice.objects.get(tenant=tenant.key, period_start=datetime(2025, 12, 31, 23, tzinfo=UTC)))


def test_the_documents_of_a_real_invoice_agree_with_it(billed: Billed, tmp_path: Path) -> None:
    number, tenant = billed.invoice.number, billed.tenant.key
    shown = words_of(documents.pdf(number, tenant))
    held = reading.invoice(number, tenant)
    for text in (
        "株式会社 Acme & Söhne",
        "Period 1 to 31 January 2026",
        "Europe/Berlin",
        "Base fee",
        "Premium support",
        "Launch discount",
        "Loyalty",
        "VAT 19 % on",
        "Prepaid credit applied -50.00",
        "not billed",
        f"Amount due EUR {held.amount_due:,f}",
        billed.invoice.usage_root,
    ):
        assert text in shown, f"{text!r} in:\n{shown}"
    assert sum((line.amount for line in held.lines), Decimal(0)) == held.subtotal
    assert broken_rules({"invoice": documents.einvoice_xml(number, tenant)}, tmp_path) == {"invoice": []}


def test_its_items_by_request_add_up_to_it(billed: Billed) -> None:
    answer = get(f"/api/v1/invoices/{billed.invoice.number}/items.csv", key(billed.tenant.key), {"detail": "requests"})
    header, *rows = b"".join(answer.streaming_content).decode().splitlines()
    place = header.split(",").index("amount")
    assert sum(Decimal(row.split(",")[place]) for row in rows) == billed.invoice.subtotal


def test_a_credit_note_over_it_is_valid_too(billed: Billed, tmp_path: Path) -> None:
    note = credit_notes.issue(
        billed.invoice.number,
        {1: Decimal("1.00"), 2: Decimal("0.01")},
        reason="Outage",
        disposition="reduce",
        idempotency_key="k",
    )
    shown = words_of(documents.credit_note_pdf(note.number, billed.tenant.key))
    assert f"Total EUR {note.total:.2f}" in shown
    assert "Outage" in shown
    assert broken_rules({"note": documents.credit_note_xml(note.number)}, tmp_path) == {"note": []}
