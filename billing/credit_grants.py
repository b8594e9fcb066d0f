"""Giving credit: by hand, for a top-up that was paid, and where an invoice or a credit note owes the tenant something."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.utils import timezone

from billing import audit_log, rating
from billing import credit_ledger as ledger
from billing.credit_ledger import CreditRefused, Leg, Posting
from billing.models import CreditGrant, CreditNote, CreditTransaction, Invoice
from billing.rating import BEGINNING
from metering import public as metering

QUARTER_S = 900
PRIORITY = 50
CARRIED_PRIORITY = 10  # what is owed to the tenant burns before what it bought
MOST_PRIORITY = 1000
MOST = Decimal(10) ** 15


def grant(
    *,
    tenant: str,
    amount: Decimal,
    kind: CreditGrant.Kind,
    name: str,
    actor: str,
    currency: str = "",
    priority: int = PRIORITY,
    effective_from: datetime | None = None,
    expires_at: datetime | None = None,
    models_covered: Sequence[str] = (),
    source: str = "",
) -> CreditGrant:
    """Credit for a tenant, in its currency. `source` names it once: the same one again gives the grant that is there.

    Without `effective_from`, promotional credit covers usage from this quarter of an hour on; paid and carried credit any that is not
    invoiced yet. `expires_at`: exclusive, of usage. Raises CreditRefused.
    """
    now = timezone.now()
    row = CreditGrant(
        tenant=tenant,
        currency=_currency(tenant, currency),
        kind=CreditGrant.Kind(kind),
        name=name.strip(),
        amount=amount,
        priority=priority,
        effective_from=effective_from or (quarter(now) if kind == CreditGrant.Kind.PROMOTIONAL else BEGINNING),
        expires_at=expires_at,
        models_covered=sorted(set(models_covered)),
        source=source or f"by hand:{uuid.uuid4()}",
        created_by=actor,
    )
    if (known := CreditGrant.objects.filter(source=row.source).first()) is not None:
        return _same(known, row)
    _refuse_impossible(row, now)
    try:
        return _keep(row, actor)
    except IntegrityError:  # another process gave it first
        known = CreditGrant.objects.filter(source=row.source).first()
        if known is None:
            raise
        return _same(known, row)


def quarter(moment: datetime) -> datetime:
    """The quarter of an hour that holds it: where usage can be cut."""
    return moment - timedelta(minutes=moment.minute % 15, seconds=moment.second, microseconds=moment.microsecond)


@transaction.atomic
def _keep(row: CreditGrant, actor: str) -> CreditGrant:
    row.save()
    ledger.post([granting(row)])
    audit_log.record(actor, "grant", row, None, described(row))
    return row


def granting(row: CreditGrant) -> Posting:
    """The transaction that fills a new grant."""
    against = ledger.ORIGIN[CreditGrant.Kind(row.kind)]
    return Posting(
        CreditTransaction.Type.GRANT,
        row.tenant,
        row.currency,
        f"grant:{row.source}",
        (Leg(row.pk, against, row.amount),),
        note=row.name,
        by=row.created_by,
    )


def described(row: CreditGrant) -> dict[str, object]:
    """For the audit log."""
    return {
        "tenant": row.tenant,
        "amount": f"{rating.plain(row.amount)} {row.currency}",
        "kind": str(row.kind),
        "name": row.name,
        "priority": row.priority,
        "effective_from": row.effective_from.isoformat(),
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        "models_covered": list(row.models_covered),
        "source": row.source,
    }


@dataclass(frozen=True)
class Carry:
    """An amount that is owed to a tenant and becomes credit. `source` makes it once."""

    tenant: str
    currency: str
    amount: Decimal
    name: str
    source: str
    by: str


def carry(amounts: Sequence[Carry]) -> list[CreditGrant]:
    """Grants of kind carried, which pay any later invoice and never expire. Within the caller's transaction."""
    grants = CreditGrant.objects.bulk_create(
        [
            CreditGrant(
                tenant=one.tenant,
                currency=one.currency,
                kind=CreditGrant.Kind.CARRIED,
                name=one.name,
                amount=one.amount,
                priority=CARRIED_PRIORITY,
                effective_from=BEGINNING,
                source=one.source,
                created_by=one.by,
            )
            for one in amounts
        ]
    )
    ledger.post([granting(row) for row in grants])
    return grants


