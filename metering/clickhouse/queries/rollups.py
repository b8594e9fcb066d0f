"""Making live rollups agree with the ledger: taking a seal's duplicates out of them again, and comparing the two."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from metering.clickhouse.queries.usage import Scope
from metering.contracts import MEASURES
from metering.moments import microseconds, seconds

KEYS = ("minute", "tenant", "model", "tier", "region", "cluster", "status", "observed")


@dataclass(frozen=True)
class SubtractDuplicates:
    """The statement that takes the duplicates in scope out of `requests_minute`, and by its cascade out of every rollup
    that is made from it.

    A sum over UInt64 is modular: adding 2^64 - n subtracts n, in queries and in merges alike. Latency sketches cannot
    subtract; their columns are left out, which inserts empty states, so percentiles go on weighing a duplicate twice.
    Rows are sorted, so that a repetition makes the same blocks and the token recognises each.
    """

    name: ClassVar[str] = "subtract_duplicates"
    scope: Scope

    def sql(self) -> tuple[str, dict[str, Any]]:
        sums = ", ".join(_negative(f"sum({name})") for name in MEASURES[1:])
        keys = ", ".join(KEYS)
        text = f"""
            INSERT INTO requests_minute ({keys}, {", ".join(MEASURES)})
            SELECT toStartOfMinute(toDateTime(time, 'UTC')) AS minute, {", ".join(KEYS[1:])}, {_negative("count()")}, {sums}
            FROM requests
            WHERE {self.scope.arrivals()} AND (batch, row) IN (SELECT batch, row FROM ({self.scope.losers()}))
            GROUP BY {keys} ORDER BY {keys}
        """
        return text, self.scope.parameters()


def _negative(amount: str) -> str:
    """2^64 - amount, as UInt64."""
    return f"bitNot({amount}) + toUInt64(1)"


@dataclass(frozen=True)
class LiveAndLedger:
    """Three rows (live, ledger, unsealed) of requests and tokens used in `[start, end)`, each added up over all customers.

    `start` and `switch` lie on whole hours, `end` on a bucket's edge: up to `switch` the hourly rollup is read, then the minutes'.
    Unsealed are the arrivals from the watermark on, duplicates included, as the live rollups have them.
    """

    name: ClassVar[str] = "live_and_ledger"
    start: datetime
    switch: datetime
    end: datetime
    watermark: datetime
    as_of: int
    abandoned: tuple[int, ...] = ()

    def sql(self) -> tuple[str, dict[str, Any]]:
        abandoned = "AND seal NOT IN %(abandoned)s" if self.abandoned else ""
        text = f"""
            SELECT side, sum(m_requests), sum(m_tokens) FROM
            (
                SELECT 'live' AS side, {_totals("sum(requests)")} FROM requests_hour
                WHERE NOT observed AND hour >= toDateTime(%(start_s)s, 'UTC') AND hour < toDateTime(%(switch_s)s, 'UTC')
                UNION ALL
                SELECT 'live' AS side, {_totals("sum(requests)")} FROM requests_minute
                WHERE NOT observed AND minute >= toDateTime(%(switch_s)s, 'UTC') AND minute < toDateTime(%(end_s)s, 'UTC')
                UNION ALL
                SELECT 'ledger' AS side, {_totals("sum(requests)")} FROM usage_ledger
                WHERE bucket >= toDateTime(%(start_s)s, 'UTC') AND bucket < toDateTime(%(end_s)s, 'UTC')
                    AND seal <= %(as_of)s {abandoned}
                UNION ALL
                SELECT 'unsealed' AS side, {_totals("count()")} FROM requests
                WHERE NOT observed AND ingested_at >= fromUnixTimestamp64Micro(%(watermark_us)s, 'UTC')
                    AND time >= toDateTime(%(start_s)s, 'UTC') AND time < toDateTime(%(end_s)s, 'UTC')
            )
            GROUP BY side
        """
        return text, self._parameters()

    def _parameters(self) -> dict[str, Any]:
        found = {"start_s": seconds(self.start), "switch_s": seconds(self.switch), "end_s": seconds(self.end)}
        known = {"as_of": self.as_of, "watermark_us": microseconds(self.watermark)}
        return found | known | ({"abandoned": list(self.abandoned)} if self.abandoned else {})


def _totals(requests: str) -> str:
    return f"{requests} AS m_requests, sum(input_tokens) + sum(output_tokens) AS m_tokens"
