"""The nightly comparison with Stripe: invoices, payments, refunds and credit notes of the last days, both ways, and usage.

What Stripe knows and a lost webhook did not tell us is first applied, as the webhook would have been. What then does not agree is listed,
and closed when it does again. Nothing is changed at Stripe.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from billing import rating, settling, stripe_differences, stripe_gateway, stripe_outcomes, stripe_tasks, stripe_usage
from billing import stripe_values as values
from billing.models import CreditNote, Invoice, InvoiceState, Payment, Refund, StripeTask
from billing.stripe_differences import Difference, Kept
from billing.stripe_gateway import Gateway
from billing.stripe_tasks import BY_INVOICE, COLLECT
from billing.stripe_values import PaymentIntent, StripeCreditNote, StripeInvoice, StripeRefund, StripeRefused

logger = logging.getLogger(__name__)

KINDS = ("task", "invoice", "payment", "refund", "credit_note", "usage")
ON_ITS_WAY = timedelta(days=1)  # what waits no longer than this is no difference
Status = InvoiceState.Status


@dataclass(frozen=True)
class TheirSide:
    """What the account has, of this installation and (payments, refunds) of all."""

    invoices: dict[str, list[StripeInvoice]]  # by our number; void ones are left out where there is another
    intents: dict[str, PaymentIntent]  # by Stripe's id
    refunds: list[StripeRefund]
    notes: list[StripeCreditNote]


def reconcile(now: datetime | None = None, *, days: int | None = None) -> Kept:
    """Compare, and write down what was found. Raises StripeTrouble; without a key StripeRefused."""
    now = now or timezone.now()
    since = now - timedelta(days=days or settings.STRIPE_RECONCILE_DAYS)
    gateway = stripe_gateway.gateway()
    theirs = _theirs(gateway, since)
    _catch_up(theirs, gateway, now)
    found = [
        *_tasks(now),
        *_invoices(theirs, since, now),
        *_payments(theirs, gateway, since),
        *_refunds(theirs, gateway, since, now),
        *_notes(theirs, since, now),
        *stripe_usage.differences(gateway, now),
    ]
    kept = stripe_differences.keep(found, KINDS, now)
    logger.info("compared with Stripe: %s new, %s open, %s closed", kept.opened, kept.still_open, kept.closed)
    return kept


def _theirs(gateway: Gateway, since: datetime) -> TheirSide:
    invoices: defaultdict[str, list[StripeInvoice]] = defaultdict(list)
    for invoice in gateway.invoices(since):
        if invoice.invoice and _ours(invoice.metadata):
            invoices[invoice.invoice].append(invoice)
    intents = {intent.id: intent for intent in gateway.payments(since)}
    notes = list(gateway.credit_notes(since))
    return TheirSide(dict(invoices), intents, list(gateway.refunds(since)), notes)


def _ours(metadata: Mapping[str, str]) -> bool:
    return metadata.get(values.INSTALLATION) == stripe_tasks.installation()


def _catch_up(theirs: TheirSide, gateway: Gateway, now: datetime) -> None:
    """Apply what was paid there and is not recorded here. What cannot be applied is a difference, found below."""
    recorded = set(Payment.objects.filter(reference__in=list(theirs.intents)).values_list("reference", flat=True))
    for intent in theirs.intents.values():
        if intent.invoice and _ours(intent.metadata) and intent.status == "succeeded" and intent.id not in recorded:
            _tried(partial(stripe_outcomes.payment_seen, intent, now), intent.id)
    paid_here = set(
        InvoiceState.objects.filter(invoice__number__in=list(theirs.invoices), status=Status.PAID).values_list(
            "invoice__number", flat=True
        )
    )
    for number, made in theirs.invoices.items():
        for invoice in made:
            if invoice.status == "paid" and number not in paid_here:
                _tried(partial(stripe_outcomes.payments_seen, invoice, gateway, now), invoice.id)


def _tried(apply: Callable[[], None], stripe_id: str) -> None:
    try:
        apply()
    except (settling.SettlingRefused, stripe_outcomes.NotOurs) as refusal:
        logger.warning("%s of Stripe cannot be applied: %s", stripe_id, refusal)


def _tasks(now: datetime) -> Iterator[Difference]:
    """What Stripe refused to do, and what it has not done for a day."""
    refused = StripeTask.objects.filter(state=StripeTask.State.REFUSED)
    stuck = StripeTask.objects.filter(state=StripeTask.State.WAITING, tries__gt=0, created_at__lt=now - ON_ITS_WAY)
    for task in [*refused.order_by("pk"), *stuck.exclude(error="").order_by("pk")]:
        invoice = Invoice.objects.filter(number=task.detail.get("invoice", "")).first()
        yield Difference(
            "task", f"{task.action} {task.ours}/{task.attempt}", task.state, "to be done", task.error, None, invoice
        )


def _collected(since: datetime, by_invoice: bool) -> "QuerySet[InvoiceState]":
    """Our invoices of these days that Stripe has to collect this way, and has begun to."""
    tasks = StripeTask.objects.filter(action=COLLECT, attempt=0).exclude(state=StripeTask.State.WAITING)
    numbers = tasks.filter(detail__road=BY_INVOICE if by_invoice else stripe_tasks.BY_PAYMENT).values("ours")
    states = InvoiceState.objects.select_related("invoice").filter(invoice__finalised_at__gte=since)
    return states.filter(invoice__number__in=numbers).order_by("invoice__number")


def _invoices(theirs: TheirSide, since: datetime, now: datetime) -> Iterator[Difference]:
    ours = {state.invoice.number: state for state in _collected(since, by_invoice=True)}
    for number, state in ours.items():
        made = [each for each in theirs.invoices.get(number, []) if each.status != "void"] or theirs.invoices.get(
            number, []
        )
        yield from _invoice(state, made)
    known = set(Invoice.objects.filter(number__in=list(theirs.invoices)).values_list("number", flat=True))
    for number in sorted(set(theirs.invoices) - known):
        for each in theirs.invoices[number]:
            yield Difference("invoice", each.id, "existence", "", f"{number} {each.status}")


def _invoice(state: InvoiceState, made: list[StripeInvoice]) -> Iterator[Difference]:
    invoice = state.invoice
    if not made:
        nothing_due = state.status == Status.VOID or stripe_tasks.left_to_pay(state) == 0
        if not nothing_due:
            yield _of(state, "existence", rating.plain(invoice.amount_due), "", invoice.amount_due)
        return
    if len(made) > 1:
        yield _of(state, "existence", "once", ", ".join(each.id for each in made))
    each = made[0]
    if each.currency != invoice.currency:
        yield _of(state, "currency", invoice.currency, each.currency)
        return
    if (status := _status(state.status)) != each.status:
        yield _of(state, "status", state.status, each.status)
    elif status == "open":
        here, there = settling.outstanding(state), values.from_minor(each.amount_remaining, each.currency)
        if here != there:
            yield _of(state, "outstanding", rating.plain(here), rating.plain(there), here - there)


def _status(ours: str) -> str:
    return "open" if ours in {Status.OPEN, Status.PAST_DUE, Status.UNCOLLECTIBLE} else ours


def _of(state: InvoiceState, field: str, here: str, there: str, amount: Decimal | None = None) -> Difference:
    return Difference("invoice", state.invoice.number, field, here, there, amount, state.invoice)


def _payments(theirs: TheirSide, gateway: Gateway, since: datetime) -> Iterator[Difference]:
    """Every payment on either side has the other's amount."""
    rows = Payment.objects.select_related("invoice").filter(method=Payment.Method.STRIPE, received_at__gte=since)
    for row in rows.order_by("pk"):
        there = theirs.intents.get(row.reference) or _read_intent(gateway, row.reference)
        received = values.from_minor(there.amount_received, there.currency) if there is not None else None
        if there is None or received != row.amount or there.currency != row.invoice.currency:
            shown = f"{rating.plain(received)} {there.currency}" if there is not None and received is not None else ""
            here = f"{rating.plain(row.amount)} {row.invoice.currency}"
            yield Difference("payment", row.reference, "amount", here, shown, row.amount, row.invoice)
    recorded = set(Payment.objects.filter(reference__in=list(theirs.intents)).values_list("reference", flat=True))
    by_invoice: defaultdict[str, list[str]] = defaultdict(list)
    for intent in theirs.intents.values():
        if not (intent.invoice and _ours(intent.metadata)):
            continue
        if intent.status == "succeeded":
            by_invoice[intent.invoice].append(intent.id)
            if intent.id not in recorded:
                received = values.from_minor(intent.amount_received, intent.currency)
                yield Difference("payment", intent.id, "existence", "", f"{received} for {intent.invoice}", received)
    for number, ids in sorted(by_invoice.items()):
        if len(ids) > 1:
            yield from _paid_more_than_due(number, ids)


