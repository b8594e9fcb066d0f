"""The page of power and energy: what the GPUs draw against their caps, what the counters say, whose it is, and what it costs."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dashboard import figures_energy as figures
from dashboard.figures import Figure
from dashboard.operator import energy_shift as shift
from dashboard.operator import energy_shown as shown
from dashboard.operator.filters import SCOPE, Filters, Option
from dashboard.operator.hours import DAY, Hours, hours_of
from dashboard.operator.pages import Ids, Page, Shown
from dashboard.operator.shelf import SHELF
from dashboard.operator.together import together
from metering.public import (
    ENERGY_OTHERS,
    ClusterPower,
    EnergyAmounts,
    EnergyConservation,
    EnergyHealth,
    EnergyPoint,
    EnergyReport,
    FleetRange,
    GpuPoint,
    clusters_now,
    energy_conservation,
    energy_health,
    energy_report_asked,
    energy_series,
    energy_series_asked,
    energy_settled,
    fleet_gpu_series,
)

BY = Option("by", "Energy by", {"model": "Model", "tenant": "Customer", "tier": "Tier", "cluster": "Cluster"}, "model")
RANGES = ("1h", "6h", "24h", "7d", "30d", "90d")
Power = tuple[list[GpuPoint], list[datetime]]  # by cluster and step, and the steps
PLACES = ("model", "tier", "cluster")  # the tables beside that of customers
CUSTOMERS_SHOWN = 25
TENANT_HOURS_UP_TO = timedelta(days=2)  # beyond it a customer's energy is drawn by the day
HEALTH = "energy-health"
FRESH_S, POWER_FRESH_S, NOW_FRESH_S = 10.0, 1.9, 4.9


@dataclass(frozen=True)
class Energy:
    """Of the settled hours. `before`: of the period before, if that was asked for."""

    hours: Hours
    settled: bool
    by_tenant: EnergyReport | None  # None: nothing is settled in the range
    by_place: EnergyReport | None
    points: list[EnergyPoint]
    models: list[EnergyPoint]
    before: EnergyAmounts | None


def _read(filters: Filters, ids: Ids) -> Shown:
    return _reading(filters, whole=True)


def _glance(filters: Filters, ids: Ids) -> Shown:
    """Without power over time, conservation, coefficients and what to shift, which come by the stream."""
    return _reading(filters, whole=SHELF.at_hand(HEALTH, FRESH_S))


def _reading(filters: Filters, *, whole: bool) -> Shown:
    now = datetime.now(UTC)
    plain = replace(filters, options=tuple(one for one in filters.options if one[0] == BY.name))
    found, clusters, power = together(
        lambda: SHELF.kept(("energy", plain), max(filters.refresh_s, FRESH_S), lambda: _energy(plain, now)),
        lambda: _clusters(now),
        lambda: _power(filters, now) if whole or _power_at_hand(filters) else None,
    )
    here = [one for one in _clusters(now, filters.region) if filters.cluster in {"", one.cluster}]
    health = SHELF.kept(HEALTH, FRESH_S, lambda: energy_health(now)) if whole else None
    conserved = _conserved(filters, found.hours) if whole else None
    context = _context(filters, found, health, here) | shift.context(filters, clusters, now, whole=whole)
    return Shown(now, context | {"conservation": shown.conservation(conserved)}, _figures(filters, found, power))


def _energy(filters: Filters, now: datetime) -> Energy:
    settled = energy_settled().hour
    hours = hours_of(filters, settled, now)
    if hours.empty:
        return Energy(hours, settled is not None, None, None, [], [], None)
    only, before = narrowed(filters), hours.previous
    span = (hours.start, hours.end)
    by_tenant, by_place, models, total_before = together(
        energy_report_asked(*span, group_by=("tenant",), only=only, largest=CUSTOMERS_SHOWN),
        energy_report_asked(*span, group_by=PLACES, only=only),
        energy_series_asked(*span, hours.step, group="model", only=only),
        energy_report_asked(before.start, before.end, only=only) if filters.compare else _nothing,
    )
    return Energy(
        hours,
        settled is not None,
        by_tenant,
        by_place,
        _points(filters, hours, by_tenant, models),
        models,
        total_before and total_before.total,
    )


def _nothing() -> None:
    return None


def _points(filters: Filters, hours: Hours, by_tenant: EnergyReport, models: list[EnergyPoint]) -> list[EnergyPoint]:
    """What the chart of energy shows."""
    group = filters.option(BY)
    if group == "model":
        return models
    if group != "tenant":
        return energy_series(hours.start, hours.end, hours.step, group=group, only=narrowed(filters))
    owned = sorted((row for row in by_tenant.rows if not row.label), key=lambda row: -row.amounts.kwh)
    named = [row.groups["tenant"] for row in owned if row.groups["tenant"] != ENERGY_OTHERS]
    return energy_series(
        hours.start,
        hours.end,
        tenant_step(hours),
        group="tenant",
        only=narrowed(filters),
        named=named[: figures.MOST_NAMED] or [ENERGY_OTHERS],
    )


def tenant_step(hours: Hours) -> timedelta:
    whole_days = hours.start.hour == 0 and hours.end - hours.start > TENANT_HOURS_UP_TO
    return DAY if whole_days else hours.step


def narrowed(filters: Filters) -> dict[str, str]:
    """The shared filters as a report takes them."""
    return {name: getattr(filters, name) for name in SCOPE if getattr(filters, name)}


def _clusters(now: datetime, region: str = "") -> list[ClusterPower]:
    """What GPUs draw now, of a region or of all."""
    return SHELF.kept(("energy-clusters", region), NOW_FRESH_S, lambda: clusters_now(now, region))


def _conserved(filters: Filters, hours: Hours) -> EnergyConservation | None:
    """None where the filters choose a part that no counter counts."""
    only = narrowed(filters)
    if hours.empty or {"tenant", "tier"} & set(only):
        return None
    key = ("energy-conserved", hours, tuple(only.items()))
    return SHELF.kept(key, max(filters.refresh_s, FRESH_S), lambda: energy_conservation(hours.start, hours.end, only))


def _power(filters: Filters, now: datetime) -> Power:
    window = filters.window(now)
    asked = FleetRange(window.start, window.end, window.step, ("cluster",), _of_gpus(filters))
    return SHELF.kept(_place(filters), _power_fresh(filters), lambda: (fleet_gpu_series(asked), window.steps))


def _power_at_hand(filters: Filters) -> bool:
    return SHELF.at_hand(_place(filters), _power_fresh(filters))


def _place(filters: Filters) -> Hashable:
    return "energy-power", filters.range, filters.start, filters.end, filters.region, filters.cluster


def _power_fresh(filters: Filters) -> float:
    return max(filters.refresh_s, POWER_FRESH_S)


def _of_gpus(filters: Filters) -> dict[str, str]:
    return {name: getattr(filters, name) for name in ("region", "cluster") if getattr(filters, name)}


def _context(filters: Filters, found: Energy, health: EnergyHealth | None, here: list[ClusterPower]) -> dict[str, Any]:
    page: dict[str, Any] = {
        "filters": filters,
        "by_label": (BY.choices or {})[filters.option(BY)].lower(),
        "end": found.hours.end,
        "start": found.hours.start,
        "settled": found.settled,
        "reading": health is None,
        "coefficients": shown.coefficients(health.coefficients) if health else [],
        "any": False,
        "power": bool(here),
        "tiles": shown.power_tiles(here),
    }
    report, places = found.by_tenant, found.by_place
    if report is None or places is None or not report.rows:
        return page
    tables = [("tenant", "By customer", shown.rows(report, "tenant"))]
    tables += [
        (group, f"By {group}", shown.rows(regrouped, group))
        for group in PLACES
        if (regrouped := shown.regrouped(places, group)) and (group != "cluster" or shown.several(regrouped))
    ]
    return page | {
        "any": True,
        "findings": shown.findings(report, health),
        "tiles": [*page["tiles"], *shown.tiles(report, health, found.before)],
        "tables": tables,
        "nobodys": shown.nobodys_rows(report),
        "total": shown.total(report),
        "currencies": tuple(report.total.energy_cost),
        "simulated": report.total.simulated,
    }


def _figures(filters: Filters, found: Energy, power: Power | None) -> dict[str, Figure]:
    """`power` None: not read yet."""
    drawn = {"chart-power": figures.power_figure(*(power or ([], [])))}
    if power is None:
        drawn["chart-power"] |= {"reading": True}
    hours = found.hours
    if hours.empty:
        return drawn
    by_tenant = filters.option(BY) == "tenant"
    step = tenant_step(hours) if by_tenant else hours.step
    shown_at = [hours.start + n * step for n in range(-((hours.start - hours.end) // step))]
    draw: dict[str, Callable[[], Figure]] = {
        "chart-energy": lambda: figures.energy_figure(found.points, shown_at, step),
        "chart-joules": lambda: figures.joules_figure(found.models, hours.steps),
        "chart-joules-all": lambda: figures.joules_per_token_figure(found.models, hours.steps),
        "chart-idle": lambda: figures.shares_figure(found.models, hours.steps),
    }
    return drawn | {place: one() for place, one in draw.items()}


PAGE = Page(
    key="energy",
    title="Power and energy",
    template="operator/energy.html",
    section="fleet",
    read=_read,
    glance=_glance,
    parts={
        "energy-state": "operator/_energy_state.html",
        "energy-tiles": "operator/_tiles.html",
        "energy-shift": "operator/_energy_shift.html",
        "energy-tables": "operator/_energy_tables.html",
    },
    options=(BY, *shift.OPTIONS),
    ranges=RANGES,
    every_s=2.0,
)
