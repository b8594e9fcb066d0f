"""Celery tasks of ingest. The broker carries no data: losing a message costs a second, until the sweeper comes by."""

import logging
import time
from typing import Any

from celery import shared_task
from celery.signals import heartbeat_sent

from metering import ledger
from metering.clickhouse.client import ClickHouseRefused, ClickHouseUnavailable
from metering.ingest import hosts, local, presence
from metering.ingest.drain import ManifestMismatch, RowsMissing
from metering.ingest.drain import drain as drain_spool
from metering.ingest.spool import Spool

logger = logging.getLogger(__name__)

TIDY_S = 5.0


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
    if time.monotonic() >= _Tidying.due:
        _tidy(spool)


class _Tidying:
    """When this process looks through done/ again: it may hold thousands of files, so not every second."""

    due = 0.0


def _tidy(spool: Spool) -> None:
    started = time.monotonic()
    latest = ledger.latest_seal()
    if latest is not None:
        spool.remove_sealed(latest.watermark)
    if removed := spool.trim_kept():
        logger.warning(
            "%s inserted files were removed before they were sealed, to keep the spool within its bound", removed
        )
    _Tidying.due = time.monotonic() + TIDY_S + hosts.REST * (time.monotonic() - started)


@heartbeat_sent.connect
def say_alive(sender: Any, **_: Any) -> None:
    """Every two seconds, from the worker itself and not from a task: one that is busy is alive too."""
    presence.alive(sender.eventer.hostname)
