"""Late usage: what arrived after a seal for a time that invoices made from it had covered already.

A late event never changes what was said as of an earlier seal; it becomes an adjustment on a later invoice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from metering import meters
from metering.clickhouse import client
from metering.clickhouse.queries.late import LateMeterEvents, LateRows
from metering.contracts import BUCKET_MINUTES
from metering.ledger import abandoned_up_to, bucket_start, seal_info
from metering.moments import EPOCH, from_microseconds, microseconds, milliseconds, seconds

TIMEOUT_S = 120
MAX_ROWS = 5_000_000


@dataclass(frozen=True)
class LateUsage:
    """Of one tenant and one UTC month of use: the first and the last quarter of an hour that something arrived late for.

    `last_end` is the end of the last one, so that what is late lies in `[first, last_end)`. `arrived_before`: all of it, so that a
    reader who stands on a watermark at or after this misses nothing. `events`: how many, of meters duplicates included.
    """

    tenant: str
    first: datetime
    last_end: datetime
    arrived_before: datetime
    events: int


def late_usage(
    after_seal: int, up_to_seal: int, before: datetime, *, tenants: Sequence[str] = (), slugs: Sequence[str] = ()
) -> list[LateUsage]:
    """What seals in `(after_seal, up_to_seal]` added for times before `before`, by tenant and month of use.

    `after_seal` 0: from the beginning. `tenants`: only these (none named: all). `slugs`: meters whose late events count too, by their
    arrival between the two watermarks; unknown ones are passed over. Raises Seal.DoesNotExist for a seal that is not completed.
    """
    until = seal_info(up_to_seal).watermark
    found = _requests(after_seal, up_to_seal, before, tuple(tenants))
    types = sorted({meter.event_type for meter in map(meters.find, slugs) if meter is not None and not meter.measure})
    if types:
        since = seal_info(after_seal).watermark if after_seal else EPOCH
        found += _of_meters(since, until, before, tuple(types), tuple(tenants))
    return found


def _requests(after_seal: int, up_to_seal: int, before: datetime, tenants: tuple[str, ...]) -> list[LateUsage]:
    query = LateRows(after_seal, up_to_seal, seconds(before), abandoned_up_to(up_to_seal), tenants)
    rows = client.run(query, timeout_s=TIMEOUT_S, max_rows=MAX_ROWS).rows
    watermarks = {seal: seal_info(seal).watermark for seal in {row[3] for row in rows}}
    return [
        LateUsage(
            tenant=tenant,
            first=datetime.fromtimestamp(first_s, UTC),
            last_end=datetime.fromtimestamp(last_s, UTC) + timedelta(minutes=BUCKET_MINUTES),
            arrived_before=watermarks[newest],
            events=events,
        )
        for tenant, first_s, last_s, newest, events in rows
    ]


def _of_meters(
    since: datetime, until: datetime, before: datetime, types: tuple[str, ...], tenants: tuple[str, ...]
) -> list[LateUsage]:
    query = LateMeterEvents(microseconds(since), microseconds(until), milliseconds(before), types, tenants)
    rows = client.run(query, timeout_s=TIMEOUT_S, max_rows=MAX_ROWS).rows
    return [
        LateUsage(
            tenant=tenant,
            first=bucket_start(from_microseconds(first_ms * 1000)),
            last_end=bucket_start(from_microseconds(last_ms * 1000)) + timedelta(minutes=BUCKET_MINUTES),
            arrived_before=from_microseconds(newest_us + 1),
            events=events,
        )
        for tenant, first_ms, last_ms, newest_us, events in rows
    ]
