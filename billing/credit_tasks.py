"""Celery tasks of credit: each calls one service. A task that runs twice finds nothing left to do."""

import logging

from celery import shared_task

from billing import credits, top_ups

logger = logging.getLogger(__name__)


@shared_task(name="billing.expire_credit")
def expire_credit() -> None:
    """Move what is left of expired grants out of them."""
    if expired := credits.expire_due():
        logger.info("%s grants of credit expired", expired)


@shared_task(name="billing.top_up")
def top_up() -> None:
    """Make an invoice for every tenant whose credit has run low and whose rule says so."""
    for invoice in top_ups.top_up_due():
        logger.info("%s: %s %s of credit for %s", invoice.number, invoice.total, invoice.currency, invoice.tenant)
