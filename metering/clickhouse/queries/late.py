"""What arrived after a seal for a time that an earlier one had covered."""

from dataclasses import dataclass
from typing import Any, ClassVar

MONTH = "toUnixTimestamp(toDateTime(toStartOfMonth({at}), 'UTC'))"


@dataclass(frozen=True)
class LateRows:
    """Rows of the ledger that seals in `(after_seal, up_to_seal]` added for buckets before a moment.

    Columns: tenant, first and last bucket (epoch s), the newest seal, requests; one row per tenant and UTC month of use.
    """

    name: ClassVar[str] = "late_rows"
    after_seal: int
    up_to_seal: int
    before_s: int
    abandoned: tuple[int, ...] = ()
    tenants: tuple[str, ...] = ()

    def sql(self) -> tuple[str, dict[str, Any]]:
        conditions = [
            "seal > %(after_seal)s",
            "seal <= %(up_to_seal)s",
            "bucket < toDateTime(%(before_s)s, 'UTC')",
        ]
        parameters: dict[str, Any] = {
            "after_seal": self.after_seal,
            "up_to_seal": self.up_to_seal,
            "before_s": self.before_s,
        }
        if self.tenants:
            conditions.insert(0, "tenant IN %(tenants)s")
            parameters["tenants"] = list(self.tenants)
        if self.abandoned:
            conditions.append("seal NOT IN %(abandoned)s")
            parameters["abandoned"] = list(self.abandoned)
        text = f"""
            SELECT tenant, toUnixTimestamp(min(bucket)) AS first_s, toUnixTimestamp(max(bucket)) AS last_s,
                max(seal) AS newest, sum(requests) AS late
            FROM usage_ledger WHERE {" AND ".join(conditions)}
            GROUP BY tenant, {MONTH.format(at="bucket")} AS month_s
            ORDER BY tenant, month_s
        """
        return text, parameters


@dataclass(frozen=True)
class LateMeterEvents:
    """Events of meters that arrived in an interval, for times before a moment, duplicates included.

    Columns: tenant, first and last time (epoch ms), last arrival (epoch us), events; one row per tenant and UTC month of use.
    """

    name: ClassVar[str] = "late_meter_events"
    arrived_from_us: int
    arrived_until_us: int
    before_ms: int
    types: tuple[str, ...]
    tenants: tuple[str, ...] = ()

    def sql(self) -> tuple[str, dict[str, Any]]:
        whose = "tenant IN %(tenants)s AND " if self.tenants else ""
        text = f"""
            SELECT tenant, toUnixTimestamp64Milli(min(time)) AS first_ms, toUnixTimestamp64Milli(max(time)) AS last_ms,
                toUnixTimestamp64Micro(max(ingested_at)) AS newest_us, count() AS late
            FROM meter_events
            WHERE type IN %(types)s AND {whose}NOT observed
                AND ingested_at >= fromUnixTimestamp64Micro(%(arrived_from_us)s, 'UTC')
                AND ingested_at < fromUnixTimestamp64Micro(%(arrived_until_us)s, 'UTC')
                AND time < fromUnixTimestamp64Milli(%(before_ms)s, 'UTC')
            GROUP BY tenant, {MONTH.format(at="toDateTime(time, 'UTC')")} AS month_s
            ORDER BY tenant, month_s
        """
        parameters: dict[str, Any] = {
            "arrived_from_us": self.arrived_from_us,
            "arrived_until_us": self.arrived_until_us,
            "before_ms": self.before_ms,
            "types": list(self.types),
        }
        return text, parameters | ({"tenants": list(self.tenants)} if self.tenants else {})
