"""Stripe's webhooks, after they were stored: each is applied once, whatever order they come in and however often.

An event holds its object as it was when the event was made. If that is newer than what was applied last, it is taken; if it is older, or
of the same second, the object is read from the API instead, so that an old event never undoes a new one.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q
from django.utils import timezone

from billing import settling, stripe_customers, stripe_gateway, stripe_outcomes
from billing import stripe_values as values
from billing.models import Invoice, Payment, StripeEvent, StripeObject
from billing.stripe_gateway import Gateway
from billing.stripe_outcomes import NotOurs
from billing.stripe_values import StripeTrouble, WebhookEvent

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 20
WAIT = timedelta(minutes=2)  # times the attempts made
State = StripeEvent.State


@dataclass(frozen=True)
class Told:
    event: WebhookEvent
    gateway: Gateway
    now: datetime

    @property
    def object(self) -> Mapping[str, Any]:
        return self.event.object


def process_waiting(now: datetime | None = None, *, most: int = 500) -> int:
    """Every stored event that is not applied yet: new ones first, in the order of Stripe's clock. How many were tried."""
    now = now or timezone.now()
    waiting = StripeEvent.objects.filter(Q(state=State.RECEIVED) | Q(state=State.FAILED, attempts__lt=MOST_ATTEMPTS))
    due = [row for row in waiting.order_by("attempts", "created", "id")[: most * 2] if _due(row, now)]
    return sum(process(row.pk, now) for row in due[:most])


def process(pk: int, now: datetime | None = None) -> bool:
    """Apply one stored event. False if another worker did, or is at it."""
    now = now or timezone.now()
    row = StripeEvent.objects.get(pk=pk)
    waiting = StripeEvent.objects.filter(pk=pk, attempts=row.attempts, state__in=[State.RECEIVED, State.FAILED])
    if not stripe_gateway.enabled() or waiting.update(attempts=F("attempts") + 1, processed_at=now) != 1:
        return False
    try:
        event = stripe_gateway.parsed_event(row.payload)
        handler = HANDLERS.get(event.type)
        ours = handler is not None and handler(Told(event, stripe_gateway.gateway(), now))
    except NotOurs:
        ours = False
    except Exception as error:  # whatever it is, it is kept with the event, and the others are applied
        expected = isinstance(error, StripeTrouble | settling.SettlingRefused)
        logger.warning("stripe event %s %s: %s", row.stripe_id, row.type, error, exc_info=not expected)
        StripeEvent.objects.filter(pk=pk).update(state=State.FAILED, error=f"{type(error).__name__}: {error}"[:2000])
        return True
    state = State.PROCESSED if ours else State.IGNORED
    StripeEvent.objects.filter(pk=pk).update(state=state, processed_at=now, error="")
    return True


def _due(row: StripeEvent, now: datetime) -> bool:
    return row.processed_at is None or row.processed_at + WAIT * row.attempts <= now


def _in_order(stripe_id: str, at: datetime) -> bool:
    """Whether what an event says is newer than all that was applied to its object."""
    row = StripeObject.objects.filter(stripe_id=stripe_id).first()
    return row is None or row.version is None or at > row.version


def _payment(told: Told) -> bool:
    intent, at = values.payment_intent(told.object), told.event.created
    if not intent.invoice:
        raise NotOurs(intent.id)  # among others those of Stripe's own invoices, which have events of their own
    if not _in_order(intent.id, at):
        intent, at = told.gateway.payment(intent.id), told.now
    stripe_outcomes.payment_seen(intent, at)
    return True


def _invoice(told: Told) -> bool:
    found, at = values.invoice(told.object), told.event.created
    if not found.invoice:
        raise NotOurs(found.id)
    failed = told.event.type == "invoice.payment_failed"
    if not _in_order(found.id, at):
        found, at, failed = told.gateway.invoice(found.id), told.now, False
    stripe_outcomes.invoice_seen(found, at, failure="the payment was declined" if failed else "")
    if found.status == "paid":
        stripe_outcomes.payments_seen(found, told.gateway, at)
    if told.event.type == "invoice.payment_action_required" and found.status == "open":
        stripe_outcomes.action_needed(Invoice.objects.get(number=found.invoice), found.attempts)
    return True


def _refund(told: Told) -> bool:
    found, at = values.refund(told.object), told.event.created
    if not _in_order(found.id, at):
        found, at = told.gateway.refund(found.id), told.now
    stripe_outcomes.refund_seen(found, at)
    return True


def _setup(told: Told) -> bool:
    """A card was stored on Stripe's page."""
    customer, method = told.object.get("customer"), told.object.get("payment_method")
    return bool(customer and method) and stripe_customers.method_stored(str(customer), str(method), told.now)


def _method_gone(told: Told) -> bool:
    return stripe_customers.method_gone(str(told.object["id"]))


def _dispute(told: Told) -> bool:
    """The payer wants it back through the bank: a person must look. Told once for each state of it."""
    payment = Payment.objects.select_related("invoice").filter(reference=str(told.object.get("payment_intent"))).first()
    if payment is None:
        raise NotOurs(str(told.object["id"]))
    detail = {name: str(told.object.get(name) or "") for name in ("id", "status", "reason")}
    if not payment.invoice.events.filter(type="dispute", detail=detail).exists():
        settling.event(payment.invoice, "dispute", stripe_outcomes.ACTOR, detail)
    return True


HANDLERS: dict[str, Callable[[Told], bool]] = {
    "payment_intent.succeeded": _payment,
    "payment_intent.payment_failed": _payment,
    "payment_intent.requires_action": _payment,
    "payment_intent.processing": _payment,
    "payment_intent.canceled": _payment,
    "invoice.finalized": _invoice,
    "invoice.paid": _invoice,
    "invoice.payment_failed": _invoice,
    "invoice.payment_action_required": _invoice,
    "invoice.voided": _invoice,
    "invoice.marked_uncollectible": _invoice,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "setup_intent.succeeded": _setup,
    "payment_method.detached": _method_gone,
    "charge.dispute.created": _dispute,
    "charge.dispute.updated": _dispute,
    "charge.dispute.closed": _dispute,
}
