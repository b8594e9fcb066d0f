"""Over a range: what the GPUs' counters say, beside the parts that it was split into, each added up by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.energy_rows import LABELS
from metering.clickhouse.queries.energy_shifting import Counters
from metering.telemetry.energy.amounts import EXACT, NANO

TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Conservation:
    """In kWh. `nobodys` by label. Hours are whole nano-kWh, each part rounded by itself: `difference` may be some of those, and no more."""

    counters: Decimal
    attributed: Decimal
    nobodys: Mapping[str, Decimal]
    engine_hours: int

    @property
    def difference(self) -> Decimal:
        return self.counters - self.attributed - sum(self.nobodys.values(), Decimal(0))


def energy_conservation(start: datetime, end: datetime, only: Mapping[str, str] | None = None) -> Conservation:
    """`only`: values of model, region and cluster; whole hours. Raises ValueError, ClickHouseUnavailable or ClickHouseRefused."""
    query = Counters(moments.seconds(start), moments.seconds(end), tuple(sorted((only or {}).items())))
    counters, attributed, *nobodys, hours = client.run(query, timeout_s=TIMEOUT_S).rows[0]
    parts = {label: _kwh(nkwh) for label, nkwh in zip(LABELS, nobodys, strict=True)}
    return Conservation(_kwh(counters), _kwh(attributed), parts, int(hours))


def _kwh(nano: int) -> Decimal:
    return EXACT.multiply(Decimal(int(nano)), NANO)
