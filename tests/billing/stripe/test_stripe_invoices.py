"""Collecting by Stripe's own invoices: our lines to the unit, finalised there, paid there, voided there; and credit notes and refunds."""

from decimal import Decimal

from billing import credit_notes, settling, stripe_links, stripe_reconciliation, voiding
from billing.models import InvoiceState, StripeTask
from tests.billing.stripe.desk import Desk

State = InvoiceState.Status


def at_stripe(desk: Desk) -> dict:
    (row,) = desk.account.of("invoice")
    return row


def items(desk: Desk) -> list[tuple[str, int]]:
    return [(row["metadata"]["tallywatt_line"], row["amount"]) for row in desk.account.of("invoiceitem")]


def note(invoice, amount: str, disposition: str, key: str = "k1"):
    return credit_notes.issue(
        invoice.number,
        {1: Decimal(amount)},
        reason="a mistake",
        disposition=disposition,
        idempotency_key=key,
        actor="ada",
    )


def test_lines_tax_and_credit_stand_there_to_the_cent_and_the_card_pays(desk: Desk) -> None:
    desk.customer("stripe_invoice")
    invoice = desk.invoice("70.01", "30.00", "-0.01", tax_rate="0.19", credits="9.00")
    desk.work()
    row = at_stripe(desk)
    assert items(desk) == [("line:1", 7001), ("line:2", 3000), ("line:3", -1), ("tax:0.19", 1900), ("credit", -900)]
    assert (row["total"], row["status"], row["number"], row["currency"]) == (11000, "paid", invoice.number, "usd")
    assert desk.state(invoice).status == State.PAID
    assert desk.payments(invoice) == [Decimal("110.00")]


def test_without_a_card_the_customer_is_sent_it_and_pays_on_stripes_page(desk: Desk, client) -> None:
    customer = desk.customer("stripe_invoice", card=None)
    invoice = desk.invoice()
    desk.work()
    row = at_stripe(desk)
    assert (row["collection_method"], row["days_until_due"], row["status"]) == ("send_invoice", 30, "open")
    assert desk.history(invoice) == ["at_stripe"]
    link = stripe_links.needed(invoice.number)
    assert client.get(link.removeprefix("http://127.0.0.1:8000")).headers["Location"] == row["hosted_invoice_url"]
    customer.refresh_from_db()
    row["default_payment_method"] = desk.account.card(customer.stripe_customer)
    desk.account.pay_invoice(row["id"])
    for event in desk.events("invoice.paid", "payment_intent.succeeded"):
        desk.deliver(event)
    assert desk.state(invoice).status == State.PAID
    assert len(desk.payments(invoice)) == 1


def test_a_decline_is_said_and_stripes_own_retry_pays(desk: Desk) -> None:
    desk.customer("stripe_invoice", card="declined")
    invoice = desk.invoice()
    desk.work()
    assert desk.history(invoice) == ["at_stripe", "payment_failed"]
    desk.account.cards[at_stripe(desk)["default_payment_method"]] = "ok"
    desk.standin.offset_s += 86400
    desk.account.retry_invoice(at_stripe(desk)["id"])
    paid, failed = desk.events("invoice.paid")[0], desk.events("invoice.payment_failed")[0]
    desk.deliver(paid)
    desk.deliver(failed)
    desk.deliver(paid)
    assert desk.state(invoice).status == State.PAID
    assert desk.history(invoice).count("payment_failed") == 1


def test_whatever_answer_is_lost_there_is_one_invoice_with_each_line_once(desk: Desk) -> None:
    desk.customer("stripe_invoice")
    for path in ("/v1/invoices", "/v1/invoiceitems", "/v1/invoices/", "/v1/invoices/"):
        desk.standin.fail("drop", path)
    invoice = desk.invoice("60.00", "40.00")
    for _ in range(8):
        desk.later(hours=26)  # and each time the keys are forgotten
    assert items(desk) == [("line:1", 6000), ("line:2", 4000)]
    assert at_stripe(desk)["status"] == "paid"
    assert desk.payments(invoice) == [Decimal("100.00")]
    assert desk.account.charged() == 10000


def test_hundreds_of_lines_become_one_item_for_each_model(desk: Desk) -> None:
    desk.customer("stripe_invoice")
    desk.invoice(*["1.01"] * 300)
    desk.work()
    assert len(items(desk)) == 7
    assert at_stripe(desk)["total"] == 30300


def test_what_was_paid_by_hand_before_is_taken_off(desk: Desk) -> None:
    desk.customer("stripe_invoice")
    desk.standin.fail("down")
    invoice = desk.invoice()
    desk.work()
    desk.pay_by_hand(invoice, "25.00")
    desk.standin.recover()
    desk.later(hours=1)
    assert at_stripe(desk)["total"] == 7500
    assert desk.payments(invoice) == [Decimal("25.00"), Decimal("75.00")]


def test_a_payment_by_hand_while_the_draft_is_filled_starts_it_over(desk: Desk) -> None:
    desk.customer("stripe_invoice", card=None)
    invoice = desk.invoice("60.00", "40.00")
    desk.standin.fail("down", "/v1/invoiceitems")
    desk.work()
    desk.standin.recover()
    desk.standin.fail("error", "/v1/invoices/")  # the draft is filled, and not finalised
    desk.later(minutes=1)
    desk.pay_by_hand(invoice, "10.00")
    for _ in range(5):
        desk.later(hours=25)
    assert (at_stripe(desk)["total"], at_stripe(desk)["status"]) == (9000, "open")


