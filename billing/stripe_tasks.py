"""What Stripe is to be told, as rows: planned in the transaction that makes it necessary, done by `stripe_work`, tried again until done.

Without STRIPE_SECRET_KEY nothing is planned. What a crash leaves behind: before the commit neither invoice nor task; after it a task that
is due; during the request a task that is due again when its lease is over, and asks under the same key.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from billing import stripe_gateway
from billing.models import CreditNote, Customer, Invoice, InvoiceState, Payment, Refund, StripeInstallation, StripeTask

COLLECT, REFUND, CREDIT_NOTE, VOID, SETTLED, PUSH_USAGE, ASK_PAYER = (
    "collect",
    "refund",
    "credit_note",
    "void",
    "settled",  # paid elsewhere: Stripe must not collect it too
    "push_usage",
    "ask_payer",  # an e-mail of ours, with the link to confirm a payment
)
BY_PAYMENT, BY_INVOICE = "payment", "invoice"  # how an invoice is collected
LEASE = timedelta(minutes=5)  # longer than any task takes: then another worker may have it
BUSY_WAIT = timedelta(seconds=10)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=15), timedelta(hours=1)

Collection = Customer.Collection
State = StripeTask.State


@dataclass(frozen=True)
class Outcome:
    """What became of one try. `again_at`: it waits until then; else it is done, or refused with the reason."""

    again_at: datetime | None = None
    refused: bool = False
    error: str = ""


DONE = Outcome()


def plan(*invoices: Invoice) -> list[StripeTask]:
    """Have these collected, each as its customer pays. In the transaction that finalises them; two statements however many they are."""
    due = [invoice for invoice in invoices if invoice.amount_due > 0]
    if not due or not stripe_gateway.enabled():
        return []
    customers = Customer.objects.filter(tenant__in={invoice.tenant for invoice in due})
    collections = dict(customers.values_list("tenant", "collection"))
    roads = [(invoice, _road(invoice, collections.get(invoice.tenant, Collection.MANUAL))) for invoice in due]
    now = timezone.now()
    tasks = [
        StripeTask(action=COLLECT, ours=each.number, next_at=now, detail={"invoice": each.number, "road": road})
        for each, road in roads
        if road is not None
    ]
    return StripeTask.objects.bulk_create(tasks, ignore_conflicts=True)


def plan_refund(refund: Refund) -> StripeTask | None:
    """Give the money back where it came through Stripe. In the transaction that records the refund."""
    if refund.payment.method != Payment.Method.STRIPE:
        return None
    return _planned(REFUND, refund.reference, refund.payment.invoice)


def plan_credit_note(note: CreditNote) -> StripeTask | None:
    """Tell Stripe of a credit note for an invoice that stands there too. In the transaction that issues it."""
    if road(note.invoice.number) != BY_INVOICE:
        return None
    return _planned(CREDIT_NOTE, note.number, note.invoice)


def plan_void(invoice: Invoice) -> StripeTask | None:
    """Stop Stripe from collecting an invoice that is void. In the transaction that makes it so."""
    return _planned(VOID, invoice.number, invoice) if road(invoice.number) is not None else None


def plan_settled(state: InvoiceState) -> StripeTask | None:
    """Stop Stripe from collecting what was paid by hand or credited in full. In the transaction that settles it."""
    number = state.invoice.number
    if road(number) is None or state.invoice.payments.filter(method=Payment.Method.STRIPE).exists():
        return None
    return _planned(SETTLED, number, state.invoice)


def plan_asking(invoice: Invoice, attempt: int) -> None:
    """Send the payer the link to confirm this attempt, once."""
    detail = {"invoice": invoice.number}
    StripeTask.objects.get_or_create(
        action=ASK_PAYER, ours=invoice.number, attempt=attempt, defaults={"next_at": timezone.now(), "detail": detail}
    )


def road(number: str) -> str | None:
    """How an invoice is collected by Stripe; None if it is not."""
    first = StripeTask.objects.filter(action=COLLECT, ours=number).order_by("attempt").first()
    return str(first.detail["road"]) if first is not None else None


def attempts(number: str) -> int:
    """How many attempts to collect an invoice there were, or are planned. They are numbered from 0 without gaps."""
    return StripeTask.objects.filter(action=COLLECT, ours=number).count()


def notes_taken_off(number: str) -> list[str]:
    """The credit notes that Stripe's invoice took into account when it was made."""
    first = StripeTask.objects.filter(action=COLLECT, ours=number).order_by("attempt").first()
    return list(first.detail.get("notes", ())) if first is not None else []


def next_attempt(number: str, attempt: int, at: datetime) -> bool:
    """Plan another attempt to collect after attempt number `attempt` came to nothing; once, at the earliest time asked for."""
    detail = {"invoice": number, "road": road(number)}
    task, new = StripeTask.objects.get_or_create(
        action=COLLECT, ours=number, attempt=attempt + 1, defaults={"next_at": at, "detail": detail}
    )
    if not new:
        StripeTask.objects.filter(pk=task.pk, state=State.WAITING, tries=0, next_at__gt=at).update(next_at=at)
    return new


def retry_at(attempt: int, now: datetime) -> datetime | None:
    """When a declined attempt is followed by the next; None after the last one."""
    days: Sequence[int] = settings.STRIPE_RETRY_DAYS
    return now + timedelta(days=days[attempt]) if attempt < len(days) else None


