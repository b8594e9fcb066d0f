"""Celery tasks of metering that are not ingest's own."""

import logging

from celery import shared_task

from metering import live_difference
from metering.clickhouse.client import ClickHouseRefused, ClickHouseUnavailable
from metering.ledger import SealBusy
from metering.sealing import seal_usage
from metering.telemetry import processing
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
