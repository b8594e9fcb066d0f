"""Live readings for dashboards: seconds old, from the rollups and the newest raw rows. Money never reads this.

All functions take `now` from the caller, so that the parts of one page agree with each other and tests hold the clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.conf import settings

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.live import (
    LATENCIES,
    Breakdown,
    NamesSeen,
    NewestArrival,
    NewestHour,
    Pulse,
    Series,
    TokenRecord,
    Totals,
)
from metering.clickhouse.queries.live_sources import COUNTS, GRAINS, RECENT_S, Piece, Subset, pieces

MILLISECOND = timedelta(milliseconds=1)
PULSE = timedelta(seconds=60)
ARRIVALS_WATCHED = timedelta(minutes=15)
TIMEOUT_S = 5.0
GROUP_LIMIT = 50


@dataclass(frozen=True)
class LiveScope:
    """Which requests a reading covers; None means all."""

    tenant: str | None = None
    model: str | None = None
    tier: str | None = None
    region: str | None = None
    cluster: str | None = None


@dataclass(frozen=True)
class Quantiles:
    """Of one latency, in milliseconds, 1 % accurate."""

    p50: float
    p90: float
    p95: float
    p99: float


@dataclass(frozen=True)
class LiveCounts:
    """Requests by status, and tokens, over `seconds` of time. `input_tokens` includes what came from a cache."""

    seconds: float
    ok: int = 0
    error: int = 0
    cancelled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0

    @property
    def requests(self) -> int:
        return self.ok + self.error + self.cancelled

    @property
    def error_ratio(self) -> float | None:
        """Errors over all requests; None without requests."""
        return self.error / self.requests if self.requests else None

    def per_second(self, amount: int) -> float:
        return amount / self.seconds


@dataclass(frozen=True)
class LivePoint:
    """One step of a series, `[start, end)`; the latest one ends at `now`. A latency that nothing measured is None."""

    start: datetime
    end: datetime
    counts: LiveCounts
    ttft_ms: Quantiles | None = None
    tpot_ms: Quantiles | None = None
    e2e_ms: Quantiles | None = None


@dataclass(frozen=True)
class LiveGroup:
    """One model, tenant, tier, region or cluster over the whole range, with the latencies that were asked for; the others are None.
    `latency` is the first of those asked for."""

    name: str
    counts: LiveCounts
    latency: Quantiles | None
    ttft_ms: Quantiles | None = None
    tpot_ms: Quantiles | None = None
    e2e_ms: Quantiles | None = None


def live_pulse(scope: LiveScope, now: datetime) -> LiveCounts:
    """The sixty seconds up to `now`, from raw rows."""
    until = moments.milliseconds(now)
    query = Pulse(until - PULSE // MILLISECOND, until, settings.INGEST_MAX_FUTURE // MILLISECOND, subset_of(scope))
    return _counts(PULSE.total_seconds(), _run(query).rows[0])


def newest_arrival(now: datetime) -> datetime | None:
    """When the newest event was accepted, if that was in the last 15 minutes."""
    newest = int(_run(NewestArrival(moments.milliseconds(now - ARRIVALS_WATCHED))).rows[0][0])
    return datetime.fromtimestamp(newest / 1000, UTC) if newest else None


def newest_hour() -> datetime | None:
    """The start of the latest hour of use with an event in it; None if there has never been an event."""
    newest = int(_run(NewestHour()).rows[0][0])
    return datetime.fromtimestamp(newest, UTC) if newest else None


def live_recent(scope: LiveScope, minutes: int, now: datetime) -> LivePoint:
    """The current minute so far and the `minutes` whole ones before it, with latencies."""
    start = now.replace(second=0, microsecond=0) - timedelta(minutes=minutes)
    piece = Piece("minute", moments.seconds(start), moments.seconds(now) + 1)
    return _point(start, now, _run(Totals(_dated((piece,)), subset_of(scope))).rows[0])


def live_day(scope: LiveScope, now: datetime) -> LiveCounts:
    """Since midnight UTC."""
    return live_totals(scope, now.replace(hour=0, minute=0, second=0, microsecond=0), now)


def live_totals(scope: LiveScope, start: datetime, end: datetime) -> LiveCounts:
    """Counts alone, of `[start, end)` on whole minutes; the minute that an `end` of now lies in counts as far as it has come."""
    if end <= start:
        return LiveCounts(1.0)
    row = _run(Totals(_pieces(start, end), subset_of(scope), ())).rows[0]
    return _counts((end - start).total_seconds(), row)


def live_series(scope: LiveScope, start: datetime, step: timedelta, now: datetime) -> list[LivePoint]:
    """Points of `step` from `start` (on a whole step) to `now`, one for every step: those without requests are zero.

    Steps of whole hours and days read rollups of these. An end within a minute counts that minute as far as it has come.
    """
    query = Series(pieces_of(start, step, now), int(step.total_seconds()), subset_of(scope))
    found = {int(row[0]): row[2:] for row in _run(query).rows}
    return [_point(begin, end, found.get(moments.seconds(begin))) for begin, end in steps_of(start, step, now)]


def live_group_series(
    scope: LiveScope,
    start: datetime,
    step: timedelta,
    now: datetime,
    *,
    group: str,
    only: Sequence[str] | None = None,
    latencies: Sequence[str] = (),
) -> dict[str, list[LivePoint]]:
    """As `live_series`, for each value of `group` (`only`: of these). Latencies are those named alone: each
    costs for every step and value."""
    chosen = None if only is None else tuple(only)
    if chosen == ():
        return {}
    query = Series(
        pieces_of(start, step, now), int(step.total_seconds()), subset_of(scope), tuple(latencies), group, chosen
    )
    found: dict[str, dict[int, Any]] = {}
    for begin, name, *figures in _run(query).rows:
        found.setdefault(str(name), {})[int(begin)] = tuple(figures)
    steps = steps_of(start, step, now)
    return {
        name: [_point(begin, end, rows.get(moments.seconds(begin)), latencies) for begin, end in steps]
        for name, rows in found.items()
    }


def live_breakdown(
    scope: LiveScope,
    start: datetime,
    step: timedelta,
    now: datetime,
    *,
    group: str,
    latency: str | Sequence[str],
    limit: int = GROUP_LIMIT,
) -> list[LiveGroup]:
    """The busiest `limit` models, tenants, tiers, regions or clusters in `[start, now)`, with one latency or several (or none: '').

    Raises ValueError for another group or latency. `step` is the window's and says nothing here.
    """
    wanted = (latency,) if isinstance(latency, str) and latency else tuple(latency)
    tiles, subset = _pieces(start, now), subset_of(scope)
    seconds = (now - start).total_seconds()
    busiest = _run(Breakdown(tiles, group, limit, subset)).rows
    names = tuple(str(row[0]) for row in busiest)
    measured: dict[str, dict[str, Quantiles | None]] = {}
    if wanted and names:
        # Sums are nearly free and sketches are not: so those of the busiest alone are merged.
        for name, *figures in _run(Breakdown(tiles, group, limit, subset, wanted, names)).rows:
            measured[str(name)] = dict(zip(wanted, map(_quantiles, figures[len(COUNTS) :]), strict=True))
    return [_group(str(row[0]), _counts(seconds, row[1:]), measured.get(str(row[0]), {}), wanted) for row in busiest]


def token_record(now: datetime) -> tuple[date, int] | None:
    """The day before today with the most tokens, input and output together; None if there was none."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    rows = _run(TokenRecord(moments.seconds(midnight))).rows
    return (datetime.fromtimestamp(int(rows[0][0]), UTC).date(), int(rows[0][1])) if rows else None


