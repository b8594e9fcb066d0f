"""What capacity is worked out from: demand by the hour, and what pools of engines did in blocks of time at what load.

A pool is all engines that serve one model in one cluster. Blocks are read a day at a time, so that no query looks at weeks of minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.live_sources import Subset
from metering.clickhouse.queries.spans import within

POOL = "model, region, cluster"
SINGLE_READINGS = ("kv_cache_usage", "dram_active", "tensor_active", "power_share", "waiting_per_running")
LEVEL = 0.9  # nine of ten engine-minutes of a block stay below its reading


@dataclass(frozen=True)
class DemandHours:
    """One row for each hour of `[from_s, until_s)` with requests: its start (epoch s), tokens in, tokens out, requests."""

    name: ClassVar[str] = "capacity_demand"
    from_s: int
    until_s: int
    subset: Subset

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        named = self.subset.parameters()
        # Without tenants there is a table that is smaller by as many rows as there are tenants.
        table, requests, where = "service_hour", "sum(t.ok + t.error + t.cancelled)", ["1"]
        if self.subset.tenant is not None:
            table, requests, where = "requests_hour", "sum(t.requests)", ["NOT observed"]
        where += [f"{name} = %({name})s" for name in named]
        text = f"""
            SELECT toUnixTimestamp(hour) AS at_s, sum(t.input_tokens), sum(t.output_tokens), {requests}
            FROM {table} AS t
            WHERE {within("hour")} AND {" AND ".join(where)}
            GROUP BY at_s ORDER BY at_s
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s} | named


@dataclass(frozen=True)
class DemandPlaces:
    """Which models were asked for where since `from_s`: model, region, cluster, tokens; the most first."""

    name: ClassVar[str] = "capacity_places"
    from_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT {POOL}, sum(t.input_tokens + t.output_tokens) AS tokens FROM service_hour AS t
            WHERE hour >= toDateTime(%(from_s)s, 'UTC')
            GROUP BY {POOL} ORDER BY tokens DESC, {POOL} LIMIT 500
        """
        return text, {"from_s": self.from_s}


@dataclass(frozen=True)
class DemandByModel:
    """For each hour of `[from_s, until_s)`, model and region: hour (epoch s), model, region, tokens in, tokens out."""

    name: ClassVar[str] = "capacity_demand_by_model"
    from_s: int
    until_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT toUnixTimestamp(hour) AS at_s, model, region, sum(t.input_tokens), sum(t.output_tokens)
            FROM service_hour AS t
            WHERE {within("hour")}
            GROUP BY at_s, model, region ORDER BY at_s, model, region
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s}


@dataclass(frozen=True)
class TelemetrySpan:
    """The first and the last minute with saturation since `from_s`, in epoch seconds; 0 and 0 if there is none."""

    name: ClassVar[str] = "capacity_span"
    from_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = """
            SELECT toUnixTimestamp(min(minute)), toUnixTimestamp(max(minute)) FROM saturation_minute
            WHERE minute >= toDateTime(%(from_s)s, 'UTC')
        """
        return text, {"from_s": self.from_s}


@dataclass(frozen=True)
class _Blocked:
    from_s: int
    until_s: int
    block_s: int

    def _block(self, column: str) -> str:
        return f"intDiv(toUnixTimestamp({column}), %(block_s)s) * %(block_s)s AS at_s"

    def _parameters(self) -> Mapping[str, Any]:
        return {"from_s": self.from_s, "until_s": self.until_s, "block_s": self.block_s}


@dataclass(frozen=True)
class PoolReadings(_Blocked):
    """One row for each block and pool: its start (epoch s), the pool, engine-minutes, GPUs, nodes and engines (means over the minutes),
    simulated, and of each of SINGLE_READINGS the quantile LEVEL over the engine-minutes that have it (NaN if none has)."""

    name: ClassVar[str] = "capacity_readings"

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        readings = ", ".join(
            f"quantileIf({LEVEL})(r.readings['{name}'], mapContains(r.readings, '{name}'))" for name in SINGLE_READINGS
        )
        text = f"""
            SELECT {self._block("minute")}, {POOL}, count() AS minutes, sum(r.gpus) / uniqExact(minute),
                uniqExact(minute, node) / uniqExact(minute), count() / uniqExact(minute), max(r.simulated), {readings}
            FROM saturation_minute AS r FINAL
            WHERE {within("minute")} AND model != ''
            GROUP BY at_s, {POOL} ORDER BY at_s, {POOL}
        """
        return text, self._parameters()


@dataclass(frozen=True)
class PoolTokens(_Blocked):
    """One row for each block and pool: its start (epoch s), the pool, minutes, and its engines' prompt tokens, those of them that a cache
    had, and output tokens."""

    name: ClassVar[str] = "capacity_tokens"

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT {self._block("minute")}, {POOL}, uniqExact(minute) AS minutes, sum(ifNull(r.prompt_tokens, 0)),
                sum(least(ifNull(r.cached_prompt_tokens, 0), ifNull(r.prompt_tokens, 0))), sum(ifNull(r.generation_tokens, 0))
            FROM engine_minute AS r FINAL
            WHERE {within("minute")} AND model != ''
            GROUP BY at_s, {POOL} ORDER BY at_s, {POOL}
        """
        return text, self._parameters()


@dataclass(frozen=True)
class PoolPower(_Blocked):
    """One row for each block and pool (model '': GPUs that no engine claims): its start (epoch s), the pool, joules, GPU-seconds,
    products."""

    name: ClassVar[str] = "capacity_power"

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT {self._block("window_start")}, if(engine = '', '', e.model) AS model, region, cluster, sum(e.counter_j), sum(e.gpu_s),
                groupUniqArray(4)(product)
            FROM energy_windows AS e FINAL
            WHERE {within("window_start")}
            GROUP BY at_s, {POOL} ORDER BY at_s, {POOL}
        """
        return text, self._parameters()


@dataclass(frozen=True)
class PoolGpus:
    """Which GPUs belonged to which pool in `[from_s, until_s)`: model, region, cluster, node, GPU."""

    name: ClassVar[str] = "capacity_gpus"
    from_s: int
    until_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT DISTINCT {POOL}, node, arrayJoin(gpus) AS gpu FROM engine_minute
            WHERE {within("minute")} AND model != ''
            ORDER BY {POOL}, node, gpu
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s}


@dataclass(frozen=True)
class GpuLimits:
    """The latest of every GPU in `[from_s, until_s)`: node, GPU, region, cluster, product, watts allowed (NULL: not told), watts drawn."""

    name: ClassVar[str] = "capacity_gpu_limits"
    from_s: int
    until_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT node, gpu, argMax(region, minute), argMax(cluster, minute), argMax(g.name, minute), argMax(power_limit_w, minute),
                argMax(power_w_mean, minute)
            FROM gpu_minute AS g
            WHERE {within("minute")} AND mig = ''
            GROUP BY node, gpu ORDER BY node, gpu
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s}
