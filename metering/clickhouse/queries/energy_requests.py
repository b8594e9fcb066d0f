"""The work that requests were, each once, placed in time: prompts from leaving the queue to the first token, output from there to the end.

All moments are whole milliseconds from a span's start, so that an interval is empty exactly or a millisecond long.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from metering.clickhouse.queries.energy import DAY_MS, Around

IN_TIME = (
    "time >= fromUnixTimestamp64Milli(%(from_ms)s, 'UTC')"
    " AND time < fromUnixTimestamp64Milli(%(until_ms)s + %(longest_ms)s, 'UTC')"
    # What ended after it counts if it began before: ran for longer than that.
    " AND toUnixTimestamp64Milli(time) - least(ifNull(e2e_ms, 0), %(longest_ms)s) < %(until_ms)s AND NOT observed"
)
PLACED = f"node IN %(nodes)s AND node != '' AND engine != '' AND {IN_TIME}"
# Arrivals of an identity but the first. They are looked for in the time that is read: what a sender repeats has the same time.
LOSERS = f"""
    SELECT batch, row FROM
    (
        SELECT batch, row, row_number() OVER (PARTITION BY tenant, source, id ORDER BY ingested_at, batch, row) AS arrival
        FROM requests
        WHERE {IN_TIME} AND identity IN (SELECT identity FROM requests WHERE {IN_TIME} GROUP BY identity HAVING count() > 1)
    )
    WHERE arrival > 1
"""
# An event without its duration is a moment, and so is a request that failed without a token: it took no part in what ran. Without its time
# to first token, that follows from its time per token, or the prompt took none.
MOMENTS = f"""
    SELECT node, engine, tenant, model, tier, end_ms, end_ms - ran_ms + queued_ms AS begin_ms,
        end_ms - ran_ms + least(greatest(told_ms, queued_ms), ran_ms) AS first_ms,
        prefill, cached, output
    FROM
    (
        SELECT node, engine, tenant, model, tier, toUnixTimestamp64Milli(time) - %(start_ms)s AS end_ms,
            if(status != 'ok' AND input_tokens + output_tokens = 0, 0, ifNull(e2e_ms, 0)) AS told_ran_ms,
            toInt64(round(least(greatest(told_ran_ms, 0), %(longest_ms)s))) AS ran_ms,
            least(toInt64(round(greatest(ifNull(queue_ms, 0), 0))), ran_ms) AS queued_ms,
            multiIf(
                isNotNull(ttft_ms), toInt64(round(ifNull(ttft_ms, 0))),
                isNotNull(tpot_ms) AND output_tokens > 1, ran_ms - toInt64(round(ifNull(tpot_ms, 0) * (output_tokens - 1))),
                queued_ms
            ) AS told_ms,
            toFloat64(input_tokens - cached_input_tokens) AS prefill, toFloat64(cached_input_tokens) AS cached,
            toFloat64(output_tokens) AS output
        FROM requests
        WHERE {PLACED} AND (batch, row) NOT IN ({LOSERS})
    )
"""


@dataclass(frozen=True)
class RequestsByNode:
    """How many requests there are of each node: (node, events, duplicates included)."""

    name: ClassVar[str] = "energy_requests_by_node"
    around: Around

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"SELECT node, count() FROM requests WHERE {PLACED} GROUP BY node ORDER BY node"
        return text, _parameters(self.around)


@dataclass(frozen=True)
class RequestTimes:
    """One row for each engine, tenant, model and tier: node and these, then arrays with one item for each request: begin, first token and
    end in seconds from the span's start, computed and cached prompt tokens, output tokens."""

    name: ClassVar[str] = "energy_request_times"
    around: Around

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = f"""
            SELECT node, engine, tenant, model, tier,
                groupArray(begin_ms / 1000), groupArray(first_ms / 1000), groupArray(end_ms / 1000),
                groupArray(prefill), groupArray(cached), groupArray(output)
            FROM ({MOMENTS})
            GROUP BY node, engine, tenant, model, tier ORDER BY node, engine, tenant, model, tier
        """
        return text, _parameters(self.around)


def _parameters(around: Around) -> dict[str, Any]:
    return around.parameters() | {"longest_ms": DAY_MS}
