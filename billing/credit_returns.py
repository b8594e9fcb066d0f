"""Taking credit out of grants again, or putting it back: release, expiry, revoking, refunds. Each under the grants' locks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.utils import timezone

from billing import audit_log, rating
from billing import credit_ledger as ledger
from billing.credit_grants import carried_source, top_up_source
from billing.credit_ledger import CreditRefused, Held, Leg, Posting
from billing.models import CreditEntry, CreditGrant, CreditNote, CreditTransaction, Invoice, InvoiceState
from billing.rating import exact

Type = CreditTransaction.Type
EXPIRE_AT_ONCE = 500  # grants in one transaction, so that none is locked for long


@dataclass(frozen=True)
class _Out:
    """What takes an amount out of a grant: the type of the transaction, the account it goes to, who, and why."""

    type: CreditTransaction.Type
    to: str
    by: str
    reason: str


def release(invoice: Invoice, actor: str) -> None:
    """Give back what a void invoice used of credit, and take back what it carried over. Within the transaction that makes it void.

    Raises CreditRefused if some of what it carried over has been spent: that is another invoice's now.
    """
    used = CreditEntry.objects.filter(transaction__in=ledger.transactions_about(invoice.number), grant__isnull=False)
    amounts = dict(used.order_by().values_list("grant_id").annotate(Sum("amount")))
    carried = CreditGrant.objects.filter(source=carried_source(invoice.number)).first()
    held = {one.grant.pk: one for one in ledger.locked([*amounts, *([carried.pk] if carried else [])])}
    postings = [_released(invoice, amounts, actor)] if amounts else []
    if carried is not None:
        left = held[carried.pk].left
        if left != carried.amount:
            raise CreditRefused(
                f"{invoice.number} cannot be void: of the {_text(carried.amount, carried.currency)} that it carried over, "
                f"{_text(exact.minus(carried.amount, left), carried.currency)} are spent"
            )
        postings.append(_taken(held[carried.pk], left, _Out(Type.REVOKE, ledger.CARRIED, actor, "void")))
    ledger.post(postings)


def _released(invoice: Invoice, amounts: dict[int, Decimal], actor: str) -> Posting:
    account = ledger.invoice_account(invoice.number)
    return Posting(
        Type.RELEASE,
        invoice.tenant,
        invoice.currency,
        f"release:{invoice.number}",
        tuple(Leg(grant_id, account, exact.minus(exact.ZERO, amount)) for grant_id, amount in amounts.items()),
        note=f"invoice {invoice.number} is void",
        by=actor,
    )


@transaction.atomic
def revoke(grant_id: int, reason: str, actor: str) -> Decimal:
    """Take back what is left of promotional credit. The amount. Raises CreditRefused if there is nothing, or it was paid for."""
    held = _locked(grant_id)
    if held.grant.kind != CreditGrant.Kind.PROMOTIONAL:
        raise CreditRefused(f"{held.grant.name} was paid for: it can be refunded, not revoked")
    _take(held, held.left, _Out(Type.REVOKE, ledger.PROMOTION, actor, reason))
    return held.left


@transaction.atomic
def refund_grant(grant_id: int, amount: Decimal | None, reason: str, actor: str) -> Decimal:
    """Take money's worth out of paid or carried credit, to be paid back: `amount`, or all that is left.

    Only what is left, never what an invoice has used. Paying it back is for the caller. Raises CreditRefused.
    """
    held = _locked(grant_id)
    if held.grant.kind == CreditGrant.Kind.PROMOTIONAL:
        raise CreditRefused(f"{held.grant.name} was given, not paid for: it can be revoked, not refunded")
    if held.grant.source.startswith(top_up_source("")):
        number = held.grant.source.removeprefix(top_up_source(""))
        raise CreditRefused(f"{held.grant.name} was bought: issue a credit note with refund for {number}")
    wanted = held.left if amount is None else amount
    if not wanted.is_finite() or wanted != rating.rounded(wanted, held.grant.currency):
        raise CreditRefused(f"{wanted} is no amount of {held.grant.currency}")
    _take(held, wanted, _Out(Type.REFUND, ledger.REFUNDED, actor, reason))
    return wanted


def take_back(note: CreditNote, actor: str) -> None:
    """What a credit note pays back of a top-up leaves its grant. Within the transaction that issues it; other invoices' notes: nothing.

    Raises CreditRefused if less is left: what has been spent cannot be paid back.
    """
    source = top_up_source(note.invoice.number)
    row = CreditGrant.objects.filter(source=source).first() if note.invoice.kind == Invoice.Kind.TOP_UP else None
    if row is not None:
        _take(_locked(row.pk), note.total, _Out(Type.REFUND, ledger.REFUNDED, actor, note.number))


def _locked(grant_id: int) -> Held:
    found = ledger.locked([grant_id])
    if not found:
        raise CreditRefused(f"there is no grant {grant_id}")
    return found[0]


def _take(held: Held, amount: Decimal, out: _Out) -> None:
    if not out.reason.strip():
        raise CreditRefused("say why: it stands in the ledger")
    if amount <= 0 or amount > held.left:
        raise CreditRefused(
            f"{_text(amount, held.grant.currency)} cannot be taken out of {held.grant.name}: "
            f"{_text(held.left, held.grant.currency)} are left"
        )
    ledger.post([_taken(held, amount, out)])
    after = exact.minus(held.left, amount)
    audit_log.record(
        out.by,
        str(out.type),
        held.grant,
        {"left": rating.plain(held.left)},
        {"left": rating.plain(after), "reason": out.reason},
    )


def _taken(held: Held, amount: Decimal, out: _Out, earlier: int | None = None) -> Posting:
    """The next one of its kind out of this grant: counted under the grant's lock."""
    grant = held.grant
    count = _earlier(out.type, [grant.pk])[grant.pk] if earlier is None else earlier
    return Posting(
        out.type,
        grant.tenant,
        grant.currency,
        f"{out.type}:{grant.pk}:{count + 1}",
        (Leg(grant.pk, out.to, exact.minus(exact.ZERO, amount)),),
        note=out.reason,
        by=out.by,
    )


