"""E-mail: invoices with their PDF, and reminders, each once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.db import connection
from pytest_django.fixtures import Settings

from billing import customers, mails, pricebook, reminders, settling
from billing.mails import MailRefused
from billing.models import Reminder
from metering.contracts import TenantInfo
from tests.billing.conftest import Use
from tests.billing.invoiced import D, Made, made

pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture(autouse=True)
def sender(settings: Settings) -> None:
    settings.EMAIL_FROM = "Billing <billing@tokens.example>"
    settings.REMINDER_DAYS = (-3, 0, 7, 14)


@pytest.fixture
def bill(tenant: TenantInfo, use: Use, prices: None) -> Made:
    customers.save_customer(tenant.key, actor="ada", emails=["pay@customer.example"])
    return made(tenant, use)


def day(bill: Made, after_due: int) -> datetime:
    due = bill.invoice.due_on + timedelta(days=after_due)
    return datetime(due.year, due.month, due.day, 9, tzinfo=UTC)


def sent(bill: Made, after_due: int) -> list[int]:
    return [one.step for one in reminders.send_due(day(bill, after_due))]


def test_each_step_is_sent_on_its_day_and_once(bill: Made) -> None:
    assert [sent(bill, days) for days in (-4, -3, -3, -1, 0, 0, 6, 7, 13, 14, 30)] == [
        [], [-3], [], [], [0], [], [], [7], [], [14], [],
    ]  # fmt: skip
    assert [message.to for message in mail.outbox] == [["pay@customer.example"]] * 4
    assert [event.detail["step"] for event in bill.invoice.events.filter(type="reminder")] == [-3, 0, 7, 14]


def test_of_steps_that_have_passed_only_the_latest_is_sent(bill: Made) -> None:
    assert sent(bill, 20) == [14]
    assert sent(bill, 21) == []


def test_it_says_how_much_is_due_and_brings_the_document(bill: Made) -> None:
    settling.record_payment(bill.number, D("4.00"), "bank-1")
    sent(bill, 7)
    (message,) = mail.outbox
    assert bill.number in message.subject
    assert "5.00 USD" in message.body
    assert [(name, kind) for name, _, kind in message.attachments] == [(f"{bill.number}.pdf", "application/pdf")]
    assert message.attachments[0][1].startswith(b"%PDF")


@pytest.mark.parametrize("how", ["paid", "void", "uncollectible"])
def test_what_is_not_due_is_not_reminded_of(bill: Made, how: str) -> None:
    from billing.voiding import void

    if how == "paid":
        settling.record_payment(bill.number, D("9.00"), "bank-1")
    elif how == "void":
        void(bill.number, reason="wrong")
    else:
        settling.mark_uncollectible(bill.number, reason="insolvent")
    assert sent(bill, 7) == []


def test_nothing_is_sent_without_a_sender_or_an_address(bill: Made, settings: Settings) -> None:
    settings.EMAIL_FROM = ""
    assert sent(bill, 7) == []
    with pytest.raises(MailRefused, match="TALLYWATT_EMAIL_FROM"):
        mails.send_invoice(bill.number, actor="ada")
    settings.EMAIL_FROM = "billing@tokens.example"
    customers.save_customer(bill.tenant.key, actor="ada", emails=[])
    bill.invoice.refresh_from_db()
    assert mails.addresses(bill.invoice) == ["pay@customer.example"]  # as copied when it was made
    assert not Reminder.objects.exists()


def test_a_mail_that_cannot_be_sent_leaves_the_step_to_the_next_time(
    bill: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("no route to the mail server")

    with monkeypatch.context() as patched:
        patched.setattr(mails, "send_reminder", broken)
        with pytest.raises(OSError, match="no route"):
            sent(bill, 7)
    assert not Reminder.objects.exists()
    assert sent(bill, 7) == [7]


def test_an_invoice_is_sent_once_by_itself_and_again_by_hand(bill: Made) -> None:
    now = datetime.now(UTC) + timedelta(minutes=1)
    assert mails.send_unsent(now) == [bill.number]
    assert mails.send_unsent(now) == []
    assert mails.send_invoice(bill.number, actor="ada")
    assert [message.subject for message in mail.outbox] == [f"Invoice {bill.number}"] * 2
    assert "9.00 USD" in mail.outbox[0].body
    assert mails.send_unsent(now + timedelta(days=30)) == []


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_a_step_once(tenant: TenantInfo, use: Use, clickhouse: None) -> None:
    for kind, per_million in (("input", "0.15"), ("output", "0.60")):
        pricebook.set_price(model="m", kind=kind, per_million=per_million, currency="USD")
    customers.save_customer(tenant.key, actor="ada", emails=["pay@customer.example"])
    bill = made(tenant, use)
    together = threading.Barrier(2)

    def worker() -> list[int]:
        try:
            together.wait(10)
            return sent(bill, 7)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        results = [future.result(60) for future in [pool.submit(worker) for _ in range(2)]]
    assert sorted(results) == [[], [7]]
    assert len(mail.outbox) == 1
