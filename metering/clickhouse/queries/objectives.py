"""Counting what objectives are about: requests of whole minutes, all and good ones, and reading the counts back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from metering.clickhouse.queries.usage import ARRIVED, Scope
from metering.moments import microseconds, milliseconds, seconds

LATENCIES = ("ttft_ms", "tpot_ms", "e2e_ms")
ERROR = "error"
DIMENSIONS = ("region", "cluster", "model", "tenant", "tier")


@dataclass(frozen=True)
class Counted:
    """What one objective counts. `selector`: (dimension, value) pairs; `threshold_us` is of a latency's alone."""

    counts: int
    measure: str
    threshold_us: int
    selector: tuple[tuple[str, str], ...] = ()

    def total(self, number: int) -> str:
        measured = f"status != 'error' AND isNotNull({self.measure})" if self.is_latency else "1"
        return " AND ".join([measured, *self.selected(number)])

    def good(self, number: int) -> str:
        # What was sent as 0.1 ms is a Float32 a little above it: both sides in whole microseconds.
        passed = (
            f"round(toFloat64(assumeNotNull({self.measure})) * 1000) <= %(threshold_{number})s"
            if self.is_latency
            else "status != 'error'"
        )
        return f"{self.total(number)} AND {passed}"

    def selected(self, number: int) -> list[str]:
        return [f"{_dimension(name)} = %(only_{number}_{name})s" for name, _ in self.selector]

    def parameters(self, number: int) -> dict[str, Any]:
        named: dict[str, Any] = {f"only_{number}_{name}": value for name, value in self.selector}
        limit = {f"threshold_{number}": self.threshold_us} if self.is_latency else {}
        return named | limit | {f"id_{number}": self.counts}

    @property
    def is_latency(self) -> bool:
        if self.measure not in {*LATENCIES, ERROR}:
            raise ValueError(f"unknown measure {self.measure!r}")
        return self.measure in LATENCIES


