"""Two workers at once, requests outside of transactions, and tasks that belong to the transaction of what makes them necessary."""

import threading
import time

import pytest
from django.db import connection, connections, transaction

from billing import stripe_gateway, stripe_payments, stripe_tasks, stripe_work
from billing.models import StripeTask
from tests.billing.stripe.desk import Desk
from tests.billing.stripe.standin import StandIn

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def busy(standin: StandIn, transactional_db: None, tenant_key: str) -> Desk:
    return Desk(standin, tenant_key)


def in_threads(count: int, call) -> None:
    def run() -> None:
        try:
            call()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_many_workers_collect_each_invoice_once(busy: Desk) -> None:
    busy.customer()
    invoices = [busy.invoice("10.00") for _ in range(12)]
    in_threads(4, busy.work)
    busy.work()
    assert busy.account.charged() == 12000
    assert [busy.payments(invoice) for invoice in invoices] == [[10]] * 12
    assert busy.standin.posts("/v1/payment_intents") == 12


def test_a_worker_that_lost_its_lease_does_not_charge_a_second_time(busy: Desk) -> None:
    busy.customer()
    invoice = busy.invoice()
    slow = busy.standin.fail("slow", "/v1/payment_intents")
    thread = threading.Thread(target=lambda: (busy.work(), connections.close_all()))
    thread.start()
    while not busy.standin.posts("/v1/payment_intents"):
        time.sleep(0.02)
    busy.later(minutes=6)  # the lease is over, the first request is still on its way: 409
    assert busy.standin.posts("/v1/payment_intents") == 2
    assert "Another request" in busy.task().error
    slow.release.set()
    thread.join()
    busy.later(minutes=10)
    assert busy.account.charged() == 10000
    assert len(busy.payments(invoice)) == 1


def test_no_transaction_is_open_while_stripe_is_asked(busy: Desk, monkeypatch) -> None:
    busy.customer()
    busy.invoice()
    open_: list[bool] = []
    asked = stripe_gateway.Gateway._done

    def watched(self, *arguments):
        open_.append(connection.in_atomic_block)
        return asked(self, *arguments)

    monkeypatch.setattr(stripe_gateway.Gateway, "_done", watched)
    busy.work()
    assert open_ == [False]


def test_a_task_exists_only_if_its_invoice_does(busy: Desk) -> None:
    busy.customer()
    with transaction.atomic():
        busy.invoice()
        transaction.set_rollback(True)
    assert not StripeTask.objects.exists()


def test_a_worker_killed_while_it_waited_for_the_answer_charges_once(busy: Desk, monkeypatch) -> None:
    busy.customer()
    invoice = busy.invoice()

    class Killed(BaseException):
        pass

    def killed(*arguments):
        real(*arguments)
        raise Killed

    real = stripe_payments._asked_for
    monkeypatch.setattr(stripe_payments, "_asked_for", killed)
    with pytest.raises(Killed):
        stripe_work.work(busy.now)
    monkeypatch.setattr(stripe_payments, "_asked_for", real)
    assert busy.work() == 0
    busy.later(minutes=6)
    assert busy.account.charged() == 10000
    assert len(busy.payments(invoice)) == 1
    assert stripe_tasks.waiting_for([invoice.number]) == set()
