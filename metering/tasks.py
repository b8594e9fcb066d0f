"""Celery tasks of metering that are not ingest's own."""

import logging

from celery import shared_task

from metering import live_difference
from metering.ledger import SealBusy
from metering.sealing import seal_usage

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
