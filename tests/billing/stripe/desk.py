"""What the tests of Stripe do all the time: finalise an invoice, let the worker go, deliver webhooks, look what came of it."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import stripe
from django.test import Client
from django.utils import timezone

from billing import settling, stripe_events, stripe_tasks, stripe_work
from billing.models import Customer, Invoice, InvoiceLine, InvoiceState, InvoiceTax, Payment, StripeTask
from tests.billing.stripe.standin import StandIn

WEBHOOK_SECRET = "whsec_test"
START = datetime(2026, 9, 1, tzinfo=UTC)
NOTHING = dict.fromkeys(
    (
        "requests", "requests_not_billed", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens",
        "reasoning_tokens",
    ),
    0,
)  # fmt: skip


class Desk:
    def __init__(self, standin: StandIn, tenant: str) -> None:
        self.standin, self.account, self.tenant = standin, standin.account, tenant
        self.numbers = 0

    @property
    def now(self) -> datetime:
        """The clock of both sides: the real one, moved on by `later`."""
        return timezone.now() + timedelta(seconds=self.standin.offset_s)

    # -- who pays, and what

    def customer(self, collection: str = "stripe_payment", card: str | None = "ok", **more: Any) -> Customer:
        """With a card stored at Stripe, unless `card` is None."""
        fields = {"legal_name": "Acme Corp", "city": "Berlin", "country": "DE", "emails": ["ap@acme.example"]}
        row = Customer.objects.create(tenant=self.tenant, collection=collection, **(fields | more))
        if card is not None:
            row.stripe_customer = self.account.create_customer(name="Acme Corp")["id"]
            row.stripe_payment_method = self.account.card(row.stripe_customer, card)
            row.save()
        return row

    def new_card(self, behaviour: str) -> None:
        row = Customer.objects.get(tenant=self.tenant)
        row.stripe_payment_method = self.account.card(row.stripe_customer, behaviour)
        row.save()

    def invoice(
        self, *amounts: str, tax_rate: str = "0", credits: str = "0", currency: str = "USD", start: datetime = START
    ) -> Invoice:
        """A final invoice with a line of each amount, and what Stripe is to do about it."""
        self.numbers += 1
        more = {"tax_rate": tax_rate, "credits": credits, "currency": currency}
        return bill(self.tenant, *(amounts or ("100.00",)), number=self.numbers, start=start, at=self.now, **more)

    # -- time and work

    def work(self) -> int:
        """One run of the worker, now."""
        return stripe_work.work(self.now + timedelta(seconds=1))  # what is planned within the run is due in it

    def later(self, **span: float) -> int:
        """The clocks of both sides move on, and the worker runs."""
        self.standin.offset_s += timedelta(**span).total_seconds()
        return self.work()

    # -- webhooks

    def deliver(self, event: dict[str, Any], *, secret: str = WEBHOOK_SECRET, process: bool = True) -> int:
        """Post one event as Stripe does; the answer's status."""
        status = post_webhook(event, secret)
        if process:
            stripe_events.process_waiting(self.now)
        return status

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        return [event for event in self.account.events if not kinds or event["type"] in kinds]

    # -- what came of it

    def state(self, invoice: Invoice) -> InvoiceState:
        return InvoiceState.objects.get(invoice=invoice)

    def history(self, invoice: Invoice) -> list[str]:
        return list(invoice.events.values_list("type", flat=True))

    def payments(self, invoice: Invoice) -> list[Decimal]:
        return list(Payment.objects.filter(invoice=invoice).values_list("amount", flat=True))

    def task(self, action: str = "collect", attempt: int = 0) -> StripeTask:
        return StripeTask.objects.get(action=action, attempt=attempt)

    def pay_by_hand(self, invoice: Invoice, amount: str, reference: str = "bank-1") -> None:
        settling.record_payment(invoice.number, Decimal(amount), reference, actor="ada")


def bill(
    tenant: str,
    *amounts: str,
    number: int = 1,
    tax_rate: str = "0",
    credits: str = "0",
    currency: str = "USD",
    start: datetime = START,
    at: datetime | None = None,
) -> Invoice:
    """A final invoice, its state, and the task to collect it."""
    now = at or timezone.now()
    lines = [Decimal(amount) for amount in amounts]
    subtotal, rate = sum(lines, Decimal(0)), Decimal(tax_rate)
    tax = (subtotal * rate).quantize(Decimal("0.01"))
    row = Invoice.objects.create(
        number=f"TW-2026-{number:06d}",
        tenant=tenant,
        period_start=start + timedelta(days=number),
        period_end=start + timedelta(days=number + 30),
        currency=currency,
        seal=1,
        watermark=start + timedelta(days=60),
        price_versions={},
        rating_version=2,
        subtotal=subtotal,
        tax=tax,
        total=subtotal + tax,
        credits_applied=Decimal(credits),
        amount_due=subtotal + tax - Decimal(credits),
        issued_on=now.date(),
        due_on=now.date() + timedelta(days=30),
        **NOTHING,
    )
    InvoiceLine.objects.bulk_create(_line(row, n, amount, rate) for n, amount in enumerate(lines, start=1))
    InvoiceTax.objects.create(invoice=row, rate=rate, base=subtotal, amount=tax)
    Invoice.objects.filter(pk=row.pk).update(finalised_at=now)
    row.refresh_from_db()
    InvoiceState.objects.create(invoice=row)
    stripe_tasks.plan(row)
    return row


def post_webhook(event: dict[str, Any], secret: str, *, at: int | None = None) -> int:
    payload = json.dumps(event)
    signature = stripe.WebhookSignature.generate_signature_header(payload, secret, at)
    answer = Client().post(
        "/stripe/webhook", payload, content_type="application/json", headers={"Stripe-Signature": signature}
    )
    return answer.status_code


def _line(invoice: Invoice, position: int, amount: Decimal, tax_rate: Decimal) -> InvoiceLine:
    return InvoiceLine(
        invoice=invoice,
        position=position,
        type="usage",
        key=f"line {position}",
        model=f"model-{position % 7}",
        start=invoice.period_start,
        end=invoice.period_end,
        quantity=1,
        billed=True,
        amount_exact=amount,
        amount=amount,
        residual=0,
        tax_rate=tax_rate,
        explanation=f"line {position}",
    )
