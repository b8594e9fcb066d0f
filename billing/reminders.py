"""Reminders of what is due, by e-mail, on a schedule in days around the due date (TALLYWATT_REMINDER_DAYS).

One per step: its row is written in the transaction that sends it, so of two workers one waits and then finds it done. A worker that dies
between sending and the commit may send that one again; none is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import IntegrityError, transaction

from billing import mails, settling
from billing.models import InvoiceState, Reminder
from billing.settling import SCHEDULE, Status


@dataclass(frozen=True)
class Due:
    """A reminder that is to be sent. `step`: days after the due date, negative before it."""

    number: str
    step: int
    outstanding: Decimal


def send_due(now: datetime) -> list[Due]:
    """Send what is due today and has not been sent. Of several steps that have passed only the latest: nobody gets four mails at once."""
    if not mails.possible():
        return []
    return [one for one in _due(now.date()) if _send(one)]


def _due(today: date) -> Iterator[Due]:
    steps = sorted(settings.REMINDER_DAYS)
    if not steps:
        return
    states = InvoiceState.objects.filter(
        status__in=(Status.OPEN, Status.PAST_DUE), invoice__due_on__lte=today - timedelta(days=steps[0])
    )
    for state in states.select_related("invoice").order_by("invoice_id"):
        passed = [step for step in steps if state.invoice.due_on + timedelta(days=step) <= today]
        sent = set(state.invoice.reminders.values_list("step", flat=True))
        if passed and passed[-1] not in sent:
            yield Due(state.invoice.number, passed[-1], settling.outstanding(state))


def _send(one: Due) -> bool:
    try:
        with transaction.atomic():
            state = settling.locked(one.number)
            if state.status not in {Status.OPEN, Status.PAST_DUE}:  # paid since the list was read
                return False
            addresses = mails.addresses(state.invoice)
            if not addresses:
                return False
            Reminder.objects.create(invoice=state.invoice, step=one.step, sent_to=addresses)
            settling.event(state.invoice, "reminder", SCHEDULE, {"step": one.step, "to": addresses})
            mails.send_reminder(state, one.step, addresses)
    except IntegrityError:  # another worker has sent this step
        return False
    return True
