"""Celery tasks of ingest. The broker carries no data: losing a message costs a second, until the sweeper comes by."""

import logging

from celery import shared_task

from metering import ledger
from metering.clickhouse.client import ClickHouseRefused, ClickHouseUnavailable
from metering.ingest import hosts, local
from metering.ingest.drain import ManifestMismatch, RowsMissing
from metering.ingest.drain import drain as drain_spool

logger = logging.getLogger(__name__)


@shared_task(name="metering.drain")
def drain() -> None:
    """Insert what is ready. A failure leaves everything in the spool for the sweeper's next call."""
    try:
        drain_spool(local.spool())
    except (ClickHouseUnavailable, ClickHouseRefused) as error:
        logger.warning("the spool waits: %s", error)
    except (ManifestMismatch, RowsMissing) as error:
        logger.error("the spool waits for an operator: %s", error)


@shared_task(name="metering.sweep")
def sweep() -> None:
    """Once a second: drain what no message announced, tidy up, publish this host's progress."""
    spool = local.spool()
    if not spool.in_use:
        return
    spool.remove_orphans()
    drain()
    hosts.publish()
    latest = ledger.latest_seal()
    if latest is not None:
        spool.remove_sealed(latest.watermark)
