"""Documents for the tests of billing/documents: as values, and as rows of the database."""

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pypdf
from django.db import transaction

from billing.documents.document import Document, DocumentLine, DocumentTax, Evidence, Kind, Party
from billing.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine, InvoiceState, InvoiceTax
from billing.rating.lines import LineType

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
CENT = Decimal("0.01")

SELLER = Party(
    name="Rheinwerk Inferenz GmbH",
    address_line1="Hafenstraße 4",
    postal_code="40221",
    city="Düsseldorf",
    country="DE",
    tax_id="DE136695976",
    registration="HRB 12345 Düsseldorf",
    email="billing@rheinwerk.example",
    iban="DE89370400440532013000",
    bic="COBADEFFXXX",
    bank="Commerzbank",
)
BUYER = Party(
    name="Acme Robotics B.V.",
    address_line1="Keizersgracht 100",
    postal_code="1015 CV",
    city="Amsterdam",
    country="NL",
    tax_id="NL859876543B01",
    email="ap@acme.example",
    reference="PO-4711",
)
EVIDENCE = Evidence(
    watermark=datetime(2026, 12, 2, 6, tzinfo=UTC),
    seal=2881,
    price_versions=(("acme", 2), ("list", 7)),
    rating_version=2,
    usage_root=ROOT,
    usage_leaves=184_223,
    requests=184_223,
    requests_not_billed=311,
    input_tokens=180_599_740,
    output_tokens=24_589_600,
)


def line(amount: str, type: LineType = LineType.USAGE, **more: Any) -> DocumentLine:
    """Of 19 % tax, over the whole period. A line of usage is of model m, input, a million tokens for 0.60."""
    usage = {
        "model": "m",
        "tier": "standard",
        "kind": "input",
        "quantity": Decimal(1_000_000),
        "charge_model": "per_unit",
    }
    held = {"position": 1, "start": START, "end": END, "explanation": "", "tax_rate": Decimal("0.19")}
    held |= usage if type is LineType.USAGE else {}
    return DocumentLine(**(held | {"type": type, "amount": Decimal(amount)} | more))


def document(*lines: DocumentLine, **more: Any) -> Document:
    """Its sums follow from the lines; each line has its place."""
    placed = tuple(replace(one, position=place) for place, one in enumerate(lines, start=1))
    rates = sorted({one.tax_rate for one in placed})
    bases = {rate: sum((one.amount for one in placed if one.tax_rate == rate), Decimal(0)) for rate in rates}
    unit = CENT if more.get("currency", "EUR") == "EUR" else Decimal(1).scaleb(-more.pop("digits", 2))
    taxes = tuple(DocumentTax(rate, bases[rate].quantize(unit), (bases[rate] * rate).quantize(unit)) for rate in rates)
    subtotal = sum((one.amount for one in placed), Decimal(0)).quantize(unit)
    tax = sum((one.amount for one in taxes), Decimal(0)).quantize(unit)
    applied = Decimal(more.pop("credits_applied", 0)).quantize(unit)
    usual: dict[str, Any] = {
        "kind": Kind.INVOICE,
        "number": "TW-2026-000042",
        "tenant": "acme",
        "currency": "EUR",
        "issued_on": date(2026, 12, 2),
        "due_on": date(2027, 1, 1),
        "made_at": datetime(2026, 12, 2, 6, tzinfo=UTC),
        "seller": SELLER,
        "buyer": BUYER,
        "tax_category": "S",
        "tax_note": "",
        "period_start": START,
        "period_end": END,
        "zone": ZoneInfo("UTC"),
        "contract": "C-2026-0007",
        "status": "open",
        "evidence": EVIDENCE,
    }
    sums = {"subtotal": subtotal, "tax": tax, "total": subtotal + tax, "credits_applied": applied}
    return Document(lines=placed, taxes=taxes, **(usual | sums | {"amount_due": subtotal + tax - applied} | more))


def full() -> Document:
    """One line of each kind."""
    return document(
        line("10.84", quantity=Decimal(18_059_974), unit_amount=Decimal("0.60"), residual=Decimal("-0.0040156")),
        line("0.09", kind="cached_input", quantity=Decimal(1_200_000), unit_amount=Decimal("0.075")),
        line("0.00", quantity=Decimal(9_000), billed=False),
        line(
            "1875.00",
            model="big",
            charge_model="graduated",
            quantity=Decimal(5 * 10**9),
            explanation="1B at 0.50, 4B at 0.34375",
        ),
        line("500.00", LineType.FLAT_FEE, explanation="Platform fee, 30 of 30 days"),
        line("18.86", LineType.PERCENTAGE_FEE, explanation="Support, 1 % of usage"),
        line("-188.59", LineType.DISCOUNT, explanation="Launch discount, 10 % of usage"),
        line("100.00", LineType.COMMITMENT, explanation="Commitment of 2,000.00 less usage"),
        line("-12.00", LineType.SERVICE_CREDIT, explanation="p95 time to first token 812 ms, promised 500 ms"),
        line(
            "-3.10",
            LineType.ADJUSTMENT,
            model="m",
            kind="output",
            quantity=Decimal(-1_000),
            explanation="Late events of October",
            origin="TW-2026-000031",
            start=datetime(2026, 10, 1, tzinfo=UTC),
            end=START,
        ),
        line("-50.00", LineType.CREDIT, explanation="Welcome credit"),
        credits_applied="100.00",
    )


