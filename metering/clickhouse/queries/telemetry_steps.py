"""Minutes of telemetry added up to longer steps (0012_telemetry_hours.sql): writing them, and rows of any grain with the same columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from metering.clickhouse.queries.telemetry_minutes import ENGINE_COUNTS

MINUTE_S = 60
STEPS_S = (900, 3600, 21_600)  # the tables' own, each a multiple of the one before
GRAINS_S = (MINUTE_S, *STEPS_S)
GPU_MEANS = ("gpu_utilization", "sm_active", "tensor_active", "dram_active", "sm_clock_mhz", "memory_clock_mhz")
LATENCIES = ("ttft", "itl", "e2e", "queue", "prefill", "decode")
FLOATS = "CAST({}, 'Map(LowCardinality(String), Float32)')"
COUNTS = "CAST({}, 'Map(LowCardinality(String), UInt16)')"


@dataclass(frozen=True)
class Column:
    """Of a table of steps. `minute`: what it is of a row `m` of minutes; `added`: of rows `r` that are added up."""

    name: str
    minute: str
    added: str


def _sum(name: str, minute: str = "") -> Column:
    return Column(name, minute or f"m.{name}", f"sum(r.{name})")


def _max(name: str, minute: str = "") -> Column:
    return Column(name, minute or f"m.{name}", f"max(r.{name})")


def _last(name: str) -> Column:
    return Column(f"`{name}`", f"m.`{name}`", f"argMax(r.`{name}`, r.start)")


def _mean(name: str, minute: str) -> tuple[Column, Column]:
    return _sum(f"{name}_sum", f"ifNull({minute}, 0)"), _sum(f"{name}_minutes", f"isNotNull({minute})")


def _map(name: str, minute: str, kind: str = FLOATS) -> Column:
    return Column(name, kind.format(minute), kind.format(f"sumMap(r.{name})"))


@dataclass(frozen=True)
class Table:
    """`minutes`: the table of minutes that it is added up from. `groups`: what its rows may be narrowed to and grouped by."""

    name: str
    minutes: str
    keys: tuple[str, ...]
    groups: tuple[str, ...]
    columns: tuple[Column, ...]
    only: str = ""  # a condition on the minutes' rows

    def column(self, name: str) -> Column:
        return next(one for one in self.columns if one.name.strip("`") == name)


MINUTES = _sum("minutes", "1")
GPUS = Table(
    "gpu_steps",
    "gpu_minute",
    ("node", "gpu"),
    ("node", "gpu", "name", "region", "cluster"),
    (
        *(_last(name) for name in ("index", "name", "region", "cluster")),
        _max("simulated"),
        Column("minutes", "1", "sum(r.minutes)"),
        *(each for name in GPU_MEANS for each in _mean(name, f"m.{name}_mean")),
        *_mean("throttled", "m.throttled_share"),
        _map("throttle", "m.throttle"),
        _sum("power_w_sum", "m.power_w_mean"),
        _sum("power_limit_w_sum", "m.power_limit_w"),
        _max("power_w_max"),
        _sum("energy_j"),
        _sum("memory_used_bytes_sum", "m.memory_used_bytes_max"),
        _sum("memory_total_bytes_sum", "m.memory_total_bytes"),
        _max("temperature_c_max"),
        _max("memory_temperature_c_max"),
        _sum("xid_errors"),
        _last("xid_last"),
    ),
    only="m.mig = ''",
)
ENGINES = Table(
    "engine_steps",
    "engine_minute",
    ("node", "engine"),
    ("node", "engine", "model", "region", "cluster"),
    (
        _last("engine_kind"),
        Column("model", "m.model", "argMax(r.model, (notEmpty(r.model), r.start))"),
        *(_last(name) for name in ("region", "cluster")),
        _max("simulated"),
        Column("gpus", "m.gpus", "groupUniqArrayArray(r.gpus)"),
        MINUTES,
        _sum("up_sum", "m.up_share"),
        _sum("restarts"),
        *(
            each
            for name in ("running", "waiting")
            for each in (_sum(f"{name}_sum", f"m.{name}_mean"), _max(f"{name}_max"))
        ),
        *_mean("kv_cache_usage", "m.kv_cache_usage_mean"),
        _max("kv_cache_usage_max"),
        *(_sum(name) for name in ENGINE_COUNTS),
        *(
            each
            for name in LATENCIES
            for each in (
                _sum(f"{name}_sum_s"),
                _sum(f"{name}_count", f"if(isNull(m.{name}_sum_s), NULL, m.{name}_count)"),
            )
        ),
    ),
)
SATURATION = Table(
    "saturation_steps",
    "saturation_minute",
    ("node", "engine"),
    ("node", "engine", "model", "region", "cluster"),
    (
        Column("model", "m.model", "argMax(r.model, (notEmpty(r.model), r.start))"),
        *(_last(name) for name in ("region", "cluster")),
        _max("simulated"),
        MINUTES,
        _sum("gpus_sum", "m.gpus"),
        _sum("score_sum", "ifNull(m.score, 0) * m.gpus"),
        _sum("scored_sum", "if(isNull(m.score), 0, m.gpus)"),
        _max("highest", "m.score"),
        Column("highest_bound", "m.bound", "argMax(r.highest_bound, (r.highest_bound, ifNull(r.highest, -1)))"),
        _map("bound", "if(m.bound, map(m.`constraint`, m.gpus), map())"),
        _map("readings", "m.readings"),
        _map("readings_minutes", "mapApply((k, v) -> (k, 1), m.readings)", COUNTS),
    ),
)
TABLES = (GPUS, ENGINES, SATURATION)


@dataclass(frozen=True)
class Piece:
    """`[from_s, until_s)` in rows of one grain. The bounds are text of SQL: numbers, or the names of parameters."""

    grain_s: int
    from_s: int | str
    until_s: int | str

    def within(self, column: str) -> str:
        return f"{column} >= toDateTime({self.from_s}, 'UTC') AND {column} < toDateTime({self.until_s}, 'UTC')"


@dataclass(frozen=True)
class Rows:
    """Rows of some pieces, all of minutes or all of steps, narrowed to `only`: start, the keys, and `names` of columns."""

    table: Table
    pieces: Sequence[Piece]
    names: Sequence[str]
    only: Mapping[str, str] = field(default_factory=dict)

    def sql(self) -> str:
        minutes = self.pieces[0].grain_s == MINUTE_S
        table, at = (self.table.minutes, "m.minute") if minutes else (self.table.name, "m.start")
        values = (
            f"{one.minute if minutes else f'm.{one.name}'} AS {one.name}" for one in map(self.table.column, self.names)
        )
        columns = ", ".join((f"{at} AS start", *(f"m.{key} AS {key}" for key in self.table.keys), *values))
        spans = (one.within(at) if minutes else f"m.step_s = {one.grain_s} AND {one.within(at)}" for one in self.pieces)
        # Only what a row is told apart by may be looked at before FINAL has chosen the newest of its kind.
        early = [" OR ".join(f"({one})" for one in spans)]
        early += [f"m.{name} {text}" for name, text in self.only.items() if name in self.table.keys]
        late = [f"m.{name} {text}" for name, text in self.only.items() if name not in self.table.keys]
        late += [self.table.only] if minutes and self.table.only else []
        where = f"PREWHERE {_all(early)}" + (f" WHERE {_all(late)}" if late else "")
        return f"SELECT {columns} FROM {table} AS m FINAL {where}"


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(f"({one})" for one in conditions)


@dataclass(frozen=True)
class WriteSteps:
    """The steps of `step_s` in `[from_s, until_s)`, on whole steps, from the next finer rows."""

    name: ClassVar[str] = "telemetry_write_steps"
    table: Table
    step_s: int
    from_s: int
    until_s: int
    version: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        finer_s = GRAINS_S[GRAINS_S.index(self.step_s) - 1]
        names = [one.name.strip("`") for one in self.table.columns]
        source = Rows(self.table, [Piece(finer_s, "%(from_s)s", "%(until_s)s")], names).sql()
        keys = ", ".join(self.table.keys)
        text = f"""
            INSERT INTO {self.table.name} (step_s, start, {keys}, {", ".join(one.name for one in self.table.columns)}, version)
            SELECT {self.step_s}, toDateTime(intDiv(toUnixTimestamp(r.start), {self.step_s}) * {self.step_s}, 'UTC') AS at, {keys},
                {", ".join(f"{one.added} AS added_{place}" for place, one in enumerate(self.table.columns))}, %(version)s
            FROM ({source}) AS r GROUP BY at, {keys}
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s, "version": self.version}


@dataclass(frozen=True)
class OldestMinute:
    """Of any table of minutes, in epoch s; 0 if there is none."""

    name: ClassVar[str] = "telemetry_oldest_minute"

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        tables = " UNION ALL ".join(f"SELECT min(minute) AS at, count() AS n FROM {one.minutes}" for one in TABLES)
        return f"SELECT toUnixTimestamp(minIf(at, n > 0)) FROM ({tables})", {}
