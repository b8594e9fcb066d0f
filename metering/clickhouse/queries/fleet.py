"""GPUs for pages and programs: the latest samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.telemetry_minutes import GPU_KEYS

GPU_COLUMNS = (
    "node",
    "gpu",
    "mig",
    "time",
    "`index`",
    "name",
    "region",
    "cluster",
    "simulated",
    "source",
    "gpu_utilization",
    "sm_active",
    "sm_occupancy",
    "tensor_active",
    "dram_active",
    "memory_used_bytes",
    "memory_total_bytes",
    "power_w",
    "power_limit_w",
    "sm_clock_mhz",
    "memory_clock_mhz",
    "temperature_c",
    "memory_temperature_c",
    "throttle",
    "throttle_known",
    "xid_errors",
    "xid_last",
)


@dataclass(frozen=True)
class GpusNow:
    """The latest sample of every GPU and MIG instance in `[from_ms, until_ms)`: GPU_COLUMNS (time in epoch ms), by node and index.

    `table`: gpu_recent, which has the last half hour, or gpu_samples.
    """

    name: ClassVar[str] = "fleet_gpus_now"
    from_ms: int
    until_ms: int
    node: str | None = None
    table: str = "gpu_recent"

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        where_node = "" if self.node is None else "AND node = %(node)s"
        within = "time >= fromUnixTimestamp64Milli(%(from_ms)s, 'UTC') AND time < fromUnixTimestamp64Milli(%(until_ms)s, 'UTC')"
        shown = ", ".join("toUnixTimestamp64Milli(time)" if one == "time" else one for one in GPU_COLUMNS)
        # First when each GPU was seen last, from the keys alone; then the rows of those moments.
        text = f"""
            WITH latest AS (SELECT {GPU_KEYS}, max(time) AS seen FROM {self.table} WHERE {within} {where_node} GROUP BY {GPU_KEYS})
            SELECT {shown} FROM
            (
                SELECT {", ".join(GPU_COLUMNS)}, ingested_at, batch, row FROM {self.table}
                WHERE {within} AND time IN (SELECT seen FROM latest) AND ({GPU_KEYS}, time) IN latest
                ORDER BY {GPU_KEYS}, ingested_at, batch, row LIMIT 1 BY {GPU_KEYS}
            )
            ORDER BY node, ifNull(`index`, 65535), gpu, mig
        """
        bounds = {"from_ms": self.from_ms, "until_ms": self.until_ms}
        return text, bounds if self.node is None else bounds | {"node": self.node}


@dataclass(frozen=True)
class GpusKnown:
    """Every GPU with a minute since `from_s`: node, gpu, index, name, region, cluster, and by when it had been seen last, to a quarter
    of an hour (epoch s)."""

    name: ClassVar[str] = "fleet_gpus_known"
    from_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        labels = ", ".join(f"argMax(g.{name}, g.start)" for name in ("`index`", "name", "region", "cluster"))
        text = f"""
            SELECT node, gpu, {labels}, toUnixTimestamp(max(g.start)) + 900 FROM gpu_steps AS g
            WHERE step_s = 900 AND start >= toDateTime(%(from_s)s, 'UTC') GROUP BY node, gpu ORDER BY node, gpu
        """
        return text, {"from_s": self.from_s}
