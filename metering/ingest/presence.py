"""Which Celery workers are alive: each says so, in Redis, with every heartbeat (two seconds). For the health page only."""

import logging
import time

from metering.redis_link import TROUBLE, link

logger = logging.getLogger(__name__)

KEY = "tallywatt:workers"
GONE_AFTER_S = 30


def alive(worker: str) -> None:
    """Never raises: a worker without Redis has other troubles."""
    now = time.time()
    try:
        pipe = link().pipeline(transaction=False)
        pipe.zadd(KEY, {worker: now})
        pipe.zremrangebyscore(KEY, "-inf", now - GONE_AFTER_S)
        pipe.execute()
    except TROUBLE as error:
        logger.info("this worker could not say that it is alive: %s", error)


def workers() -> tuple[str, ...]:
    """Those heard of in the last GONE_AFTER_S, by name. Raises what redis_link.TROUBLE names."""
    found = link().zrangebyscore(KEY, time.time() - GONE_AFTER_S, "+inf")
    return tuple(sorted(name.decode() for name in found if isinstance(name, bytes)))
