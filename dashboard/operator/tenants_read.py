"""What the pages of customers read, each part once for all who look at the same."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.contracts import MarginReport, MarginRow
from billing.public import margin_report
from dashboard.operator.filters import Filters
from dashboard.operator.hours import DAY, HOUR, Hours, hours_of
from dashboard.operator.shelf import SHELF
from dashboard.operator.together import together
from metering.public import (
    ENERGY_OTHERS,
    EnergyPoint,
    TenantStep,
    TenantUsage,
    TenantWindow,
    energy_series,
    energy_series_asked,
    energy_settled,
    tenant_steps,
    tenant_usage,
    tenants_found,
)

CHARTED = 7
FOUND_AT_MOST = 500
FRESH_S, ENERGY_FRESH_S, MONEY_FRESH_S = 1.9, 10.0, 60.0
BY_DAY_FROM, BY_HOUR_FROM = timedelta(days=7), timedelta(hours=24)
TENANT_HOURS_UP_TO = timedelta(days=2)
SCOPE = ("region", "cluster", "model", "tier", "tenant")


@dataclass(frozen=True)
class Counted:
    """Usage of the window, and energy of its settled hours: one point a customer, and one for each label of what is nobody's; none if
    nothing is settled in the range."""

    window: TenantWindow
    hours: Hours
    usages: tuple[TenantUsage, ...]
    energy: tuple[EnergyPoint, ...]

    @property
    def drawn(self) -> dict[str, EnergyPoint]:
        """By tenant."""
        return {one.value: one for one in self.energy if not one.label}


def window_of(filters: Filters, now: datetime) -> TenantWindow:
    """Which rollup says it: minutes below a day, hours below a week, and whole days (with today so far) from there on."""
    window = filters.window(now)
    if window.end - window.start >= BY_DAY_FROM:
        return TenantWindow(window.start.replace(hour=0, minute=0), _ceil(window.end, DAY, now), "day")
    if window.end - window.start >= BY_HOUR_FROM:
        return TenantWindow(window.start.replace(minute=0), _ceil(window.end, HOUR, now), "hour")
    return TenantWindow(window.start, window.end, "minute")


def step_of(filters: Filters, window: TenantWindow, now: datetime) -> timedelta:
    """Of charts of usage."""
    return {"day": DAY, "hour": HOUR}.get(window.grain) or filters.window(now).step


def energy_step(hours: Hours) -> timedelta:
    """By customer, energy is added up by the day; hour by hour it is read for two days at most."""
    return DAY if hours.start.hour == 0 and hours.end - hours.start > TENANT_HOURS_UP_TO else HOUR


def steps(start: datetime, end: datetime, step: timedelta) -> list[datetime]:
    return [start + number * step for number in range(-((start - end) // step))]


def only(filters: Filters) -> dict[str, str]:
    return {name: getattr(filters, name) for name in SCOPE if getattr(filters, name)}


def settled_hours(filters: Filters, now: datetime) -> Hours:
    return hours_of(filters, energy_settled().hour, now)


def counted(filters: Filters, hours: Hours, now: datetime) -> Callable[[], Counted]:
    """For any thread: what PostgreSQL has to say is asked now. `hours`: of `settled_hours`."""

    def ask() -> Callable[[], Counted]:
        length = hours.end - hours.start
        energy = (
            _no_points
            if hours.empty
            else energy_series_asked(hours.start, hours.end, length, group="tenant", only=only(filters))
        )

        def read() -> Counted:
            window = window_of(filters, now)
            usages, points = together(lambda: tenant_usage(filters.scope, window), energy)
            return Counted(window, hours, tuple(usages), tuple(points))

        return read

    return SHELF.asked(("tenants", plain(filters), hours), fresh(filters), ask)


def _no_points() -> list[EnergyPoint]:
    return []


def money(hours: Hours, keys: Sequence[str] = ()) -> MarginReport | None:
    """By customer: of these, or of all; whatever they used, for a price knows nothing of clusters. None: nothing is settled yet."""
    if hours.empty:
        return None

    def read() -> MarginReport:
        return margin_report(hours.start, hours.end, window="total", group_by=("tenant",), tenants=keys)

    return SHELF.kept(("tenants-money", hours, tuple(keys)), MONEY_FRESH_S, read)


def token_steps(filters: Filters, found: Counted, now: datetime) -> list[TenantStep]:
    """Of the customers with the most tokens, the others together."""
    named = [one.tenant for one in found.usages[:CHARTED] if one.tokens]
    step = step_of(filters, found.window, now)
    key = ("tenants-steps", plain(filters))
    return SHELF.kept(key, fresh(filters), lambda: tenant_steps(filters.scope, found.window, step, named))


def capacity(filters: Filters, found: Counted) -> list[EnergyPoint]:
    """Of the customers with the most GPU time, the others together, and what is nobody's."""
    if not found.energy:
        return []
    drawn, hours = found.drawn, found.hours
    named = sorted(drawn, key=lambda key: (-drawn[key].gpu_hours, key))[:CHARTED] or [ENERGY_OTHERS]

    def read() -> list[EnergyPoint]:
        step = energy_step(hours)
        return energy_series(hours.start, hours.end, step, group="tenant", only=only(filters), named=named)

    return SHELF.kept(("tenants-capacity", plain(filters)), slow_fresh(filters), read)


def capacity_at_hand(filters: Filters) -> bool:
    return SHELF.at_hand(("tenants-capacity", plain(filters)), slow_fresh(filters))


def listed(found: Counted, text: str, place: Callable[[str], Any]) -> list[str]:
    """The keys of all customers with usage or energy, or of those found by a part of their key or name, in order."""
    keys = {one.tenant for one in found.usages} | set(found.drawn)
    if text:
        keys = {info.key for info in tenants_found(text, FOUND_AT_MOST)} | {
            key for key in keys if text.lower() in key.lower()
        }
    return sorted(sorted(keys), key=place)


def order(sort: str, found: Counted, rows: Mapping[str, MarginRow]) -> Callable[[str], Any]:
    """The largest first; those of whom it is not known last. `rows`: what is known of their money."""
    usages, drawn = {one.tenant: one for one in found.usages}, found.drawn
    values: dict[str, Callable[[str], Any]] = {
        "tokens": lambda key: usages[key].tokens,
        "requests": lambda key: usages[key].counts.requests,
        "growth": lambda key: usages[key].growth,
        "errors": lambda key: usages[key].counts.error_ratio,
        "gpu": lambda key: drawn[key].gpu_hours,
        "energy": lambda key: drawn[key].kwh,
        "revenue": lambda key: max((one.revenue for one in rows[key].amounts if one.revenue is not None), default=None),
        "margin": lambda key: rows[key].margin,
    }

    def place(key: str) -> tuple[bool, Any]:
        try:
            value = values[sort](key)
        except KeyError:
            value = None
        return (True, 0) if value is None else (False, -value)

    return str.lower if sort == "name" else place


def plain(filters: Filters) -> Filters:
    """Without the options of one page."""
    return replace(filters, options=(), compare="")


def fresh(filters: Filters) -> float:
    return max(filters.refresh_s, FRESH_S)


def slow_fresh(filters: Filters) -> float:
    return max(fresh(filters), ENERGY_FRESH_S)


def _ceil(moment: datetime, step: timedelta, now: datetime) -> datetime:
    seconds = int(step.total_seconds())
    return min(datetime.fromtimestamp(-(-moment.timestamp() // seconds) * seconds, UTC), now)
