"""The months in which tenants used anything: by the keys of two tables alone, without a measure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from metering.moments import microseconds


@dataclass(frozen=True)
class MonthsUsed:
    """Tenant and month's start (epoch s): with rows in the ledger as of a seal, or with events of meters that had arrived by then."""

    name: ClassVar[str] = "months_used"
    as_of: int
    watermark: datetime
    tenant: str | None = None
    abandoned: tuple[int, ...] = ()

    def sql(self) -> tuple[str, dict[str, Any]]:
        whose = "tenant = %(tenant)s AND " if self.tenant is not None else ""
        counted = " AND seal NOT IN %(abandoned)s" if self.abandoned else ""
        text = f"""
            SELECT DISTINCT tenant, toUnixTimestamp(toDateTime(month, 'UTC')) AS month_s
            FROM
            (
                SELECT tenant, toStartOfMonth(bucket) AS month
                FROM usage_ledger WHERE {whose}seal <= %(as_of)s{counted}
                GROUP BY tenant, month
                UNION ALL
                SELECT tenant, toStartOfMonth(time) AS month
                FROM meter_events
                WHERE {whose}NOT observed AND ingested_at < fromUnixTimestamp64Micro(%(watermark_us)s, 'UTC')
                GROUP BY tenant, month
            )
        """
        parameters: dict[str, Any] = {"as_of": self.as_of, "watermark_us": microseconds(self.watermark)}
        if self.tenant is not None:
            parameters["tenant"] = self.tenant
        if self.abandoned:
            parameters["abandoned"] = list(self.abandoned)
        return text, parameters
