"""Usage, each event once: from raw events, from the ledger, and the statements that seal one into the other.

The rule of identity (DESIGN rule 4) as it is computed here: an event is a duplicate if an event of the same (tenant, source, id) that
arrived earlier, by (ingested_at, batch, row), has a time within 24 hours of its own. The verdict of an event depends only on
what arrived before it, so a ledger that only ever appends agrees with any later recomputation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from metering.contracts import BEYOND_LAST_EDGE, BUCKET_MINUTES, CONTEXT_EDGES, DIMENSIONS, MEASURES
from metering.moments import microseconds, seconds
from metering.windows import Windows

SAME_EVENT_MS = 24 * 3600 * 1000
WINDOWS = {
    "hour": "toUnixTimestamp(toStartOfHour({at}))",
    "day": "toUnixTimestamp(toStartOfDay({at}))",
    "month": "toUnixTimestamp(toDateTime(toStartOfMonth({at}), 'UTC'))",
    "total": "%(start_s)s",
}
BAND = "multiIf(" + ", ".join(f"input_tokens <= {edge}, {edge}" for edge in CONTEXT_EDGES) + f", {BEYOND_LAST_EDGE})"
BUCKET = f"toStartOfInterval(toDateTime(time, 'UTC'), INTERVAL {BUCKET_MINUTES} MINUTE)"
# The bucket had ended before the scope's first arrival could be stamped: an earlier seal may have closed it already.
LATE = f"toUnixTimestamp({BUCKET}) + {BUCKET_MINUTES * 60} <= intDiv(%(arrived_from_us)s, 1000000)"
ARRIVED = (
    "ingested_at >= fromUnixTimestamp64Micro(%(arrived_from_us)s, 'UTC')"
    " AND ingested_at < fromUnixTimestamp64Micro(%(arrived_until_us)s, 'UTC')"
)
# What the sender meant, besides its identity. Two arrivals of one identity that differ here are a conflict.
CONTENT = (
    "cityHash64(project, api_key_id, model, operation, tier, region, status, input_tokens, cached_input_tokens, "
    "cache_write_tokens, output_tokens, reasoning_tokens, if(time_given, toUnixTimestamp64Milli(time), 0))"
)


@dataclass(frozen=True)
class Scope:
    """Which events: arrival in `[arrived_from, arrived_until)` (None: no bound), time of use in any of `spans`, one tenant or all.

    `spans` are half-open ranges of epoch milliseconds. Events of observing keys are never in it. `tenants`, if any are named, are the
    only ones. `identities`: the first and the last value of the column `identity`, both within.
    """

    spans: tuple[tuple[int, int], ...]
    tenant: str | None = None
    arrived_from: datetime | None = None
    arrived_until: datetime | None = None
    tenants: tuple[str, ...] = ()
    identities: tuple[int, int] | None = None

    def parameters(self) -> dict[str, Any]:
        bounds = {
            "arrived_from_us": microseconds(self.arrived_from) if self.arrived_from else 0,
            "arrived_until_us": microseconds(self.arrived_until) if self.arrived_until else 2**53,
        }
        if self.identities is not None:
            bounds |= {"first_identity": self.identities[0], "last_identity": self.identities[1]}
        return bounds | self._whose()

    def _whose(self) -> dict[str, Any]:
        named: dict[str, Any] = {"among": list(self.tenants)} if self.tenants else {}
        return named | ({"tenant": self.tenant} if self.tenant is not None else {})

    def events(self) -> str:
        """A WHERE condition: the events in scope that are the first of their identity."""
        return f"{self._where(arrived=True)} AND (batch, row) NOT IN (SELECT batch, row FROM ({self.losers()}))"

    def arrivals(self) -> str:
        """A WHERE condition: everything in scope, duplicates included."""
        return self._where(arrived=True)

    def losers(self) -> str:
        """A SELECT of the duplicates in scope: batch, row, `conflict` (other content than the first), `first_batch` and `first_row`,
        and `late` (see LATE)."""
        frame = (
            "PARTITION BY tenant, source, id ORDER BY toUnixTimestamp64Milli(time) "
            f"RANGE BETWEEN {SAME_EVENT_MS} PRECEDING AND {SAME_EVENT_MS} FOLLOWING"
        )
        return f"""
            SELECT batch, row, content != first.4 AS conflict, first.2 AS first_batch, first.3 AS first_row, late
            FROM
            (
                SELECT ingested_at, batch, row, {CONTENT} AS content, {LATE} AS late,
                    min((ingested_at, batch, row, {CONTENT})) OVER ({frame}) AS first
                FROM requests
                WHERE {self._where(arrived=False, margin_ms=SAME_EVENT_MS)} AND identity IN
                (
                    SELECT identity FROM requests
                    WHERE {self._where(arrived=False, margin_ms=SAME_EVENT_MS)} AND identity IN
                        (SELECT identity FROM requests WHERE {self._where(arrived=True)})
                    GROUP BY identity HAVING count() > 1
                )
            )
            WHERE (ingested_at, batch, row) > (first.1, first.2, first.3) AND {self._arrived_from()}
        """

    def _where(self, *, arrived: bool, margin_ms: int = 0) -> str:
        spans = " OR ".join(
            f"(time >= fromUnixTimestamp64Milli({int(start) - margin_ms}, 'UTC')"
            f" AND time < fromUnixTimestamp64Milli({int(end) + margin_ms}, 'UTC'))"
            for start, end in merged(self.spans, margin_ms)
        )
        conditions = [
            f"({spans or '0'})",
            "NOT observed",
            "ingested_at < fromUnixTimestamp64Micro(%(arrived_until_us)s, 'UTC')",
        ]
        if self.identities is not None:
            conditions.insert(0, "identity BETWEEN %(first_identity)s AND %(last_identity)s")
        if self.tenants:
            conditions.insert(0, "tenant IN %(among)s")
        if self.tenant is not None:
            conditions.insert(0, "tenant = %(tenant)s")
        if arrived:
            conditions.append(self._arrived_from())
        return " AND ".join(conditions)

    @staticmethod
    def _arrived_from() -> str:
        return "ingested_at >= fromUnixTimestamp64Micro(%(arrived_from_us)s, 'UTC')"


def window_start(window: str | Windows, at: str) -> str:
    """The start of the window that holds `at`, an expression of type DateTime, in epoch seconds."""
    return WINDOWS[window].format(at=at) if isinstance(window, str) else window.sql(f"toUnixTimestamp({at})")


def merged(spans: Sequence[tuple[int, int]], margin_ms: int = 0, most: int = 48) -> list[tuple[int, int]]:
    """`spans` sorted, with those joined that meet within the margin, and the closest joined until at most `most` are left."""
    joined: list[list[int]] = []
    for start, end in sorted(spans):
        if joined and start - margin_ms <= joined[-1][1] + margin_ms:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    while len(joined) > most:
        gaps = [joined[i + 1][0] - joined[i][1] for i in range(len(joined) - 1)]
        narrowest = gaps.index(min(gaps))
        joined[narrowest][1] = joined.pop(narrowest + 1)[1]
    return [(start, end) for start, end in joined]


@dataclass(frozen=True)
class ArrivedDays:
    """The days of use among the events that arrived in an interval: (day's start in epoch ms, number of events, late ones)."""

    name: ClassVar[str] = "arrived_days"
    arrived_from: datetime
    arrived_until: datetime
    tenant: str | None = None

    def sql(self) -> tuple[str, dict[str, Any]]:
        tenant = "tenant = %(tenant)s AND" if self.tenant is not None else ""
        text = f"""
            SELECT toUnixTimestamp(toStartOfDay(time)) * 1000 AS day_ms, count() AS events, countIf({LATE}) AS late
            FROM requests
            WHERE {tenant} {ARRIVED} AND NOT observed
            GROUP BY day_ms ORDER BY day_ms
        """
        bounds = _arrival(self.arrived_from, self.arrived_until)
        return text, bounds | ({"tenant": self.tenant} if self.tenant is not None else {})


@dataclass(frozen=True)
class ArrivalSteps:
    """The arrivals of an interval cut, between two seconds, into steps of about `most` events: (step's first second in epoch s, events).

    A step holds more than `most` only by what arrived in its first second.
    """

    name: ClassVar[str] = "arrival_steps"
    arrived_from: datetime
    arrived_until: datetime
    most: int

    def sql(self) -> tuple[str, dict[str, Any]]:
        text = f"""
            SELECT min(second_s) AS from_s, sum(events) AS step_events
            FROM
            (
                SELECT second_s, events, sum(events) OVER (ORDER BY second_s ROWS UNBOUNDED PRECEDING) AS running
                FROM
                (
                    SELECT toUnixTimestamp(toDateTime(ingested_at, 'UTC')) AS second_s, count() AS events
                    FROM requests WHERE {ARRIVED} AND NOT observed
                    GROUP BY second_s
                )
            )
            GROUP BY intDiv(running - 1, %(most)s) ORDER BY from_s
        """
        return text, _arrival(self.arrived_from, self.arrived_until) | {"most": self.most}


@dataclass(frozen=True)
class RawUsage:
    """Usage recomputed from raw events: tenant, window start (epoch s), the groups asked for, the measures."""

    name: ClassVar[str] = "raw_usage"
    scope: Scope
    window: str | Windows
    group_by: tuple[str, ...]

    def sql(self) -> tuple[str, dict[str, Any]]:
        groups = "".join(f", {BAND if name == 'context_band' else name} AS g_{name}" for name in self.group_by)
        text = f"""
            SELECT tenant, {window_start(self.window, "toDateTime(time, 'UTC')")} AS window_s{groups}, {_sums("count()")}
            FROM requests WHERE {self.scope.events()}
            GROUP BY tenant, window_s{_grouped(self.group_by)}
            ORDER BY window_s, tenant{_grouped(self.group_by)}
        """
        return text, self.scope.parameters() | {"start_s": self.scope.spans[0][0] // 1000}


@dataclass(frozen=True)
class SealedUsage:
    """Usage from the ledger, as of a seal. `start` and `end` lie on bucket edges. Columns as RawUsage.

    `tenants`, if any are named, are the only ones; they are read together, so callers name neighbours in the order of keys.
    """

    name: ClassVar[str] = "sealed_usage"
    start: datetime
    end: datetime
    window: str | Windows
    group_by: tuple[str, ...]
    tenant: str | None
    as_of: int
    abandoned: tuple[int, ...] = ()
    tenants: tuple[str, ...] = ()

    def sql(self) -> tuple[str, dict[str, Any]]:
        groups = "".join(f", {name} AS g_{name}" for name in self.group_by)
        among = "tenant IN %(tenants)s AND " if self.tenants else ""
        text = f"""
            SELECT tenant, {window_start(self.window, "bucket")} AS window_s{groups}, {_sums("sum(requests)")}
            FROM usage_ledger AS l WHERE {among}{_ledger_rows(self.tenant, self.abandoned)}
            GROUP BY tenant, window_s{_grouped(self.group_by)}
            ORDER BY window_s, tenant{_grouped(self.group_by)}
        """
        named = {"tenants": list(self.tenants)} if self.tenants else {}
        return text, ledger_parameters(self.start, self.end, self.tenant, self.as_of, self.abandoned) | named


@dataclass(frozen=True)
class SealUsage:
    """The statement that writes one seal's rows."""

    name: ClassVar[str] = "seal_usage"
    seal: int
    scope: Scope

    def sql(self) -> tuple[str, dict[str, Any]]:
        dimensions = ", ".join(DIMENSIONS)
        groups = ", ".join(f"{BAND if name == 'context_band' else 'r.' + name} AS {name}" for name in DIMENSIONS)
        text = f"""
            INSERT INTO usage_ledger (tenant, bucket, seal, {dimensions}, {", ".join(MEASURES)})
            SELECT tenant, {BUCKET} AS bucket, %(seal)s AS seal, {groups}, {_sums("count()")}
            FROM requests AS r WHERE {self.scope.events()}
            GROUP BY tenant, bucket, {dimensions}
        """
        return text, self.scope.parameters() | {"seal": self.seal}


@dataclass(frozen=True)
class Duplicates:
    """How many events in scope are duplicates, how many of those conflict with their first, and how many are late."""

    name: ClassVar[str] = "duplicates"
    scope: Scope

    def sql(self) -> tuple[str, dict[str, Any]]:
        return f"SELECT count(), countIf(conflict), countIf(late) FROM ({self.scope.losers()})", self.scope.parameters()


@dataclass(frozen=True)
class QuarantineConflicts:
    """The statement that lists conflicting arrivals in quarantine, each as JSON."""

    name: ClassVar[str] = "quarantine_conflicts"
    scope: Scope

    def sql(self) -> tuple[str, dict[str, Any]]:
        shown = (
            "id",
            "source",
            "time",
            "tenant",
            "project",
            "api_key_id",
            "model",
            "operation",
            "tier",
            "region",
            "status",
            *MEASURES[1:],
        )
        text = f"""
            INSERT INTO quarantine (ingested_at, batch, row, tenant, api_key, decoder, reason, field, message, raw)
            SELECT ingested_at, batch, row, tenant, '', 'seal', 'conflict', 'id',
                concat('same identity as row ', toString(l.first_row), ' of batch ', toString(l.first_batch),
                    ', other content; the first one is billed'),
                formatRowNoNewline('JSONEachRow', {", ".join(shown)})
            FROM requests AS r INNER JOIN (SELECT * FROM ({self.scope.losers()}) WHERE conflict) AS l
                ON r.batch = l.batch AND r.row = l.row
            WHERE {self.scope.arrivals()}
        """
        return text, self.scope.parameters()


@dataclass(frozen=True)
class LedgerDifferences:
    """Buckets and dimensions where the ledger and a recomputation differ: bucket (epoch s), tenant, dimensions, then pairs of measures."""

    name: ClassVar[str] = "ledger_differences"
    scope: Scope  # one span: [start, end)
    start: datetime
    end: datetime
    as_of: int
    abandoned: tuple[int, ...] = ()

    def sql(self) -> tuple[str, dict[str, Any]]:
        dimensions = ", ".join(DIMENSIONS)
        measures = ", ".join(MEASURES)
        groups = ", ".join(f"{BAND if name == 'context_band' else 'r.' + name} AS {name}" for name in DIMENSIONS)
        pairs = ", ".join(
            f"sumIf({m}, side = 'ledger') AS ledger_{m}, sumIf({m}, side = 'raw') AS raw_{m}" for m in MEASURES
        )
        differs = " OR ".join(f"ledger_{m} != raw_{m}" for m in MEASURES)
        text = f"""
            SELECT toUnixTimestamp(bucket) AS bucket_s, tenant, {dimensions}, {pairs}
            FROM
            (
                SELECT 'ledger' AS side, bucket, tenant, {dimensions}, {measures}
                FROM usage_ledger AS l WHERE {_ledger_rows(self.scope.tenant, self.abandoned)}
                UNION ALL
                SELECT 'raw' AS side, {BUCKET} AS bucket, tenant, {groups}, {_sums("count()")}
                FROM requests AS r WHERE {self.scope.events()}
                GROUP BY bucket, tenant, {dimensions}
            )
            GROUP BY bucket, tenant, {dimensions} HAVING {differs}
            ORDER BY bucket_s, tenant, {dimensions}
        """
        ledger = ledger_parameters(self.start, self.end, self.scope.tenant, self.as_of, self.abandoned)
        return text, self.scope.parameters() | ledger


def _arrival(begin: datetime, until: datetime) -> dict[str, Any]:
    return {"arrived_from_us": microseconds(begin), "arrived_until_us": microseconds(until)}


def ledger_parameters(
    start: datetime, end: datetime, tenant: str | None, as_of: int, abandoned: tuple[int, ...]
) -> dict[str, Any]:
    found: dict[str, Any] = {"start_s": seconds(start), "end_s": seconds(end), "as_of": as_of}
    if tenant is not None:
        found["tenant"] = tenant
    if abandoned:
        found["abandoned"] = list(abandoned)
    return found


def _ledger_rows(tenant: str | None, abandoned: tuple[int, ...]) -> str:
    conditions = [
        "bucket >= toDateTime(%(start_s)s, 'UTC')",
        "bucket < toDateTime(%(end_s)s, 'UTC')",
        "seal <= %(as_of)s",
    ]
    if tenant is not None:
        conditions.insert(0, "tenant = %(tenant)s")
    if abandoned:
        conditions.append("seal NOT IN %(abandoned)s")
    return " AND ".join(conditions)


def _sums(requests: str) -> str:
    # Qualified by nothing and named apart from the columns: an alias equal to its argument would be summed twice.
    return f"{requests} AS m_requests, " + ", ".join(f"sum({name}) AS m_{name}" for name in MEASURES[1:])


def _grouped(group_by: Sequence[str]) -> str:
    return "".join(f", g_{name}" for name in group_by)
