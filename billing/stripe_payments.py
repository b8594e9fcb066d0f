"""Collecting an invoice by a PaymentIntent on the customer's stored payment method: one for each attempt, never two alive at once.

An attempt is charged at most once, whatever gets lost: its request is kept before it is sent and repeated under the same key; past the
age at which Stripe forgets keys, the payments of the customer are read before anything is asked for again. A new attempt begins only when
those before it can no longer be paid.
"""

from datetime import datetime, timedelta
from typing import Any

from billing import stripe_customers, stripe_outcomes, stripe_tasks
from billing import stripe_values as values
from billing.models import Customer, InvoiceState, StripeTask
from billing.stripe_gateway import Gateway
from billing.stripe_tasks import DONE, Outcome
from billing.stripe_values import (
    PAYABLE,
    PaymentIntent,
    StripeDeclined,
    StripeKeyReused,
    StripeRefused,
    StripeReplayed,
    StripeUncertain,
)

KEY_AGE = timedelta(hours=23)  # Stripe forgets idempotency keys after 24
NO_METHOD_WAIT = timedelta(days=1)  # a stored payment method wakes it sooner
PROCESSING_WAIT = timedelta(hours=6)  # a webhook tells sooner
ON_ITS_WAY = timedelta(minutes=5)  # longer than Stripe works on a request whose answer nobody waits for any more


def collect(task: StripeTask, gateway: Gateway, now: datetime) -> Outcome:
    """One try of one attempt."""
    state = InvoiceState.objects.select_related("invoice").get(invoice__number=task.ours)
    intent = _own(task, gateway, now)
    if intent is None:
        if waiting := _clear(state.invoice.number, task.attempt, gateway, now):
            return waiting
        state.refresh_from_db()
        if stripe_tasks.left_to_pay(state) == 0:
            return DONE
        customer = Customer.objects.get(tenant=state.invoice.tenant)
        if not customer.stripe_payment_method:
            return Outcome(again_at=now + NO_METHOD_WAIT, error="no payment method is stored at Stripe")
        intent = _asked_for(task, state, customer, gateway, now)
    if intent is None:
        return DONE  # declined: said, and the next attempt is planned
    stripe_outcomes.payment_seen(intent, now)
    return _withdrawn_if_settled(intent, task, gateway, now)


def withdraw(task: StripeTask, gateway: Gateway, now: datetime) -> Outcome:
    """Nothing is to be collected any more: what could still be paid is cancelled. What was paid before is recorded."""
    return _clear(task.ours, None, gateway, now) or DONE


def _own(task: StripeTask, gateway: Gateway, now: datetime) -> PaymentIntent | None:
    """What this attempt made before, where that is known, or must be looked for."""
    row = stripe_outcomes.known(stripe_outcomes.PAYMENT_INTENT, f"{task.ours}/{task.attempt}")
    if row is not None:
        return gateway.payment(row.stripe_id)
    if task.tries > 1 and task.detail.get("request") is not None and _must_look(task, now):
        if now - datetime.fromisoformat(task.detail["last_asked_at"]) < ON_ITS_WAY:
            raise StripeUncertain("the last request may still be on its way", retry_after_s=ON_ITS_WAY.total_seconds())
        found = _looked_for(task, gateway)
        if found is None:  # it never arrived, so what it asked for is free to change
            stripe_tasks.remember(task, request=None, turn=task.detail.get("turn", 0) + 1)
        return found
    return None


def _must_look(task: StripeTask, now: datetime) -> bool:
    """Whether repeating the request might do it twice, or do what is not wanted any more."""
    request = task.detail["request"]
    first = datetime.fromisoformat(task.detail["asked_at"])
    state = InvoiceState.objects.select_related("invoice").get(invoice__number=task.ours)
    method = (
        Customer.objects.filter(tenant=state.invoice.tenant).values_list("stripe_payment_method", flat=True).first()
    )
    amount = values.to_minor(stripe_tasks.left_to_pay(state), state.invoice.currency)
    changed = (request["amount"], request["payment_method"]) != (amount, method)
    return changed or bool(task.detail.get("look")) or now - first > KEY_AGE


