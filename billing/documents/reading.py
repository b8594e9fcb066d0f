"""Reads what is printed. `tenant` None: anybody's; else another tenant's document is not told apart from one that does not exist."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from billing.documents.document import (
    Document,
    DocumentLine,
    DocumentTax,
    Evidence,
    Kind,
    NoSuchDocument,
    Party,
)
from billing.models import CreditNote, Customer, Invoice, InvoiceLine, InvoiceState
from billing.rating.lines import LineType
from billing.rating.rounding import rounded
from billing.rating.tax import taxes
from metering import public as metering

LONGEST_NUMBER = 32


def invoice(number: str, tenant: str | None = None) -> Document:
    """Raises NoSuchDocument."""
    row = _one(_invoices(tenant).prefetch_related("lines__origin", "taxes"), number)
    currency = row.currency
    state = InvoiceState.objects.filter(invoice=row).first()
    return Document(
        kind=Kind.TOP_UP if row.kind == Invoice.Kind.TOP_UP else Kind.INVOICE,
        number=row.number,
        made_at=row.finalised_at or row.created_at,
        issued_on=row.issued_on,
        due_on=row.due_on,
        lines=tuple(_line(line, currency) for line in row.lines.all()),
        taxes=tuple(
            DocumentTax(tax.rate, _paid(tax.base, currency), _paid(tax.amount, currency)) for tax in row.taxes.all()
        ),
        subtotal=_paid(row.subtotal, currency),
        tax=_paid(row.tax, currency),
        total=_paid(row.total, currency),
        credits_applied=_paid(row.credits_applied, currency),
        amount_due=_paid(row.amount_due, currency),
        status=state.status if state else InvoiceState.Status.OPEN.value,
        paid=_paid(state.paid if state else Decimal(0), currency),
        credited=_paid(state.credited if state else Decimal(0), currency),
        evidence=_evidence(row),
        corrects=row.replaces.number if row.replaces else "",
        corrects_issued_on=row.replaces.issued_on if row.replaces else None,
        **_common(row),
    )


def credit_note(number: str, tenant: str | None = None) -> Document:
    """Raises NoSuchDocument."""
    notes = CreditNote.objects.select_related("invoice").prefetch_related("lines__line")
    row = _one(notes if tenant is None else notes.filter(invoice__tenant=tenant), number)
    currency = row.invoice.currency
    lines = tuple(
        _line(part.line, currency, amount=part.amount, explanation=part.explanation, origin=row.invoice.number)
        for part in sorted(row.lines.all(), key=lambda part: (part.line.position, part.pk))
    )
    return Document(
        kind=Kind.CREDIT_NOTE,
        number=row.number,
        made_at=row.created_at,
        issued_on=row.issued_on,
        lines=lines,
        taxes=_taxes_of_note(lines, _paid(row.tax, currency), currency),
        subtotal=_paid(row.subtotal, currency),
        tax=_paid(row.tax, currency),
        total=_paid(row.total, currency),
        credits_applied=_paid(Decimal(0), currency),
        amount_due=_paid(row.total, currency),
        corrects=row.invoice.number,
        corrects_issued_on=row.invoice.issued_on,
        reason=row.reason,
        disposition=row.disposition,
        **_common(row.invoice),
    )


def _invoices(tenant: str | None) -> QuerySet[Invoice]:
    rows = Invoice.objects.filter(finalised_at__isnull=False).select_related("replaces")
    return rows if tenant is None else rows.filter(tenant=tenant)


def _one(rows: QuerySet[Any], number: str) -> Any:
    # What is no number is not looked for: PostgreSQL refuses some characters.
    plausible = len(number) <= LONGEST_NUMBER and number.isascii() and number.replace("-", "").isalnum()
    row = rows.filter(number=number).first() if plausible else None
    if row is None:
        raise NoSuchDocument(number)
    return row


def _common(row: Invoice) -> dict[str, Any]:
    known = metering.tenant(row.tenant)
    return {
        "tenant": row.tenant,
        "currency": row.currency,
        "seller": party(row.seller, otherwise=""),
        "buyer": party(row.buyer, otherwise=known.name if known else row.tenant),
        "tax_category": row.tax_category,
        "tax_note": row.tax_note,
        "period_start": row.period_start,
        "period_end": row.period_end,
        "zone": ZoneInfo(row.time_zone or "UTC"),
        "contract": row.contract,
        "is_collected": str(row.buyer.get("collection") or Customer.Collection.MANUAL) != Customer.Collection.MANUAL,
        "is_demo": known is not None and known.is_demo,
    }


def party(copy: Mapping[str, Any], *, otherwise: str) -> Party:
    """From the copy on the invoice (billing/parties.py). `otherwise`: the name of a party that has none."""
    texts = {name: str(copy.get(name) or "") for name in Party.__dataclass_fields__}
    emails = copy.get("emails") or []
    texts["name"] = texts["name"] or str(copy.get("legal_name") or "") or otherwise
    texts["email"] = texts["email"] or (str(emails[0]) if emails else "")
    texts["reference"] = texts["reference"] or str(copy.get("buyer_reference") or "")
    return Party(**texts)


def _line(row: InvoiceLine, currency: str, **instead: Any) -> DocumentLine:
    held = {
        "amount": row.amount,
        "explanation": row.explanation,
        "origin": row.origin.number if row.origin else "",
    } | instead
    return DocumentLine(
        position=row.position,
        type=LineType(row.type),
        start=row.start,
        end=row.end,
        tax_rate=row.tax_rate,
        quantity=row.quantity,
        included=row.included,
        unit=row.unit,
        billed=row.billed,
        model=row.model,
        tier=row.tier,
        operation=row.operation,
        region=row.region,
        context_over=row.context_over,
        kind=row.kind,
        charge_model=row.charge_model,
        unit_amount=row.unit_amount,
        per=row.per,
        residual=row.residual,
        amount=_paid(held["amount"], currency),
        explanation=held["explanation"],
        origin=held["origin"],
    )


def _taxes_of_note(lines: Iterable[DocumentLine], tax: Decimal, currency: str) -> tuple[DocumentTax, ...]:
    """By rate. The note's own tax is what was taken back, to the cent: with one rate it stands as it is, with several the last one
    takes what rounding left."""
    computed = taxes(((line.tax_rate, line.amount) for line in lines), currency)
    found = [DocumentTax(one.rate, _paid(one.base, currency), _paid(one.amount, currency)) for one in computed]
    if found:
        rest = tax - sum((one.amount for one in found), Decimal(0))
        found[-1] = DocumentTax(found[-1].rate, found[-1].base, found[-1].amount + rest)
    return tuple(found)


def _evidence(row: Invoice) -> Evidence:
    return Evidence(
        watermark=row.watermark,
        seal=row.seal,
        price_versions=tuple(sorted((str(book), int(version)) for book, version in row.price_versions.items())),
        rating_version=row.rating_version,
        usage_root=row.usage_root,
        usage_leaves=row.usage_leaves,
        requests=row.requests,
        requests_not_billed=row.requests_not_billed,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
    )


def _paid(amount: Decimal, currency: str) -> Decimal:
    """With the currency's own number of digits: 12.3 USD is 12.30."""
    return rounded(amount, currency)
