"""What saturation is computed from, and how it went: readings of engines with their GPUs, and the rows of saturation_minute."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.telemetry_minutes import (
    BEFORE_MS,
    ENGINE_KEYS,
    LABELS,
    increase,
    latest,
    latest_known,
    once,
    with_previous,
    within,
)

# Of what is now, the slices counted reach back further than two samples lie apart: a minute more is enough.
BEFORE_NOW_MS = 60_000
COUNTERS = ("preemptions", "prompt_tokens", "generation_tokens")
_OF_ENGINES = (
    f"{ENGINE_KEYS}, time, engine_kind, model, {', '.join(LABELS)}, gpus, up, running, waiting, kv_cache_usage, "
    + ", ".join(COUNTERS)
)
_OF_GPUS = "node, gpu, time, dram_active, tensor_active, power_w, power_limit_w, throttle, throttle_known"
# The columns of an engine's readings, in this order. `counted_s`: the seconds over which the counters increased.
READINGS = (
    "slice",
    "node",
    "engine",
    "engine_kind",
    "model",
    *LABELS,
    "gpus",
    "newest_ms",
    "up",
    "running",
    "waiting",
    "kv_cache_usage",
    "counted_s",
    *COUNTERS,
    "dram_active",
    "tensor_active",
    "power_share",
    "power_throttle",
    "thermal_throttle",
)


@dataclass(frozen=True)
class SaturationSlices:
    """Readings of every engine in every slice of `[from_ms, until_ms)` in which it has samples; `slice` is its start in epoch ms."""

    name: ClassVar[str] = "saturation_slices"
    from_ms: int
    until_ms: int
    slice_ms: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        at = "intDiv(toUnixTimestamp64Milli(time), %(slice_ms)s) * %(slice_ms)s"
        parameters = {"from_ms": self.from_ms, "until_ms": self.until_ms, "slice_ms": self.slice_ms}
        return _readings(at, "engine_samples", "gpu_samples"), parameters


@dataclass(frozen=True)
class SaturationNow:
    """Readings of every engine with a sample in `[from_ms, until_ms)`, in slices counted back from its newest one: 0 is the latest.

    `recent`: from the tables of the last half hour, or from all samples.
    """

    name: ClassVar[str] = "saturation_now"
    from_ms: int
    until_ms: int
    slice_ms: int
    recent: bool = True

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        at = "intDiv(toUnixTimestamp64Milli(newest) - toUnixTimestamp64Milli(time), %(slice_ms)s)"
        parameters = {"from_ms": self.from_ms, "until_ms": self.until_ms, "slice_ms": self.slice_ms}
        tables = ("engine_recent", "gpu_recent") if self.recent else ("engine_samples", "gpu_samples")
        return _readings(at, *tables, BEFORE_NOW_MS), parameters


def _readings(at: str, engine_table: str, gpu_table: str, before_ms: int = BEFORE_MS) -> str:
    """An engine's gauges are means over its samples; a GPU's too, and of the GPUs of an engine the highest counts.

    Of the KV cache the peak counts: behind a long prompt that waits for room, its use swings below what is full.
    """
    counters = ", ".join(f"{increase(name)} AS {name}" for name in COUNTERS)
    seen = ", anyLast(if(up, time, NULL)) OVER earlier AS seen_before"
    engine_samples = _newest(
        with_previous(engine_table, ENGINE_KEYS, COUNTERS, extra=seen, columns=_OF_ENGINES, before_ms=before_ms),
        ENGINE_KEYS,
        f"{_OF_ENGINES}, {', '.join(f'{name}_before' for name in COUNTERS)}, seen_before",
    )
    of_gpus = f"mig = '' AND {within('%(from_ms)s')}"
    gpu_samples = _newest(once(gpu_table, "node, gpu", of_gpus, _OF_GPUS), "node, gpu", _OF_GPUS)
    engines = f"""
        SELECT {at} AS slice, {ENGINE_KEYS}, {latest("engine_kind")} AS engine_kind, {latest_known("model")} AS model,
            {", ".join(f"{latest(name)} AS m_{name}" for name in LABELS)}, {latest_known("gpus")} AS gpus,
            toUnixTimestamp64Milli(max(s.time)) AS newest_ms, argMax(s.up, s.time) AS up, avg(s.running) AS running,
            avg(s.waiting) AS waiting, max(s.kv_cache_usage) AS kv_cache_usage,
            sum(if(s.up, dateDiff('millisecond', s.seen_before, s.time), NULL)) / 1000 AS counted_s, {counters}
        FROM ({engine_samples}) AS s
        GROUP BY slice, {ENGINE_KEYS}
    """
    # NVML's hw_slowdown is heat or the power brake; hw_thermal and power_brake say which (nvml.h, clocks event reasons).
    by_power = "hasAny(s.throttle, ['sw_power_cap', 'power_brake'])"
    by_heat = "hasAny(s.throttle, ['sw_thermal', 'hw_thermal']) OR (has(s.throttle, 'hw_slowdown') AND NOT has(s.throttle, 'power_brake'))"
    gpus = f"""
        SELECT {at} AS slice, node, gpu, avg(s.dram_active) AS dram, avg(s.tensor_active) AS tensor,
            avg(if(s.power_limit_w > 0, s.power_w / s.power_limit_w, NULL)) AS power,
            avgOrNullIf({by_power}, s.throttle_known) AS by_power, avgOrNullIf({by_heat}, s.throttle_known) AS by_heat
        FROM ({gpu_samples}) AS s
        GROUP BY slice, node, gpu
    """
    told = ("engine_kind", "model", *(f"m_{name}" for name in LABELS), "gpus", "newest_ms", "up", "running", "waiting")
    same = ", ".join(f"any(e.{name})" for name in (*told, "kv_cache_usage", "counted_s", *COUNTERS))
    return f"""
        SELECT slice, node, engine, {same}, max(g.dram), max(g.tensor), max(g.power), max(g.by_power), max(g.by_heat)
        FROM (SELECT *, arrayJoin(if(empty(gpus), [''], gpus)) AS gpu FROM ({engines})) AS e
        LEFT JOIN ({gpus}) AS g USING (slice, node, gpu)
        GROUP BY slice, node, engine
        ORDER BY slice, node, engine
    """


def _newest(samples: str, keys: str, columns: str) -> str:
    """Samples with the time of the newest of their series beside them."""
    return f"SELECT {columns}, max(time) OVER (PARTITION BY {keys}) AS newest FROM ({samples})"


@dataclass(frozen=True)
class BoundSince:
    """Since when constraints have bound, of the named engines: node, engine, constraint, its latest minute, and the first (epoch s)
    of the minutes that lead up to it without a break of more than `break_s`. Minutes before `from_s` are not looked at."""

    name: ClassVar[str] = "saturation_bound_since"
    from_s: int
    nodes: tuple[str, ...]
    engines: tuple[str, ...]
    break_s: int = 60

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = """
            SELECT node, engine, `constraint`, max(at_s) AS last_s, maxIf(at_s, begins) AS since_s
            FROM
            (
                SELECT node, engine, `constraint`, toUnixTimestamp(minute) AS at_s,
                    at_s - lagInFrame(at_s, 1, 0) OVER (PARTITION BY node, engine, `constraint` ORDER BY minute
                        ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) > 60 + %(break_s)s AS begins
                FROM saturation_minute FINAL
                WHERE minute >= toDateTime(%(from_s)s, 'UTC') AND bound AND node IN %(nodes)s AND engine IN %(engines)s
            )
            GROUP BY node, engine, `constraint`
        """
        named = {"nodes": list(self.nodes), "engines": list(self.engines)}
        return text, {"from_s": self.from_s, "break_s": self.break_s} | named


@dataclass(frozen=True)
class Trends:
    """Readings that rise over the minutes of `[from_s, until_s)`: node, engine, reading, what it gains a minute, its value on the line
    at `until_s`, how many minutes have it, and the square of the correlation. The line is the least squares' one."""

    name: ClassVar[str] = "saturation_trends"
    from_s: int
    until_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = """
            SELECT node, engine, reading.1 AS name, line.1 AS slope, line.2 AS value, count() AS minutes,
                pow(corr(at, toFloat64(reading.2)), 2) AS fit, simpleLinearRegression(at, toFloat64(reading.2)) AS line
            FROM
            (
                SELECT node, engine, (toUnixTimestamp(minute) - %(until_s)s) / 60 AS at,
                    arrayJoin(CAST(readings, 'Array(Tuple(String, Float32))')) AS reading
                FROM saturation_minute FINAL
                WHERE minute >= toDateTime(%(from_s)s, 'UTC') AND minute < toDateTime(%(until_s)s, 'UTC')
            )
            GROUP BY node, engine, name
            HAVING slope > 0
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s}
