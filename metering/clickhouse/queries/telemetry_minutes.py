"""The statements that write telemetry per minute from raw samples. Both work up `[from_ms, until_ms)`, on whole minutes."""

from dataclasses import dataclass
from typing import Any, ClassVar

from metering.agent.samples import THROTTLE_REASONS

# A counter's increase counts in the minute in which it was seen, if the sample before it is not older than this.
BEFORE_MS = 5 * 60 * 1000
GPU_KEYS, ENGINE_KEYS = "node, gpu, mig", "node, engine"
ENGINE_COUNTS = (
    "preemptions",
    "prompt_tokens",
    "cached_prompt_tokens",
    "generation_tokens",
    "prefix_cache_queries",
    "prefix_cache_hits",
    "requests_finished",
    "requests_aborted",
)
ENGINE_COUNTERS = (
    *ENGINE_COUNTS,
    *(f"{name}_{part}" for name in ("ttft", "itl", "e2e", "queue", "prefill", "decode") for part in ("sum_s", "count")),
)
# An engine has begun anew when one of these goes backwards: they are there in every kind of engine.
RESTART_COUNTERS = ("prompt_tokens", "generation_tokens", "requests_finished")
LABELS = ("region", "cluster", "simulated")
_GPU_MEANS = ("gpu_utilization", "memory_utilization", "sm_active", "sm_occupancy", "tensor_active", "dram_active")
_GPU_MAXIMA = ("sm_active", "tensor_active", "dram_active")
_ENGINE_GAUGES = ("running", "waiting", "kv_cache_usage")


@dataclass(frozen=True)
class WriteGpuMinutes:
    name: ClassVar[str] = "telemetry_gpu_minutes"
    from_ms: int
    until_ms: int
    version: int

    def sql(self) -> tuple[str, dict[str, Any]]:
        columns: dict[str, str] = {
            "minute": "toStartOfMinute(toDateTime(time, 'UTC'))",
            "node": "node",
            "gpu": "gpu",
            "mig": "mig",
            **{name: latest(name) for name in ("index", "name", *LABELS)},
            "samples": "count()",
            **{f"{name}_mean": f"avg(s.{name})" for name in _GPU_MEANS},
            **{f"{name}_max": f"max(s.{name})" for name in _GPU_MAXIMA},
            "memory_used_bytes_max": "max(s.memory_used_bytes)",
            "memory_total_bytes": latest("memory_total_bytes"),
            "power_w_mean": "avg(s.power_w)",
            "power_w_max": "max(s.power_w)",
            "power_limit_w": latest("power_limit_w"),
            "energy_j": increase("energy_j"),
            "sm_clock_mhz_mean": "avg(s.sm_clock_mhz)",
            "memory_clock_mhz_mean": "avg(s.memory_clock_mhz)",
            "temperature_c_max": "max(s.temperature_c)",
            "memory_temperature_c_max": "max(s.memory_temperature_c)",
            "throttle_samples": "countIf(s.throttle_known)",
            "throttled_share": "avgOrNullIf(notEmpty(s.throttle), s.throttle_known)",
            "throttle": _throttle(),
            "xid_errors": increase("xid_errors"),
            "xid_last": latest("xid_last"),
            "version": "%(version)s",
        }
        source = with_previous("gpu_samples", GPU_KEYS, ("energy_j", "xid_errors"))
        return _insert("gpu_minute", columns, source, GPU_KEYS), _parameters(self)


