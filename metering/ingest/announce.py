"""Telling the worker that something is ready. Best effort: the sweeper finds what no message announced."""

import logging

from celery import current_app
from kombu.exceptions import OperationalError

from metering.redis_link import TROUBLE, link

logger = logging.getLogger(__name__)

KEY = "tallywatt:drain-announced"
HELD_MS = 250  # one message for all batches of this long; the drain takes whatever is there


def ready() -> None:
    """Ask for a drain, at most once in HELD_MS over all processes. Never raises: the batch is on disk already."""
    try:
        if link().set(KEY, 1, nx=True, px=HELD_MS):
            current_app.send_task("metering.drain", retry=False, expires=10)
    except (*TROUBLE, OperationalError) as error:
        logger.warning("the drain was not announced, the sweeper will find the batch: %s", error)
