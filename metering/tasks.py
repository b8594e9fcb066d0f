"""Celery tasks of metering that are not ingest's own."""

import logging

from celery import shared_task
from django.utils import timezone

from metering import live_difference
from metering.alerts import evaluating, notices
from metering.capacity import working
from metering.clickhouse.client import ClickHouseRefused, ClickHouseUnavailable
from metering.ledger import SealBusy
from metering.objectives import counting
from metering.sealing import seal_usage
from metering.telemetry import processing
from metering.telemetry.energy.days import sum_up
from metering.telemetry.energy.refitting import refit

logger = logging.getLogger(__name__)


@shared_task(name="metering.seal")
def seal() -> None:
    """Seal what every host has settled, up to the current bucket, and correct and compare the live rollups.

    A held or busy seal is left to the next minute.
    """
    try:
        outcome = seal_usage()
    except SealBusy as busy:
        logger.info("%s", busy)
        return
    live_difference.publish()
    if outcome.advanced and outcome.seal is not None:
        logger.info("seal %s: %s events, %s duplicates", outcome.seal.id, outcome.events, outcome.duplicates)
    for host in outcome.held_by:
        if host.silent:
            logger.warning("host %s has been silent since %s and holds the seal", host.name, host.published_at)


@shared_task(name="metering.telemetry")
def work_up_telemetry() -> None:
    """Work up the minutes of telemetry that are due. What a ClickHouse in trouble leaves is due at the next run."""
    try:
        processing.run()
    except (ClickHouseUnavailable, ClickHouseRefused) as error:
        logger.warning("telemetry waits: %s", error)


@shared_task(name="metering.sum_up_energy")
def sum_up_energy() -> None:
    """Sum up the days of energy that are over. What is not is read from its hours."""
    try:
        sum_up()
    except (ClickHouseUnavailable, ClickHouseRefused) as error:
        logger.warning("days of energy are not summed up: %s", error)


@shared_task(name="metering.fit_energy")
def fit_energy() -> None:
    """Fit joules per token to the windows of the last seven days."""
    try:
        made = refit()
    except (ClickHouseUnavailable, ClickHouseRefused) as error:
        logger.warning("energy coefficients stay as they are: %s", error)
        return
    for row in made:
        if not row.accepted:
            logger.info("the fit of %s on %s is not used: %s", row.model, row.product, row.reason)


@shared_task(name="metering.capacity")
def plan_capacity() -> None:
    """Work out what the capacity page waits for and what is older than a day, in a process of its own."""
    working.run_apart(timezone.now())


@shared_task(name="metering.alerts")
def evaluate_alerts() -> None:
    """Evaluate every rule; a rule whose measure cannot be read says so itself."""
    evaluating.run()


@shared_task(name="metering.alert_notices")
def deliver_alert_notices() -> None:
    notices.deliver_due()


@shared_task(name="metering.count_objectives")
def count_objectives() -> None:
    """Count the minutes that have closed, and correct those before. What a ClickHouse in trouble leaves is due at the next run."""
    try:
        counting.run()
    except (ClickHouseUnavailable, ClickHouseRefused) as error:
        logger.warning("objectives wait: %s", error)