def models_seen(since: datetime, tenant: str | None = None) -> list[str]:
    """Since the day of `since`, in order."""
    return [str(row[0]) for row in _run(NamesSeen("model", moments.seconds(since), tenant)).rows]


def names_seen(dimension: str, since: datetime) -> list[str]:
    """The values that requests have had since the day of `since`, in order, without ''. Raises ValueError for an unknown dimension."""
    return [str(row[0]) for row in _run(NamesSeen(dimension, moments.seconds(since))).rows]


def _grain(step: timedelta) -> str:
    if step % timedelta(hours=1):
        return "minute"
    return "hour" if step % timedelta(days=1) else "day"


def pieces_of(start: datetime, step: timedelta, end: datetime) -> tuple[Piece, ...]:
    """Of the step's grain, up to where the end cuts a row of it in two: from there in finer ones."""
    grain, from_s, until_s = _grain(step), moments.seconds(start), moments.seconds(end)
    if _nothing_is_later(end):
        return _dated((Piece(grain, from_s, until_s + 1),))
    whole = max(from_s, until_s // GRAINS[grain] * GRAINS[grain])
    rest = _pieces(datetime.fromtimestamp(whole, UTC), end)
    return _dated((Piece(grain, from_s, whole), *rest)) if whole > from_s else rest


def _pieces(start: datetime, end: datetime) -> tuple[Piece, ...]:
    from_s, until_s = moments.seconds(start), moments.seconds(end)
    until_s += 1 if until_s % 60 or end.microsecond else 0
    from_s = from_s // 60 * 60
    found = pieces(from_s, until_s, open_ended=_nothing_is_later(end))
    return _dated(found or (Piece("minute", from_s, from_s),))


def _dated(found: tuple[Piece, ...]) -> tuple[Piece, ...]:
    since = moments.seconds(datetime.now(UTC)) - RECENT_S
    return tuple(replace(piece, recent=piece.from_s >= since) for piece in found)


def _nothing_is_later(end: datetime) -> bool:
    """What ends now or later: its hour and its day may be taken whole."""
    return end >= datetime.now(UTC) - timedelta(seconds=5)


def steps_of(start: datetime, step: timedelta, now: datetime) -> list[tuple[datetime, datetime]]:
    count = -((start - now) // step)
    edges = [*(start + number * step for number in range(count)), now]
    return [(begin, end) for begin, end in pairwise(edges) if end > begin]


def subset_of(scope: LiveScope) -> Subset:
    return Subset(scope.tenant, scope.model, scope.tier, scope.region, scope.cluster)


def _run(query: client.Query) -> client.Result:
    return client.run(query, timeout_s=TIMEOUT_S)


def _counts(seconds: float, row: Sequence[Any]) -> LiveCounts:
    found = {name: int(value) for name, value in zip(COUNTS, row, strict=False)}
    return LiveCounts(max(seconds, 1.0), **found)


def _group(name: str, counts: LiveCounts, measured: dict[str, Quantiles | None], wanted: tuple[str, ...]) -> LiveGroup:
    shown = {latency: value for latency, value in measured.items() if latency in LATENCIES}
    return LiveGroup(name, counts, measured.get(wanted[0]) if wanted else None, **shown)


def _point(
    start: datetime, end: datetime, row: Sequence[Any] | None, latencies: Sequence[str] = LATENCIES
) -> LivePoint:
    seconds = (end - start).total_seconds()
    if row is None:
        return LivePoint(start, end, LiveCounts(max(seconds, 1.0)))
    measured = dict(zip(latencies, map(_quantiles, row[len(COUNTS) :]), strict=True))
    return LivePoint(start, end, _counts(seconds, row), **measured)


def _quantiles(values: Any) -> Quantiles | None:
    """The sketch of nothing answers NaN, which is not a latency."""
    if any(value != value for value in values):  # noqa: PLR0124 - true for NaN alone
        return None
    return Quantiles(*(float(value) for value in values))
