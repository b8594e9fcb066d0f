"""The nightly comparison: what a lost webhook did not say is caught up with, what does not agree is listed, and closed when it does."""

from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from billing import settling, stripe_reconciliation
from billing.models import InvoiceState, StripeDifference, StripeObject
from tests.billing.stripe.desk import Desk


@pytest.fixture
def no_usage(monkeypatch) -> None:
    """These are about invoices and money; usage has tests of its own."""
    monkeypatch.setattr(stripe_reconciliation.stripe_usage, "differences", lambda gateway, now: [])


pytestmark = pytest.mark.usefixtures("no_usage")


def listed(desk: Desk, hours: float = 2) -> list[tuple[str, str, str, str]]:
    desk.standin.offset_s += hours * 3600
    stripe_reconciliation.reconcile(desk.now)
    rows = StripeDifference.objects.filter(closed_at__isnull=True).order_by("kind", "field")
    return [(row.kind, row.field, row.our_value, row.stripe_value) for row in rows]


def paid(desk: Desk, collection: str = "stripe_payment"):
    desk.customer(collection)
    invoice = desk.invoice()
    desk.work()
    return invoice


@pytest.mark.parametrize("collection", ["stripe_payment", "stripe_invoice"])
def test_nothing_is_listed_where_all_agrees(desk: Desk, collection: str) -> None:
    paid(desk, collection)
    assert listed(desk) == []


@pytest.mark.parametrize("collection", ["stripe_payment", "stripe_invoice"])
def test_a_payment_whose_webhook_was_lost_is_recorded(desk: Desk, collection: str) -> None:
    desk.customer(collection, card="processing" if collection == "stripe_payment" else "declined")
    invoice = desk.invoice()
    desk.work()
    if collection == "stripe_payment":
        desk.account.settle(desk.account.of("payment_intent")[0]["id"])
    else:
        made = desk.account.of("invoice")[0]
        desk.account.cards[made["default_payment_method"]] = "ok"
        desk.account.retry_invoice(made["id"])
    assert listed(desk) == []
    assert desk.state(invoice).status == InvoiceState.Status.PAID


def test_an_amount_that_differs_is_listed_and_closed_when_it_agrees_again(desk: Desk) -> None:
    paid(desk)
    intent = desk.account.of("payment_intent")[0]
    intent["amount_received"] = 9900
    assert listed(desk) == [("payment", "amount", "100 USD", "99 USD")]
    assert len(listed(desk)) == 1
    assert StripeDifference.objects.count() == 1
    intent["amount_received"] = 10000
    assert listed(desk) == []
    assert StripeDifference.objects.get().closed_at is not None


def test_a_payment_that_is_not_there_is_listed(desk: Desk) -> None:
    invoice = paid(desk)
    settling.record_payment(invoice.number, Decimal("5.00"), "pi_invented", method="stripe", actor="stripe")
    assert ("payment", "amount", "5 USD", "") in listed(desk)


def test_an_invoice_that_stripe_does_not_have_is_listed(desk: Desk) -> None:
    desk.customer("stripe_invoice", card=None)
    desk.invoice()
    desk.work()
    for row in desk.account.of("invoice"):
        del desk.account.objects[row["id"]]
    assert listed(desk) == [("invoice", "existence", "100", "")]


def test_an_invoice_changed_there_is_listed(desk: Desk) -> None:
    desk.customer("stripe_invoice", card=None)
    desk.invoice()
    desk.work()
    made = desk.account.of("invoice")[0]
    made["amount_remaining"] = 5000
    assert listed(desk) == [("invoice", "outstanding", "100", "50")]
    made |= {"amount_remaining": 0, "status": "void"}
    assert listed(desk) == [("invoice", "status", "open", "void")]


def test_an_invoice_that_we_do_not_know_is_listed_with_stripes_id(desk: Desk) -> None:
    paid(desk, "stripe_invoice")
    made = desk.account.of("invoice")[0]
    copy = desk.account._new("in", "invoice", {key: value for key, value in made.items() if key != "id"})
    copy["metadata"] = made["metadata"] | {"tallywatt_invoice": "TW-2020-000009"}
    assert listed(desk) == [("invoice", "existence", "", "TW-2020-000009 paid")]


def test_a_refund_made_on_stripes_own_pages_is_listed(desk: Desk) -> None:
    invoice = paid(desk)
    desk.account.create_refund(desk.account.of("payment_intent")[0]["id"], 2500)
    (found,) = listed(desk)
    assert found[:2] == ("refund", "existence")
    assert found[3].startswith("25 of pi_")
    assert StripeDifference.objects.get().invoice == invoice


def test_a_refund_of_ours_that_failed_or_vanished_is_listed(desk: Desk) -> None:
    invoice = paid(desk)
    settling.record_refund(invoice.payments.get().reference, Decimal("10.00"), "back-1", reason="x", actor="ada")
    desk.work()
    refund = desk.account.of("refund")[0]
    assert listed(desk) == []
    refund["status"] = "failed"
    assert listed(desk) == [("refund", "amount", "10", "10 failed")]
    del desk.account.objects[refund["id"]]
    assert listed(desk) == [("refund", "existence", "10", "")]


def test_a_task_that_stripe_refused_is_listed_until_it_is_done(desk: Desk) -> None:
    desk.customer()
    desk.invoice("0.10")
    desk.work()
    (found,) = listed(desk)
    assert found[:3] == ("task", "refused", "to be done")


def test_a_second_payment_for_the_same_invoice_is_listed(desk: Desk) -> None:
    paid(desk)
    first = desk.account.of("payment_intent")[0]
    desk.account._new("pi", "payment_intent", {key: value for key, value in first.items() if key != "id"})
    assert [row[:2] for row in listed(desk)] == [("payment", "paid twice")]
    assert StripeDifference.objects.get().amount == Decimal("100.00")


def test_what_is_older_than_asked_for_is_not_compared(desk: Desk) -> None:
    paid(desk)
    desk.account.of("payment_intent")[0]["amount_received"] = 1
    assert len(listed(desk)) == 1
    assert listed(desk, hours=24 * 36) == []


def test_the_command_prints_what_differs_and_fails(desk: Desk, capsys) -> None:
    paid(desk)
    call_command("stripe_reconcile")
    desk.account.of("payment_intent")[0]["amount_received"] = 1
    with pytest.raises(CommandError, match="1 differences"):
        call_command("stripe_reconcile", "--days", "3")
    assert "100 USD here, 0.01 USD at Stripe" in capsys.readouterr().out


def test_the_command_says_that_there_is_no_key(desk: Desk, settings) -> None:
    settings.STRIPE_SECRET_KEY = ""
    with pytest.raises(CommandError, match="no STRIPE_SECRET_KEY"):
        call_command("stripe_reconcile")


def test_the_setup_command_prints_stripes_page(desk: Desk, capsys) -> None:
    desk.customer(card=None)
    call_command("stripe_setup", "--tenant", desk.tenant)
    assert capsys.readouterr().out.startswith("https://checkout.stripe.example/")
    assert StripeObject.objects.filter(kind="customer", ours=desk.tenant).exists()
    with pytest.raises(CommandError, match="no customer"):
        call_command("stripe_setup", "--tenant", "nobody")
