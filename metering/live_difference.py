"""How far the live rollups are from the ledger: they may hold an event twice until its seal, and this says how many do.

Read once a minute by the task that seals, and left in Redis for whoever shows it: the reading adds up weeks of rollups.
"""

import json
import logging
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from metering import ledger
from metering.clickhouse import client
from metering.clickhouse.queries.rollups import LiveAndLedger
from metering.redis_link import TROUBLE, link

logger = logging.getLogger(__name__)

KEY = "tallywatt:live-difference"
KEPT_S = 3600
SPAN = timedelta(days=35)  # the longest that a live page shows
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Amount:
    """`tokens`: input and output together."""

    requests: int
    tokens: int


@dataclass(frozen=True)
class LiveDifference:
    """Usage of `[start, end)` by the live rollups, by the ledger, and what arrived since the seal; read at `at`.

    `difference` is live - ledger - unsealed: more than 0 are sealed duplicates that are still live; less than 0 would be missing.
    """

    at: datetime
    start: datetime
    end: datetime
    live: Amount
    ledger: Amount
    unsealed: Amount

    @property
    def difference(self) -> Amount:
        return Amount(
            self.live.requests - self.ledger.requests - self.unsealed.requests,
            self.live.tokens - self.ledger.tokens - self.unsealed.tokens,
        )


def read() -> LiveDifference | None:
    """As of the latest seal, up to its last whole bucket of use: what arrives at this moment lies after it. None before a seal.

    Raises ClickHouseUnavailable or ClickHouseRefused.
    """
    seal = ledger.latest_seal()
    if seal is None:
        return None
    end = ledger.bucket_start(seal.watermark)
    switch = end.replace(minute=0)
    start = switch - SPAN
    query = LiveAndLedger(start, switch, end, seal.watermark, seal.id, ledger.abandoned_up_to(seal.id))
    found = {side: Amount(int(requests), int(tokens)) for side, requests, tokens in _rows(query)}
    none = Amount(0, 0)
    sides = {side: found.get(side, none) for side in ("live", "ledger", "unsealed")}
    return LiveDifference(at=timezone.now(), start=start, end=end, **sides)


def publish() -> None:
    """Read it and leave it in Redis. Never raises: it is a figure for a page."""
    try:
        found = read()
        if found is not None:
            link().set(KEY, json.dumps(asdict(found), default=datetime.isoformat), ex=KEPT_S)
    except (client.ClickHouseUnavailable, client.ClickHouseRefused, *TROUBLE) as error:
        logger.warning("live rollups and ledger were not compared: %s", error)


def published() -> LiveDifference | None:
    """The latest reading; None if there is none of the last hour. Raises what redis_link.TROUBLE names."""
    text = link().get(KEY)
    if text is None:
        return None
    found = json.loads(text)
    at, start, end = (datetime.fromisoformat(found[name]) for name in ("at", "start", "end"))
    live, sealed, unsealed = (Amount(**found[name]) for name in ("live", "ledger", "unsealed"))
    return LiveDifference(at, start, end, live, sealed, unsealed)


def _rows(query: LiveAndLedger) -> list[tuple[str, int, int]]:
    return [(row[0], row[1], row[2]) for row in client.run(query, timeout_s=TIMEOUT_S).rows]
