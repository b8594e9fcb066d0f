"""Usage of a meter from `meter_events`, each event once.

The rule of identity is that of queries/usage.py (DESIGN rule 4): an event is a duplicate if one of the same (tenant, source, id) that
arrived earlier, by (ingested_at, batch, row), has a time within 24 hours of its own; its type plays no part. What an observing key
sent is neither counted nor in the way of what is.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.usage import SAME_EVENT_MS
from metering.windows import Windows

# The value as an exact decimal, NULL where the event holds none that Decimal(38, 9) can: an event from before the meter was
# defined may hold anything there.
EXACT = "if(toDecimal256OrNull({text}, 38) = toDecimal128OrNull({text}, 9), toDecimal128OrNull({text}, 9), NULL)"
# A sum of Decimal128 would overflow without a word; values go out as text, with all their digits.
AGGREGATES = {
    "COUNT": "toString(count())",
    "UNIQUE_COUNT": "toString(uniqExact(v))",
    "SUM": "toString(sum(toDecimal256(assumeNotNull(v), 9)))",
    "MAX": "toString(max(assumeNotNull(v)))",
    "MIN": "toString(min(assumeNotNull(v)))",
    "LATEST": "toString(argMax(assumeNotNull(v), (time, ingested_at, batch, row)))",
}


@dataclass(frozen=True)
class MeterScope:
    """Events of one type with a time in `[start_ms, end_ms)`, of some tenants or (None) of all.

    `arrived_from_us` and `arrived_until_us`: only what arrived in between; None: no bound.
    """

    event_type: str
    start_ms: int
    end_ms: int
    tenants: tuple[str, ...] | None = None
    arrived_from_us: int | None = None
    arrived_until_us: int | None = None

    def parameters(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "type": self.event_type,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "before_ms": self.start_ms - SAME_EVENT_MS,
            "after_ms": self.end_ms + SAME_EVENT_MS,
        }
        bounds = {"arrived_from_us": self.arrived_from_us, "arrived_until_us": self.arrived_until_us}
        found |= {name: bound for name, bound in bounds.items() if bound is not None}
        return found | ({"tenants": list(self.tenants)} if self.tenants is not None else {})

    def arrivals(self) -> str:
        """A WHERE condition: everything in scope, duplicates included."""
        condition = f"type = %(type)s AND {self._between('start_ms', 'end_ms')}"
        if self.arrived_from_us is not None:
            condition += " AND ingested_at >= fromUnixTimestamp64Micro(%(arrived_from_us)s, 'UTC')"
        return condition

    def events(self) -> str:
        """A WHERE condition: the events in scope that are the first of their identity."""
        return f"{self.arrivals()} AND (batch, row) NOT IN ({self._losers()})"

    def _losers(self) -> str:
        near = self._between("before_ms", "after_ms")
        return f"""
            SELECT batch, row FROM
            (
                SELECT ingested_at, batch, row, min((ingested_at, batch, row)) OVER (
                    PARTITION BY tenant, source, id ORDER BY toUnixTimestamp64Milli(time)
                    RANGE BETWEEN {SAME_EVENT_MS} PRECEDING AND {SAME_EVENT_MS} FOLLOWING) AS first
                FROM meter_events
                WHERE {near} AND identity IN
                (
                    SELECT identity FROM meter_events
                    WHERE {near} AND identity IN (SELECT identity FROM meter_events WHERE {self.arrivals()})
                    GROUP BY identity HAVING count() > 1
                )
            )
            WHERE (ingested_at, batch, row) > first
        """

    def _between(self, start: str, end: str) -> str:
        whose = "tenant IN %(tenants)s AND " if self.tenants is not None else ""
        if self.arrived_until_us is not None:
            whose += "ingested_at < fromUnixTimestamp64Micro(%(arrived_until_us)s, 'UTC') AND "
        return (
            f"{whose}NOT observed AND time >= fromUnixTimestamp64Milli(%({start})s, 'UTC')"
            f" AND time < fromUnixTimestamp64Milli(%({end})s, 'UTC')"
        )


@dataclass(frozen=True)
class MeterUsage:
    """Columns: window start (epoch s), the value as decimal text, tenant ('' unless `by_tenant`), the groups as text, and last, `counted`,
    the number of events.

    `value` and `groups` are paths of plain names; `filters` are pairs of such a path and the texts that are let through.
    """

    name: ClassVar[str] = "meter_usage"
    scope: MeterScope
    windows: Windows
    aggregation: str
    value: tuple[str, ...]
    by_tenant: bool
    groups: tuple[tuple[str, ...], ...] = ()
    filters: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    counted: bool = False

    def sql(self) -> tuple[str, dict[str, Any]]:
        parameters = self.scope.parameters()
        columns = [
            f"{self.windows.sql('toUnixTimestamp(time)')} AS window_s",
            f"{AGGREGATES[self.aggregation]} AS value",
        ]
        columns.append("tenant AS g_tenant" if self.by_tenant else "'' AS g_tenant")
        columns += [f"{_label(path, f'g{n}', parameters)} AS g{n}" for n, path in enumerate(self.groups)]
        columns += ["count() AS events"] if self.counted else []
        conditions = [self.scope.events()]
        for number, (path, texts) in enumerate(self.filters):
            parameters[f"f{number}"] = list(texts)
            conditions.append(f"{_label(path, f'p{number}', parameters)} IN %(f{number})s")
        value = self._value(parameters)
        if value:
            conditions.append("v IS NOT NULL")
        keys = ", ".join(["window_s", "g_tenant", *(f"g{n}" for n in range(len(self.groups)))])
        text = f"""
            {value}
            SELECT {", ".join(columns)}
            FROM meter_events WHERE {" AND ".join(conditions)}
            GROUP BY {keys} ORDER BY {keys}
        """
        return text, parameters

    def _value(self, parameters: dict[str, Any]) -> str:
        if self.aggregation == "COUNT":
            return ""
        raw, text = _extracted(self.value, "v", parameters)
        if self.aggregation == "UNIQUE_COUNT":
            return f"WITH if({raw} IN ('', 'null'), NULL, {text}) AS v"
        return f"WITH {EXACT.format(text=text)} AS v"


@dataclass(frozen=True)
class MeterSubjects:
    """The tenants with an event in scope."""

    name: ClassVar[str] = "meter_subjects"
    scope: MeterScope

    def sql(self) -> tuple[str, dict[str, Any]]:
        text = f"SELECT DISTINCT tenant FROM meter_events WHERE {self.scope.arrivals()} ORDER BY tenant"
        return text, self.scope.parameters()


def _extracted(path: tuple[str, ...], prefix: str, parameters: dict[str, Any]) -> tuple[str, str]:
    """What lies at the path as JSON ('' if nothing does), and as text: of a JSON string what it says."""
    keys = []
    for number, name in enumerate(path):
        parameters[f"{prefix}_{number}"] = name
        keys.append(f"%({prefix}_{number})s")
    where = ", ".join(keys)
    raw = f"JSONExtractRaw(data, {where})"
    return raw, f"if(startsWith({raw}, '\"'), JSONExtractString(data, {where}), {raw})"


def _label(path: tuple[str, ...], prefix: str, parameters: dict[str, Any]) -> str:
    raw, text = _extracted(path, prefix, parameters)
    return f"if({raw} = 'null', '', {text})"
