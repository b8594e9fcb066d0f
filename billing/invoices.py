"""Reading invoices: final ones only, a tenant's own or everybody's."""

import re
from collections.abc import Iterable
from decimal import Decimal

from django.db.models import QuerySet, Sum

from billing import rating
from billing.contracts import (
    CreditNoteInfo,
    InvoiceDetail,
    InvoiceEventInfo,
    InvoiceLineInfo,
    InvoiceSummary,
    InvoiceTaxInfo,
    PaymentInfo,
    UsageTotals,
)
from billing.invoice_rows import line_of
from billing.models import CreditNote, Invoice, InvoiceState, Payment
from billing.rating import exact

NUMBER = re.compile(
    r"\A[A-Za-z0-9-]{1,32}\Z"
)  # what is no number is not looked for: PostgreSQL refuses some characters
STATUSES = tuple(InvoiceState.Status.values)


def invoices(
    tenant: str | None = None, *, limit: int | None = 100, before: str | None = None, status: str | None = None
) -> list[InvoiceSummary]:
    """The newest first. `tenant` None: everybody's. `before`: continue after the invoice of this number (unknown: nothing)."""
    rows = _final(tenant)
    if status is not None:
        rows = rows.filter(state__status=status)
    if before is not None:
        if not NUMBER.match(before):
            return []
        rows = rows.filter(pk__lt=Invoice.objects.filter(number=before).values("pk"))
    return [_summary(row) for row in rows.order_by("-pk")[:limit]]


def invoice(number: str, tenant: str | None = None) -> InvoiceDetail | None:
    """None for a number that is unknown, or another tenant's."""
    known = NUMBER.match(number) is not None
    rows = _final(tenant).select_related("replaces").prefetch_related("lines__origin", "taxes", "events", "replaced_by")
    row = rows.filter(number=number).first() if known else None
    if row is None:
        return None
    return InvoiceDetail(
        summary=_summary(row),
        usage=UsageTotals(**{name: getattr(row, name) for name in UsageTotals.__dataclass_fields__}),
        lines=lines_shown((line_of(line) for line in row.lines.all()), row.currency),
        taxes=taxes_shown((rating.Tax(tax.rate, tax.base, tax.amount) for tax in row.taxes.all()), row.currency),
        seal=row.seal,
        price_versions=dict(row.price_versions),
        rating_version=row.rating_version,
        contract=row.contract,
        contract_revision=row.contract_revision,
        usage_root=row.usage_root,
        usage_leaves=row.usage_leaves,
        seller=row.seller,
        buyer=row.buyer,
        tax_category=row.tax_category,
        tax_note=row.tax_note,
        replaces=row.replaces.number if row.replaces else "",
        replaced_by=next((each.number for each in row.replaced_by.all()), ""),
        payments=_payments(row),
        credit_notes=tuple(_note(note) for note in row.credit_notes.select_related("invoice").order_by("pk")),
        events=tuple(InvoiceEventInfo(each.at, each.type, each.actor, each.detail) for each in row.events.all()),
    )


def credit_notes(
    tenant: str | None = None, *, limit: int | None = 100, before: str | None = None
) -> list[CreditNoteInfo]:
    """The newest first, as `invoices`."""
    rows = CreditNote.objects.select_related("invoice").order_by("-pk")
    if tenant is not None:
        rows = rows.filter(invoice__tenant=tenant)
    if before is not None:
        if not NUMBER.match(before):
            return []
        rows = rows.filter(pk__lt=CreditNote.objects.filter(number=before).values("pk"))
    return [_note(row) for row in rows[:limit]]


def payable(amount: Decimal, currency: str) -> Decimal:
    """The same amount with the currency's own number of digits: 12.3 USD is 12.30."""
    return rating.rounded(amount, currency)


def lines_shown(lines: Iterable[rating.Line], currency: str) -> tuple[InvoiceLineInfo, ...]:
    """With positions from 1. Lines without a price are left out."""
    priced = (line for line in lines if line.amount is not None)
    return tuple(_line(line, position, currency) for position, line in enumerate(priced, start=1))


def taxes_shown(taxes: Iterable[rating.Tax], currency: str) -> tuple[InvoiceTaxInfo, ...]:
    return tuple(InvoiceTaxInfo(tax.rate, payable(tax.base, currency), payable(tax.amount, currency)) for tax in taxes)


def _final(tenant: str | None) -> QuerySet[Invoice]:
    rows = Invoice.objects.filter(finalised_at__isnull=False).select_related("state")
    return rows if tenant is None else rows.filter(tenant=tenant)


def _summary(row: Invoice) -> InvoiceSummary:
    state, currency = row.state, row.currency
    void = state.status == InvoiceState.Status.VOID
    outstanding = exact.ZERO if void else max(row.amount_due - state.paid - state.credited, exact.ZERO)
    return InvoiceSummary(
        number=row.number,
        tenant=row.tenant,
        period_start=row.period_start,
        period_end=row.period_end,
        currency=currency,
        subtotal=payable(row.subtotal, currency),
        tax=payable(row.tax, currency),
        total=payable(row.total, currency),
        status=state.status,
        as_of=row.watermark,
        finalised_at=row.finalised_at,
        kind=row.kind,
        time_zone=row.time_zone,
        issued_on=row.issued_on,
        due_on=row.due_on,
        credits_applied=payable(row.credits_applied, currency),
        amount_due=payable(row.amount_due, currency),
        paid=payable(state.paid, currency),
        credited=payable(state.credited, currency),
        outstanding=payable(outstanding, currency),
    )


def _line(line: rating.Line, position: int, currency: str) -> InvoiceLineInfo:
    amount, exactly = line.amount or exact.ZERO, line.amount_exact or exact.ZERO
    return InvoiceLineInfo(
        position=position,
        type=line.type.value,
        model=line.model,
        tier=line.tier,
        operation=line.operation,
        region=line.region,
        context_over=line.context_over,
        kind=str(line.kind),
        start=line.start,
        end=line.end,
        quantity=line.quantity,
        included=line.included,
        unit=line.unit,
        billed=line.billed,
        charge_model=str(line.charge_model),
        unit_amount=line.unit_amount,
        per=line.per,
        amount_exact=exactly,
        amount=payable(amount, currency),
        residual=exact.minus(exactly, amount),
        tax_rate=line.tax_rate,
        explanation=line.explanation,
        adjusts=line.origin,
        detail=line.detail,
    )


def _payments(row: Invoice) -> tuple[PaymentInfo, ...]:
    payments = row.payments.annotate(gone=Sum("refunds__amount")).order_by("pk")
    return tuple(_payment(payment, payment.gone, row.currency) for payment in payments)


def _payment(row: Payment, gone: Decimal | None, currency: str) -> PaymentInfo:
    back = payable(gone or exact.ZERO, currency)
    return PaymentInfo(row.reference, row.method, payable(row.amount, currency), row.received_at, back)


def _note(row: CreditNote) -> CreditNoteInfo:
    currency = row.invoice.currency
    return CreditNoteInfo(
        number=row.number,
        invoice=row.invoice.number,
        tenant=row.invoice.tenant,
        currency=currency,
        issued_on=row.issued_on,
        subtotal=payable(row.subtotal, currency),
        tax=payable(row.tax, currency),
        total=payable(row.total, currency),
        disposition=row.disposition,
        reason=row.reason,
    )
