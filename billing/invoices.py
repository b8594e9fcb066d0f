"""Reading invoices: final ones only, a tenant's own or everybody's."""

import re
from decimal import Decimal

from django.db.models import QuerySet

from billing import rating
from billing.contracts import InvoiceDetail, InvoiceLineInfo, InvoiceSummary, InvoiceTaxInfo, UsageTotals
from billing.models import Invoice, InvoiceLine

NUMBER = re.compile(
    r"\A[A-Za-z0-9-]{1,32}\Z"
)  # what is no number is not looked for: PostgreSQL refuses some characters


def invoices(tenant: str | None = None, *, limit: int | None = 100, before: str | None = None) -> list[InvoiceSummary]:
    """The newest first. `tenant` None: everybody's. `before`: continue after the invoice of this number (unknown: nothing)."""
    rows = _final(tenant)
    if before is not None:
        if not NUMBER.match(before):
            return []
        rows = rows.filter(pk__lt=Invoice.objects.filter(number=before).values("pk"))
    return [_summary(row) for row in rows.order_by("-pk")[:limit]]


def invoice(number: str, tenant: str | None = None) -> InvoiceDetail | None:
    """None for a number that is unknown, or another tenant's."""
    known = NUMBER.match(number) is not None
    row = _final(tenant).filter(number=number).prefetch_related("lines", "taxes").first() if known else None
    if row is None:
        return None
    return InvoiceDetail(
        summary=_summary(row),
        usage=UsageTotals(**{name: getattr(row, name) for name in UsageTotals.__dataclass_fields__}),
        lines=tuple(_line(line, row.currency) for line in row.lines.all()),
        taxes=tuple(
            InvoiceTaxInfo(tax.rate, payable(tax.base, row.currency), payable(tax.amount, row.currency))
            for tax in row.taxes.all()
        ),
        seal=row.seal,
        price_book=row.price_book,
        price_version=row.price_version,
        rating_version=row.rating_version,
    )


def payable(amount: Decimal, currency: str) -> Decimal:
    """The same amount with the currency's own number of digits: 12.3 USD is 12.30."""
    return rating.rounded(amount, currency)


def _final(tenant: str | None) -> QuerySet[Invoice]:
    rows = Invoice.objects.filter(finalised_at__isnull=False)
    return rows if tenant is None else rows.filter(tenant=tenant)


def _summary(row: Invoice) -> InvoiceSummary:
    return InvoiceSummary(
        number=row.number,
        tenant=row.tenant,
        period_start=row.period_start,
        period_end=row.period_end,
        currency=row.currency,
        subtotal=payable(row.subtotal, row.currency),
        tax=payable(row.tax, row.currency),
        total=payable(row.total, row.currency),
        status=row.status,
        as_of=row.watermark,
        finalised_at=row.finalised_at,
    )


def _line(row: InvoiceLine, currency: str) -> InvoiceLineInfo:
    return InvoiceLineInfo(
        position=row.position,
        model=row.model,
        tier=row.tier,
        kind=row.kind,
        start=row.start,
        end=row.end,
        quantity=row.quantity,
        billed=row.billed,
        per_million=row.per_million,
        amount_exact=row.amount_exact,
        amount=payable(row.amount, currency),
        residual=row.residual,
        tax_rate=row.tax_rate,
        explanation=row.explanation,
    )
