"""What becomes of an invoice after it is final: payments, refunds, past due, uncollectible.

The rows of payments, refunds and credit notes are the record; `InvoiceState` sums them up for lists, and is only ever changed here and
where credit notes and voids are made, with its row locked. So two payments at once are both counted, and one that comes twice is one.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from billing import audit_log, credits, rating, stripe_tasks
from billing.models import CreditNote, Invoice, InvoiceEvent, InvoiceState, Payment, Refund

Status = InvoiceState.Status
SCHEDULE = "schedule"


class SettlingRefused(ValueError):
    """A payment, refund or change of state that cannot be recorded, with the reason."""


class UnknownInvoice(LookupError):
    """There is no final invoice of that number."""


def locked(number: str) -> InvoiceState:
    """The state of an invoice, its row locked until the transaction ends. Raises UnknownInvoice."""
    found = (
        InvoiceState.objects.select_for_update(of=("self",))
        .select_related("invoice")
        .filter(invoice__number=number, invoice__finalised_at__isnull=False)
        .first()
    )
    if found is None:
        raise UnknownInvoice(f"there is no invoice {number!r}")
    return found


def outstanding(state: InvoiceState) -> Decimal:
    """What is still due. Below zero: more came than was due."""
    left: Decimal = state.invoice.amount_due - state.paid - state.credited
    return left


def event(invoice: Invoice, type: str, actor: str, detail: dict[str, Any] | None = None) -> InvoiceEvent:
    """A line of the invoice's history. `type`: finalised, sent, payment, payment_failed, refund, credit_note, reminder, past_due, ..."""
    return InvoiceEvent.objects.create(invoice=invoice, type=type, actor=actor[:150], detail=detail or {})


def settle(state: InvoiceState, actor: str, *, on: date | None = None) -> None:
    """Bring the status in line with what is paid and credited, and save. `state` is locked by the caller."""
    before = state.status
    state.status = _status(state, on or timezone.now().date())
    state.save()
    if state.status == before:
        return
    event(state.invoice, state.status, actor)
    if state.status == Status.PAID:
        stripe_tasks.plan_settled(state)
        if state.invoice.kind == Invoice.Kind.TOP_UP:
            credits.invoice_paid(state.invoice)


@transaction.atomic
def record_payment(
    invoice_number: str,
    amount: Decimal,
    reference: str,
    *,
    method: str = Payment.Method.MANUAL,
    received_at: datetime | None = None,
    actor: str = "command",
) -> Payment:
    """Money that arrived. The same `reference` with the same invoice and amount is the same payment, recorded once.

    What Stripe took is recorded even where it is more than is due: it is there. By hand that is refused, as a mistake.
    Raises UnknownInvoice, SettlingRefused.
    """
    state = locked(invoice_number)
    invoice = state.invoice
    if (known := Payment.objects.select_related("invoice").filter(reference=reference).first()) is not None:
        if known.invoice_id == invoice.pk and known.amount == amount:
            return known
        raise SettlingRefused(f"payment {reference!r} is recorded already: {known.amount} for {known.invoice.number}")
    _check_payment(state, amount, reference, method)
    payment = Payment.objects.create(
        invoice=invoice,
        method=method,
        amount=amount,
        reference=reference,
        received_at=received_at or timezone.now(),
        recorded_by=actor,
    )
    event(invoice, "payment", actor, {"amount": rating.plain(amount), "reference": reference, "method": method})
    state.paid += amount
    settle(state, actor)
    audit_log.record(actor, "pay", payment, None, audit_log.snapshot(payment))
    return payment


