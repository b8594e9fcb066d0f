"""What the page of one customer reads, each part once for all who look at the same."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from billing.contracts import CostRow, MarginReport
from billing.public import costed_usage, margin_report
from dashboard.operator import tenants_read
from dashboard.operator.aside import ASIDE
from dashboard.operator.filters import Filters
from dashboard.operator.hours import Hours, hours_of
from dashboard.operator.shelf import SHELF
from dashboard.operator.together import together
from metering.public import (
    EnergyPoint,
    EnergyReport,
    LivePoint,
    LiveScope,
    TenantLatency,
    TenantPart,
    TenantUsage,
    TenantWindow,
    energy_report_asked,
    energy_series_asked,
    energy_settled,
    live_series,
    tenant_latencies,
    tenant_parts,
    tenant_usage,
)

SCOPE = ("region", "cluster", "model", "tier")
PARTS = ("model", "tier")
MONEY_FRESH_S, MONEY_TRUE_S, ENERGY_FRESH_S = 60.0, 900.0, 10.0


@dataclass(frozen=True)
class Used:
    """What it used in the window and before, what latency it saw, and both by model and tier."""

    window: TenantWindow
    usage: TenantUsage | None
    latency: TenantLatency
    own: list[LivePoint]
    everybodys: list[LivePoint]
    parts: dict[str, list[TenantPart]]


@dataclass(frozen=True)
class Drew:
    """Energy and GPU time of the settled hours: its own by model and tier, over time by model, and its share of everything there was.
    `by_place` None: nothing is settled, or it is not `known` yet."""

    hours: Hours
    by_place: EnergyReport | None
    points: list[EnergyPoint]
    capacity: list[EnergyPoint]
    known: bool = True


@dataclass(frozen=True)
class Earned:
    """Of the settled hours: revenue less costs, in all and by model; and revenue by project."""

    total: MarginReport
    projects: list[CostRow]


def used(filters: Filters, key: str, now: datetime) -> Callable[[], Used]:
    """For any thread."""

    def read() -> Used:
        window = tenants_read.window_of(filters, now)
        scope, step = _scope(filters, key), tenants_read.step_of(filters, window, now)
        usages, latency, own, everybodys, *parts = together(
            lambda: tenant_usage(scope, window),
            lambda: tenant_latencies(scope, window, [key]).get(key, TenantLatency()),
            lambda: live_series(scope, window.start, step, window.end),
            lambda: live_series(_scope(filters, None), window.start, step, window.end),
            *(partial(tenant_parts, scope, window, name) for name in PARTS),
        )
        return Used(window, next(iter(usages), None), latency, own, everybodys, dict(zip(PARTS, parts, strict=True)))

    return partial(SHELF.kept, ("tenant-used", key, _plain(filters)), tenants_read.fresh(filters), read)


def drew(filters: Filters, key: str, now: datetime) -> Drew:
    def read() -> Drew:
        hours = hours_of(filters, energy_settled().hour, now)
        if hours.empty:
            return Drew(hours, None, [], [])
        narrowed, step, span = only(filters), tenants_read.energy_step(hours), (hours.start, hours.end)
        own = narrowed | {"tenant": key}
        by_place, points, capacity = together(
            energy_report_asked(*span, group_by=PARTS, only=own),
            energy_series_asked(*span, step, group="model", only=own),
            energy_series_asked(*span, step, group="tenant", only=narrowed, named=[key]),
        )
        return Drew(hours, by_place, points, capacity)

    return SHELF.kept(_place(filters, key), _energy_fresh(filters), read)


def drew_at_hand(filters: Filters, key: str, now: datetime) -> Drew:
    """The same if it need not be read."""
    if SHELF.at_hand(_place(filters, key), _energy_fresh(filters)):
        return drew(filters, key, now)
    return Drew(hours_of(filters, energy_settled().hour, now), None, [], [], known=False)


def _place(filters: Filters, key: str) -> tuple[str, str, Filters]:
    return "tenant-drew", key, _plain(filters)


def _energy_fresh(filters: Filters) -> float:
    return max(tenants_read.fresh(filters), ENERGY_FRESH_S)


def earned(key: str, hours: Hours) -> Earned | None:
    """None while it is being added up."""

    def read() -> Earned:
        total = margin_report(hours.start, hours.end, window="total", tenant=key, group_by=("model",))
        projects = costed_usage(hours.start, hours.end, tenant=key, group_by=("project",), window="total")
        return Earned(total, projects)

    return ASIDE.latest(("tenant-earned", key, hours), MONEY_FRESH_S, MONEY_TRUE_S, read)


def _scope(filters: Filters, key: str | None) -> LiveScope:
    return LiveScope(key, *(getattr(filters, name) or None for name in ("model", "tier", "region", "cluster")))


def only(filters: Filters) -> dict[str, str]:
    return {name: getattr(filters, name) for name in SCOPE if getattr(filters, name)}


def _plain(filters: Filters) -> Filters:
    return replace(tenants_read.plain(filters), tenant="")
