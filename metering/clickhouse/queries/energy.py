"""What energy is computed from: samples of GPUs and engines, and what earlier windows measured. Times come as seconds from a span's
start, samples of a series as arrays in no order, each sample once; NaN where a sample has no reading."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

DAY_MS = 24 * 3600 * 1000
# A GPU's sample that says something about its energy; MIG instances have none of their own.
COUNTS = "mig = '' AND (energy_j IS NOT NULL OR power_w IS NOT NULL)"


@dataclass(frozen=True)
class Around:
    """A span (epoch ms) and how far before and after it is read. `nodes`: only these."""

    start_ms: int
    end_ms: int
    before_ms: int
    after_ms: int
    nodes: tuple[str, ...]

    def where(self) -> str:
        return (
            "node IN %(nodes)s AND time >= fromUnixTimestamp64Milli(%(from_ms)s, 'UTC')"
            " AND time < fromUnixTimestamp64Milli(%(until_ms)s, 'UTC')"
        )

    def parameters(self) -> dict[str, Any]:
        bounds = {"from_ms": self.start_ms - self.before_ms, "until_ms": self.end_ms + self.after_ms}
        return bounds | {"start_ms": self.start_ms, "nodes": list(self.nodes)}


@dataclass(frozen=True)
class NodesSeen:
    """The nodes that have samples within a day of a span: one column."""

    name: ClassVar[str] = "energy_nodes"
    start_ms: int
    end_ms: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        near = (
            "time >= fromUnixTimestamp64Milli(%(start_ms)s - %(day_ms)s, 'UTC')"
            " AND time < fromUnixTimestamp64Milli(%(end_ms)s + %(day_ms)s, 'UTC')"
        )
        text = f"""
            SELECT DISTINCT node FROM
            (
                SELECT DISTINCT node FROM gpu_samples WHERE {near}
                UNION ALL
                SELECT DISTINCT node FROM engine_samples WHERE {near}
            )
            ORDER BY node
        """
        return text, {"start_ms": self.start_ms, "end_ms": self.end_ms, "day_ms": DAY_MS}


@dataclass(frozen=True)
class GpuReadings:
    """One row for each GPU: node, gpu, product, region, cluster, simulated, then arrays of times, counters (J) and power (W)."""

    name: ClassVar[str] = "energy_gpu_readings"
    around: Around

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT node, gpu, argMax(name, at_s), argMax(region, at_s), argMax(cluster, at_s), max(simulated),
                groupArray(at_s), groupArray(energy), groupArray(power)
            FROM
            (
                SELECT node, gpu, name, region, cluster, simulated, {_at()} AS at_s,
                    ifNull(energy_j, nan) AS energy, ifNull(toFloat64(power_w), nan) AS power
                FROM gpu_samples WHERE {COUNTS} AND {self.around.where()}
                ORDER BY node, gpu, time, ingested_at, batch, row LIMIT 1 BY node, gpu, time
            )
            GROUP BY node, gpu ORDER BY node, gpu
        """
        return text, self.around.parameters()


@dataclass(frozen=True)
class GpuNeighbours:
    """Of each GPU, its last sample in the day before `around` and its first in the day after it.

    node, gpu, product, region, cluster, simulated, how many there are before, (time, counter, power) of the last, the same after.
    """

    name: ClassVar[str] = "energy_gpu_neighbours"
    around: Around

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        reading = f"({_at()}, ifNull(energy_j, nan), ifNull(toFloat64(power_w), nan))"
        before, after = (
            "time < fromUnixTimestamp64Milli(%(from_ms)s, 'UTC')",
            "time >= fromUnixTimestamp64Milli(%(until_ms)s, 'UTC')",
        )
        text = f"""
            SELECT node, gpu, argMax(name, time), argMax(region, time), argMax(cluster, time), max(simulated),
                countIf({before}), argMaxIf({reading}, time, {before}), countIf({after}), argMinIf({reading}, time, {after})
            FROM gpu_samples
            WHERE {COUNTS} AND node IN %(nodes)s
                AND time >= fromUnixTimestamp64Milli(%(from_ms)s - %(day_ms)s, 'UTC')
                AND time < fromUnixTimestamp64Milli(%(until_ms)s + %(day_ms)s, 'UTC') AND ({before} OR {after})
            GROUP BY node, gpu ORDER BY node, gpu
        """
        return text, self.around.parameters() | {"day_ms": DAY_MS}


@dataclass(frozen=True)
class EngineReadings:
    """One row for each engine: node, engine, then arrays of times, running, prompt, cached and generated tokens, requests finished and
    aborted, of the samples to which it answered."""

    name: ClassVar[str] = "energy_engine_readings"
    around: Around

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        columns = (
            "running",
            "prompt_tokens",
            "cached_prompt_tokens",
            "generation_tokens",
            "requests_finished",
            "requests_aborted",
        )
        read = ", ".join(f"ifNull(toFloat64({name}), nan) AS f_{name}" for name in columns)
        arrays = ", ".join(f"groupArray(f_{name})" for name in columns)
        text = f"""
            SELECT node, engine, groupArray(at_s), {arrays}
            FROM
            (
                SELECT node, engine, {_at()} AS at_s, {read}
                FROM engine_samples WHERE up AND {self.around.where()}
                ORDER BY node, engine, time, ingested_at, batch, row LIMIT 1 BY node, engine, time
            )
            GROUP BY node, engine ORDER BY node, engine
        """
        return text, self.around.parameters()


@dataclass(frozen=True)
class EngineClaims:
    """What engines last said of themselves in each minute: node, engine, minute from the start, gpus, model, region, cluster, simulated."""

    name: ClassVar[str] = "energy_engine_claims"
    around: Around

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT node, engine, toInt64(floor({_at()} / 60)) AS minute,
                argMax(gpus, time), argMax(model, time), argMax(region, time), argMax(cluster, time), max(simulated)
            FROM engine_samples WHERE {self.around.where()}
            GROUP BY node, engine, minute ORDER BY node, engine, minute
        """
        return text, self.around.parameters()


@dataclass(frozen=True)
class RestedHours:
    """What the windows of `[from_s, until_s)` measured at rest, by engine and hour: node, engine, hours since the epoch, joules,
    GPU-seconds, lowest power."""

    name: ClassVar[str] = "energy_rested_hours"
    from_s: int
    until_s: int
    nodes: tuple[str, ...]

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = """
            SELECT node, engine, intDiv(toUnixTimestamp(window_start), 3600) AS hour,
                sum(at_rest_j), sum(at_rest_gpu_s), min(lowest_power_w)
            FROM energy_windows FINAL
            WHERE window_start >= toDateTime(%(from_s)s, 'UTC') AND window_start < toDateTime(%(until_s)s, 'UTC')
                AND node IN %(nodes)s AND engine != '' AND gpu_s > 0
            GROUP BY node, engine, hour ORDER BY node, engine, hour
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s, "nodes": list(self.nodes)}


def _at() -> str:
    return "(toUnixTimestamp64Milli(time) - %(start_ms)s) / 1000"
