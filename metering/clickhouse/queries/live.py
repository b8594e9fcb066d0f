"""What dashboards read live: sliding rates from raw arrivals, and history with percentiles from the rollups.

Nothing here is money: rollups may hold a cross-batch duplicate. Events of observing keys report requests that another key already
reported, so every query leaves them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

STATUSES = ("ok", "error", "cancelled")
QUANTILES = (0.5, 0.9, 0.95, 0.99)
LATENCIES = ("ttft_ms", "tpot_ms", "e2e_ms")
GROUPS = ("model", "tenant")
# Rollup tables by their column of time.
ROLLUPS = {"minute": "requests_minute", "hour": "requests_hour"}


@dataclass(frozen=True)
class Subset:
    """Which requests: of one tenant, of one model, or all. Values are parameters, never text of the query."""

    tenant: str | None = None
    model: str | None = None

    def where(self) -> str:
        conditions = ["NOT observed"]
        if self.tenant is not None:
            conditions.append("tenant = %(tenant)s")
        if self.model is not None:
            conditions.append("model = %(model)s")
        return " AND ".join(conditions)

    def parameters(self) -> dict[str, Any]:
        named = {"tenant": self.tenant, "model": self.model}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class Pulse:
    """The requests that finished in `[from_ms, until_ms)`, from raw rows: one row of counts by status and of tokens.

    `skew_ms` is how far ahead of its arrival a request's time may lie: with it the index by arrival prunes what the sort key,
    which begins with the tenant, cannot.
    """

    name: ClassVar[str] = "live_pulse"
    from_ms: int
    until_ms: int
    skew_ms: int
    subset: Subset

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        counts = ", ".join(f"countIf(status = '{status}') AS {status}" for status in STATUSES)
        text = f"""
            SELECT {counts}, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
            FROM requests
            WHERE ingested_at >= fromUnixTimestamp64Milli(%(arrived_ms)s, 'UTC')
                AND time >= fromUnixTimestamp64Milli(%(from_ms)s, 'UTC')
                AND time < fromUnixTimestamp64Milli(%(until_ms)s, 'UTC')
                AND {self.subset.where()}
        """
        bounds = {"from_ms": self.from_ms, "until_ms": self.until_ms, "arrived_ms": self.from_ms - self.skew_ms}
        return text, bounds | self.subset.parameters()


@dataclass(frozen=True)
class NewestArrival:
    """Arrival of the newest event since `since_ms`, in epoch milliseconds; 0 if there is none."""

    name: ClassVar[str] = "live_newest_arrival"
    since_ms: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = """
            SELECT toUnixTimestamp64Milli(max(ingested_at)) AS newest_ms FROM requests
            WHERE ingested_at >= fromUnixTimestamp64Milli(%(since_ms)s, 'UTC')
        """
        return text, {"since_ms": self.since_ms}


@dataclass(frozen=True)
class NewestHour:
    """The latest hour of use that any event lies in, in epoch seconds; 0 if there is no event at all."""

    name: ClassVar[str] = "live_newest_hour"

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        return "SELECT toUnixTimestamp(max(hour)) AS newest_s FROM requests_hour", {}


@dataclass(frozen=True)
class Totals:
    """One row over `[from_s, until_s)` of a rollup: counts by status, tokens, and the quantiles of every latency if asked for."""

    name: ClassVar[str] = "live_totals"
    grain: str
    from_s: int
    until_s: int
    subset: Subset
    with_latencies: bool = True

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        columns = f"{_sums()}, {_latencies()}" if self.with_latencies else _sums()
        return f"SELECT {columns} FROM {_rollup(self.grain)} AS r WHERE {_within(self)}", _bounds(self)


@dataclass(frozen=True)
class Series:
    """One row for each step of `step_s` seconds that has requests: its start (epoch s), then as Totals."""

    name: ClassVar[str] = "live_series"
    grain: str
    from_s: int
    until_s: int
    step_s: int
    subset: Subset

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        # From the start of the range, so that steps of any length line up with it.
        step = f"intDiv(toUnixTimestamp({self.grain}) - %(from_s)s, %(step_s)s) * %(step_s)s + %(from_s)s"
        text = f"""
            SELECT {step} AS step_start, {_sums()}, {_latencies()}
            FROM {_rollup(self.grain)} AS r WHERE {_within(self)}
            GROUP BY step_start ORDER BY step_start
        """
        return text, _bounds(self) | {"step_s": self.step_s}


@dataclass(frozen=True)
class Breakdown:
    """One row for each model or tenant, the busiest first: its name, then as Totals with one latency only."""

    name: ClassVar[str] = "live_breakdown"
    grain: str
    from_s: int
    until_s: int
    group: str
    latency: str
    limit: int
    subset: Subset

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        if self.group not in GROUPS:
            raise ValueError(f"unknown group {self.group!r}: one of {', '.join(GROUPS)}")
        if self.latency not in LATENCIES:
            raise ValueError(f"unknown latency {self.latency!r}: one of {', '.join(LATENCIES)}")
        text = f"""
            SELECT {self.group} AS group_name, {_sums()}, {_merged(self.latency)}
            FROM {_rollup(self.grain)} AS r WHERE {_within(self)}
            GROUP BY group_name ORDER BY ok + error + cancelled DESC, group_name LIMIT %(limit)s
        """
        return text, _bounds(self) | {"limit": self.limit}


@dataclass(frozen=True)
class ModelsSeen:
    """The names of the models with requests since `from_s`, in order."""

    name: ClassVar[str] = "live_models"
    from_s: int
    subset: Subset

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT DISTINCT model FROM requests_hour
            WHERE hour >= toDateTime(%(from_s)s, 'UTC') AND {self.subset.where()} ORDER BY model LIMIT 1000
        """
        return text, {"from_s": self.from_s} | self.subset.parameters()


def _rollup(grain: str) -> str:
    if grain not in ROLLUPS:
        raise ValueError(f"unknown grain {grain!r}: one of {', '.join(ROLLUPS)}")
    return ROLLUPS[grain]


def _within(query: Totals | Series | Breakdown) -> str:
    bounds = f"{query.grain} >= toDateTime(%(from_s)s, 'UTC') AND {query.grain} < toDateTime(%(until_s)s, 'UTC')"
    return f"{bounds} AND {query.subset.where()}"


def _bounds(query: Totals | Series | Breakdown) -> dict[str, Any]:
    return {"from_s": query.from_s, "until_s": query.until_s} | query.subset.parameters()


def _sums() -> str:
    counts = ", ".join(f"sumIf(r.requests, status = '{status}') AS {status}" for status in STATUSES)
    return f"{counts}, sum(r.input_tokens) AS input_sum, sum(r.output_tokens) AS output_sum"


def _latencies() -> str:
    return ", ".join(_merged(name) for name in LATENCIES)


def _merged(latency: str) -> str:
    levels = ", ".join(str(level) for level in (0.01, *QUANTILES))  # the first number is the sketch's relative accuracy
    return f"quantilesDDMerge({levels})(r.{latency}) AS {latency}_quantiles"