@dataclass(frozen=True)
class WriteEngineMinutes:
    name: ClassVar[str] = "telemetry_engine_minutes"
    from_ms: int
    until_ms: int
    version: int

    def sql(self) -> tuple[str, dict[str, Any]]:
        backwards = " OR ".join(f"ifNull(s.{name} < s.{name}_before, 0)" for name in RESTART_COUNTERS)
        columns: dict[str, str] = {
            "minute": "toStartOfMinute(toDateTime(time, 'UTC'))",
            "node": "node",
            "engine": "engine",
            **{name: latest(name) for name in ("engine_kind", *LABELS)},
            **{name: latest_known(name) for name in ("model", "gpus")},
            "samples": "count()",
            "up_share": "avg(s.up)",
            "restarts": f"countIf({backwards})",
            **{f"{name}_mean": f"avg(s.{name})" for name in _ENGINE_GAUGES},
            **{f"{name}_max": f"max(s.{name})" for name in _ENGINE_GAUGES},
            **{name: increase(name) for name in ENGINE_COUNTERS},
            "version": "%(version)s",
        }
        source = with_previous("engine_samples", ENGINE_KEYS, ENGINE_COUNTERS)
        return _insert("engine_minute", columns, source, ENGINE_KEYS), _parameters(self)


def once(table: str, keys: str, where: str, columns: str = "*") -> str:
    """The samples of a series in order of their times, each once; of those at the same time, the one that arrived first."""
    order = f"ORDER BY {keys}, time, ingested_at, batch, row LIMIT 1 BY {keys}, time"
    return f"SELECT {columns} FROM {table} WHERE {where} {order}"


def with_previous(
    table: str,
    keys: str,
    counters: tuple[str, ...],
    *,
    extra: str = "",
    columns: str = "*",
    before_ms: int = BEFORE_MS,
) -> str:
    """The samples in `[from_ms, until_ms)`, with `<counter>_before`: its value in the sample before that has one.

    `extra`: further columns; `earlier` is the window of the samples before in the same series.
    `columns`: those that are read, `time` among them; each takes time even where it is not used. `before_ms`: how far back the sample
    before may lie.
    """
    # A GPU or engine that is not there has no counters: they are compared across the samples that say so.
    before = "".join(f", anyLast({name}) OVER earlier AS {name}_before" for name in counters)
    where = within(f"%(from_ms)s - {before_ms}")
    return f"""
        SELECT * FROM
        (
            SELECT {columns}{before}{extra} FROM ({once(table, keys, where, columns)})
            WINDOW earlier AS (PARTITION BY {keys} ORDER BY time ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        )
        WHERE {within("%(from_ms)s")}
    """


def increase(counter: str) -> str:
    """How much a counter has grown over its samples; NULL if no two could be compared."""
    now, before = f"s.{counter}", f"s.{counter}_before"
    return f"sum(if(isNull({before}), NULL, {now} - if({now} >= {before}, {before}, 0)))"


def latest(name: str) -> str:
    """Of the sample with the latest time that has it."""
    return f"argMax(s.{name}, s.time)"


def latest_known(name: str) -> str:
    """As `latest`, of the samples in which it is not empty: an engine that is down does not tell its model."""
    return f"argMax(s.{name}, (notEmpty(s.{name}), s.time))"


def within(from_ms: str) -> str:
    """The condition that a sample's time lies from there on, an expression of epoch ms, and before `until_ms`."""
    return (
        f"time >= fromUnixTimestamp64Milli({from_ms}, 'UTC') AND time < fromUnixTimestamp64Milli(%(until_ms)s, 'UTC')"
    )


def _insert(table: str, columns: dict[str, str], source: str, keys: str) -> str:
    names = ", ".join(f"`{name}`" for name in columns)
    values = ", ".join(f"{value} AS m_{name}" for name, value in columns.items())
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM ({source}) AS s GROUP BY m_minute, {keys}"


def _throttle() -> str:
    shares = ", ".join(f"'{name}', avgIf(has(s.throttle, '{name}'), s.throttle_known)" for name in THROTTLE_REASONS)
    return f"CAST(mapFilter((reason, share) -> share > 0, map({shares})), 'Map(LowCardinality(String), Float32)')"


def _parameters(query: WriteGpuMinutes | WriteEngineMinutes) -> dict[str, Any]:
    return {"from_ms": query.from_ms, "until_ms": query.until_ms, "version": query.version}