def _earlier(kind: CreditTransaction.Type, grant_ids: Sequence[int]) -> dict[int, int]:
    """How many transactions of a kind have touched each grant."""
    entries = CreditEntry.objects.filter(grant__in=grant_ids, transaction__type=kind)
    counts = dict(entries.order_by().values_list("grant_id").annotate(Count("pk")))
    return {grant_id: counts.get(grant_id, 0) for grant_id in grant_ids}


def expire_due(now: datetime | None = None) -> int:
    """Move what is left of expired grants out of them; how many. What an invoice still to come may use stays until that is made."""
    due = _expired(now or timezone.now())
    return sum(_expire(due[first : first + EXPIRE_AT_ONCE]) for first in range(0, len(due), EXPIRE_AT_ONCE))


@transaction.atomic
def _expire(grant_ids: Sequence[int]) -> int:
    held = [one for one in ledger.locked(grant_ids) if one.left > 0]
    out = _Out(Type.EXPIRE, ledger.EXPIRED, "schedule", "expired")
    earlier = _earlier(out.type, [one.grant.pk for one in held])
    ledger.post([_taken(one, one.left, out, earlier[one.grant.pk]) for one in held])
    return len(held)


def _expired(now: datetime) -> list[int]:
    """Grants that hold something that no invoice can use any more: one reaches past the expiry, or the time allowed for one is over."""
    reaching = Invoice.objects.filter(
        tenant=OuterRef("tenant"),
        currency=OuterRef("currency"),
        kind=Invoice.Kind.USAGE,
        period_end__gte=OuterRef("expires_at"),
        finalised_at__isnull=False,
    ).exclude(state__status=InvoiceState.Status.VOID)
    too_long = now - timedelta(days=settings.CREDIT_EXPIRY_WAIT_DAYS)
    rows = CreditGrant.objects.filter(expires_at__lte=now).filter(Q(expires_at__lte=too_long) | Exists(reaching))
    left = rows.annotate(left=Sum("entries__amount")).filter(left__gt=0)
    return list(left.order_by("pk").values_list("pk", flat=True))


def _text(amount: Decimal, currency: str) -> str:
    return f"{rating.rounded(amount, currency):,f} {currency}"
