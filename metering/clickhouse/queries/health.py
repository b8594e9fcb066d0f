"""How ClickHouse itself is doing, and what lies in quarantine: for the ingest health page and Prometheus."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from metering.contracts import RejectReason
from metering.moments import seconds


@dataclass(frozen=True)
class RejectsByReason:
    """Events that were not taken, by reason: (reason, since `hour`, since `day`), the most frequent first. Conflicts were taken."""

    name: ClassVar[str] = "health_rejects"
    hour: datetime
    day: datetime

    def sql(self) -> tuple[str, dict[str, Any]]:
        text = """
            SELECT reason, countIf(ingested_at >= toDateTime(%(hour_s)s, 'UTC')) AS last_hour, count() AS last_day
            FROM quarantine
            WHERE ingested_at >= toDateTime(%(day_s)s, 'UTC') AND reason != %(conflict)s
            GROUP BY reason ORDER BY last_day DESC, reason
        """
        bounds = {"hour_s": seconds(self.hour), "day_s": seconds(self.day)}
        return text, bounds | {"conflict": RejectReason.CONFLICT.value}


@dataclass(frozen=True)
class TableSizes:
    """Each table of ours that has rows: (name, parts, most parts in one partition, rows, bytes on disk), the largest first."""

    name: ClassVar[str] = "health_tables"

    def sql(self) -> tuple[str, dict[str, Any]]:
        text = """
            SELECT table, sum(parts) AS all_parts, max(parts) AS most_parts, sum(part_rows) AS all_rows, sum(part_bytes) AS all_bytes
            FROM
            (
                SELECT table, partition, count() AS parts, sum(rows) AS part_rows, sum(bytes_on_disk) AS part_bytes
                FROM system.parts WHERE active AND database = currentDatabase()
                GROUP BY table, partition
            )
            GROUP BY table ORDER BY all_bytes DESC, table
        """
        return text, {}


@dataclass(frozen=True)
class ActiveMerges:
    """One row: how many merges run, and for how many seconds the longest has."""

    name: ClassVar[str] = "health_merges"

    def sql(self) -> tuple[str, dict[str, Any]]:
        return "SELECT count(), max(elapsed) FROM system.merges WHERE database = currentDatabase()", {}