@transaction.atomic
def wake(tenant: str, now: datetime) -> int:
    """A payment method was stored: what waits for one is due now, and what was given up is tried once more."""
    open_now = Invoice.objects.filter(tenant=tenant, state__status__in=[_OPEN, _PAST_DUE]).values("number")
    collecting = StripeTask.objects.filter(action=COLLECT, ours__in=open_now)
    woken = collecting.filter(state=State.WAITING, next_at__gt=now).exclude(error="").update(next_at=now)
    waiting = set(collecting.filter(state=State.WAITING).values_list("ours", flat=True))
    newest = collecting.filter(detail__road=BY_PAYMENT).values("ours").annotate(attempt=Max("attempt"))
    given_up = [row for row in newest if row["ours"] not in waiting]
    return woken + sum(next_attempt(row["ours"], row["attempt"], now) for row in given_up)


@transaction.atomic
def retry(pk: int, now: datetime) -> bool:
    """By a person's wish: what was refused, or waits, is due now. False for what is done, or gone."""
    waiting = StripeTask.objects.filter(pk=pk).exclude(state=State.DONE)
    return bool(waiting.update(state=State.WAITING, next_at=now))


def claim(now: datetime) -> StripeTask | None:
    """The task that has been due longest, for this worker alone until its lease is over. The request is made outside the transaction.

    Tasks of one invoice are done one after the other: while another of them is leased, this one waits.
    """
    while True:
        with transaction.atomic():
            due = StripeTask.objects.select_for_update(skip_locked=True).filter(state=State.WAITING, next_at__lte=now)
            task = due.order_by("next_at", "id").first()
            if task is None or _lease(task, now):
                return task


def _lease(task: StripeTask, now: datetime) -> bool:
    """Take it, or put it back for a moment."""
    subject = str(task.detail.get("invoice", task.ours))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('stripe'), hashtext(%s))", [subject])
    others = StripeTask.objects.filter(state=State.WAITING, detail__invoice=subject, leased_until__gt=now)
    if others.exclude(pk=task.pk).exists():
        task.next_at = now + BUSY_WAIT
        task.save(update_fields=["next_at"])
        return False
    task.tries += 1
    task.next_at = task.leased_until = now + LEASE
    task.detail.setdefault("first_tried_at", now.isoformat())
    task.save(update_fields=["tries", "next_at", "leased_until", "detail"])
    return True


def remember(task: StripeTask, **detail: Any) -> None:
    """Keep what a later try must repeat or know, before it is asked for."""
    task.detail.update(detail)
    StripeTask.objects.filter(pk=task.pk, tries=task.tries).update(detail=task.detail)


def finish(task: StripeTask, outcome: Outcome, now: datetime) -> bool:
    """Write down what became of a try. False if another worker has taken the task since: what it finds holds then."""
    state = State.WAITING if outcome.again_at else State.REFUSED if outcome.refused else State.DONE
    mine = StripeTask.objects.filter(pk=task.pk, tries=task.tries, state=State.WAITING)
    return bool(
        mine.update(
            state=state,
            next_at=outcome.again_at or task.next_at,
            leased_until=None,
            error=outcome.error[:2000],
            done_at=now if state == State.DONE else None,
        )
    )


def later(task: StripeTask, now: datetime, error: str, *, least_s: float = 0) -> Outcome:
    """Again, after a wait that doubles with every try, an hour at most."""
    doubled = FIRST_WAIT * 2 ** min(task.tries - 1, 12)
    return Outcome(again_at=now + max(min(doubled, LONGEST_WAIT), timedelta(seconds=least_s)), error=error)


def installation() -> str:
    """The token that tells our objects at Stripe from another installation's."""
    row, _ = StripeInstallation.objects.get_or_create(pk=1, defaults={"token": secrets.token_hex(8)})
    return row.token


def waiting_for(numbers: Iterable[str]) -> set[str]:
    """Of these invoices, those whose collection is still on its way."""
    rows = StripeTask.objects.filter(action=COLLECT, ours__in=list(numbers), state=State.WAITING)
    return set(rows.values_list("ours", flat=True))


_OPEN, _PAST_DUE = InvoiceState.Status.OPEN, InvoiceState.Status.PAST_DUE


def _road(invoice: Invoice, collection: str) -> str | None:
    if collection == Collection.STRIPE_INVOICE:
        return BY_INVOICE
    if collection == Collection.STRIPE_PAYMENT:
        return BY_PAYMENT
    if collection == Collection.STRIPE_METER and invoice.kind == Invoice.Kind.TOP_UP:
        return BY_PAYMENT  # usage is billed there; credit that is bought is not usage
    return None


def _planned(action: str, ours: str, invoice: Invoice) -> StripeTask | None:
    if not stripe_gateway.enabled():
        return None
    task, _ = StripeTask.objects.get_or_create(
        action=action, ours=ours, attempt=0, defaults={"next_at": timezone.now(), "detail": {"invoice": invoice.number}}
    )
    return task


def left_to_pay(state: InvoiceState) -> Decimal:
    """What Stripe is to collect of an invoice now: nothing where it is void, given up or settled."""
    if state.status not in {_OPEN, _PAST_DUE}:
        return Decimal(0)
    due: Decimal = state.invoice.amount_due - state.paid - state.credited
    return max(due, Decimal(0))
