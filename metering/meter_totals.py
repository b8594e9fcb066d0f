"""What meters measured, as of a seal: the figures that money is made from. Exact, each event once.

Meters that operators define are read from their events; the ledger has requests only. As of a watermark means here, as there, that
only what arrived before it counts, so that the same question gives the same answer for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from metering import meters
from metering.clickhouse import client
from metering.clickhouse.queries.meters import MeterScope, MeterUsage
from metering.contracts import SealInfo
from metering.meters import MeterInfo
from metering.moments import microseconds, milliseconds, seconds
from metering.windows import Whole, Windows

GROUPS = ("model", "tier", "region")  # what a price can ask of a meter
TIMEOUT_S = 300
MAX_ROWS = 5_000_000


class UnknownMeter(LookupError):
    """No operator defined a meter of this slug. Built-in ones count requests and tokens, which have kinds of prices of their own."""


@dataclass(frozen=True)
class MeterTotal:
    """`quantity` of one tenant in one window; `events`: how many it is made of. A group that the meter does not have is ''."""

    tenant: str
    meter: str
    window_start: datetime
    quantity: Decimal
    events: int
    model: str = ""
    tier: str = ""
    region: str = ""


def meter_totals(
    start: datetime,
    end: datetime,
    tenant: str | None,
    slugs: Sequence[str],
    as_of: SealInfo | None,
    *,
    tenants: Sequence[str] = (),
    window: Windows | None = None,
    after: SealInfo | None = None,
) -> list[MeterTotal]:
    """Usage of meters in `[start, end)`, in the order of `slugs`, windows and tenants; who used nothing has no row.

    `tenant` None: of all, or of `tenants`. `as_of` None: whatever has arrived. `window` (default: one): see `pieces`. `after`: only what
    arrived since that seal. Archived meters are read like others. Sums and counts of windows add up; other aggregations hold for their
    window alone. Raises UnknownMeter.
    """
    whose = (tenant,) if tenant is not None else tuple(tenants) or None
    cut = window or Whole(seconds(start), seconds(end))
    found: list[MeterTotal] = []
    for slug in dict.fromkeys(slugs):
        meter = meters.find(slug)
        if meter is None or meter.measure:
            raise UnknownMeter(f"there is no meter {slug!r} that a price can be for")
        scope = MeterScope(
            event_type=meter.event_type,
            start_ms=milliseconds(start),
            end_ms=milliseconds(end),
            tenants=whose,
            arrived_from_us=microseconds(after.watermark) if after else None,
            arrived_until_us=microseconds(as_of.watermark) if as_of else None,
        )
        found += _totals(meter, scope, cut)
    return found


def _totals(meter: MeterInfo, scope: MeterScope, cut: Windows) -> list[MeterTotal]:
    groups = tuple(name for name in GROUPS if name in meter.group_by)
    query = MeterUsage(
        scope=scope,
        windows=cut,
        aggregation=meter.aggregation.value,
        value=meter.value_names,
        by_tenant=True,
        groups=tuple(meter.group_names[name] for name in groups),
        counted=True,
    )
    return [
        MeterTotal(
            tenant=owner,
            meter=meter.slug,
            window_start=datetime.fromtimestamp(start_s, UTC),
            quantity=Decimal(value),
            events=events,
            **dict(zip(groups, texts, strict=True)),
        )
        for start_s, value, owner, *texts, events in client.run(query, timeout_s=TIMEOUT_S, max_rows=MAX_ROWS).rows
    ]
