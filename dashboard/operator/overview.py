"""What the overview shows, read once for everybody who looks at the same filters.

Readings are kept in this process: the parts that move every second for one second, the history for as long as its range
allows. A second request for something that is being read waits for that reading instead of starting another.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from dashboard.operator.filters import Filters
from metering.public import (
    LiveCounts,
    LiveGroup,
    LivePoint,
    LiveScope,
    latest_seal,
    live_breakdown,
    live_day,
    live_pulse,
    live_recent,
    live_series,
    models_seen,
    newest_arrival,
    newest_hour,
    tenants,
)

T = TypeVar("T")
RECENT_MINUTES = 5
PULSE_FRESH_S = 0.9
CHOICES_FRESH_S = 30.0
TENANTS_OFFERED = 500  # beyond it the table of customers and the address lead to one
SLOW_FROM_S = 1.5  # a history that may be older than this is one that takes long to read
KEPT_S = 120.0
NOISY_BELOW_S = 60.0


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
class History:
    points: list[LivePoint]
    models: list[LiveGroup]
    tenants: list[LiveGroup]


@dataclass(frozen=True)
class Overview:
    filters: Filters
    now: Now
    freshness: Freshness
    history: History | None  # None: not read yet

    @property
    def points(self) -> list[LivePoint]:
        """The series up to this second. A last step of under a minute is too short for a rate: the last minute's stands in."""
        if self.history is None:
            return []
        whole = [point for point in self.history.points if point.counts.seconds >= NOISY_BELOW_S]
        last = self.history.points[-1]
        if whole and whole[-1] is last:
            return whole
        return [*whole, replace(last, end=self.now.at, counts=self.now.pulse)]


@dataclass(frozen=True)
class Choices:
    """What the filters offer: tenants as (key, name), models by name. What is chosen now is always among them."""

    tenants: list[tuple[str, str]]
    models: list[str]


@dataclass
class _Shelf:
    lock: threading.Lock = field(default_factory=threading.Lock)
    asked_at: float = 0.0
    read_at: float = float("-inf")
    value: Any = None


class OverviewReader:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shelves: dict[Any, _Shelf] = {}

    def glance(self, filters: Filters) -> Overview:
        """As `read`, but without a history that takes long and is not at hand: a page is to be there at once."""
        if filters.span.refresh_s < SLOW_FROM_S or self._at_hand(("history", filters), filters.span.refresh_s):
            return self.read(filters)
        return replace(self._read(filters), history=None)

    def read(self, filters: Filters) -> Overview:
        """Raises ClickHouseUnavailable or ClickHouseRefused if the figures cannot be read."""
        history = self._kept(("history", filters), filters.span.refresh_s, lambda: _history(filters))
        return replace(self._read(filters), history=history)

    def _read(self, filters: Filters) -> Overview:
        scope = filters.scope
        now = self._kept(("now", scope), PULSE_FRESH_S, lambda: _now(scope))
        freshness = self._kept("freshness", PULSE_FRESH_S, _freshness)
        return Overview(filters, now, freshness, None)

    def _at_hand(self, key: Any, fresh_s: float) -> bool:
        with self._lock:
            shelf = self._shelves.get(key)
        return shelf is not None and time.monotonic() - shelf.read_at <= fresh_s

    def choices(self, filters: Filters) -> Choices:
        offered: Choices = self._kept("choices", CHOICES_FRESH_S, _choices)
        tenants, models = offered.tenants, offered.models
        if filters.tenant and filters.tenant not in dict(tenants):
            tenants = [(filters.tenant, filters.tenant), *tenants]
        if filters.model and filters.model not in models:
            models = [filters.model, *models]
        return Choices(tenants, models)

    def _kept(self, key: Any, fresh_s: float, read: Callable[[], T]) -> T:
        shelf = self._shelf(key)
        with shelf.lock:
            if time.monotonic() - shelf.read_at > fresh_s:
                started = time.monotonic()
                shelf.value = read()
                shelf.read_at = started
            return shelf.value  # type: ignore[no-any-return]

    def _shelf(self, key: Any) -> _Shelf:
        """One for each key; those that nobody has asked for in a while are let go."""
        asked = time.monotonic()
        with self._lock:
            self._shelves = {name: held for name, held in self._shelves.items() if held.asked_at > asked - KEPT_S}
            shelf = self._shelves.setdefault(key, _Shelf())
            shelf.asked_at = asked
            return shelf


def _choices() -> Choices:
    listed = [(info.key, info.name) for info in tenants()[:TENANTS_OFFERED]]
    return Choices(listed, models_seen(datetime.now(UTC) - timedelta(days=35)))


def _now(scope: LiveScope) -> Now:
    at = datetime.now(UTC)
    return Now(at, live_pulse(scope, at), live_recent(scope, RECENT_MINUTES, at), live_day(scope, at))


def _freshness() -> Freshness:
    newest, seal = newest_arrival(datetime.now(UTC)), latest_seal()
    return Freshness(newest, newest is not None or newest_hour() is not None, seal.watermark if seal else None)


def _history(filters: Filters) -> History:
    now, span, scope = datetime.now(UTC), filters.span, filters.scope
    start = span.start(now)

    def breakdown(group: str) -> list[LiveGroup]:
        return live_breakdown(scope, start, span.step, now, group=group, latency=f"{filters.latency}_ms")

    return History(live_series(scope, start, span.step, now), breakdown("model"), breakdown("tenant"))