@transaction.atomic
def record_refund(
    payment_reference: str,
    amount: Decimal,
    reference: str,
    *,
    reason: str,
    note: CreditNote | None = None,
    actor: str = "command",
) -> Refund:
    """Money that goes back, at most what is left of the payment. The same `reference` is the same refund.

    With a credit note, which says why less is owed, the invoice stays paid; without one it is open again by that much.
    """
    payment = Payment.objects.select_related("invoice").filter(reference=payment_reference).first()
    if payment is None:
        raise SettlingRefused(f"there is no payment {payment_reference!r}")
    state = locked(payment.invoice.number)
    if (known := Refund.objects.filter(reference=reference).first()) is not None:
        if known.payment_id == payment.pk and known.amount == amount:
            return known
        raise SettlingRefused(f"refund {reference!r} is recorded already, with {known.amount}")
    if not 0 < amount <= refundable(payment):
        raise SettlingRefused(f"of payment {payment_reference!r}, {refundable(payment)} can go back, not {amount}")
    refund = Refund.objects.create(
        payment=payment, note=note, amount=amount, reason=reason, reference=reference, created_by=actor
    )
    detail = {"amount": rating.plain(amount), "reference": reference, "payment": payment_reference, "reason": reason}
    event(payment.invoice, "refund", actor, detail)
    stripe_tasks.plan_refund(refund)
    if note is None:
        state.paid -= amount
        settle(state, actor)
    audit_log.record(actor, "refund", refund, None, audit_log.snapshot(refund))
    return refund


def refundable(payment: Payment) -> Decimal:
    """What is left of a payment after its refunds."""
    gone = payment.refunds.aggregate(sum=Sum("amount"))["sum"] or Decimal(0)
    left: Decimal = payment.amount - gone
    return left


@transaction.atomic
def mark_uncollectible(number: str, *, reason: str, actor: str = "command") -> None:
    """The debt is given up; a payment that comes after all still makes the invoice paid. Raises SettlingRefused unless it is due."""
    state = locked(number)
    if state.status not in {Status.OPEN, Status.PAST_DUE}:
        raise SettlingRefused(f"{number} is {state.get_status_display().lower()}: only what is due can be given up")
    before = state.status
    state.status = Status.UNCOLLECTIBLE
    state.save()
    event(state.invoice, Status.UNCOLLECTIBLE, actor, {"reason": reason})
    audit_log.record(
        actor, "uncollectible", state.invoice, {"status": before}, {"status": state.status, "reason": reason}
    )


def mark_past_due(now: datetime) -> list[str]:
    """Open invoices whose due date has passed. The numbers of those that became past due with this call."""
    numbers = InvoiceState.objects.filter(status=Status.OPEN, invoice__due_on__lt=now.date()).values_list(
        "invoice__number", flat=True
    )
    return [number for number in numbers.order_by("invoice__number") if _past_due(number, now)]


@transaction.atomic
def _past_due(number: str, now: datetime) -> bool:
    state = locked(number)
    if state.status != Status.OPEN:  # paid, or marked by another process, since the list was read
        return False
    settle(state, SCHEDULE, on=now.date())
    return state.status == Status.PAST_DUE


def _status(state: InvoiceState, today: date) -> str:
    if state.status == Status.VOID:
        return Status.VOID
    if outstanding(state) <= 0:
        return Status.PAID
    if state.status == Status.UNCOLLECTIBLE:
        return Status.UNCOLLECTIBLE
    return Status.PAST_DUE if state.invoice.due_on < today else Status.OPEN


def _check_payment(state: InvoiceState, amount: Decimal, reference: str, method: str) -> None:
    invoice = state.invoice
    if method not in Payment.Method.values:
        raise SettlingRefused(f"{method!r} is not a method of payment: one of {', '.join(Payment.Method.values)}")
    if not reference or len(reference) > 128:
        raise SettlingRefused("a payment needs a reference of at most 128 characters, such as the bank's")
    if not amount.is_finite() or amount <= 0 or amount != rating.rounded(amount, invoice.currency):
        raise SettlingRefused(f"{amount} is no amount of {invoice.currency} that can be paid")
    if method == Payment.Method.STRIPE:
        return
    if state.status == Status.VOID:
        raise SettlingRefused(f"{invoice.number} is void: nothing is due on it")
    if amount > outstanding(state):
        due = max(outstanding(state), Decimal(0))
        raise SettlingRefused(f"{rating.plain(due)} {invoice.currency} is due on {invoice.number}, not {amount}")
