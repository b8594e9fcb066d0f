"""Short ways to write invoices to be, as credit sees them, and grants."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from billing import credit_ledger as ledger
from billing import credits, invoice_rows, rating
from billing.contracts import UsageTotals
from billing.credit_grants import granting
from billing.models import CreditGrant, Invoice, InvoiceLine, InvoiceState
from metering import public as metering
from metering.contracts import TenantInfo

START = datetime(2026, 10, 1, tzinfo=UTC)
MIDDLE = datetime(2026, 10, 16, tzinfo=UTC)
END = datetime(2026, 11, 1, tzinfo=UTC)
D = Decimal
SOON = timedelta(days=4000)  # far enough that the tests' clock never reaches it
Type = rating.LineType


def tenant() -> TenantInfo:
    return metering.create_tenant(f"t-{uuid.uuid4().hex[:12]}")


def line(amount: str, type: Type = Type.USAGE, **other: Any) -> rating.Line:
    fields = {"key": f"{type}-{uuid.uuid4().hex[:8]}", "start": START, "end": END, "explanation": "", "model": "m"}
    return rating.Line(type=type, amount_exact=Decimal(amount), amount=Decimal(amount), **{**fields, **other})


def charges(owner: TenantInfo, *lines: rating.Line, **other: Any) -> credits.Charges:
    fields = {
        "number": f"TW-2026-{uuid.uuid4().hex[:6]}",
        "tenant": owner.key,
        "currency": owner.currency,
        "period_start": START,
        "period_end": END,
    }
    return credits.Charges(**{**fields, **other}, lines=lines)


def given(owner: TenantInfo, amount: str, **other: Any) -> CreditGrant:
    """Promotional credit for any usage, unless `other` says something else."""
    fields: dict[str, Any] = {
        "kind": CreditGrant.Kind.PROMOTIONAL,
        "name": "Launch credit",
        "effective_from": rating.BEGINNING,
        "actor": "ada",
    }
    return credits.grant(tenant=owner.key, amount=Decimal(amount), **{**fields, **other})


def bought(owner: TenantInfo, amount: str, **other: Any) -> CreditGrant:
    return given(owner, amount, **{"kind": CreditGrant.Kind.PAID, "name": "Prepaid", **other})


def expiring(owner: TenantInfo, expires_at: datetime, *, kind: str = "promotional", amount: str = "80") -> CreditGrant:
    """A grant that burns early and whose end the clock has passed, as one that was given in time has by now."""
    row = CreditGrant.objects.create(
        tenant=owner.key,
        currency=owner.currency,
        kind=kind,
        name="Expiring",
        amount=Decimal(amount),
        priority=5,
        effective_from=rating.BEGINNING,
        expires_at=expires_at,
        source=f"test:{uuid.uuid4()}",
    )
    ledger.post([granting(row)])
    return row


def stored(one: credits.Charges, found: credits.Applied) -> Invoice:
    """The invoice that finalising would have made of it, as far as credit looks at it."""
    lines = (*one.lines, *found.lines)
    taxes = rating.taxes(((line.tax_rate, line.amount or Decimal(0)) for line in lines), one.currency)
    subtotal, tax = sum((row.base for row in taxes), Decimal(0)), sum((row.amount for row in taxes), Decimal(0))
    invoice = Invoice.objects.create(
        number=one.number,
        tenant=one.tenant,
        period_start=one.period_start,
        period_end=one.period_end,
        currency=one.currency,
        seal=1,
        watermark=one.period_end,
        price_versions={},
        rating_version=rating.RATING_VERSION,
        subtotal=subtotal,
        tax=tax,
        total=subtotal + tax,
        credits_applied=found.credits_applied,
        amount_due=subtotal + tax - found.credits_applied,
        issued_on=one.period_end.date(),
        due_on=one.period_end.date(),
        **dict.fromkeys(UsageTotals.__dataclass_fields__, 0),
    )
    without_origin = [replace(line, origin="") for line in lines]
    InvoiceLine.objects.bulk_create(invoice_rows.rows_of(invoice, without_origin, {}))
    InvoiceState.objects.create(invoice=invoice)
    Invoice.objects.filter(pk=invoice.pk).update(finalised_at=one.period_end)
    invoice.refresh_from_db()
    return invoice


def applied(one: credits.Charges) -> credits.Applied:
    with transaction.atomic():
        return credits.apply_to_drafts([one])[one.number]


def left(*grants: CreditGrant) -> list[Decimal]:
    found = ledger.left_of([grant.pk for grant in grants])
    return [found[grant.pk] for grant in grants]


def amounts(found: credits.Applied) -> list[Decimal]:
    return [line.amount for line in found.lines if line.amount is not None]
