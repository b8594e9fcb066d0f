"""Can this process do its work? One short check per database, for load balancers and for the supervisor."""

import redis
from django.conf import settings
from django.db import DatabaseError, connection

from metering.clickhouse import client

TIMEOUT_S = 2


def failures() -> dict[str, str]:
    """What does not answer, with the reason; empty if all is well."""
    checks = {"postgresql": _postgresql, "redis": _redis, "clickhouse": _clickhouse}
    found = {}
    for name, check in checks.items():
        try:
            check()
        except (DatabaseError, redis.RedisError, client.ClickHouseUnavailable, client.ClickHouseRefused) as error:
            found[name] = str(error)
    return found


def _postgresql() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _redis() -> None:
    link = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
    try:
        link.ping()
    finally:
        link.close()


def _clickhouse() -> None:
    client.statement("readyz", "SELECT 1", timeout_s=TIMEOUT_S)
