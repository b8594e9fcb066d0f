"""One request by the id that its sender gave it: what was metered of it, for a page that explains its price."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from metering.clickhouse import client
from metering.clickhouse.queries.named_request import NamedRequest
from metering.clickhouse.queries.usage import SAME_EVENT_MS
from metering.moments import EPOCH

MOST_ARRIVALS = 1000
LONGEST_ID = 128


@dataclass(frozen=True)
class RequestInfo:
    """A request as it is metered. Tokens: cached and cache_write within input, reasoning within output."""

    tenant: str
    id: str
    source: str
    time: datetime
    model: str
    operation: str
    tier: str
    region: str
    status: str
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int


def request_named(tenant: str, identity: str, source: str | None = None) -> RequestInfo | None:
    """The tenant's latest request of that id (and source); of its arrivals the first, which is the one that is billed."""
    if not 0 < len(identity) <= LONGEST_ID or "\x00" in identity + (source or ""):
        return None
    rows = client.run(NamedRequest(tenant, identity, source, MOST_ARRIVALS)).dicts()
    if not rows:
        return None
    latest = max(rows, key=itemgetter("time_ms"))
    return _info(tenant, next(row for row in rows if _same_event(row, latest)))


def _same_event(row: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(row["source"] == other["source"]) and abs(other["time_ms"] - row["time_ms"]) <= SAME_EVENT_MS


def _info(tenant: str, row: dict[str, Any]) -> RequestInfo:
    measured = {name: row[name] for name in RequestInfo.__dataclass_fields__ if name in row}
    return RequestInfo(tenant=tenant, time=EPOCH + timedelta(milliseconds=row["time_ms"]), **measured)
