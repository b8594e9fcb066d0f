"""Reading raw data points of metrics, each once: an exporter's retry leaves the same point in the table twice."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

# A series is what OpenTelemetry says it is: resource, scope, metric and attributes. Several engines of one node differ in the
# resource alone. Attributes are stored in order of their names, so equal sets are equal texts.
SERIES = "metric, node, service, scope, toString(resource), kind, toString(attributes)"


@dataclass(frozen=True)
class PointsOfMetric:
    """The points of one metric in `[from_ms, until_ms)`, in order of their times, at most `limit`, of one node or (None) of all.

    Of points of the same series and time, the one that arrived first.
    """

    name: ClassVar[str] = "telemetry_points_of_metric"
    metric: str
    from_ms: int
    until_ms: int
    node: str | None = None
    limit: int = 100_000

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        where_node = "" if self.node is None else "AND node = %(node)s"
        text = f"""
            SELECT time, start_time, node, service, scope, unit, kind, temporality, monotonic, resource, attributes,
                value, count, sum, min, max, bounds, buckets
            FROM telemetry_points
            WHERE metric = %(metric)s
                AND time >= fromUnixTimestamp64Milli(%(from_ms)s, 'UTC')
                AND time < fromUnixTimestamp64Milli(%(until_ms)s, 'UTC') {where_node}
            ORDER BY time, ingested_at, batch, row
            LIMIT 1 BY time, {SERIES}
            LIMIT %(limit)s
        """
        bounds = {"metric": self.metric, "from_ms": self.from_ms, "until_ms": self.until_ms, "limit": self.limit}
        return text, bounds if self.node is None else bounds | {"node": self.node}
