"""Telling the worker that something is ready. Best effort: the sweeper finds what no message announced."""

import logging
from functools import cache

import redis
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

KEY = "tallywatt:drain-announced"
HELD_MS = 250  # one message for all batches of this long; the drain takes whatever is there


@cache
def _redis(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)


def ready() -> None:
    """Ask for a drain, at most once in HELD_MS over all processes. Never raises: the batch is on disk already."""
    try:
        if _redis(settings.REDIS_URL).set(KEY, 1, nx=True, px=HELD_MS):
            current_app.send_task("metering.drain", retry=False, expires=10)
    except (redis.RedisError, OperationalError, OSError) as error:
        logger.warning("the drain was not announced, the sweeper will find the batch: %s", error)