def _paid_more_than_due(number: str, ids: list[str]) -> Iterator[Difference]:
    state = InvoiceState.objects.select_related("invoice").filter(invoice__number=number).first()
    if state is not None and settling.outstanding(state) < 0:
        over = -settling.outstanding(state)
        yield Difference("payment", number, "paid twice", "once", ", ".join(sorted(ids)), over, state.invoice)


def _read_intent(gateway: Gateway, intent: str) -> PaymentIntent | None:
    """One that is older than what was listed."""
    try:
        return gateway.payment(intent)
    except StripeRefused as refusal:
        if not refusal.missing:
            raise
        return None


def _refunds(theirs: TheirSide, gateway: Gateway, since: datetime, now: datetime) -> Iterator[Difference]:
    by_reference = {each.reference: each for each in theirs.refunds if each.reference and _ours(each.metadata)}
    rows = Refund.objects.select_related("payment__invoice").filter(
        payment__method=Payment.Method.STRIPE, created_at__gte=since, created_at__lt=now - timedelta(hours=1)
    )
    for row in rows.order_by("pk"):
        there = by_reference.get(row.reference)
        invoice = row.payment.invoice
        if there is None:
            yield Difference("refund", row.reference, "existence", rating.plain(row.amount), "", row.amount, invoice)
            continue
        amount = values.from_minor(there.amount, there.currency)
        if amount != row.amount or there.status in {"failed", "canceled"}:
            shown = f"{rating.plain(amount)} {there.status}"
            yield Difference("refund", row.reference, "amount", rating.plain(row.amount), shown, row.amount, invoice)
    yield from _refunds_only_there(theirs, set(by_reference))


