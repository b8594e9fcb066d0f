"""Engine counters against events, from the minutes that energy attribution leaves in `energy_windows`: by the hour in
`reconciliation_hours`, where those are added up as soon as they are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.energy_writes import HOURS, Written

FILTERS = ("node", "engine", "model", "region")
WINDOWS = {
    "hour": "hour_s",
    "day": "intDiv(hour_s, 86400) * 86400",
    "month": "toUnixTimestamp(toDateTime(toStartOfMonth(toDateTime(hour_s, 'UTC')), 'UTC'))",
    "total": "%(from_s)s",
}
SIDES = ("engine", "event")
COUNTS = ("input", "cached", "output", "requests")
# Why an hour is not compared, and when (metering/telemetry/reconciliation/hours.py says what each means).
REASONS = {
    "restart": "restarts > 0",
    "missing_samples": "gap_s > 0.01",
    "missing_windows": "windows < 60 AND NOT is_open",
    "open": "windows < 60 AND is_open",
}
# Sums over the minutes of an engine's hour, by their names here.
SUMS = {
    "restarts": "sum(w.engine_restarts)",
    "gap_s": "sum(w.engine_gap_s)",
    "engine_input": "sum(w.engine_prefill_tokens + w.engine_cached_tokens)",
    "engine_cached": "sum(w.engine_cached_tokens)",
    "engine_output": "sum(w.engine_decode_tokens)",
    "engine_requests": "sum(w.engine_requests_finished)",
    "aborted": "sum(w.engine_requests_aborted)",
    "event_input": "sum(w.event_prefill_tokens + w.event_cached_tokens)",
    "event_cached": "sum(w.event_cached_tokens)",
    "event_output": "sum(w.event_decode_tokens)",
    "event_requests": "sum(w.event_requests)",
}
NUMBERS = ("windows", *SUMS)
Span = tuple[int, int]


@dataclass(frozen=True)
class Hours:
    """The engine hours of `[from_s, until_s)`: those of `spans` from their minutes, the others as they are written.

    `only`: values of FILTERS; an engine's model and region in an hour are its last ones, so that an hour is not cut in two where the engine
    was given another model. Windows without an engine (GPUs that none claims) have nothing to compare.
    """

    from_s: int
    until_s: int
    spans: tuple[Span, ...]
    only: tuple[tuple[str, str], ...] = ()

    def rows(self) -> str:
        """A SELECT of hour_s, FILTERS, any_simulated and NUMBERS."""
        for column, _ in self.only:
            if column not in FILTERS:
                raise ValueError(f"unknown filter {column!r}: one of {', '.join(FILTERS)}")
        only = "".join(f" AND {column} = %({column})s" for column, _ in self.only)
        written = f"""
            SELECT toUnixTimestamp(hour) AS hour_s, {", ".join(FILTERS)}, simulated AS any_simulated, {", ".join(NUMBERS)}
            FROM reconciliation_hours FINAL
            WHERE hour >= toDateTime(%(from_s)s, 'UTC') AND hour < toDateTime(%(until_s)s, 'UTC')
        """
        parts = [written]
        if self.spans:
            parts.append(_from_minutes(self._within()))
        return f"SELECT * FROM ({' UNION ALL '.join(parts)}) WHERE 1{only}"

    def parameters(self) -> dict[str, Any]:
        found: dict[str, Any] = {"from_s": self.from_s, "until_s": self.until_s}
        for place, (start, end) in enumerate(self.spans):
            found |= {f"from_{place}": start, f"until_{place}": end}
        return found | dict(self.only)

    def _within(self) -> str:
        spans = (
            f"(w.window_start >= toDateTime(%(from_{place})s, 'UTC') AND w.window_start < toDateTime(%(until_{place})s, 'UTC'))"
            for place in range(len(self.spans))
        )
        return f"({' OR '.join(spans)})"


@dataclass(frozen=True)
class HoursWritten:
    """The hours of `[from_s, until_s)` that are in reconciliation_hours (epoch s), in order."""

    name: ClassVar[str] = "reconciliation_hours_written"
    from_s: int
    until_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = """
            SELECT DISTINCT toUnixTimestamp(hour) AS hour_s FROM reconciliation_hours
            WHERE hour >= toDateTime(%(from_s)s, 'UTC') AND hour < toDateTime(%(until_s)s, 'UTC') ORDER BY hour_s
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s}


