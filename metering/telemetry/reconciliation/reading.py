"""Engine hours out of ClickHouse: one by one, or added up there."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.reconciliation import (
    COUNTS,
    FILTERS,
    REASONS,
    EngineHours,
    Hours,
    HoursWritten,
    LeakageSums,
    Span,
)
from metering.telemetry.reconciliation.hours import HOUR, Counted, EngineHour, Incomplete, Leakage, reasons_for
from metering.telemetry.settled import Settled

MAX_ROWS = 200_000
LAST_S = 2**32 - 1  # ClickHouse's DateTime ends in 2106
TIMEOUT_S = 10.0
HOUR_S = 3600
Window = tuple[datetime, tuple[str, ...], Leakage]


def engine_hours(
    start: datetime,
    end: datetime,
    settled: Settled,
    only: Mapping[str, str] | None = None,
    *,
    engines: Iterable[tuple[str, str]] = (),
    timeout_s: float = TIMEOUT_S,
) -> list[EngineHour]:
    """Of `[start, end)`, ordered by hour, node and engine. An hour in which nothing is known of an engine is not there at all.

    `engines`: (node, engine), these only. Raises ValueError for bounds off whole hours or an unknown filter; ClickHouseRefused (code 396)
    past MAX_ROWS.
    """
    wanted = set(engines)
    query = EngineHours(
        _hours(start, end, only, timeout_s),
        tuple(sorted({node for node, _ in wanted})),
        tuple(sorted({engine for _, engine in wanted})),
    )
    result = client.run(query, timeout_s=timeout_s, max_rows=MAX_ROWS)
    found = (dict(zip(result.columns, row, strict=True)) for row in result.rows)
    return [_hour(row, settled) for row in found if not wanted or (row["node"], row["engine"]) in wanted]


def leakage_sums(
    start: datetime,
    end: datetime,
    settled: Settled,
    *,
    window: str,
    groups: tuple[str, ...],
    only: Mapping[str, str] | None = None,
) -> list[Window]:
    """Of `[start, end)`, by the start of each window (`start` for "total") and the values of `groups`, in that order. Raises as above."""
    hours = _hours(start, end, only, TIMEOUT_S)
    query = LeakageSums(hours, window, groups, _open(hours, settled))
    rows = client.run(query, timeout_s=TIMEOUT_S, max_rows=MAX_ROWS).rows
    after = 1 + len(groups)
    return [(datetime.fromtimestamp(row[0], UTC), row[1:after], _leakage(row[after:])) for row in rows]


def _hours(start: datetime, end: datetime, only: Mapping[str, str] | None, timeout_s: float) -> Hours:
    if start >= end or any(moments.microseconds(moment) % (HOUR_S * 10**6) for moment in (start, end)):
        raise ValueError("hours are compared whole: from and to must be different whole hours of UTC")
    from_s, until_s = (min(moments.seconds(moment), LAST_S) for moment in (start, end))
    written = [row[0] for row in client.run(HoursWritten(from_s, until_s), timeout_s=timeout_s).rows]
    return Hours(from_s, until_s, _between(from_s, until_s, written), tuple((only or {}).items()))


def _between(from_s: int, until_s: int, written: Sequence[int]) -> tuple[Span, ...]:
    """What of `[from_s, until_s)` lies in none of the hours."""
    spans, at = [], from_s
    for hour in written:
        if hour > at:
            spans.append((at, hour))
        at = hour + HOUR_S
    if at < until_s:
        spans.append((at, until_s))
    return tuple(spans)


def _open(hours: Hours, settled: Settled) -> tuple[int, ...]:
    """The hours that are not settled."""
    starts = range(hours.from_s, hours.until_s, HOUR_S)
    moments_of = ((at, datetime.fromtimestamp(at, UTC)) for at in starts)
    return tuple(at for at, moment in moments_of if not settled.covers(moment, moment + HOUR))


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
    return Counted(*(float(row[f"{side}_{name}"]) for name in COUNTS))


def _leakage(values: tuple[Any, ...]) -> Leakage:
    """As LeakageSums gives them after the groups."""
    hours, incomplete, *rest = values
    named = zip(REASONS, rest[: len(REASONS)], strict=True)
    simulated, *sums = rest[len(REASONS) :]
    sides = [
        Counted(*(float(value) for value in sums[place : place + len(COUNTS)])) for place in range(0, 16, len(COUNTS))
    ]
    return Leakage(
        hours=int(hours),
        incomplete_hours=int(incomplete),
        reasons=tuple((Incomplete(name), int(count)) for name, count in named if count),
        engine_side=sides[0],
        event_side=sides[1],
        unbilled=sides[2],
        phantom=sides[3],
        aborted=float(sums[-1]),
        simulated=bool(simulated),
    )