def _refunds_only_there(theirs: TheirSide, ours: set[str]) -> Iterator[Difference]:
    """Money that went back past us, from the account's own pages."""
    payments = Payment.objects.select_related("invoice").filter(
        reference__in={each.payment_intent for each in theirs.refunds}
    )
    by_intent = {row.reference: row for row in payments}
    known = set(Refund.objects.filter(reference__in=ours).values_list("reference", flat=True))
    for each in theirs.refunds:
        payment = by_intent.get(each.payment_intent)
        if payment is None or each.reference in known or each.status in {"failed", "canceled"}:
            continue
        amount = values.from_minor(each.amount, each.currency)
        shown = f"{rating.plain(amount)} of {each.payment_intent}"
        yield Difference("refund", each.id, "existence", "", shown, amount, payment.invoice)


def _notes(theirs: TheirSide, since: datetime, now: datetime) -> Iterator[Difference]:
    by_reference = {each.reference: each for each in theirs.notes if each.reference and _ours(each.metadata)}
    at_stripe = {each.id: number for number, made in theirs.invoices.items() for each in made}
    numbers = list(at_stripe.values())
    rows = CreditNote.objects.select_related("invoice").filter(
        invoice__number__in=numbers, created_at__gte=since, created_at__lt=now - timedelta(hours=1)
    )
    for row in rows.order_by("pk"):
        there = by_reference.get(row.number)
        amount = values.from_minor(there.amount, there.currency) if there is not None else None
        if amount != row.total:
            shown = rating.plain(amount) if amount is not None else ""
            yield Difference(
                "credit_note", row.number, "amount", rating.plain(row.total), shown, row.total, row.invoice
            )
    for each in theirs.notes:
        if each.invoice in at_stripe and not each.reference and each.status != "void":
            yield Difference(
                "credit_note", each.id, "existence", "", f"{at_stripe[each.invoice]}: {each.amount} minor units"
            )