def credit_note() -> Document:
    note = document(line("5.00", explanation="Half of the input", origin="TW-2026-000042"))
    return replace(
        note,
        kind=Kind.CREDIT_NOTE,
        number="CN-2026-000003",
        due_on=None,
        status="",
        evidence=None,
        corrects="TW-2026-000042",
        corrects_issued_on=date(2026, 12, 2),
        reason="Incident of 14 November.",
        disposition="reduce",
    )


def words_of(pdf: bytes) -> str:
    """The text of all pages, as somebody selects it, with plain spaces and minuses."""
    text = "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)
    return text.replace("\u200b", "").replace("\u202f", " ").replace("\N{MINUS SIGN}", "-")


def issued(tenant: str, lines: Sequence[dict[str, Any]] = (), **more: Any) -> Invoice:
    """A final invoice in the database, of 1.00 EUR and 19 % tax unless said otherwise."""
    usual: dict[str, Any] = {
        "number": f"TW-2026-{Invoice.objects.count() + 1:06d}",
        "tenant": tenant,
        "period_start": START,
        "period_end": END,
        "currency": "EUR",
        "seal": 7,
        "watermark": datetime(2026, 12, 2, tzinfo=UTC),
        "price_versions": {"list": 3},
        "rating_version": 2,
        **dict.fromkeys(("requests", "requests_not_billed", "input_tokens", "cached_input_tokens"), 0),
        **dict.fromkeys(("cache_write_tokens", "output_tokens", "reasoning_tokens"), 0),
        "usage_root": ROOT,
        "seller": _copy(SELLER),
        "buyer": _copy(BUYER),
        "tax_category": "S",
        "subtotal": Decimal("1.00"),
        "tax": Decimal("0.19"),
        "total": Decimal("1.19"),
        "amount_due": Decimal("1.19"),
        "issued_on": date(2026, 12, 2),
        "due_on": date(2027, 1, 1),
    }
    rows = lines or [{}]
    with transaction.atomic():
        made = Invoice.objects.create(**(usual | more))
        InvoiceLine.objects.bulk_create(
            [InvoiceLine(invoice=made, **_line(place, row)) for place, row in enumerate(rows, 1)]
        )
        InvoiceTax.objects.create(invoice=made, rate=Decimal("0.19"), base=made.subtotal, amount=made.tax)
        Invoice.objects.filter(pk=made.pk).update(finalised_at=datetime(2026, 12, 2, 7, tzinfo=UTC))
        InvoiceState.objects.create(invoice=made)
    return Invoice.objects.get(pk=made.pk)


def note_of(invoice: Invoice, **more: Any) -> CreditNote:
    """A credit note over half of the first line."""
    usual = {
        "number": f"CN-2026-{CreditNote.objects.count() + 1:06d}",
        "invoice": invoice,
        "reason": "Incident of 14 November",
        "disposition": CreditNote.Disposition.REDUCE,
        "subtotal": Decimal("0.50"),
        "tax": Decimal("0.10"),
        "total": Decimal("0.60"),
        "idempotency_key": f"key-{CreditNote.objects.count()}",
        "issued_on": date(2026, 12, 5),
    }
    note = CreditNote.objects.create(**(usual | more))
    first = invoice.lines.get(position=1)
    CreditNoteLine.objects.create(
        note=note, line=first, amount=note.subtotal, tax_rate=first.tax_rate, explanation="Half of the input"
    )
    return note


def _copy(party: Party) -> dict[str, Any]:
    """As billing/parties.py makes it."""
    held = {name: getattr(party, name) for name in Party.__dataclass_fields__}
    return held | {"emails": [party.email], "buyer_reference": held.pop("reference")}


def _line(place: int, more: dict[str, Any]) -> dict[str, Any]:
    usual = {
        "position": place,
        "type": LineType.USAGE.value,
        "key": f"line {place}",
        "model": "m",
        "tier": "standard",
        "kind": "input",
        "start": START,
        "end": END,
        "quantity": Decimal(2_000_000),
        "billed": True,
        "charge_model": "per_unit",
        "unit_amount": Decimal("0.50"),
        "amount_exact": Decimal("1.00"),
        "amount": Decimal("1.00"),
        "residual": Decimal(0),
        "tax_rate": Decimal("0.19"),
        "explanation": "2,000,000 tokens of m input, standard, at 0.50 EUR per million",
    }
    return usual | more
