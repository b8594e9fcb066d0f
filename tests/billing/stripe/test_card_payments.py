"""Collecting by PaymentIntents on a stored card: success, decline and retry, answers that get lost, Stripe away for a day."""

from datetime import timedelta
from decimal import Decimal

from billing import stripe_tasks, voiding
from billing.models import InvoiceState, StripeObject, StripeTask
from tests.billing.stripe.desk import Desk
from tests.billing.stripe.standin.account import Object

INTENTS = "/v1/payment_intents"


def intents(desk: Desk) -> list[Object]:
    return desk.account.of("payment_intent")


def test_a_card_that_works_pays_the_invoice(desk: Desk) -> None:
    desk.customer()
    invoice = desk.invoice("80.00", "20.10", tax_rate="0.19")
    desk.work()
    (intent,) = intents(desk)
    assert (intent["amount"], intent["currency"], intent["status"]) == (11912, "usd", "succeeded")
    assert intent["metadata"]["tallywatt_invoice"] == invoice.number
    assert desk.state(invoice).status == InvoiceState.Status.PAID
    payment = invoice.payments.get()
    assert (payment.amount, payment.reference, payment.method) == (Decimal("119.12"), intent["id"], "stripe")
    assert desk.task().state == StripeTask.State.DONE
    assert desk.work() == 0


def test_yen_have_no_smaller_unit_and_credit_is_not_collected(desk: Desk) -> None:
    desk.customer()
    desk.invoice("5000", credits="1200", currency="JPY")
    desk.work()
    assert intents(desk)[0]["amount"] == 3800


def test_nothing_is_planned_without_a_key_or_for_who_pays_by_hand_or_owes_nothing(desk: Desk, settings) -> None:
    customer = desk.customer("manual")
    desk.invoice()
    customer.collection = "stripe_payment"
    customer.save()
    desk.invoice("10.00", credits="10.00")
    settings.STRIPE_SECRET_KEY = ""
    desk.invoice()
    assert desk.work() == 0
    assert not StripeTask.objects.exists()
    assert desk.standin.asked == []


def test_a_declined_card_is_tried_again_on_schedule_under_a_new_key(desk: Desk) -> None:
    desk.customer(card="declined")
    invoice = desk.invoice()
    desk.work()
    assert desk.history(invoice) == ["payment_failed"]
    assert abs(desk.task(attempt=1).next_at - desk.now - timedelta(days=1)) < timedelta(minutes=1)
    desk.later(hours=23)
    assert len(intents(desk)) == 1
    desk.new_card("ok")
    desk.later(hours=2)
    first, second = intents(desk)
    assert (first["status"], second["status"]) == ("canceled", "succeeded")
    assert desk.state(invoice).status == InvoiceState.Status.PAID
    assert len(desk.standin.keys) == len(set(desk.standin.keys))
    assert desk.account.charged() == 10000


def test_after_the_last_attempt_nothing_more_is_tried(desk: Desk) -> None:
    desk.customer(card="declined")
    invoice = desk.invoice()
    for _ in range(30):
        desk.later(days=1)
    assert len(intents(desk)) == 3
    assert desk.history(invoice) == ["payment_failed"] * 3
    assert invoice.events.last().detail["next_attempt"] is None


def test_a_lost_card_is_not_tried_again_until_another_is_stored(desk: Desk) -> None:
    customer = desk.customer(card="lost")
    invoice = desk.invoice()
    desk.later(days=9)
    assert len(intents(desk)) == 1
    method = desk.account.card(customer.stripe_customer, "ok")
    stored = {"id": "seti_1", "object": "setup_intent", "customer": customer.stripe_customer, "payment_method": method}
    desk.deliver(
        {"id": "evt_x", "object": "event", "type": "setup_intent.succeeded", "created": 1, "data": {"object": stored}}
    )
    desk.work()
    assert desk.state(invoice).status == InvoiceState.Status.PAID


def test_without_a_stored_card_it_waits_and_is_collected_when_there_is_one(desk: Desk) -> None:
    customer = desk.customer(card=None)
    invoice = desk.invoice()
    desk.work()
    assert desk.task().error == "no payment method is stored at Stripe"
    customer.refresh_from_db()
    customer.stripe_customer = desk.account.create_customer(name="Acme")["id"]
    customer.save()
    desk.new_card("ok")
    stripe_tasks.wake(desk.tenant, desk.now)
    desk.work()
    assert desk.state(invoice).status == InvoiceState.Status.PAID


def test_a_lost_answer_is_asked_for_again_and_the_card_is_charged_once(desk: Desk) -> None:
    desk.customer()
    invoice = desk.invoice()
    desk.standin.fail("drop", INTENTS)
    desk.work()
    assert desk.account.charged() == 10000
    assert desk.payments(invoice) == []
    assert desk.task().state == StripeTask.State.WAITING
    desk.later(minutes=1)
    assert desk.payments(invoice) == [Decimal("100.00")]
    assert desk.standin.posts(INTENTS) == 2
    assert (len(intents(desk)), desk.account.charged()) == (1, 10000)


def test_a_lost_answer_is_found_after_stripe_has_forgotten_the_key(desk: Desk) -> None:
    desk.customer()
    invoice = desk.invoice()
    desk.standin.fail("drop", INTENTS)
    desk.work()
    desk.later(hours=30)
    assert desk.payments(invoice) == [Decimal("100.00")]
    assert desk.standin.posts(INTENTS) == 1
    assert desk.account.charged() == 10000


