"""Celery tasks that speak to Stripe. The broker carries no data: what is due stands in the database, and the schedule finds it."""

import logging

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from billing import stripe_events, stripe_reconciliation, stripe_usage, stripe_work
from billing.stripe_values import StripeTrouble
from metering import public as metering

logger = logging.getLogger(__name__)


@shared_task(name="billing.stripe_event")
def process_event(pk: int) -> None:
    """Apply a webhook that was just stored. If this message is lost, `work` finds it."""
    stripe_events.process(pk)


@shared_task(name="billing.stripe_work")
def work() -> None:
    """Webhooks that are not applied yet, then what Stripe is to be told."""
    stripe_events.process_waiting()
    stripe_work.work()


@shared_task(name="billing.stripe_usage")
def push_usage() -> None:
    """Hand the hours that were sealed over to Stripe's meters."""
    try:
        stripe_usage.plan_pushes(timezone.now())
    except (metering.ClickHouseUnavailable, metering.ClickHouseRefused) as error:
        logger.warning("usage for Stripe waits: %s", error)


@shared_task(name="billing.stripe_reconcile")
def reconcile() -> None:
    """Compare both sides. What Stripe in trouble leaves is compared the next night."""
    try:
        stripe_reconciliation.reconcile()
    except (StripeTrouble, metering.ClickHouseUnavailable, metering.ClickHouseRefused) as error:
        logger.warning("not compared with Stripe: %s", error)


def soon(pk: int) -> None:
    """Have a stored event applied at once, if the broker is there; else within the schedule's half minute."""
    try:
        process_event.apply_async((pk,), retry=False)
    except OperationalError as error:
        logger.warning("stripe event %s waits for the schedule: %s", pk, error)
