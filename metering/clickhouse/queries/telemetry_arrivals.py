"""Which minutes of telemetry something has arrived for after they were worked up."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from metering.moments import microseconds, milliseconds

GPUS, ENGINES, REQUESTS = "gpu_samples", "engine_samples", "requests"
SERIES = {GPUS: ("node", "gpu", "mig"), ENGINES: ("node", "engine")}
ARRIVED = (
    "ingested_at >= fromUnixTimestamp64Micro(%(arrived_from_us)s, 'UTC')"
    " AND ingested_at < fromUnixTimestamp64Micro(%(arrived_until_us)s, 'UTC')"
)


@dataclass(frozen=True)
class Arrivals:
    """What arrived in `[begin, until)`. Minutes before `oldest` are never worked up again, those from `closed` on not yet."""

    begin: datetime
    until: datetime
    oldest: datetime
    closed: datetime

    def parameters(self) -> dict[str, Any]:
        return {
            "arrived_from_us": microseconds(self.begin),
            "arrived_until_us": microseconds(self.until),
            "oldest_ms": milliseconds(self.oldest),
            "closed_ms": milliseconds(self.closed),
        }


@dataclass(frozen=True)
class FirstArrival:
    """When the first sample arrived, in epoch us; 0 if there is none."""

    name: ClassVar[str] = "telemetry_first_arrival"

    def sql(self) -> tuple[str, dict[str, Any]]:
        each = " UNION ALL ".join(
            f"SELECT min(ingested_at) AS first, count() AS samples FROM {table}" for table in SERIES
        )
        return f"SELECT toUnixTimestamp64Micro(minIf(first, samples > 0)) FROM ({each})", {}


@dataclass(frozen=True)
class LateSamples:
    """Times that late samples change: (from, until) in epoch ms, both included, one row for each that differs.

    A sample changes the time between its neighbours in its series too. The late ones of a series count as one stretch.
    """

    name: ClassVar[str] = "telemetry_late_samples"
    source: str
    arrivals: Arrivals
    gap: timedelta  # neighbours further away than this are none

    def sql(self) -> tuple[str, dict[str, Any]]:
        keys = ", ".join(SERIES[self.source])
        late = f"""
            SELECT {keys}, min(time) AS first, max(time) AS last FROM {self.source}
            WHERE {ARRIVED} AND time >= fromUnixTimestamp64Milli(%(oldest_ms)s, 'UTC')
                AND time < fromUnixTimestamp64Milli(%(closed_ms)s, 'UTC')
            GROUP BY {keys}
        """
        text = f"""
            WITH late AS ({late}), (SELECT (min(first), max(last)) FROM late) AS bounds
            SELECT DISTINCT toUnixTimestamp64Milli(if(before = 0, first, before)) AS from_ms,
                toUnixTimestamp64Milli(if(after = 0, last, after)) AS until_ms
            FROM
            (
                SELECT {keys}, first, last, maxIf(s.time, s.time < first AND s.time >= first - {_gap(self.gap)}) AS before,
                    minIf(s.time, s.time > last AND s.time <= last + {_gap(self.gap)}) AS after
                FROM {self.source} AS s INNER JOIN late USING ({keys})
                WHERE s.time >= bounds.1 - {_gap(self.gap)} AND s.time <= bounds.2 + {_gap(self.gap)}
                GROUP BY {keys}, first, last
            )
        """
        return text, self.arrivals.parameters()


@dataclass(frozen=True)
class SamplesAfterGap:
    """As LateSamples, for samples that came in time and end a gap in their series which began in closed minutes."""

    name: ClassVar[str] = "telemetry_samples_after_gap"
    source: str
    arrivals: Arrivals
    gap: timedelta
    skew: timedelta  # how far ahead of its arrival a sample's time may lie

    def sql(self) -> tuple[str, dict[str, Any]]:
        keys = ", ".join(SERIES[self.source])
        # Only what arrived after the minutes were closed, less the skew, can lie after them: the index by arrival finds it.
        first = f"""
            SELECT {keys}, min(time) AS first FROM {self.source}
            WHERE ingested_at >= fromUnixTimestamp64Milli(%(closed_ms)s - %(skew_ms)s, 'UTC')
                AND time >= fromUnixTimestamp64Milli(%(closed_ms)s, 'UTC')
            GROUP BY {keys} HAVING minIf(time, {ARRIVED}) = first
        """
        text = f"""
            WITH opening AS ({first})
            SELECT DISTINCT toUnixTimestamp64Milli(max(s.time)) AS from_ms, %(closed_ms)s - 1 AS until_ms
            FROM {self.source} AS s INNER JOIN opening USING ({keys})
            WHERE s.time < fromUnixTimestamp64Milli(%(closed_ms)s, 'UTC')
                AND s.time >= fromUnixTimestamp64Milli(%(closed_ms)s, 'UTC') - {_gap(self.gap)}
                AND s.time >= fromUnixTimestamp64Milli(%(oldest_ms)s, 'UTC')
            GROUP BY {keys}
        """
        return text, self.arrivals.parameters() | {"skew_ms": self.skew // timedelta(milliseconds=1)}


@dataclass(frozen=True)
class LateRequests:
    """As LateSamples, for requests that name an engine: the closed part of the time that each ran."""

    name: ClassVar[str] = "telemetry_late_requests"
    arrivals: Arrivals
    longest: timedelta  # a request that says it ran longer is taken to have run this long

    def sql(self) -> tuple[str, dict[str, Any]]:
        text = f"""
            SELECT DISTINCT greatest(intDiv(toUnixTimestamp64Milli(time) - ran_ms, 60000) * 60000, %(oldest_ms)s) AS from_ms,
                least(intDiv(toUnixTimestamp64Milli(time), 60000) * 60000, %(closed_ms)s - 1) AS until_ms
            FROM
            (
                SELECT time, toInt64(greatest(0, least(ifNull(e2e_ms, 0), %(longest_ms)s))) AS ran_ms FROM requests
                WHERE {ARRIVED} AND time >= fromUnixTimestamp64Milli(%(oldest_ms)s, 'UTC')
                    AND node != '' AND engine != '' AND NOT observed
            )
            WHERE from_ms < %(closed_ms)s
        """
        return text, self.arrivals.parameters() | {"longest_ms": self.longest // timedelta(milliseconds=1)}


def _gap(gap: timedelta) -> str:
    """Days, hours and so on, in the whole seconds that ClickHouse adds to a time."""
    return f"toIntervalSecond({int(gap.total_seconds())})"