def test_paid_by_hand_is_told_to_stripe(desk: Desk) -> None:
    desk.customer("stripe_invoice", card=None)
    invoice = desk.invoice()
    desk.work()
    desk.pay_by_hand(invoice, "100.00")
    desk.work()
    assert at_stripe(desk)["status"] == "paid"
    desk.deliver(desk.events("invoice.paid")[0])
    assert desk.payments(invoice) == [Decimal("100.00")]


def test_void_here_is_void_there(desk: Desk) -> None:
    desk.customer("stripe_invoice", card=None)
    invoice = desk.invoice()
    desk.work()
    voiding.void(invoice.number, reason="a mistake", actor="ada")
    desk.work()
    assert at_stripe(desk)["status"] == "void"
    for event in desk.events():
        desk.deliver(event)
    assert desk.state(invoice).status == State.VOID


def test_a_credit_note_lowers_what_stripe_collects(desk: Desk) -> None:
    desk.customer("stripe_invoice", card=None)
    invoice = desk.invoice(tax_rate="0.20")
    desk.work()
    note(invoice, "10.00", "reduce")
    desk.work()
    (made,) = desk.account.of("credit_note")
    assert (made["total"], at_stripe(desk)["amount_remaining"]) == (1200, 10800)
    note(invoice, "90.00", "reduce", "k2")
    desk.work()
    assert (at_stripe(desk)["status"], desk.state(invoice).status) == ("paid", State.PAID)


def test_a_refund_goes_back_once_though_its_answer_is_lost_and_the_note_names_it(desk: Desk) -> None:
    desk.customer("stripe_invoice")
    invoice = desk.invoice(tax_rate="0.20")
    desk.work()
    desk.standin.fail("drop", "/v1/refunds")
    note(invoice, "50.00", "refund")
    desk.work()
    desk.later(hours=30)
    desk.later(hours=1)
    (refund,) = desk.account.of("refund")
    (made,) = desk.account.of("credit_note")
    assert (refund["amount"], made["total"]) == (6000, 6000)
    assert not StripeTask.objects.exclude(state=StripeTask.State.DONE).exists()
    assert desk.state(invoice).status == State.PAID


def test_a_note_that_becomes_credit_is_out_of_band_there(desk: Desk) -> None:
    desk.customer("stripe_invoice")
    invoice = desk.invoice()
    desk.work()
    note(invoice, "30.00", "credit")
    desk.work()
    assert desk.account.of("credit_note")[0]["total"] == 3000
    assert desk.account.of("refund") == []


def test_a_refund_of_a_card_payment_that_fails_later_is_said(desk: Desk) -> None:
    desk.customer()
    invoice = desk.invoice()
    desk.work()
    payment = invoice.payments.get()
    settling.record_refund(payment.reference, Decimal("40.00"), "back-1", reason="goodwill", actor="ada")
    desk.work()
    (refund,) = desk.account.of("refund")
    assert (refund["amount"], refund["payment_intent"]) == (4000, payment.reference)
    desk.standin.offset_s += 5
    desk.account.fail_refund(refund["id"])
    desk.deliver(desk.events("refund.failed")[0])
    assert desk.history(invoice)[-1] == "refund_failed"
    desk.standin.offset_s += 7200
    stripe_reconciliation.reconcile(desk.now)


def test_a_draft_that_does_not_come_to_our_total_is_never_finalised(desk: Desk, monkeypatch) -> None:
    desk.customer("stripe_invoice")
    desk.invoice()
    add = desk.account.create_item
    monkeypatch.setattr(desk.account, "create_item", lambda **fields: add(**fields | {"amount": fields["amount"] + 1}))
    for _ in range(3):
        desk.later(hours=1)
    task = desk.task()
    assert task.state == StripeTask.State.REFUSED
    assert "comes to 10001, ours to 10000" in task.error
    assert desk.account.charged() == 0


def test_a_credit_note_that_stripes_invoice_takes_into_account_is_not_told_again(desk: Desk) -> None:
    desk.customer("stripe_invoice", card=None)
    desk.standin.fail("down")
    invoice = desk.invoice()
    desk.work()
    note(invoice, "10.00", "reduce")
    desk.standin.recover()
    for _ in range(3):
        desk.later(hours=1)
    assert (at_stripe(desk)["total"], at_stripe(desk)["amount_remaining"]) == (9000, 9000)
    assert desk.account.of("credit_note") == []
    assert not StripeTask.objects.exclude(state=StripeTask.State.DONE).exists()


def test_an_invoice_that_becomes_void_while_it_is_a_draft_there_is_dropped(desk: Desk) -> None:
    desk.customer("stripe_invoice", card=None)
    desk.standin.fail("error", "/v1/invoiceitems")
    invoice = desk.invoice()
    desk.work()
    assert at_stripe(desk)["status"] == "draft"
    voiding.void(invoice.number, reason="a mistake", actor="ada")
    for _ in range(3):
        desk.later(hours=1)
    assert desk.account.of("invoice") == []
    assert not StripeTask.objects.exclude(state=StripeTask.State.DONE).exists()


def test_a_new_address_reaches_stripe_with_the_next_invoice(desk: Desk) -> None:
    customer = desk.customer("stripe_invoice", card=None)
    desk.invoice()
    desk.work()
    customer.refresh_from_db()
    customer.city = "Hamburg"
    customer.save()
    desk.invoice()
    desk.work()
    assert [row["address"] for row in desk.account.of("customer")] == [{"city": "Hamburg", "country": "DE"}]
