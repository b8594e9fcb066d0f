"""Rate limits in events per second, per API key and per tenant, kept in Redis so that all web processes share them.

A bucket fills at the limit's rate up to BURST_S seconds' worth. A request is let in while the bucket is not empty and then pays for all
of its events, if need be with debt: so a batch of any size gets in, and the rate holds on average. The limit of a tenant counts
what comes by the tenant's own keys; an operator's key, which writes for many, has only its own limit.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from metering.contracts import Credential
from metering.redis_link import TROUBLE, link

logger = logging.getLogger(__name__)

BURST_S = 10
PAUSE_S = 5.0  # without Redis nothing is limited, and it is left alone this long
KEPT_S = 3600

# KEYS: a bucket per limit. ARGV: the cost, then for each bucket its rate (events/s) and burst (events). Times are Redis's own.
# Answers {0} if all buckets have something (and are charged), else {number of the bucket, milliseconds until it has}.
SCRIPT = """
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local levels = {}
for i, key in ipairs(KEYS) do
    local rate, burst = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
    local state = redis.call('HMGET', key, 'level', 'at')
    local level = burst
    if state[1] then
        level = math.min(burst, tonumber(state[1]) + math.max(0, now_ms - tonumber(state[2])) * rate / 1000)
    end
    if level <= 0 then
        return {i, math.ceil((1 - level) * 1000 / rate)}
    end
    levels[i] = level
end
for i, key in ipairs(KEYS) do
    redis.call('HSET', key, 'level', tostring(levels[i] - tonumber(ARGV[1])), 'at', now_ms)
    redis.call('EXPIRE', key, math.max(tonumber(ARGV[#ARGV]), math.ceil(-levels[i] + tonumber(ARGV[1]))))
end
return {0}
"""


class RateLimited(RuntimeError):
    """429: the sender is over a limit. `retry_after_s`: whole seconds until its bucket has something again."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Limit:
    """A bucket's name in Redis, whom it limits in words, and its rate."""

    key: str
    of: str
    events_per_s: int


def limits(credential: Credential) -> list[Limit]:
    """The limits that hold for a credential; a rate of 0 is none."""
    found = [
        Limit(f"tallywatt:rate:key:{credential.prefix}", "this API key", _rate(credential.events_per_s, "KEY")),
    ]
    if credential.tenant is not None:
        rate = _rate(credential.tenant_events_per_s, "TENANT")
        found.append(Limit(f"tallywatt:rate:tenant:{credential.tenant}", "this tenant", rate))
    return [limit for limit in found if limit.events_per_s]


def charge(credential: Credential, events: int) -> None:
    """Pay for `events`; with 0, only look. Raises RateLimited, and then nothing was paid. Without Redis nothing is limited."""
    found = limits(credential)
    if not found or time.monotonic() < _Pause.until:
        return
    arguments: list[Any] = [events]
    for limit in found:
        arguments += [limit.events_per_s, limit.events_per_s * BURST_S]
    try:
        answer: Any = link().eval(SCRIPT, len(found), *(limit.key for limit in found), *arguments, KEPT_S)
    except TROUBLE as error:
        _Pause.until = time.monotonic() + PAUSE_S
        logger.warning("rate limits are not enforced for %s s, Redis does not answer: %s", PAUSE_S, error)
        return
    number, *wait_ms = answer
    if number:
        limit = found[number - 1]
        seconds = max(1, -(-wait_ms[0] // 1000))
        raise RateLimited(f"{limit.of} is limited to {limit.events_per_s} events/s; nothing was taken", seconds)


class _Pause:
    until = 0.0


def _rate(own: int | None, kind: str) -> int:
    return own if own is not None else int(getattr(settings, f"INGEST_EVENTS_PER_S_PER_{kind}"))
