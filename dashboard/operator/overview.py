"""What the overview shows, read once for everybody who looks at the same filters: the parts that move every second for one second,
the history for as long as its range allows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from dashboard.operator import state_reading, today
from dashboard.operator.before import series_before
from dashboard.operator.filters import Filters, Option, Window
from dashboard.operator.overview_fleet import FleetHistory, FleetNow, fleet_history, fleet_now, fleet_then
from dashboard.operator.overview_fleet import at_hand as fleet_at_hand
from dashboard.operator.shelf import SHELF
from dashboard.operator.state import Signals
from dashboard.operator.together import Gather, InTime, nothing, together
from metering.public import (
    GpuPoint,
    LiveCounts,
    LiveGroup,
    LivePoint,
    LiveScope,
    ObjectiveState,
    latest_seal,
    live_breakdown,
    live_day,
    live_pulse,
    live_recent,
    live_series,
    live_totals,
    newest_arrival,
    newest_hour,
    objective_states,
    token_record,
)

LATENCIES = {"ttft": "Time to first token", "tpot": "Time per output token", "e2e": "End to end"}
LATENCY = Option("latency", "Latency in tables", LATENCIES, "ttft")
RECENT_MINUTES = 5
PULSE_FRESH_S = 0.9
GLANCE_FRESH_S = 10.0
NOISY_BELOW_S = 60.0
RECORD_FRESH_S, OBJECTIVES_FRESH_S, BEFORE_FRESH_S = 600.0, 9.0, 9.0
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Freshness:
    """Over all tenants. `newest` is None if nothing arrived in the last 15 minutes; `ever` is False before the first event."""

    newest: datetime | None
    ever: bool
    sealed_until: datetime | None


@dataclass(frozen=True)
class Now:
    """The last minute from raw events, the last five with latencies, and the day so far."""

    at: datetime
    pulse: LiveCounts
    recent: LivePoint
    today: LiveCounts


@dataclass(frozen=True)
class Before:
    """The same minutes and the same part of the day, one range earlier (a day earlier, of the day)."""

    recent: LivePoint
    today: LiveCounts
    gpus: GpuPoint | None


@dataclass(frozen=True)
class History:
    """`before`: the series of the range before, moved to lie over this one; None unless it was asked for."""

    points: list[LivePoint]
    models: list[LiveGroup]
    tenants: list[LiveGroup]
    before: list[LivePoint] | None = None


@dataclass(frozen=True)
class Overview:
    """What is None has not been read yet, or was not asked for."""

    filters: Filters
    at: datetime
    freshness: Freshness
    now: Now | None = None
    fleet: FleetNow | None = None
    history: History | None = None
    fleet_history: FleetHistory | None = None
    before: Before | None = None
    state: Signals | None = None
    record: tuple[date, int] | None = None
    objectives: Sequence[ObjectiveState] = ()
    money: today.Money | None = None

    @property
    def points(self) -> list[LivePoint]:
        """The series up to this second. A last step of under a minute is too short for a rate: the last minute's stands in."""
        if self.history is None:
            return []
        if not self.filters.window(self.at).live:
            return self.history.points
        whole = [point for point in self.history.points if point.counts.seconds >= NOISY_BELOW_S]
        last = self.history.points[-1]
        if self.now is None or (whole and whole[-1] is last):
            return whole
        return [*whole, replace(last, end=self.now.at, counts=self.now.pulse)]


def glance(filters: Filters) -> Overview:
    """As `read`, but some seconds old if that is at hand, and with what is there in time alone: a page is to be there at once, and hears
    better by the stream within a second."""
    in_time, fresh_s = InTime(), max(filters.refresh_s, GLANCE_FRESH_S)
    found: Overview
    found, now, fleet_there = in_time(
        lambda: _said(filters, glance=True),
        lambda: _now_kept(filters.scope),
        lambda: fleet_now(filters, glance=True),
    )
    found = replace(found, at=now.at if now else found.at, now=now, fleet=fleet_there)
    at_hand = SHELF.at_hand(("overview-history", filters), fresh_s) and fleet_at_hand(filters)
    gather: Gather = together if at_hand else in_time
    _, history, fleet = gather(nothing, lambda: _history_kept(filters, fresh_s), lambda: fleet_history(filters))
    return replace(found, history=history, fleet_history=fleet)


