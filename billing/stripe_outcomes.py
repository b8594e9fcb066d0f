"""What Stripe says has happened, written into our books. Each function may be told the same thing twice, and late.

What is final there is applied whenever it is heard of: a payment has its id as reference, so that it is recorded once. What is not final is
applied in the order in which it happened; where that cannot be told, the caller reads the object anew (see `stripe_events`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from billing import settling, stripe_tasks
from billing import stripe_values as values
from billing.models import Invoice, Payment, Refund, StripeObject
from billing.stripe_gateway import Gateway
from billing.stripe_values import PAYABLE, PaymentIntent, StripeInvoice, StripeRefund

ACTOR = "stripe"
PAYMENT_INTENT, INVOICE, REFUND, CREDIT_NOTE, CUSTOMER = (
    "payment_intent",
    "invoice",
    "refund",
    "credit_note",
    "customer",
)
# With these the same card will never do: the next attempt waits for another payment method.
HOPELESS = frozenset(
    {"expired_card", "lost_card", "pickup_card", "restricted_card", "revocation_of_authorization", "stolen_card"}
)


class NotOurs(LookupError):
    """An object of the account that this installation did not make, or whose invoice it does not know."""


@dataclass(frozen=True)
class Seen:
    """`news`: the status or error differs from what was known."""

    row: StripeObject
    news: bool


def remember(kind: str, ours: str, stripe_id: str, status: str, *, at: datetime, error: str = "") -> Seen:
    """Keep which of Stripe's objects stands for ours, and how it stood. Of two for the same thing, the first is kept."""
    row, new = StripeObject.objects.get_or_create(
        kind=kind, ours=ours, defaults={"stripe_id": stripe_id, "status": status, "version": at, "error": error}
    )
    news = new or (row.stripe_id == stripe_id and (row.status, row.error) != (status, error))
    if not new and row.stripe_id == stripe_id and (row.version is None or at >= row.version):
        row.status, row.version, row.error = status, at, error
        row.save(update_fields=["status", "version", "error", "updated_at"])
    return Seen(row, news)


def known(kind: str, ours: str) -> StripeObject | None:
    return StripeObject.objects.filter(kind=kind, ours=ours).first()


def payments_of(number: str) -> QuerySet[StripeObject]:
    """The PaymentIntents that were made for an invoice, one for each attempt."""
    names = [f"{number}/{attempt}" for attempt in range(stripe_tasks.attempts(number))]
    return StripeObject.objects.filter(kind=PAYMENT_INTENT, ours__in=names)


def forget(kind: str, ours: str) -> None:
    """What stood for ours is gone at Stripe, by our own doing."""
    StripeObject.objects.filter(kind=kind, ours=ours).delete()


@transaction.atomic
def payment_seen(intent: PaymentIntent, at: datetime) -> None:
    """A PaymentIntent as it was at that moment: the payment, the failure, or that the customer must act. Raises NotOurs."""
    invoice = _ours(intent.invoice, intent.metadata)
    settling.locked(invoice.number)  # an answer and the webhook about it may come at the same time
    error = "" if intent.status not in PAYABLE else intent.error_code
    ours = f"{invoice.number}/{intent.attempt}"
    seen = remember(PAYMENT_INTENT, ours, intent.id, intent.status, at=at, error=error)
    if intent.status == "succeeded":
        _paid(invoice, intent.id, intent.amount_received, intent.currency, at)
    elif seen.news and intent.status == "requires_action":
        action_needed(invoice, intent.attempt)
    elif seen.news and error == "authentication_required":
        action_needed(invoice, intent.attempt)
        _again(invoice, intent.attempt, at)
    elif seen.news and error:
        _failed(invoice, intent.attempt, intent.decline_code or error, intent.error_message, at)


def action_needed(invoice: Invoice, attempt: int) -> None:
    """The bank wants the payer to confirm: said in the history, and a task sends the link."""
    settling.event(invoice, "payment_action_needed", ACTOR, {"attempt": attempt})
    stripe_tasks.plan_asking(invoice, attempt)