def _looked_for(task: StripeTask, gateway: Gateway) -> PaymentIntent | None:
    since = datetime.fromisoformat(task.detail["asked_at"])
    for intent in gateway.payments(since, task.detail["request"]["customer"]):
        ours = intent.metadata.get(values.INSTALLATION) == stripe_tasks.installation()
        if ours and (intent.invoice, intent.attempt) == (task.ours, task.attempt):
            return intent
    return None


def _clear(number: str, attempt: int | None, gateway: Gateway, now: datetime) -> Outcome | None:
    """See that no other attempt can still be paid. An outcome where one might be: this has to wait."""
    others = stripe_outcomes.payments_of(number).exclude(ours=f"{number}/{attempt}")
    for row in others.exclude(status__in=["succeeded", "canceled"]):
        intent = gateway.payment(row.stripe_id)
        if intent.status in PAYABLE:
            intent = _cancelled(intent, gateway)
        stripe_outcomes.payment_seen(intent, now)
        if intent.status not in {"succeeded", "canceled"}:
            return Outcome(again_at=now + PROCESSING_WAIT, error=f"{intent.id} is {intent.status}")
    return None


def _cancelled(intent: PaymentIntent, gateway: Gateway) -> PaymentIntent:
    try:
        return gateway.cancel_payment(intent.id, f"{stripe_tasks.installation()}/cancel/{intent.id}")
    except StripeRefused:  # it was paid, or is being paid, since it was read
        return gateway.payment(intent.id)


def _asked_for(
    task: StripeTask, state: InvoiceState, customer: Customer, gateway: Gateway, now: datetime
) -> PaymentIntent | None:
    """Ask for the payment. None: declined. What is asked for is kept before it is sent, so that a retry asks the very same."""
    request = task.detail.get("request")
    if request is None:
        request = _request(task, state, customer, gateway, now)
        stripe_tasks.remember(task, request=request, asked_at=now.isoformat(), look=False)
    stripe_tasks.remember(task, last_asked_at=now.isoformat())
    key = f"{stripe_tasks.installation()}/collect/{task.ours}/{task.attempt}/{task.detail.get('turn', 0)}"
    try:
        return gateway.create_payment(request, key)
    except StripeDeclined as refusal:
        if refusal.intent is not None:
            stripe_outcomes.payment_seen(refusal.intent, now)
        else:
            stripe_outcomes.declined(task.ours, task.attempt, refusal.decline_code or refusal.code, str(refusal), now)
        return None
    except StripeKeyReused as clash:  # something was asked for under it: find out what
        stripe_tasks.remember(task, look=True)
        raise StripeUncertain(str(clash)) from clash
    except StripeReplayed:  # it will not change, so find out what is there
        stripe_tasks.remember(task, look=True)
        raise


def _request(
    task: StripeTask, state: InvoiceState, customer: Customer, gateway: Gateway, now: datetime
) -> dict[str, Any]:
    invoice = state.invoice
    method = gateway.payment_method(customer.stripe_payment_method)
    return {
        "amount": values.to_minor(stripe_tasks.left_to_pay(state), invoice.currency),
        "currency": invoice.currency.lower(),
        "customer": stripe_customers.ensure(gateway, customer, now, found=task.tries > 1),
        "payment_method": method.id,
        "payment_method_types": [method.type],
        "confirm": True,
        "off_session": True,
        "metadata": {
            values.INSTALLATION: stripe_tasks.installation(),
            values.TENANT: invoice.tenant,
            values.INVOICE: invoice.number,
            values.ATTEMPT: str(task.attempt),
        },
    }


def _withdrawn_if_settled(intent: PaymentIntent, task: StripeTask, gateway: Gateway, now: datetime) -> Outcome:
    """An attempt that can still be paid, of an invoice on which nothing is due any more, is cancelled."""
    state = InvoiceState.objects.select_related("invoice").get(invoice__number=task.ours)
    if intent.status in PAYABLE and stripe_tasks.left_to_pay(state) == 0:
        return _clear(task.ours, None, gateway, now) or DONE
    if intent.status == "processing":
        return Outcome(again_at=now + PROCESSING_WAIT, error=f"{intent.id} is processing")
    return DONE