def test_stripe_down_for_a_day_delays_and_never_doubles(desk: Desk) -> None:
    desk.customer()
    invoices = [desk.invoice(amount) for amount in ("10.00", "20.00", "30.00")]
    desk.standin.fail("down")
    for _ in range(24):
        desk.later(hours=1)
    assert all(desk.state(invoice).status == InvoiceState.Status.OPEN for invoice in invoices)
    assert len(desk.standin.asked) < 100  # it backs off
    desk.standin.recover()
    for _ in range(4):
        desk.later(hours=1)
    assert [desk.payments(invoice) for invoice in invoices] == [[Decimal("10")], [Decimal("20")], [Decimal("30")]]
    assert desk.account.charged() == 6000


def test_while_stripe_does_not_answer_one_task_a_run_finds_out(desk: Desk) -> None:
    desk.customer()
    for _ in range(5):
        desk.invoice()
    desk.standin.fail("down")
    assert desk.work() == 1


def test_a_500_that_was_kept_under_the_key_is_looked_into_and_asked_anew(desk: Desk) -> None:
    desk.customer()
    invoice = desk.invoice()
    desk.standin.fail("error", INTENTS)
    desk.work()
    assert desk.account.charged() == 0
    for _ in range(4):
        desk.later(minutes=5)
    assert desk.payments(invoice) == [Decimal("100.00")]
    assert desk.account.charged() == 10000


def test_a_rate_limit_is_waited_out(desk: Desk) -> None:
    desk.customer()
    invoice = desk.invoice()
    desk.standin.fail("limit", INTENTS)
    desk.work()
    assert desk.task().next_at > desk.now + timedelta(seconds=5)
    desk.later(minutes=1)
    assert desk.payments(invoice) == [Decimal("100.00")]


def test_what_was_paid_by_hand_while_stripe_was_down_is_not_collected_again(desk: Desk) -> None:
    desk.customer()
    invoice = desk.invoice()
    desk.standin.fail("down")
    desk.work()
    desk.pay_by_hand(invoice, "60.00")
    desk.standin.recover()
    for _ in range(3):
        desk.later(hours=1)
    assert desk.payments(invoice) == [Decimal("60.00"), Decimal("40.00")]
    assert desk.account.charged() == 4000


def test_an_invoice_paid_by_hand_is_left_alone(desk: Desk) -> None:
    desk.customer(card="declined")
    invoice = desk.invoice()
    desk.work()
    desk.pay_by_hand(invoice, "100.00")
    desk.later(days=2)
    assert [intent["status"] for intent in intents(desk)] == ["canceled"]
    assert desk.account.charged() == 0


def test_a_void_invoice_is_not_collected_any_more(desk: Desk) -> None:
    desk.customer(card="declined")
    invoice = desk.invoice()
    desk.work()
    voiding.void(invoice.number, reason="a mistake", actor="ada")
    desk.new_card("ok")
    desk.later(days=5)
    assert desk.state(invoice).status == InvoiceState.Status.VOID
    assert [intent["status"] for intent in intents(desk)] == ["canceled"]


def test_an_invoice_void_before_it_was_collected_never_reaches_stripe(desk: Desk) -> None:
    desk.customer()
    invoice = desk.invoice()
    voiding.void(invoice.number, reason="a mistake", actor="ada")
    desk.later(days=1)
    assert desk.standin.posts(INTENTS) == 0


def test_an_amount_that_stripe_cannot_take_is_refused_and_waits_for_a_person(desk: Desk) -> None:
    desk.customer()
    desk.invoice("0.10")
    desk.work()
    task = desk.task()
    assert task.state == StripeTask.State.REFUSED
    assert "at least" in task.error
    assert stripe_tasks.retry(task.pk, desk.now)


def test_a_bank_debit_is_paid_when_it_arrives_and_tried_again_when_it_bounces(desk: Desk) -> None:
    desk.customer(card="processing")
    invoice = desk.invoice()
    desk.work()
    assert desk.state(invoice).status == InvoiceState.Status.OPEN
    desk.account.settle(intents(desk)[0]["id"], success=False)
    desk.deliver(desk.events("payment_intent.payment_failed")[-1])
    assert desk.history(invoice) == ["payment_failed"]
    desk.new_card("ok")
    desk.later(days=2)
    assert desk.state(invoice).status == InvoiceState.Status.PAID
    assert desk.account.charged() == 10000


def test_a_customer_is_made_once_even_if_the_answer_is_lost(desk: Desk) -> None:
    desk.customer("stripe_invoice", card=None)
    desk.invoice()
    desk.standin.fail("drop", "/v1/customers")
    desk.work()
    desk.later(hours=30)
    assert len(desk.account.of("customer")) == 1
    assert StripeObject.objects.get(kind="customer").ours == desk.tenant


def test_a_task_whose_worker_died_is_taken_up_when_its_lease_is_over(desk: Desk) -> None:
    desk.customer()
    invoice = desk.invoice()
    assert stripe_tasks.claim(desk.now) is not None  # and then the worker is gone
    assert desk.work() == 0
    desk.later(minutes=6)
    assert desk.payments(invoice) == [Decimal("100.00")]


def test_another_installation_with_the_same_numbers_is_not_taken_for_this_one(desk: Desk) -> None:
    desk.customer()
    invoice = desk.invoice()
    desk.standin.fail("drop", INTENTS)
    desk.work()
    intents(desk)[0]["metadata"]["tallywatt_installation"] = "another"
    desk.deliver(desk.events("payment_intent.succeeded")[0] | {"data": {"object": intents(desk)[0]}})
    assert desk.payments(invoice) == []