@transaction.atomic
def declined(number: str, attempt: int, code: str, reason: str, at: datetime) -> None:
    """An attempt that was declined, where Stripe does not say which PaymentIntent that was."""
    _failed(Invoice.objects.get(number=number), attempt, code, reason, at)


@transaction.atomic
def invoice_seen(stripe_invoice: StripeInvoice, at: datetime, *, failure: str = "") -> None:
    """One of Stripe's invoices as it was. What was paid on it, `payments_seen` asks for. Raises NotOurs."""
    invoice = _ours(stripe_invoice.invoice, stripe_invoice.metadata)
    settling.locked(invoice.number)
    remember(INVOICE, invoice.number, stripe_invoice.id, stripe_invoice.status, at=at, error=failure)
    if stripe_invoice.status == "open" and not invoice.events.filter(type="at_stripe").exists():
        settling.event(invoice, "at_stripe", ACTOR, {"url": stripe_invoice.hosted_url})
    attempt = stripe_invoice.attempts
    if failure and not invoice.events.filter(type="payment_failed", detail__attempt=attempt).exists():
        detail = {"attempt": attempt, "reason": failure[:500], "by": "stripe_invoice"}
        settling.event(invoice, "payment_failed", ACTOR, detail)


def payments_seen(stripe_invoice: StripeInvoice, gateway: Gateway, at: datetime) -> None:
    """Record what was paid on one of Stripe's invoices, each payment once. Asks Stripe, so not within a transaction."""
    invoice = _ours(stripe_invoice.invoice, stripe_invoice.metadata)
    for payment in gateway.payments_of_invoice(stripe_invoice.id):
        # Without a PaymentIntent it was paid elsewhere, and recorded by hand.
        if payment.status == "paid" and payment.payment_intent:
            _paid(invoice, payment.payment_intent, payment.amount_paid, payment.currency, payment.paid_at or at)


@transaction.atomic
def refund_seen(refund: StripeRefund, at: datetime) -> None:
    """A refund of ours as it was. One that failed is said in the history: the money is still with us. Raises NotOurs."""
    row = Refund.objects.select_related("payment__invoice").filter(reference=refund.reference).first()
    if not refund.reference or row is None or not _this_installation(refund.metadata):
        raise NotOurs(refund.id)
    seen = remember(REFUND, row.reference, refund.id, refund.status, at=at, error=refund.failure)
    if seen.news and refund.status in {"failed", "canceled"}:
        detail = {"reference": row.reference, "reason": refund.failure or refund.status}
        settling.event(row.payment.invoice, "refund_failed", ACTOR, detail)


def _paid(invoice: Invoice, reference: str, amount: int, currency: str, at: datetime) -> None:
    if currency != invoice.currency:
        raise settling.SettlingRefused(
            f"{reference} is in {currency}, {invoice.number} in {invoice.currency}: a person must look"
        )
    settling.record_payment(
        invoice.number,
        values.from_minor(amount, currency),
        reference,
        method=Payment.Method.STRIPE,
        received_at=at,
        actor=ACTOR,
    )


def _failed(invoice: Invoice, attempt: int, code: str, reason: str, at: datetime) -> None:
    """Say so, and plan the next attempt, unless this card will never do."""
    if invoice.events.filter(type="payment_failed", detail__attempt=attempt, detail__code=code).exists():
        return
    next_at = None if code in HOPELESS else _again(invoice, attempt, at)
    detail = {"attempt": attempt, "code": code, "reason": reason[:500], "next_attempt": next_at and next_at.isoformat()}
    settling.event(invoice, "payment_failed", ACTOR, detail)


def _again(invoice: Invoice, attempt: int, at: datetime) -> datetime | None:
    next_at = stripe_tasks.retry_at(attempt, at)
    if next_at is not None:
        stripe_tasks.next_attempt(invoice.number, attempt, next_at)
    return next_at


def _ours(number: str, metadata: Mapping[str, str]) -> Invoice:
    invoice = Invoice.objects.filter(number=number).first() if number and _this_installation(metadata) else None
    if invoice is None:
        raise NotOurs(number)
    return invoice


def _this_installation(metadata: Mapping[str, str]) -> bool:
    return metadata.get(values.INSTALLATION) == stripe_tasks.installation()
