"""The same against localstripe, which we did not write: PaymentIntents, and webhooks that it signs and delivers over HTTP.

It is under the GPL: a process of its own, never imported. It ignores idempotency keys and has neither stand-alone invoices nor meters, so
what those are needed for is shown with our own stand-in only.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from billing import settling, stripe_events, stripe_gateway, stripe_work
from billing.models import Customer, Invoice, InvoiceState, StripeEvent, StripeTask
from tests.billing.stripe.desk import WEBHOOK_SECRET, bill

KEY = "sk_test_12345"
START_S = 20


@pytest.fixture(scope="module")
def localstripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("localstripe")
    command = [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(url, process, folder / "log")
            yield url
        finally:
            process.terminate()
            process.wait(10)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{url}/v1/customers", headers={"Authorization": f"Bearer {KEY}"})
            return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"localstripe did not start: {log.read_text()}")


@pytest.fixture
def account(
    localstripe: str, settings: Settings, transactional_db: None, live_server: LiveServer, tenant_key: str
) -> Iterator["Account"]:
    settings.STRIPE_SECRET_KEY = KEY
    settings.STRIPE_API_BASE = localstripe
    settings.STRIPE_WEBHOOK_SECRET = WEBHOOK_SECRET
    made = Account(localstripe, tenant_key)
    made.post("/_config/webhooks/ours", url=f"{live_server.url}/stripe/webhook", secret=WEBHOOK_SECRET)
    yield made
    # It delivers a second late, to where it finds then: not into another test.
    made.post("/_config/webhooks/ours", url="http://127.0.0.1:9/", secret="none")
    stripe_gateway.close()
    made.delete("/_config/data")
    made.http.close()


class Account:
    """What a test does at localstripe, and the customer here that belongs to it."""

    def __init__(self, url: str, tenant: str) -> None:
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"})
        self.tenant = tenant

    def post(self, path: str, **fields: str) -> dict:
        answer = self.http.post(path, data=fields)
        answer.raise_for_status()
        return answer.json() if answer.content else {}

    def get(self, path: str) -> dict:
        return self.http.get(path).json()

    def delete(self, path: str) -> None:
        self.http.delete(path)

    def card(self, number: str) -> str:
        """Stored for our customer, at both ends."""
        row, new = Customer.objects.get_or_create(
            tenant=self.tenant, defaults={"legal_name": "Acme Corp", "collection": "stripe_payment"}
        )
        if new:
            row.stripe_customer = self.post("/v1/customers", name="Acme Corp")["id"]
        fields = {"card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2040", "card[cvc]": "123"}
        method = self.post("/v1/payment_methods", type="card", **fields)["id"]
        self.post(f"/v1/payment_methods/{method}/attach", customer=row.stripe_customer)
        row.stripe_payment_method = method
        row.save()
        return str(method)

    def intents(self) -> list[dict]:
        return list(self.get("/v1/payment_intents?limit=100")["data"])

    def paid(self) -> int:
        return sum(row["amount"] for row in self.intents() if row["status"] == "succeeded")


def heard(account: Account, kind: str) -> None:
    """Wait for that webhook about this customer, and apply it."""
    deadline = time.monotonic() + START_S
    while not StripeEvent.objects.filter(type=kind, payload__contains=account.tenant).exists():
        if time.monotonic() > deadline:
            pytest.fail(f"no {kind}; came: {list(StripeEvent.objects.values_list('type', flat=True))}")
        time.sleep(0.05)
    stripe_events.process_waiting()


def status(invoice: Invoice) -> str:
    return InvoiceState.objects.get(invoice=invoice).status


def test_a_card_pays_and_the_webhook_says_the_same(account: Account) -> None:
    account.card("4242424242424242")
    invoice = bill(account.tenant, "100.00")
    stripe_work.work()
    assert status(invoice) == "paid"
    heard(account, "payment_intent.succeeded")
    assert StripeEvent.objects.filter(type="payment_intent.succeeded", state="processed").count() == 1
    assert invoice.payments.count() == 1
    assert account.paid() == 10000


def test_a_declined_card_is_said_and_another_pays_at_the_next_attempt(account: Account) -> None:
    account.card("4000000000000341")
    invoice = bill(account.tenant, "100.00")
    stripe_work.work()
    heard(account, "payment_intent.payment_failed")
    assert list(invoice.events.values_list("type", flat=True)) == ["payment_failed"]
    account.card("4242424242424242")
    StripeTask.objects.filter(attempt=1).update(next_at=invoice.finalised_at)
    stripe_work.work()
    assert status(invoice) == "paid"
    assert sorted(row["status"] for row in account.intents()) == ["canceled", "succeeded"]


def test_three_d_secure_is_resolved_by_the_webhook(account: Account) -> None:
    account.card("4000002500003155")
    invoice = bill(account.tenant, "100.00")
    stripe_work.work()
    assert "payment_action_needed" in invoice.events.values_list("type", flat=True)
    (intent,) = account.intents()
    secret = {"client_secret": intent["client_secret"], "success": "true"}
    account.post(f"/v1/payment_intents/{intent['id']}/_authenticate", **secret)
    assert status(invoice) == "open"
    heard(account, "payment_intent.succeeded")
    assert status(invoice) == "paid"
    assert account.paid() == 10000


def test_money_goes_back(account: Account) -> None:
    account.card("4242424242424242")
    invoice = bill(account.tenant, "100.00")
    stripe_work.work()
    payment = invoice.payments.get()
    settling.record_refund(payment.reference, payment.amount / 4, "back-1", reason="goodwill", actor="ada")
    stripe_work.work()
    (refund,) = account.get("/v1/refunds?limit=10")["data"]
    assert (refund["amount"], refund["metadata"]["tallywatt_reference"]) == (2500, "back-1")
