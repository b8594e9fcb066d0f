"""What becomes of an invoice: payments, refunds, past due, uncollectible."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from billing import pricebook, settling
from billing.models import AuditEntry, InvoiceEvent, InvoiceState, Payment
from billing.settling import SettlingRefused, UnknownInvoice, record_payment, record_refund
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.conftest import Use
from tests.billing.invoiced import D, Made, made

pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture
def bill(tenant: TenantInfo, use: Use, prices: None) -> Made:
    """9.00 USD, due in thirty days."""
    return made(tenant, use)


def due_at(bill: Made, days: int) -> datetime:
    """Noon of the day so many days after the due date."""
    day = bill.invoice.due_on + timedelta(days=days)
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def events(bill: Made) -> list[str]:
    return list(bill.invoice.events.values_list("type", flat=True))


def test_payments_add_up_until_it_is_paid(bill: Made) -> None:
    record_payment(bill.number, D("4.00"), "bank-1", actor="ada")
    assert (bill.state.status, settling.outstanding(bill.state)) == ("open", D("5.00"))
    record_payment(bill.number, D("5.00"), "bank-2", actor="ada")
    assert (bill.state.status, bill.state.paid) == ("paid", D("9.00"))
    assert events(bill) == ["finalised", "payment", "payment", "paid"]
    assert AuditEntry.objects.filter(action="pay", actor="ada").count() == 2


def test_a_payment_that_comes_twice_is_one(bill: Made) -> None:
    assert record_payment(bill.number, D("4.00"), "bank-1") == record_payment(bill.number, D("4.00"), "bank-1")
    assert bill.state.paid == D("4.00")
    with pytest.raises(SettlingRefused, match=r"'bank-1' is recorded already: 4\.0+ for"):
        record_payment(bill.number, D("5.00"), "bank-1")


@pytest.mark.parametrize(
    ("amount", "reference", "method", "reason"),
    [
        ("0", "r", "manual", "is no amount of USD"),
        ("-1", "r", "manual", "is no amount of USD"),
        ("0.001", "r", "manual", "is no amount of USD"),
        ("NaN", "r", "manual", "is no amount of USD"),
        ("9.01", "r", "manual", r"9 USD is due on .*, not 9\.01"),
        ("1", "", "manual", "needs a reference"),
        ("1", "r" * 129, "manual", "needs a reference"),
        ("1", "r", "barter", "is not a method"),
    ],
)
def test_a_payment_that_cannot_be_is_refused_with_the_reason(
    bill: Made, amount: str, reference: str, method: str, reason: str
) -> None:
    with pytest.raises(SettlingRefused, match=reason):
        record_payment(bill.number, D(amount), reference, method=method)
    assert not Payment.objects.exists()


def test_more_than_is_due_is_recorded_where_stripe_took_it(bill: Made) -> None:
    record_payment(bill.number, D("10.00"), "pi_1", method="stripe", actor="stripe")
    assert (bill.state.status, settling.outstanding(bill.state)) == ("paid", D("-1.00"))


def test_an_unknown_number_is_said_to_be_unknown(db: None) -> None:
    with pytest.raises(UnknownInvoice, match="TW-1999-000001"):
        record_payment("TW-1999-000001", D(1), "r")


def test_a_refund_without_a_note_makes_it_due_again(bill: Made) -> None:
    record_payment(bill.number, D("9.00"), "bank-1")
    first = record_refund("bank-1", D("2.00"), "back-1", reason="sent in error")
    assert record_refund("bank-1", D("2.00"), "back-1", reason="sent in error") == first
    assert (bill.state.status, bill.state.paid) == ("open", D("7.00"))
    with pytest.raises(SettlingRefused, match=r"7\.0+ can go back, not 7\.01"):
        record_refund("bank-1", D("7.01"), "back-2", reason="all")
    with pytest.raises(SettlingRefused, match="there is no payment 'bank-9'"):
        record_refund("bank-9", D(1), "back-3", reason="all")


def test_it_is_past_due_from_the_day_after_the_due_date(bill: Made) -> None:
    assert settling.mark_past_due(due_at(bill, 0)) == []
    assert settling.mark_past_due(due_at(bill, 1)) == [bill.number]
    assert settling.mark_past_due(due_at(bill, 1)) == []
    assert bill.state.status == "past_due"
    record_payment(bill.number, D("9.00"), "bank-1")
    assert bill.state.status == "paid"
    assert settling.mark_past_due(due_at(bill, 9)) == []


def test_a_debt_that_was_given_up_is_paid_if_money_comes_after_all(bill: Made) -> None:
    settling.mark_uncollectible(bill.number, reason="insolvent", actor="ada")
    assert bill.state.status == "uncollectible"
    with pytest.raises(SettlingRefused, match="only what is due can be given up"):
        settling.mark_uncollectible(bill.number, reason="again")
    assert settling.mark_past_due(due_at(bill, 1)) == []
    record_payment(bill.number, D("4.00"), "bank-1")
    assert bill.state.status == "uncollectible"
    record_payment(bill.number, D("5.00"), "bank-2")
    assert bill.state.status == "paid"


@pytest.mark.django_db(transaction=True)
def test_payments_at_once_are_all_counted_and_the_same_one_once(tenant: TenantInfo, use: Use, clickhouse: None) -> None:
    for kind, per_million in (("input", "0.15"), ("output", "0.60")):
        pricebook.set_price(model="m", kind=kind, per_million=per_million, currency="USD")
    bill = made(tenant, use)
    together = threading.Barrier(6)

    def pay(reference: str) -> None:
        try:
            together.wait(10)
            record_payment(bill.number, D("1.00"), reference)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(pay, f"bank-{n % 3}") for n in range(6)]:
            future.result(30)
    assert (bill.state.paid, Payment.objects.count()) == (D("3.00"), 3)
    assert InvoiceEvent.objects.filter(type="payment").count() == 3
    assert metering.tenant(tenant.key) is not None
    assert InvoiceState.objects.count() == 1
