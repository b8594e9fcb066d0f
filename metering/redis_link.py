"""Redis for figures that may be lost: short time limits, no retries. What must not be lost is never only here."""

from functools import cache

import redis
from django.conf import settings

TIMEOUT_S = 0.5
# What a caller without Redis meets: a refused, broken or slow connection.
TROUBLE = (redis.RedisError, OSError)


@cache
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)


def link() -> "redis.Redis":
    """The client of this process; safe to share between threads."""
    return _client(settings.REDIS_URL)
