"""How GPUs, engines and their saturation went: sums and means over any step, from the longest rows that fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from metering.clickhouse.queries.telemetry_minutes import ENGINE_COUNTS
from metering.clickhouse.queries.telemetry_steps import (
    ENGINES,
    GPU_MEANS,
    GPUS,
    GRAINS_S,
    LATENCIES,
    MINUTE_S,
    SATURATION,
    STEPS_S,
    Piece,
    Rows,
    Table,
)

# What they may be narrowed to and grouped by; the names are columns.
GPU_GROUPS, ENGINE_GROUPS = GPUS.groups, ENGINES.groups
ENGINE_COUNTERS = (*ENGINE_COUNTS, "restarts")


@dataclass(frozen=True)
class Steps:
    """`[from_s, until_s)` in steps of `step_s`, for each value of `group`, or together with ''; `only`: a value or some of them by name.

    `from_s` is on a whole minute. Steps line up with it. `to_now`: it ends with what there is, so that a row which is not over holds
    nothing beyond.
    """

    from_s: int
    until_s: int
    step_s: int
    group: tuple[str, ...] = ()
    only: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    to_now: bool = False

    def start(self) -> str:
        return "intDiv(toUnixTimestamp(start) - %(from_s)s, %(step_s)s) * %(step_s)s + %(from_s)s AS start_s"

    def names(self, allowed: tuple[str, ...]) -> str:
        """The grouped columns. Raises ValueError for a name that is not allowed."""
        for name in (*self.group, *self.only):
            if name not in allowed:
                raise ValueError(f"unknown group {name!r}: one of {', '.join(allowed)}")
        return "".join(f", {name}" for name in self.group)

    def rows(self, table: Table, names: Sequence[str]) -> str:
        """Rows of the table: the longest that fit into the steps, and shorter ones for what these leave over at the end."""
        only = {name: f"IN %(only_{name})s" for name in self.only}
        wanted = [*names, *(name for name in self.group if name not in (*table.keys, *names))]
        pieces = self.pieces()
        kinds = ([one for one in pieces if (one.grain_s == MINUTE_S) is minutes] for minutes in (False, True))
        return " UNION ALL ".join(Rows(table, some, wanted, only).sql() for some in kinds if some)

    def pieces(self) -> list[Piece]:
        """Rows of a grain begin on its whole multiples, and so must every step that is made of them."""
        found, at = [], self.from_s
        fitting = [one for one in GRAINS_S if self.step_s % one == 0 and self.from_s % one == 0]
        for grain_s in reversed(fitting):
            whole = self.to_now or grain_s == MINUTE_S
            length = -((at - self.until_s) // grain_s) if whole else (self.until_s - at) // grain_s
            if length > 0:
                found.append(Piece(grain_s, at, at + length * grain_s))
                at += length * grain_s
        return found or [Piece(MINUTE_S, self.from_s, self.from_s)]

    def parameters(self) -> dict[str, Any]:
        values = {
            f"only_{name}": [value] if isinstance(value, str) else list(value) for name, value in self.only.items()
        }
        return {"from_s": self.from_s, "step_s": self.step_s} | values


def _over_minutes(name: str) -> str:
    """A sum over the group's members, as the mean over the minutes in which it is known."""
    return f"sum({name}) / nullIf(sumIf(minutes, isNotNull({name})), 0)"


@dataclass(frozen=True)
class GpuSeries:
    """One row for each step and group that has GPUs: start (epoch s), the groups, then figures over the GPUs.

    Powers, energy and memory are sums over the GPUs (of power and memory, the mean over the minutes); activities and clocks are means,
    temperatures maxima, GPUs how many there were at most. MIG instances are left out: they have no power, and their GPU is there.
    `reasons`: with the throttled share by reason.
    """

    name: ClassVar[str] = "fleet_gpu_series"
    steps: Steps
    reasons: bool = False

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        names = self.steps.names(GPU_GROUPS)
        means = (*GPU_MEANS, "throttled")
        sums: tuple[str, ...] = (
            "power_w_sum",
            "power_limit_w_sum",
            "energy_j",
            "memory_used_bytes_sum",
            "memory_total_bytes_sum",
        )
        sums += ("xid_errors", *(f"{name}_{part}" for name in means for part in ("sum", "minutes")))
        maxima = ("simulated", "minutes", "power_w_max", "temperature_c_max", "memory_temperature_c_max")
        mean = {name: f"sum({name}_sum) / nullIf(sum({name}_minutes), 0)" for name in means}
        inner = ", ".join(
            (*(f"sum(r.{name}) AS {name}" for name in sums), *(f"max(r.{name}) AS {name}" for name in maxima))
        )
        told = ", argMaxIf(r.xid_last, r.start, r.xid_errors > 0) AS xid_last"
        outer = ", max(xid_last)"
        if self.reasons:
            told += ", sumMap(r.throttle) AS throttle"
            outer += ", sumMap(throttle)"
        columns = (*sums, *maxima, "xid_last", *(("throttle",) if self.reasons else ()))
        text = f"""
            SELECT {self.steps.start()}{names}, max(gpus), max(simulated),
                {_over_minutes("power_w_sum")}, {_over_minutes("power_limit_w_sum")}, sum(energy_j),
                {mean["gpu_utilization"]}, {mean["sm_active"]}, {mean["tensor_active"]}, {mean["dram_active"]},
                {_over_minutes("memory_used_bytes_sum")}, {_over_minutes("memory_total_bytes_sum")},
                {mean["sm_clock_mhz"]}, max(temperature_c_max), max(memory_temperature_c_max), {mean["throttled"]}, sum(xid_errors),
                {mean["memory_clock_mhz"]}, max(power_w_max), sum(throttled_minutes){outer}
            FROM (SELECT start{names}, count() AS gpus, {inner}{told}
                FROM ({self.steps.rows(GPUS, columns)}) AS r GROUP BY start{names})
            GROUP BY start_s{names} ORDER BY start_s{names}
        """
        return text, self.steps.parameters()


