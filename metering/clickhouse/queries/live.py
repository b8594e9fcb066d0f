"""What dashboards read live: sliding rates from raw arrivals, and history with percentiles from the rollups.

Nothing here is money: rollups may hold a cross-batch duplicate. Events of observing keys report requests that another key already
reported, so every query leaves them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.live_sources import COUNTS, DIMENSIONS, STATUSES, Piece, Subset, source, union

QUANTILES = (0.5, 0.9, 0.95, 0.99)
LATENCIES = ("ttft_ms", "tpot_ms", "e2e_ms")


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
            SELECT {counts}, sum(input_tokens), sum(cached_input_tokens), sum(output_tokens)
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
    """One row over all `pieces`: COUNTS, and the quantiles of each of `latencies`."""

    name: ClassVar[str] = "live_totals"
    pieces: tuple[Piece, ...]
    subset: Subset
    latencies: tuple[str, ...] = LATENCIES

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        rows, parameters = _rows(self.pieces, self.subset, None, self.latencies)
        return f"SELECT {_figures(self.latencies)} FROM ({rows}) AS r", parameters


@dataclass(frozen=True)
class Series:
    """One row for each step of `step_s` seconds that has requests, and for each name of `group` if there is one: the step's start
    (epoch s), the name (''), then as Totals."""

    name: ClassVar[str] = "live_series"
    pieces: tuple[Piece, ...]  # one after the other
    step_s: int
    subset: Subset
    latencies: tuple[str, ...] = LATENCIES
    group: str | None = None
    only: tuple[str, ...] | None = None  # of the group's names

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        # From the start of the range, so that steps of any length line up with it.
        step = "intDiv(at_s - %(from_0)s, %(step_s)s) * %(step_s)s + %(from_0)s"
        rows, parameters = _rows(self.pieces, self.subset, self.group, self.latencies)
        only = "" if self.only is None else "WHERE group_name IN %(only)s"
        text = f"""
            SELECT {step} AS step_start, group_name, {_figures(self.latencies)} FROM ({rows}) AS r {only}
            GROUP BY step_start, group_name ORDER BY step_start, group_name
        """
        chosen = {} if self.only is None else {"only": list(self.only)}
        return text, {**parameters, **chosen, "step_s": self.step_s}


@dataclass(frozen=True)
class Breakdown:
    """One row for each value of `group`, the busiest first: its name, then as Totals. `only`: these names and no others."""

    name: ClassVar[str] = "live_breakdown"
    pieces: tuple[Piece, ...]
    group: str
    limit: int
    subset: Subset
    latencies: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        rows, parameters = _rows(self.pieces, self.subset, self.group, self.latencies)
        only = "" if self.only is None else "WHERE group_name IN %(only)s"
        text = f"""
            SELECT group_name, {_figures(self.latencies)} FROM ({rows}) AS r {only}
            GROUP BY group_name HAVING ok + error + cancelled > 0
            ORDER BY ok + error + cancelled DESC, group_name LIMIT %(limit)s
        """
        chosen = {} if self.only is None else {"only": list(self.only)}
        return text, {**parameters, **chosen, "limit": self.limit}


@dataclass(frozen=True)
class NamesSeen:
    """The values of a dimension in the requests since `from_s` (of whole days), in order, without ''; of one tenant if one is named."""

    name: ClassVar[str] = "live_names"
    dimension: str
    from_s: int
    tenant: str | None = None

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        found = source("day", Subset(self.tenant), self.dimension)
        text = f"""
            SELECT DISTINCT {found.group} AS seen FROM {found.table}
            WHERE day >= toStartOfDay(toDateTime(%(from_s)s, 'UTC')) AND {found.condition} AND seen != '' ORDER BY seen LIMIT 1000
        """
        return text, {"from_s": self.from_s} | ({} if self.tenant is None else {"tenant": self.tenant})


@dataclass(frozen=True)
class TokenRecord:
    """The day before `before_s` with the most tokens: its start (epoch s) and how many. No row without such a day."""

    name: ClassVar[str] = "live_token_record"
    before_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = """
            SELECT toUnixTimestamp(day) AS day_s, sum(input_tokens) + sum(output_tokens) AS tokens FROM cuts_day
            WHERE cut = 'all' AND day < toDateTime(%(before_s)s, 'UTC')
            GROUP BY day ORDER BY tokens DESC, day LIMIT 1
        """
        return text, {"before_s": self.before_s}


def _rows(
    pieces: tuple[Piece, ...], subset: Subset, group: str | None, latencies: tuple[str, ...]
) -> tuple[str, dict[str, Any]]:
    if unknown := set(latencies) - {*LATENCIES, "queue_ms"}:
        raise ValueError(f"unknown latency {sorted(unknown)[0]!r}: one of {', '.join(LATENCIES)}, queue_ms")
    if group is not None and group not in DIMENSIONS:
        raise ValueError(f"unknown group {group!r}: one of {', '.join(DIMENSIONS)}")
    return union(pieces, subset, group, latencies)


def _figures(latencies: tuple[str, ...]) -> str:
    counts = ", ".join(f"sum(r.c_{name}) AS {name}" for name in COUNTS)
    return ", ".join([counts, *(_merged(name) for name in latencies)])


def _merged(latency: str) -> str:
    levels = ", ".join(str(level) for level in (0.01, *QUANTILES))  # the first number is the sketch's relative accuracy
    return f"quantilesDDMerge({levels})(r.s_{latency}) AS {latency}_quantiles"
