"""Money back and credit notes at Stripe. Asked for again after a lost answer: what is there is looked for first."""

from datetime import datetime, timedelta
from typing import Any

from billing import stripe_outcomes, stripe_tasks
from billing import stripe_values as values
from billing.models import CreditNote, Refund, StripeTask
from billing.stripe_gateway import Gateway
from billing.stripe_tasks import DONE, Outcome
from billing.stripe_values import StripeCreditNote, StripeRefund

REFUND_FIRST_WAIT = timedelta(minutes=1)


def refund(task: StripeTask, gateway: Gateway, now: datetime) -> Outcome:
    """Give back what a Refund row says, out of the payment that it names."""
    row = Refund.objects.select_related("payment__invoice").get(reference=task.ours)
    made = _refund_there(task, row, gateway) or _refunded(row, gateway)
    stripe_outcomes.refund_seen(made, now)
    if made.status in {"failed", "canceled"}:
        return Outcome(refused=True, error=f"{made.id} {made.status}: {made.failure or 'no reason given'}")
    return DONE


def credit_note(task: StripeTask, gateway: Gateway, now: datetime) -> Outcome:
    """Tell Stripe of a credit note, so that it collects less, or shows why money went back."""
    note = CreditNote.objects.select_related("invoice").get(number=task.ours)
    stripe_invoice = stripe_outcomes.known(stripe_outcomes.INVOICE, note.invoice.number)
    if stripe_invoice is None or stripe_invoice.status == "draft":
        if note.invoice.number in stripe_tasks.waiting_for([note.invoice.number]):
            return Outcome(again_at=now + REFUND_FIRST_WAIT, error="its invoice is not at Stripe yet")
        return DONE  # nothing of it is collected there
    if note.number in stripe_tasks.notes_taken_off(note.invoice.number):
        return DONE  # it stands on Stripe's invoice already
    refunds = _refunds_of(note)
    if refunds is None:
        return Outcome(again_at=now + REFUND_FIRST_WAIT, error="its refund is not done yet")
    made = _note_there(task, note, stripe_invoice.stripe_id, gateway)
    if made is None:
        made = gateway.create_credit_note(
            _note_fields(note, stripe_invoice.stripe_id, refunds), f"{stripe_tasks.installation()}/note/{note.number}"
        )
    stripe_outcomes.remember(stripe_outcomes.CREDIT_NOTE, note.number, made.id, made.status, at=now)
    stripe_outcomes.invoice_seen(gateway.invoice(stripe_invoice.stripe_id), now)
    return DONE


def _refund_there(task: StripeTask, row: Refund, gateway: Gateway) -> StripeRefund | None:
    if task.tries == 1:
        return None
    refunds = gateway.refunds(payment_intent=row.payment.reference)
    return next((each for each in refunds if each.reference == row.reference), None)


def _refunded(row: Refund, gateway: Gateway) -> StripeRefund:
    invoice = row.payment.invoice
    fields = {
        "payment_intent": row.payment.reference,
        "amount": values.to_minor(row.amount, invoice.currency),
        "metadata": {
            values.INSTALLATION: stripe_tasks.installation(),
            values.INVOICE: invoice.number,
            values.REFERENCE: row.reference,
        },
    }
    return gateway.create_refund(fields, f"{stripe_tasks.installation()}/refund/{row.reference}")


def _refunds_of(note: CreditNote) -> list[dict[str, Any]] | None:
    """What went back for this note through Stripe; None while some of it is still to be asked for."""
    found = []
    for row in note.refunds.select_related("payment").filter(payment__method="stripe"):
        made = stripe_outcomes.known(stripe_outcomes.REFUND, row.reference)
        if made is None:
            return None
        found.append({"refund": made.stripe_id, "amount_refunded": values.to_minor(row.amount, note.invoice.currency)})
    return found


def _note_there(task: StripeTask, note: CreditNote, stripe_invoice: str, gateway: Gateway) -> StripeCreditNote | None:
    if task.tries == 1:
        return None
    notes = gateway.credit_notes(invoice=stripe_invoice)
    return next((each for each in notes if each.reference == note.number), None)


def _note_fields(note: CreditNote, stripe_invoice: str, refunds: list[dict[str, Any]]) -> dict[str, Any]:
    total = values.to_minor(note.total, note.invoice.currency)
    fields: dict[str, Any] = {
        "invoice": stripe_invoice,
        "amount": total,
        "memo": f"{note.number}: {note.reason}"[:500],
        "metadata": {values.INSTALLATION: stripe_tasks.installation(), values.REFERENCE: note.number},
    }
    if note.disposition == CreditNote.Disposition.REDUCE:
        return fields
    elsewhere = total - sum(each["amount_refunded"] for each in refunds)  # as credit here, or by hand
    fields |= {"refunds": refunds} if refunds else {}
    return fields | ({"out_of_band_amount": elsewhere} if elsewhere else {})
