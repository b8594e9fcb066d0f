"""Slows down guessing of passwords: failures are counted in Redis, by user name and by address."""

import hashlib
import logging
from functools import cache

import redis
from django.conf import settings

logger = logging.getLogger(__name__)

WINDOW_S = 600
FAILURES_PER_NAME = 10
FAILURES_PER_ADDRESS = 50  # more than one person may sit behind one address


@cache
def _redis(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)


def refused(name: str, address: str) -> bool:
    """True once there were too many failures in the last ten minutes. If Redis does not answer, nobody is locked out."""
    try:
        by_name, by_address = _redis(settings.REDIS_URL).mget(_keys(name, address))
    except redis.RedisError as error:
        logger.warning("log-ins are not throttled: %s", error)
        return False
    return int(by_name or 0) >= FAILURES_PER_NAME or int(by_address or 0) >= FAILURES_PER_ADDRESS


def failed(name: str, address: str) -> None:
    try:
        pipe = _redis(settings.REDIS_URL).pipeline()
        for key in _keys(name, address):
            pipe.incr(key)
            pipe.expire(key, WINDOW_S)
        pipe.execute()
    except redis.RedisError as error:
        logger.warning("a failed log-in was not counted: %s", error)


def succeeded(name: str, address: str) -> None:
    """Forget the failures of this name; those of the address stay, or one good log-in would clear the way for guessing others."""
    try:
        _redis(settings.REDIS_URL).delete(_keys(name, address)[0])
    except redis.RedisError as error:
        logger.warning("failed log-ins were not forgotten: %s", error)


def _keys(name: str, address: str) -> list[str]:
    # Hashed: a mistyped name is often a password.
    digest = hashlib.sha256(name.strip().lower().encode()).hexdigest()[:32]
    return [f"tallywatt:login:name:{digest}", f"tallywatt:login:address:{address}"]