@dataclass(frozen=True)
class EngineSeries:
    """One row for each step and group that has engines: start (epoch s), the groups, then figures over the engines.

    Requests running and waiting are sums over the engines (the mean over the minutes), the KV cache's use is their mean and maximum,
    counters are sums, and latencies the means over all requests (or tokens) that the histograms count.
    """

    name: ClassVar[str] = "fleet_engine_series"
    steps: Steps

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        names = self.steps.names(ENGINE_GROUPS)
        sums: tuple[str, ...] = (
            "up_sum",
            "running_sum",
            "waiting_sum",
            "kv_cache_usage_sum",
            "kv_cache_usage_minutes",
            *ENGINE_COUNTERS,
        )
        sums += tuple(f"{name}_{part}" for name in LATENCIES for part in ("sum_s", "count"))
        maxima = ("simulated", "minutes", "kv_cache_usage_max", "waiting_max")
        latencies = ", ".join(f"sum({name}_sum_s) / nullIf(sum({name}_count), 0) AS {name}_s" for name in LATENCIES)
        text = f"""
            SELECT {self.steps.start()}{names}, max(engines), max(simulated), sum(up_sum) / sum(engine_minutes),
                {_over_minutes("running_sum")}, {_over_minutes("waiting_sum")},
                sum(kv_cache_usage_sum) / nullIf(sum(kv_cache_usage_minutes), 0), max(kv_cache_usage_max),
                {", ".join(f"sum({name})" for name in ENGINE_COUNTERS)}, {latencies}, max(waiting_max), sum(minutes)
            FROM (SELECT start{names}, count() AS engines, sum(r.minutes) AS engine_minutes,
                    {", ".join(f"sum(r.{name}) AS {name}" for name in sums)}, {", ".join(f"max(r.{name}) AS {name}" for name in maxima)}
                FROM ({self.steps.rows(ENGINES, (*sums, *maxima))}) AS r GROUP BY start{names})
            GROUP BY start_s{names} ORDER BY start_s{names}
        """
        return text, self.steps.parameters()


@dataclass(frozen=True)
class SaturationSeries:
    """One row for each step and group: start (epoch s), the groups, engines (at most), GPUs (the mean over the minutes), score by GPUs,
    the highest score, the engine that had it (node, engine), whether any is simulated, GPU-minutes, those that each constraint bound,
    and with `readings` the mean of each reading over the engines that have it."""

    name: ClassVar[str] = "saturation_series"
    steps: Steps
    readings: bool = False

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        names = self.steps.names(ENGINE_GROUPS)
        sums, maxima = ("gpus_sum", "score_sum", "scored_sum"), ("minutes", "highest", "simulated")
        maps = ("bound", *(("readings", "readings_minutes") if self.readings else ()))
        means = """, mapFromArrays(mapKeys(sumMap(readings) AS added),
            arrayMap((value, n) -> value / n, mapValues(added), mapValues(sumMap(readings_minutes))))"""
        worst = "argMax((r.node, r.engine), (r.highest_bound, ifNull(r.highest, -1)))"
        text = f"""
            SELECT {self.steps.start()}{names}, max(engines), sum(gpus_sum) / sum(minutes), sum(score_sum) / nullIf(sum(scored_sum), 0),
                max(highest), argMax(worst, severity).1, argMax(worst, severity).2, max(simulated), sum(gpus_sum), sumMap(bound)
                {means if self.readings else ""}
            FROM (SELECT start{names}, count() AS engines, {worst} AS worst, max((r.highest_bound, ifNull(r.highest, -1))) AS severity,
                    {", ".join(f"sum(r.{name}) AS {name}" for name in sums)}, {", ".join(f"max(r.{name}) AS {name}" for name in maxima)},
                    {", ".join(f"sumMap(r.{name}) AS {name}" for name in maps)}
                FROM ({self.steps.rows(SATURATION, (*sums, *maxima, *maps, "highest_bound"))}) AS r GROUP BY start{names})
            GROUP BY start_s{names} ORDER BY start_s{names}
        """
        return text, self.steps.parameters()


@dataclass(frozen=True)
class EnginesOnGpu:
    """Engines of the node that ran on the GPU in `[from_s, until_s)`, to a quarter of an hour."""

    name: ClassVar[str] = "fleet_engines_on_gpu"
    node: str
    gpu: str
    from_s: int
    until_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        step_s = max(one for one in STEPS_S if one == STEPS_S[0] or one * 24 <= self.until_s - self.from_s)
        text = """
            SELECT DISTINCT engine FROM engine_steps FINAL PREWHERE step_s = %(step_s)s AND node = %(node)s
                AND start > toDateTime(%(from_s)s - %(step_s)s, 'UTC') AND start < toDateTime(%(until_s)s, 'UTC')
            WHERE has(gpus, %(gpu)s) ORDER BY engine
        """
        bounds = {"from_s": self.from_s, "until_s": self.until_s, "step_s": step_s}
        return text, bounds | {"node": self.node, "gpu": self.gpu}
