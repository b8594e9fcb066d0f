"""GPUs and engines for pages and programs: the latest samples, and how the minutes went."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from metering.clickhouse.queries.telemetry_minutes import GPU_KEYS

GPU_COLUMNS = (
    "node",
    "gpu",
    "mig",
    "toUnixTimestamp64Milli(time)",
    "index",
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
    "if(throttle_known, throttle, [])",
    "throttle_known",
    "xid_errors",
    "xid_last",
)
# What rows of minutes may be narrowed to and grouped by; the names are columns.
GPU_GROUPS = ("node", "gpu", "name", "region", "cluster")
ENGINE_GROUPS = ("node", "engine", "model", "region", "cluster")
# Means of an engine's histograms, in seconds.
LATENCIES = ("ttft", "itl", "e2e", "queue", "prefill", "decode")


@dataclass(frozen=True)
class GpusNow:
    """The latest sample of every GPU and MIG instance in `[from_ms, until_ms)`: GPU_COLUMNS, by node and index."""

    name: ClassVar[str] = "fleet_gpus_now"
    from_ms: int
    until_ms: int
    skew_ms: int  # how far ahead of its arrival a sample's time may lie: the index by arrival then prunes
    node: str | None = None

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        where_node = "" if self.node is None else "AND node = %(node)s"
        text = f"""
            SELECT {", ".join(GPU_COLUMNS)} FROM
            (
                SELECT * FROM gpu_samples
                WHERE time >= fromUnixTimestamp64Milli(%(from_ms)s, 'UTC') AND time < fromUnixTimestamp64Milli(%(until_ms)s, 'UTC')
                    AND ingested_at >= fromUnixTimestamp64Milli(%(from_ms)s - %(skew_ms)s, 'UTC') {where_node}
                ORDER BY {GPU_KEYS}, time DESC, ingested_at, batch, row LIMIT 1 BY {GPU_KEYS}
            )
            ORDER BY node, ifNull(`index`, 65535), gpu, mig
        """
        bounds = {"from_ms": self.from_ms, "until_ms": self.until_ms, "skew_ms": self.skew_ms}
        return text, bounds if self.node is None else bounds | {"node": self.node}


@dataclass(frozen=True)
class Minutes:
    """Which rows of minutes: in `[from_s, until_s)`, in steps of `step_s`, for each value of `group`, or together with ''."""

    from_s: int
    until_s: int
    step_s: int
    group: tuple[str, ...] = ()
    only: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> str:
        """From the start of the range, so that steps of any length line up with it."""
        return "intDiv(toUnixTimestamp(minute) - %(from_s)s, %(step_s)s) * %(step_s)s + %(from_s)s AS start_s"

    def names(self, allowed: tuple[str, ...]) -> str:
        """The grouped columns. Raises ValueError for a name that is not allowed."""
        for name in (*self.group, *self.only):
            if name not in allowed:
                raise ValueError(f"unknown group {name!r}: one of {', '.join(allowed)}")
        return "".join(f", {name}" for name in self.group)

    def where(self) -> str:
        only = "".join(f" AND {name} = %(only_{name})s" for name in self.only)
        return f"minute >= toDateTime(%(from_s)s, 'UTC') AND minute < toDateTime(%(until_s)s, 'UTC'){only}"

    def parameters(self) -> dict[str, Any]:
        values = {f"only_{name}": value for name, value in self.only.items()}
        return {"from_s": self.from_s, "until_s": self.until_s, "step_s": self.step_s} | values


@dataclass(frozen=True)
class GpuSeries:
    """One row for each step and group that has GPUs: start (epoch s), the groups, then figures over the GPUs.

    Powers, energy and memory are sums over the GPUs (of power and memory, the mean over the minutes); activities and clocks are means,
    temperatures maxima. MIG instances are left out: they have no power, and their GPU is there.
    """

    name: ClassVar[str] = "fleet_gpu_series"
    minutes: Minutes

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        names = self.minutes.names(GPU_GROUPS)
        text = f"""
            SELECT {self.minutes.start()}{names}, uniqExact(node, gpu) AS gpus, max(simulated),
                sum(power_w_mean) / uniqExact(minute), sum(power_limit_w) / uniqExact(minute), sum(energy_j),
                avg(gpu_utilization_mean), avg(sm_active_mean), avg(tensor_active_mean), avg(dram_active_mean),
                sum(memory_used_bytes_max) / uniqExact(minute), sum(memory_total_bytes) / uniqExact(minute),
                avg(sm_clock_mhz_mean), max(temperature_c_max), max(memory_temperature_c_max), avg(throttled_share),
                sum(xid_errors)
            FROM gpu_minute FINAL WHERE mig = '' AND {self.minutes.where()}
            GROUP BY start_s{names} ORDER BY start_s{names}
        """
        return text, self.minutes.parameters()


@dataclass(frozen=True)
class EngineSeries:
    """One row for each step and group that has engines: start (epoch s), the groups, then figures over the engines.

    Requests running and waiting are sums over the engines (the mean over the minutes), the KV cache's use is their mean and maximum,
    counters are sums, and latencies the means over all requests (or tokens) that the histograms count.
    """

    name: ClassVar[str] = "fleet_engine_series"
    minutes: Minutes

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        names = self.minutes.names(ENGINE_GROUPS)
        latencies = ", ".join(
            f"sum(r.{name}_sum_s) / nullIf(sumIf(r.{name}_count, isNotNull(r.{name}_sum_s)), 0) AS {name}_s"
            for name in LATENCIES
        )
        text = f"""
            SELECT {self.minutes.start()}{names}, uniqExact(node, engine) AS engines, max(r.simulated), avg(r.up_share),
                sum(r.running_mean) / uniqExact(minute), sum(r.waiting_mean) / uniqExact(minute),
                avg(r.kv_cache_usage_mean), max(r.kv_cache_usage_max), sum(r.preemptions), sum(r.prompt_tokens),
                sum(r.cached_prompt_tokens), sum(r.generation_tokens), sum(r.prefix_cache_queries), sum(r.prefix_cache_hits),
                sum(r.requests_finished), sum(r.requests_aborted), sum(r.restarts), {latencies}
            FROM engine_minute AS r FINAL WHERE {self.minutes.where()}
            GROUP BY start_s{names} ORDER BY start_s{names}
        """
        return text, self.minutes.parameters()


@dataclass(frozen=True)
class SaturationSeries:
    """One row for each step and group: start (epoch s), the groups, engines, GPUs (the mean over the minutes), score by GPUs, the
    highest score, the engine that had it (node, engine), and for each of `constraints` the share of GPU time that it bound."""

    name: ClassVar[str] = "saturation_series"
    minutes: Minutes
    constraints: tuple[str, ...]

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        names = self.minutes.names(ENGINE_GROUPS)
        shares = "".join(
            f", sumIf(r.gpus, r.bound AND r.`constraint` = %(c{index})s) / sum(r.gpus) AS share_{index}"
            for index in range(len(self.constraints))
        )
        worst = "argMax((r.node, r.engine), (r.bound, ifNull(r.score, -1)))"
        text = f"""
            SELECT {self.minutes.start()}{names}, uniqExact(node, engine) AS engines, sum(r.gpus) / uniqExact(minute) AS gpus_mean,
                sum(r.score * r.gpus) / nullIf(sumIf(r.gpus, isNotNull(r.score)), 0) AS mean, max(r.score) AS highest, {worst}.1, {worst}.2,
                max(r.simulated){shares}
            FROM saturation_minute AS r FINAL WHERE {self.minutes.where()}
            GROUP BY start_s{names} ORDER BY start_s{names}
        """
        named = {f"c{index}": name for index, name in enumerate(self.constraints)}
        return text, self.minutes.parameters() | named