def read(filters: Filters) -> Overview:
    """Raises ClickHouseUnavailable or ClickHouseRefused if the figures cannot be read."""

    def first() -> Overview:
        now = _now_kept(filters.scope)
        return replace(_said(filters), at=now.at, now=now)

    found: Overview
    found, fleet = together(first, lambda: fleet_now(filters))
    return replace(
        found,
        fleet=fleet,
        history=_history_kept(filters, filters.refresh_s),
        fleet_history=fleet_history(filters),
        before=_before(filters, found.at) if filters.compare else None,
    )


def _said(filters: Filters, *, glance: bool = False) -> Overview:
    """What is told of the service, and what PostgreSQL knows. `glance`: also with what is said of all that is some seconds old."""
    scope = filters.scope
    freshness = SHELF.kept("overview-freshness", GLANCE_FRESH_S if glance else PULSE_FRESH_S, _freshness)
    return Overview(
        filters,
        datetime.now(UTC),
        freshness,
        state=state_reading.signals(scope, freshness.newest, ever=freshness.ever, glance=glance),
        record=SHELF.kept("token-record", RECORD_FRESH_S, lambda: token_record(datetime.now(UTC))),
        objectives=SHELF.kept("objectives", OBJECTIVES_FRESH_S, lambda: objective_states(datetime.now(UTC))),
        money=today.money(filters.tenant),
    )


def _now_kept(scope: LiveScope) -> Now:
    return SHELF.kept(("overview-now", scope), PULSE_FRESH_S, lambda: _now(scope))


def _now(scope: LiveScope) -> Now:
    at = datetime.now(UTC)
    return Now(
        at,
        *together(
            lambda: live_pulse(scope, at), lambda: live_recent(scope, RECENT_MINUTES, at), lambda: live_day(scope, at)
        ),
    )


def _freshness() -> Freshness:
    newest, seal = newest_arrival(datetime.now(UTC)), latest_seal()
    return Freshness(newest, newest is not None or newest_hour() is not None, seal.watermark if seal else None)


def _before(filters: Filters, now: datetime) -> Before:
    window = filters.window(now)
    then = now - (window.start - window.previous.start)

    def taken() -> Before:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return Before(
            live_recent(filters.scope, RECENT_MINUTES, then),
            live_totals(filters.scope, midnight - DAY, now - DAY),
            fleet_then(filters, then),
        )

    return SHELF.kept(("overview-before", filters), max(filters.refresh_s, BEFORE_FRESH_S), taken)


def _history_kept(filters: Filters, fresh_s: float) -> History:
    return SHELF.kept(("overview-history", filters), fresh_s, lambda: _history(filters))


def _history(filters: Filters) -> History:
    window, scope = filters.window(datetime.now(UTC)), filters.scope
    latency = f"{filters.option(LATENCY)}_ms"

    def breakdown(group: str) -> list[LiveGroup]:
        return live_breakdown(scope, window.start, window.step, window.end, group=group, latency=latency)

    return History(
        *together(
            lambda: live_series(scope, window.start, window.step, window.end),
            lambda: breakdown("model"),
            lambda: breakdown("tenant"),
            lambda: _earlier(filters, window) if filters.compare else None,
        )
    )


def _earlier(filters: Filters, window: Window) -> list[LivePoint]:
    """The series of the range before, at the times of this one."""
    back = window.previous
    moved = window.start - back.start
    points = series_before(filters.scope, window)
    # The last one ends within a step, whose rows are of the whole step.
    whole = [point for point in points if point.end - point.start == back.step]
    return [replace(point, start=point.start + moved, end=point.end + moved) for point in whole]