@dataclass(frozen=True)
class EngineHours:
    """One row for each engine and hour, in order of hour, node and engine: hour_s, FILTERS, any_simulated, NUMBERS.

    `nodes` and `engines`: of these names only (a node's engine may be among them without both being meant).
    """

    name: ClassVar[str] = "reconciliation_engine_hours"
    hours: Hours
    nodes: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        among = "WHERE node IN %(nodes)s AND engine IN %(engines)s" if self.nodes else ""
        text = f"SELECT * FROM ({self.hours.rows()}) {among} ORDER BY hour_s, node, engine"
        named = {"nodes": list(self.nodes), "engines": list(self.engines)} if self.nodes else {}
        return text, self.hours.parameters() | named


@dataclass(frozen=True)
class LeakageSums:
    """Engine hours added up by window and groups (of FILTERS), in that order: window (epoch s), the groups, complete hours, incomplete
    hours, how many of these each of REASONS holds for, simulated; then of the complete ones the COUNTS of engines, of events, unbilled,
    phantom, and aborted requests.

    `open_s`: the hours that are not settled, for which missing minutes may yet come.
    """

    name: ClassVar[str] = "leakage_sums"
    hours: Hours
    window: str
    group_by: tuple[str, ...]
    open_s: tuple[int, ...] = ()

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        for column in self.group_by:
            if column not in FILTERS:
                raise ValueError(f"unknown group {column!r}: one of {', '.join(FILTERS)}")
        groups = "".join(f", {name}" for name in self.group_by)
        reasons = ", ".join(f"countIf({holds}) AS n_{name}" for name, holds in REASONS.items())
        incomplete = " OR ".join(f"({holds})" for holds in REASONS.values())
        sides = [f"sumIf({side}_{count}, NOT incomplete)" for side in SIDES for count in COUNTS]
        excess = [
            f"sumIf(greatest({one}_{count} - {other}_{count}, 0), NOT incomplete)"
            for one, other in (SIDES, SIDES[::-1])
            for count in COUNTS
        ]
        text = f"""
            SELECT {WINDOWS[self.window]} AS window_s{groups}, countIf(NOT incomplete), countIf(incomplete), {reasons}, max(any_simulated),
                {", ".join((*sides, *excess))}, sumIf(aborted, NOT incomplete)
            FROM
            (
                SELECT *, hour_s IN %(open_s)s AS is_open, {incomplete} AS incomplete
                FROM ({self.hours.rows()})
            )
            GROUP BY window_s{groups} ORDER BY window_s{groups}
        """
        return text, self.hours.parameters() | {"open_s": list(self.open_s) or [0]}


@dataclass(frozen=True)
class WriteReconciliationHours:
    """The hours that a span touches, from their minutes; it writes all of their engines."""

    name: ClassVar[str] = "reconciliation_write_hours"
    written: Written

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        columns = ("hour", *FILTERS, "simulated", *NUMBERS)
        text = f"""
            INSERT INTO reconciliation_hours ({", ".join(columns)}, version)
            SELECT toDateTime(hour_s, 'UTC'), {", ".join(FILTERS)}, any_simulated, {", ".join(NUMBERS)}, %(version)s
            FROM ({_from_minutes(HOURS.replace("window_start", "w.window_start"))})
        """
        return text, self.written.parameters()


def _from_minutes(within: str) -> str:
    sums = ", ".join(f"{sums} AS {name}" for name, sums in SUMS.items())
    return f"""
        SELECT toUnixTimestamp(toStartOfHour(w.window_start)) AS hour_s, w.node AS node, w.engine AS engine,
            argMax(w.model, w.window_start) AS model, argMax(w.region, w.window_start) AS region,
            max(w.simulated) AS any_simulated, toUInt32(count()) AS windows, {sums}
        FROM energy_windows AS w FINAL
        WHERE w.engine != '' AND {within}
        GROUP BY hour_s, node, engine
    """
