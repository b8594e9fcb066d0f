"""Engine hours out of ClickHouse."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.reconciliation import FILTERS, EngineHours
from metering.telemetry.reconciliation.hours import HOUR, Counted, EngineHour, reasons_for
from metering.telemetry.settled import Settled

MAX_ROWS = 200_000
LAST_S = 2**32 - 1  # ClickHouse's DateTime ends in 2106
TIMEOUT_S = 10.0


def engine_hours(
    start: datetime,
    end: datetime,
    settled: Settled,
    only: Mapping[str, str] | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
) -> list[EngineHour]:
    """Of `[start, end)`, ordered by hour, node and engine. An hour in which nothing is known of an engine is not there at all.

    Raises ValueError for bounds off whole hours or an unknown filter; ClickHouseRefused (code 396) past MAX_ROWS.
    """
    if start >= end or any(moments.microseconds(moment) % (HOUR.seconds * 10**6) for moment in (start, end)):
        raise ValueError("hours are compared whole: from and to must be different whole hours of UTC")
    from_s, until_s = (min(moments.seconds(moment), LAST_S) for moment in (start, end))
    query = EngineHours(from_s, until_s, tuple((only or {}).items()))
    result = client.run(query, timeout_s=timeout_s, max_rows=MAX_ROWS)
    return [_hour(dict(zip(result.columns, row, strict=True)), settled) for row in result.rows]


def _hour(row: dict[str, Any], settled: Settled) -> EngineHour:
    start = datetime.fromtimestamp(row["hour_s"], UTC)
    return EngineHour(
        start=start,
        **{name: str(row[name]) for name in FILTERS},
        engine_side=_side(row, "engine"),
        event_side=_side(row, "event"),
        aborted=float(row["aborted"]),
        incomplete=reasons_for(
            windows=row["windows"],
            restarts=row["restarts"],
            gap_s=float(row["gap_s"]),
            settled=settled.covers(start, start + HOUR),
        ),
        simulated=bool(row["any_simulated"]),
    )


def _side(row: dict[str, Any], side: str) -> Counted:
    return Counted(*(float(row[f"{side}_{name}"]) for name in ("input", "cached", "output", "requests")))