def carried_source(number: str) -> str:
    return f"carried:{number}"


def carry_note(note: CreditNote, actor: str) -> CreditGrant:
    """What a credit note gives back as credit. Within the transaction that issues it. Raises CreditRefused for a top-up's note."""
    invoice = note.invoice
    if invoice.kind == Invoice.Kind.TOP_UP:
        raise CreditRefused(f"{invoice.number} bought credit: giving it back as credit changes nothing, refund it")
    name = f"Credit note {note.number}"
    (row,) = carry([Carry(invoice.tenant, invoice.currency, note.total, name, f"note:{note.number}", actor)])
    return row


def invoice_paid(invoice: Invoice) -> CreditGrant | None:
    """The grant that a paid top-up buys: what was paid of it, made once however often this is called. None for other invoices."""
    if invoice.kind != Invoice.Kind.TOP_UP:
        return None
    bought = invoice.total - invoice.state.credited
    if bought <= 0:  # a credit note took it back before anything was paid
        return None
    days = invoice.lines.get().detail.get("valid_days")
    return grant(
        tenant=invoice.tenant,
        currency=invoice.currency,
        amount=bought,
        kind=CreditGrant.Kind.PAID,
        name=f"Top-up {invoice.number}",
        expires_at=quarter(timezone.now()) + timedelta(days=days) if days else None,
        source=top_up_source(invoice.number),
        actor="billing",
    )


def top_up_source(number: str) -> str:
    return f"top-up:{number}"


def _currency(tenant: str, named: str) -> str:
    info = metering.tenant(tenant)
    if info is None:
        raise CreditRefused(f"there is no tenant {tenant!r}")
    if named and named != info.currency:
        raise CreditRefused(f"{tenant} is billed in {info.currency}: credit in {named} would never be used")
    return info.currency


def _refuse_impossible(row: CreditGrant, now: datetime) -> None:
    if not row.name or len(row.name) > 200:
        raise CreditRefused("a grant needs a name of at most 200 characters: it stands on invoices")
    if not row.amount.is_finite() or not 0 < row.amount < MOST:
        raise CreditRefused(f"{row.amount} is not an amount of credit: it must be above 0 and below {MOST:,}")
    if row.amount != rating.rounded(row.amount, row.currency):
        raise CreditRefused(f"{row.amount} has more digits than {row.currency} can be paid in")
    if not 0 <= row.priority <= MOST_PRIORITY:
        raise CreditRefused(f"priority {row.priority} is not from 0 (burns first) to {MOST_PRIORITY}")
    if row.models_covered and row.kind != CreditGrant.Kind.PROMOTIONAL:
        raise CreditRefused("only promotional credit can be for some models: paid credit pays whole invoices")
    for name, moment in (("effective_from", row.effective_from), ("expires_at", row.expires_at)):
        if moment is not None and moment.timestamp() % QUARTER_S:
            raise CreditRefused(f"{name} {moment.isoformat()} is not on a quarter of an hour")
    if row.expires_at is not None and row.expires_at <= max(row.effective_from, now):
        raise CreditRefused(f"it would expire at {row.expires_at.isoformat()}, before it could be used")


def _same(known: CreditGrant, asked: CreditGrant) -> CreditGrant:
    if (known.tenant, known.currency, known.kind, known.amount) != (
        asked.tenant,
        asked.currency,
        asked.kind,
        asked.amount,
    ):
        raise CreditRefused(f"{known.source!r} is {known} already")
    return known
