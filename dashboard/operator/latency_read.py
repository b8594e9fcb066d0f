"""What the latency page reads, each part once for all who look at the same: from rollups, from the counts of objectives, and the slowest
requests by the cells that they lie in."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from dashboard.operator.before import series_before
from dashboard.operator.filters import SCOPE, Filters, Option, Window
from dashboard.operator.shelf import SHELF
from metering.public import (
    HistogramPoint,
    LiveGroup,
    LivePoint,
    LiveScope,
    ObjectiveState,
    ObjectiveStep,
    SlowRequest,
    live_breakdown,
    live_histogram,
    live_recent,
    live_series,
    newest_hour,
    objective_states,
    objectives_steps,
    slow_requests,
)

T = TypeVar("T")
MEASURES = {"ttft": "Time to first token", "tpot": "Time per output token", "e2e": "End to end"}
GROUPS = {"model": "Model", "tenant": "Customer", "tier": "Tier", "region": "Region", "cluster": "Cluster"}
MEASURE = Option("measure", "Spread and slowest by", MEASURES, "ttft")
GROUP = Option("by", "Table by", GROUPS, "model")
LATENCIES = ("ttft_ms", "tpot_ms", "e2e_ms")
RECENT_MINUTES = 5
RECENT_FRESH_S = 0.9
# Objectives are counted a few times a minute, and the slowest of a long range do not change by the second either.
COUNTED_FRESH_S = 5.0
SLOWEST_FRESH_S = 1.9
SHORTEST_BURN = timedelta(minutes=5)  # the burn rate of one minute is noise
MOST_SLOW = 20


@dataclass(frozen=True)
class Objectives:
    """Those that the filters do not rule out, with the counts behind a chart of their burn rates."""

    states: list[ObjectiveState]
    defined: int  # of all
    steps: dict[str, list[ObjectiveStep]]
    trailing: int


@dataclass(frozen=True)
class Series:
    """`before`: the same of the period before, empty without a comparison; so in Groups."""

    points: list[LivePoint]
    before: list[LivePoint]


@dataclass(frozen=True)
class Groups:
    rows: list[LiveGroup]
    before: list[LiveGroup]


def measure_of(filters: Filters) -> str:
    """The column that is chosen for the spread and the slowest requests."""
    return f"{filters.option(MEASURE)}_ms"


def recent(scope: LiveScope, now: datetime) -> LivePoint:
    return SHELF.kept(("latency-recent", scope), RECENT_FRESH_S, lambda: live_recent(scope, RECENT_MINUTES, now))


@dataclass(frozen=True)
class Reader:
    """The page's history, each part kept by what it depends on, so that another table or measure reads itself alone."""

    filters: Filters
    now: datetime

    def series(self) -> Series:
        def read() -> Series:
            window, scope = self._window, self.filters.scope
            points = live_series(scope, window.start, window.step, window.end)
            return Series(points, series_before(scope, window) if self.filters.compare else [])

        return SHELF.kept(("latency-series", replace(self.filters, options=())), self.filters.refresh_s, read)

    def groups(self) -> Groups:
        group = self.filters.option(GROUP)

        def read() -> Groups:
            window, scope = self._window, self.filters.scope
            earlier = _groups(scope, window.previous, group) if self.filters.compare else []
            return Groups(_groups(scope, window, group), earlier)

        return self._kept(("latency-groups", replace(self.filters, options=()), group), read)

    def spread(self, of: str) -> list[HistogramPoint]:
        """Of a latency or a length."""

        def read() -> list[HistogramPoint]:
            window = self._window
            return live_histogram(self.filters.scope, window.start, window.step, window.end, of)

        return self._kept(("latency-spread", self._alone, of), read)

    def slowest(self) -> list[SlowRequest]:
        measure = measure_of(self.filters)

        def read() -> list[SlowRequest]:
            window = self._window
            # An end of now holds its minute whole: a request may be dated a little ahead of its arrival.
            end = window.end.replace(second=0, microsecond=0) + timedelta(minutes=1) if window.live else window.end
            return slow_requests(self.filters.scope, window.start, end, measure, MOST_SLOW)

        return self._kept(("latency-slowest", self._alone, measure), read, SLOWEST_FRESH_S)

    @property
    def _window(self) -> Window:
        return self.filters.window(self.now)

    @property
    def _alone(self) -> Filters:
        return replace(self.filters, compare="", options=())

    def _kept(self, key: Hashable, read: Callable[[], T], least_s: float = 0.0) -> T:
        return SHELF.kept(key, max(self.filters.refresh_s, least_s), read)


def ever() -> bool:
    """Whether there has been a request at all."""
    return SHELF.kept("latency-ever", COUNTED_FRESH_S, lambda: newest_hour() is not None)


def objectives(filters: Filters, now: datetime) -> Objectives:
    def read() -> Objectives:
        states = objective_states(now)
        shown = [state for state in states if _concerns(state, filters)]
        window = filters.window(now)
        trailing = max(-(-SHORTEST_BURN // window.step), 1)
        start = window.start - (trailing - 1) * window.step
        # Only what is counted: a step that goes on beyond it would be a gap that is none.
        end = min([window.end, *(state.as_of for state in shown if state.as_of)])
        names = [state.name for state in shown]
        steps = objectives_steps(names, start, window.step, end) if end > start and names else {}
        return Objectives(shown, len(states), steps, trailing)

    alone = replace(filters, compare="", options=())
    return SHELF.kept(("latency-objectives", alone), max(filters.refresh_s, COUNTED_FRESH_S), read)


def covers(state: ObjectiveState, filters: Filters) -> bool:
    """Whether all that the filters let through is in the objective's scope, so that its threshold may be drawn across a chart of it."""
    return all(getattr(state.scope, name) in {None, getattr(filters, name)} for name in SCOPE)


def _concerns(state: ObjectiveState, filters: Filters) -> bool:
    """Whether any of it may be."""
    return all(
        not getattr(state.scope, name) or getattr(filters, name) in {"", getattr(state.scope, name)} for name in SCOPE
    )


def _groups(scope: LiveScope, window: Window, group: str) -> list[LiveGroup]:
    return live_breakdown(scope, window.start, window.step, window.end, group=group, latency=LATENCIES)


def moment() -> datetime:
    return datetime.now(UTC)
