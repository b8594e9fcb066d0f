"""Webhooks: signed or refused, stored before anything else, applied once in whatever order, and not to what is not ours."""

import time

import pytest
from django.test import Client

from billing import stripe_events
from billing.models import InvoiceState, StripeEvent
from tests.billing.stripe.desk import Desk, post_webhook

State = StripeEvent.State


def paid_later(desk: Desk) -> tuple:
    """An invoice whose payment was processed, then failed, then (another try of Stripe's) succeeded: three events."""
    desk.customer(card="processing")
    invoice = desk.invoice()
    desk.work()
    intent = desk.account.of("payment_intent")[0]
    desk.standin.offset_s += 5
    desk.account.settle(intent["id"], success=False)
    desk.standin.offset_s += 5
    intent["status"] = "processing"
    desk.account.settle(intent["id"])
    processing, failed, succeeded = desk.events()[-3:]
    return invoice, processing, failed, succeeded


def test_an_event_delivered_twice_is_stored_and_applied_once(desk: Desk) -> None:
    invoice, _, _, succeeded = paid_later(desk)
    assert desk.deliver(succeeded) == 200
    assert desk.deliver(succeeded) == 200
    assert StripeEvent.objects.count() == 1
    assert len(desk.payments(invoice)) == 1
    assert StripeEvent.objects.get().state == State.PROCESSED


def test_events_in_the_wrong_order_do_not_undo_each_other(desk: Desk) -> None:
    invoice, processing, failed, succeeded = paid_later(desk)
    for event in (succeeded, failed, processing):
        desk.deliver(event)
    assert desk.state(invoice).status == InvoiceState.Status.PAID
    assert "payment_failed" not in desk.history(invoice)
    desk.later(days=5)
    assert desk.account.charged() == 10000


def test_two_events_of_the_same_second_are_settled_by_reading_the_object(desk: Desk) -> None:
    invoice, _, failed, succeeded = paid_later(desk)
    for event in (failed, succeeded):
        event["created"] = succeeded["created"]
    asked = len(desk.standin.asked)
    desk.deliver(failed)
    desk.deliver(succeeded)
    assert ("GET", f"/v1/payment_intents/{succeeded['data']['object']['id']}") in desk.standin.asked[asked:]
    assert desk.state(invoice).status == InvoiceState.Status.PAID


def test_in_the_right_order_the_failure_is_said_and_the_payment_recorded(desk: Desk) -> None:
    invoice, _, failed, succeeded = paid_later(desk)
    for event in (failed, succeeded):
        desk.deliver(event)
    assert desk.history(invoice) == ["payment_failed", "payment", "paid"]
    desk.later(days=5)
    assert desk.account.charged() == 10000


@pytest.mark.parametrize("secret", ["whsec_wrong", "x"])
def test_a_wrong_signature_is_400_and_nothing_is_kept(desk: Desk, secret: str) -> None:
    assert post_webhook({"id": "evt_1", "object": "event"}, secret) == 400
    assert not StripeEvent.objects.exists()


def test_an_old_signature_and_a_missing_one_are_refused(desk: Desk, client: Client) -> None:
    event = {"id": "evt_1", "object": "event", "type": "x", "created": 1, "data": {"object": {}}}
    assert post_webhook(event, "whsec_test", at=int(time.time()) - 3600) == 400
    assert client.post("/stripe/webhook", b"{}", content_type="application/json").status_code == 400
    assert client.get("/stripe/webhook").status_code == 405


@pytest.mark.parametrize(
    "body", [{"object": "event"}, {"id": "evt_1", "object": "event", "type": "x", "created": "soon"}]
)
def test_signed_nonsense_is_400(desk: Desk, body) -> None:
    assert post_webhook(body, "whsec_test") == 400


def test_without_a_secret_the_address_does_not_exist(desk: Desk, client: Client, settings) -> None:
    settings.STRIPE_WEBHOOK_SECRET = ""
    assert client.post("/stripe/webhook", b"{}", content_type="application/json").status_code == 404


def test_an_event_is_stored_before_it_is_worked_out_and_survives_trouble(desk: Desk) -> None:
    invoice, _, failed, succeeded = paid_later(desk)
    desk.deliver(failed)
    event = {**succeeded, "created": failed["created"]}  # in doubt, so the object must be read
    desk.standin.fail("down")
    assert desk.deliver(event) == 200
    row = StripeEvent.objects.get(stripe_id=event["id"])
    assert (row.state, row.attempts) == (State.FAILED, 1)
    desk.standin.recover()
    desk.standin.offset_s += 600
    stripe_events.process_waiting(desk.now)
    row.refresh_from_db()
    assert row.state == State.PROCESSED
    assert len(desk.payments(invoice)) == 1


def test_an_event_that_a_dead_worker_had_taken_is_applied_by_the_schedule(desk: Desk) -> None:
    invoice, _, _, succeeded = paid_later(desk)
    desk.deliver(succeeded, process=False)
    StripeEvent.objects.update(attempts=1, processed_at=desk.now)
    desk.standin.offset_s += 600
    stripe_events.process_waiting(desk.now)
    assert len(desk.payments(invoice)) == 1


def test_what_is_not_ours_is_kept_and_ignored(desk: Desk) -> None:
    desk.customer()
    strange = {"id": "pi_9", "object": "payment_intent", "status": "succeeded", "amount": 5, "amount_received": 5}
    strange |= {"currency": "usd", "created": 1, "metadata": {}}
    for n, kind in enumerate(("payment_intent.succeeded", "payout.paid")):
        desk.deliver({"id": f"evt_{n}", "object": "event", "type": kind, "created": 1, "data": {"object": strange}})
    assert set(StripeEvent.objects.values_list("state", flat=True)) == {State.IGNORED}


def test_a_payment_in_another_currency_is_not_booked(desk: Desk) -> None:
    invoice, _, _, succeeded = paid_later(desk)
    succeeded["data"]["object"]["currency"] = "eur"
    desk.deliver(succeeded)
    assert desk.payments(invoice) == []
    assert StripeEvent.objects.get().state == State.FAILED


def test_a_card_taken_away_at_stripe_is_not_used_any_more(desk: Desk) -> None:
    customer = desk.customer()
    gone = {"id": customer.stripe_payment_method, "object": "payment_method", "customer": None}
    desk.deliver(
        {"id": "evt_1", "object": "event", "type": "payment_method.detached", "created": 1, "data": {"object": gone}}
    )
    customer.refresh_from_db()
    assert customer.stripe_payment_method == ""


def test_a_dispute_is_said_in_the_history_once(desk: Desk) -> None:
    desk.customer()
    invoice = desk.invoice()
    desk.work()
    intent = desk.account.of("payment_intent")[0]["id"]
    dispute = {
        "id": "dp_1",
        "object": "dispute",
        "payment_intent": intent,
        "status": "needs_response",
        "reason": "fraudulent",
    }
    for n in range(2):
        desk.deliver(
            {
                "id": f"evt_{n}",
                "object": "event",
                "type": "charge.dispute.created",
                "created": 1,
                "data": {"object": dispute},
            }
        )
    assert desk.history(invoice).count("dispute") == 1