@dataclass(frozen=True)
class CountMinutes:
    """The statement that counts the minutes of `[start, end)` for some objectives, those without requests too.

    `scope` with the first of each identity alone, or None for all events as they are: duplicates are there until a seal finds them.
    `skew_ms`: how far ahead of its arrival a request's time may lie.
    """

    name: ClassVar[str] = "count_objectives"
    objectives: tuple[Counted, ...]
    start: datetime
    end: datetime
    version: int
    scope: Scope | None
    skew_ms: int

    def sql(self) -> tuple[str, dict[str, Any]]:
        counts = ", ".join(
            f"(toUInt64(%(id_{n})s), countIf({one.good(n)}), countIf({one.total(n)}))"
            for n, one in enumerate(self.objectives)
        )
        ids = ", ".join(f"toUInt64(%(id_{n})s)" for n in range(len(self.objectives)))
        # With one objective alone, its tenant leads to its rows by the sort key.
        only = self.objectives[0].selected(0) if len(self.objectives) == 1 else []
        text = f"""
            INSERT INTO objective_minutes (objective, minute, good, total, version)
            SELECT each.1 AS objective, minute, sum(each.2) AS good, sum(each.3) AS total, %(version)s AS version
            FROM
            (
                SELECT minute, arrayJoin(counted) AS each FROM
                (
                    SELECT toStartOfMinute(toDateTime(time, 'UTC')) AS minute, [{counts}] AS counted
                    FROM requests WHERE {" AND ".join([self._events(), *only])}
                    GROUP BY minute
                )
                UNION ALL
                SELECT toDateTime(%(start_s)s + 60 * number, 'UTC') AS minute, (arrayJoin([{ids}]), toUInt64(0), toUInt64(0)) AS each
                FROM numbers(%(minutes)s)
            )
            GROUP BY objective, minute
        """
        return text, self._parameters()

    def _events(self) -> str:
        if self.scope is not None:
            return self.scope.events()
        return """time >= fromUnixTimestamp64Milli(%(start_ms)s, 'UTC') AND time < fromUnixTimestamp64Milli(%(end_ms)s, 'UTC')
                        AND ingested_at >= fromUnixTimestamp64Milli(%(start_ms)s - %(skew_ms)s, 'UTC') AND NOT observed"""

    def _parameters(self) -> dict[str, Any]:
        span = {"start_s": seconds(self.start), "minutes": (seconds(self.end) - seconds(self.start)) // 60}
        found: dict[str, Any] = span | {"version": self.version}
        for number, one in enumerate(self.objectives):
            found |= one.parameters(number)
        if self.scope is not None:
            return found | self.scope.parameters()
        bounds = {"start_ms": milliseconds(self.start), "end_ms": milliseconds(self.end), "skew_ms": self.skew_ms}
        return found | bounds


@dataclass(frozen=True)
class AddUpHours:
    """The statement that adds up the hours of `[start, end)`, on whole hours, anew from their minutes."""

    name: ClassVar[str] = "add_up_objectives"
    ids: tuple[int, ...]
    start: datetime
    end: datetime
    version: int

    def sql(self) -> tuple[str, dict[str, Any]]:
        text = """
            INSERT INTO objective_hours (objective, hour, good, total, version)
            SELECT objective, toStartOfHour(minute) AS hour, sum(m.good) AS good, sum(m.total) AS total, %(version)s AS version
            FROM objective_minutes AS m FINAL
            WHERE objective IN %(ids)s AND minute >= toDateTime(%(start_s)s, 'UTC') AND minute < toDateTime(%(end_s)s, 'UTC')
            GROUP BY objective, hour
        """
        return text, _span(self.start, self.end) | {"ids": list(self.ids), "version": self.version}


@dataclass(frozen=True)
class LateMinutes:
    """The minutes (epoch s) of `[oldest, closed)` with a request among the arrivals of `[arrived_from, arrived_until)`, in order."""

    name: ClassVar[str] = "objectives_late"
    arrived_from: datetime
    arrived_until: datetime
    oldest: datetime
    closed: datetime

    def sql(self) -> tuple[str, dict[str, Any]]:
        text = f"""
            SELECT DISTINCT toUnixTimestamp(toStartOfMinute(toDateTime(time, 'UTC'))) AS minute_s FROM requests
            WHERE {ARRIVED} AND NOT observed
                AND time >= toDateTime(%(start_s)s, 'UTC') AND time < toDateTime(%(end_s)s, 'UTC')
            ORDER BY minute_s
        """
        arrived = {
            "arrived_from_us": microseconds(self.arrived_from),
            "arrived_until_us": microseconds(self.arrived_until),
        }
        return text, _span(self.oldest, self.closed) | arrived


@dataclass(frozen=True)
class DuplicateMinutes:
    """The minutes (epoch s) of `[oldest, closed)` that hold a duplicate of the scope's arrivals, in order."""

    name: ClassVar[str] = "objectives_duplicates"
    scope: Scope
    oldest: datetime
    closed: datetime

    def sql(self) -> tuple[str, dict[str, Any]]:
        text = f"""
            SELECT DISTINCT toUnixTimestamp(toStartOfMinute(toDateTime(time, 'UTC'))) AS minute_s FROM requests
            WHERE {self.scope.arrivals()} AND (batch, row) IN (SELECT batch, row FROM ({self.scope.losers()}))
                AND time >= toDateTime(%(start_s)s, 'UTC') AND time < toDateTime(%(end_s)s, 'UTC')
            ORDER BY minute_s
        """
        return text, _span(self.oldest, self.closed) | self.scope.parameters()


@dataclass(frozen=True)
class CountsSince:
    """Of each objective: its id, then good and total since each of `starts`, up to `end`; from the rows of `grain`, on whose edges `starts`
    lie. The hour in progress counts as far as it has come."""

    name: ClassVar[str] = "objectives_since"
    ids: tuple[int, ...]
    starts: tuple[datetime, ...]
    end: datetime
    grain: Literal["minute", "hour"]

    def sql(self) -> tuple[str, dict[str, Any]]:
        text = f"""
            SELECT objective, {_since(self.grain, self.starts)} FROM objective_{self.grain}s AS c FINAL
            WHERE objective IN %(ids)s AND {self.grain} >= toDateTime(%(start_s)s, 'UTC') AND {self.grain} < toDateTime(%(end_s)s, 'UTC')
            GROUP BY objective
        """
        return text, _span(min(self.starts), self.end) | {"ids": list(self.ids)} | _starts(self.starts)


@dataclass(frozen=True)
class CountSteps:
    """One row for each objective and step of `step_s` from `start` that was counted: id, the step's start (epoch s), good, total."""

    name: ClassVar[str] = "objectives_steps"
    ids: tuple[int, ...]
    start: datetime
    end: datetime
    step_s: int

    def sql(self) -> tuple[str, dict[str, Any]]:
        grain = "minute" if self.step_s % 3600 or seconds(self.start) % 3600 else "hour"
        step = f"intDiv(toUnixTimestamp({grain}) - %(start_s)s, %(step_s)s) * %(step_s)s + %(start_s)s"
        text = f"""
            SELECT objective, {step} AS at_s, sum(c.good), sum(c.total) FROM objective_{grain}s AS c FINAL
            WHERE objective IN %(ids)s AND {grain} >= toDateTime(%(start_s)s, 'UTC') AND {grain} < toDateTime(%(end_s)s, 'UTC')
            GROUP BY objective, at_s ORDER BY objective, at_s
        """
        return text, _span(self.start, self.end) | {"ids": list(self.ids), "step_s": self.step_s}


def _since(column: str, starts: Sequence[datetime]) -> str:
    each = (
        f"sumIf(c.{part}, {column} >= toDateTime(%(since_{n})s, 'UTC'))"
        for n in range(len(starts))
        for part in ("good", "total")
    )
    return ", ".join(each)


def _starts(starts: Sequence[datetime]) -> dict[str, Any]:
    return {f"since_{number}": seconds(start) for number, start in enumerate(starts)}


def _span(start: datetime, end: datetime) -> dict[str, Any]:
    return {"start_s": seconds(start), "end_s": seconds(end)}


def _dimension(name: str) -> str:
    if name not in DIMENSIONS:
        raise ValueError(f"unknown dimension {name!r}: one of {', '.join(DIMENSIONS)}")
    return name
