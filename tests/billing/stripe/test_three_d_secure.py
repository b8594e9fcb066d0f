"""A bank that wants the payer to confirm: said, sent, confirmed at the bank, and paid once."""

from urllib.parse import urlsplit

import pytest
from django.core import mail
from django.test import Client

from billing import stripe_links, stripe_tasks
from billing.models import Customer, InvoiceState
from tests.billing.stripe.desk import Desk


def path_of(link: str) -> str:
    return urlsplit(link).path


def test_the_payer_is_asked_by_e_mail_confirms_at_the_bank_and_the_webhook_pays(desk: Desk, client: Client) -> None:
    desk.customer(card="3ds")
    invoice = desk.invoice()
    desk.work()
    assert desk.history(invoice) == ["payment_action_needed"]
    assert desk.state(invoice).status == InvoiceState.Status.OPEN
    (message,) = mail.outbox
    assert message.to == ["ap@acme.example"]
    link = stripe_links.needed(invoice.number)
    assert link is not None
    assert link.split("/stripe/pay/")[0] in message.body
    page = client.get(path_of(link))
    assert b"100.00 USD" in page.content
    onwards = client.get(path_of(link), {"go": "1"})
    (intent,) = desk.account.of("payment_intent")
    assert onwards.headers["Location"] == f"https://bank.example/{intent['id']}"
    desk.account.authenticate(intent["id"])
    desk.deliver(desk.events("payment_intent.succeeded")[0])
    assert desk.state(invoice).status == InvoiceState.Status.PAID
    assert stripe_links.needed(invoice.number) is None
    assert b"Nothing is left to be paid" in client.get(path_of(link)).content
    desk.later(days=5)
    assert desk.account.charged() == 10000
    assert len(mail.outbox) == 1


def test_the_page_sees_the_payment_even_if_the_webhook_is_late(desk: Desk, client: Client) -> None:
    desk.customer(card="3ds")
    invoice = desk.invoice()
    desk.work()
    link = path_of(stripe_links.link(invoice.number))
    client.get(link, {"go": "1"})
    desk.account.authenticate(desk.account.of("payment_intent")[0]["id"])
    assert b"Thank you" in client.get(link).content
    desk.deliver(desk.events("payment_intent.succeeded")[0])
    assert len(desk.payments(invoice)) == 1


def test_a_failed_confirmation_can_be_tried_again(desk: Desk, client: Client) -> None:
    desk.customer(card="3ds")
    invoice = desk.invoice()
    desk.work()
    link = path_of(stripe_links.link(invoice.number))
    client.get(link, {"go": "1"})
    intent = desk.account.of("payment_intent")[0]["id"]
    desk.account.authenticate(intent, success=False)
    desk.deliver(desk.events("payment_intent.payment_failed")[-1])
    assert desk.history(invoice)[-1] == "payment_failed"
    assert b"Continue to your bank" in client.get(link).content
    desk.standin.forward(0.01)
    assert client.get(link, {"go": "1"}).status_code == 302
    desk.account.authenticate(intent)
    desk.deliver(desk.events("payment_intent.succeeded")[-1])
    assert desk.state(invoice).status == InvoiceState.Status.PAID


def test_without_a_confirmation_the_next_attempt_cancels_the_first(desk: Desk) -> None:
    desk.customer(card="3ds")
    invoice = desk.invoice()
    desk.work()
    desk.new_card("ok")
    desk.later(days=2)
    assert [row["status"] for row in desk.account.of("payment_intent")] == ["canceled", "succeeded"]
    assert desk.state(invoice).status == InvoiceState.Status.PAID


def test_a_card_declined_after_the_confirmation_is_said_on_the_page(desk: Desk, client: Client) -> None:
    customer = desk.customer(card="3ds")
    invoice = desk.invoice()
    desk.work()
    Customer.objects.update(stripe_payment_method=desk.account.card(customer.stripe_customer, "declined"))
    page = client.get(path_of(stripe_links.link(invoice.number)), {"go": "1"})
    assert b"The payment was declined" in page.content


def test_stripe_away_is_said_on_the_page(desk: Desk, client: Client) -> None:
    desk.customer(card="3ds")
    invoice = desk.invoice()
    desk.work()
    desk.standin.fail("down")
    assert b"cannot be reached" in client.get(path_of(stripe_links.link(invoice.number))).content


@pytest.mark.parametrize("change", [lambda token: token[:-2] + "xx", lambda token: "TW-2026-000001"])
def test_a_link_that_was_changed_opens_nothing(desk: Desk, client: Client, change) -> None:
    desk.customer(card="3ds")
    invoice = desk.invoice()
    head, token = stripe_links.link(invoice.number).rsplit("/", 1)
    assert client.get(path_of(f"{head}/{change(token)}")).status_code == 404


def test_a_link_is_not_sent_where_there_is_no_address_and_the_task_says_so(desk: Desk) -> None:
    desk.customer(card="3ds", emails=[])
    desk.invoice()
    desk.work()
    assert "no address" in desk.task(stripe_tasks.ASK_PAYER).error
    assert mail.outbox == []


def test_what_was_paid_in_part_since_is_not_confirmed_at_the_old_amount(desk: Desk, client: Client) -> None:
    desk.customer(card="3ds")
    invoice = desk.invoice()
    desk.work()
    desk.pay_by_hand(invoice, "60.00")
    link = path_of(stripe_links.link(invoice.number))
    assert b"being prepared" in client.get(link, {"go": "1"}).content
    desk.later(minutes=1)
    client.get(link, {"go": "1"})
    desk.account.authenticate(desk.account.of("payment_intent")[-1]["id"])
    client.get(link)
    assert desk.state(invoice).status == InvoiceState.Status.PAID
    assert desk.account.charged() == 4000
