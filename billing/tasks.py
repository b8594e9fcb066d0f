"""Celery tasks of invoicing. Each asks a service; what fails is due again at the next hour or day."""

import logging

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from billing import mails, margin_kept, reminders, runs, settling
from billing.agreements import due_periods
from billing.models import InvoiceRun
from billing.settling import SCHEDULE
from metering import public as metering

logger = logging.getLogger(__name__)


@shared_task(name="billing.bill_due")
def bill_due() -> None:
    """Resume a run that stopped, then bill every period whose grace is over. A seal that a host holds is left to the next hour."""
    stopped = runs.unfinished()
    if stopped is not None:
        try:
            runs.resume(stopped, actor=SCHEDULE)
        except Exception:  # whatever stops that one must not stop others: it is on the run's row, and tried again
            logger.exception("run %s stopped again", stopped.pk)
    now = timezone.now()
    if not due_periods(metering.tenants(), now):
        return
    try:
        run = runs.start_run(now, actor=SCHEDULE)
    except (metering.SealHeld, runs.NothingSealed) as error:
        logger.warning("not billed: %s", error)
        return
    logger.info("run %s: %s invoices, %s problems", run.pk, run.invoices, len(run.problems))


@shared_task(name="billing.keep_margins")
def keep_margins() -> None:
    """Add up the margins that pages show. What cannot be is asked for by the page itself."""
    try:
        margin_kept.keep()
    except (metering.ClickHouseUnavailable, metering.ClickHouseRefused) as error:
        logger.warning("margins are not added up: %s", error)


@shared_task(name="billing.work_run")
def work_run(run_id: int, actor: str) -> None:
    """Do, or resume, a run that somebody started in the back office."""
    runs.resume(InvoiceRun.objects.get(pk=run_id), actor=actor)


@shared_task(name="billing.past_due")
def past_due() -> None:
    """Mark what was not paid in time."""
    for number in settling.mark_past_due(timezone.now()):
        logger.info("%s is past due", number)


@shared_task(name="billing.send_invoices")
def send_invoices() -> None:
    """Send the invoices that are final and have not been sent, if that is wanted."""
    if settings.SEND_INVOICES:
        mails.send_unsent(timezone.now())


@shared_task(name="billing.reminders")
def send_reminders() -> None:
    """Remind of what is due."""
    for one in reminders.send_due(timezone.now()):
        logger.info("reminder of %s, step %s", one.number, one.step)
