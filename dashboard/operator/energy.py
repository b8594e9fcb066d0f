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
from dashboard.operator.together import Gather, InTime, nothing, together
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

    by_tenant: EnergyReport | None  # None: nothing is settled in the range
    by_place: EnergyReport | None
    points: list[EnergyPoint]
    models: list[EnergyPoint]
    before: EnergyAmounts | None


def _read(filters: Filters, ids: Ids) -> Shown:
    return _reading(filters, together, whole=True)


def _glance(filters: Filters, ids: Ids) -> Shown:
    """Without power over time, conservation, coefficients and what to shift, which come by the stream."""
    return _reading(filters, InTime(), whole=SHELF.at_hand(HEALTH, FRESH_S))


def _reading(filters: Filters, gather: Gather, *, whole: bool) -> Shown:
    """What `gather` gives up is shown as still being read."""
    now = datetime.now(UTC)
    settled = energy_settled().hour
    hours = hours_of(filters, settled, now)
    (clusters, there), found, power = gather(
        lambda: (_clusters(now), _clusters(now, filters.region)),
        _kept(filters, hours),
        lambda: _power(filters, now) if whole or _power_at_hand(filters) else None,
    )
    here = [one for one in there if filters.cluster in {"", one.cluster}]
    health = SHELF.kept(HEALTH, FRESH_S, lambda: energy_health(now)) if whole else None
    conserved = _conserved(filters, hours) if whole else None
    context = _context(filters, found, health, here) | shift.context(filters, clusters, now, whole=whole)
    context |= {"start": hours.start, "end": hours.end, "settled": settled is not None}
    return Shown(now, context | {"conservation": shown.conservation(conserved)}, _figures(filters, hours, found, power))


def _kept(filters: Filters, hours: Hours) -> Callable[[], Energy]:
    plain = replace(filters, options=tuple(one for one in filters.options if one[0] == BY.name))
    return SHELF.asked(("energy", plain, hours), max(filters.refresh_s, FRESH_S), lambda: _asked(plain, hours))


def _asked(filters: Filters, hours: Hours) -> Callable[[], Energy]:
    if hours.empty:
        return lambda: Energy(None, None, [], [], None)
    only, before, span = narrowed(filters), hours.previous, (hours.start, hours.end)
    reports = (
        energy_report_asked(*span, group_by=("tenant",), only=only, largest=CUSTOMERS_SHOWN),
        energy_report_asked(*span, group_by=PLACES, only=only),
        energy_series_asked(*span, hours.step, group="model", only=only),
        energy_report_asked(before.start, before.end, only=only) if filters.compare else nothing,
    )
    group = filters.option(BY)
    step = tenant_step(hours) if group == "tenant" else hours.step
    series = energy_series_asked(*span, step, group=group, only=only) if group != "model" else None

    def read() -> Energy:
        by_tenant, by_place, models, total_before = together(*reports)
        points = series(_charted(by_tenant) if group == "tenant" else ()) if series else models
        return Energy(by_tenant, by_place, points, models, total_before and total_before.total)

    return read


def _charted(by_tenant: EnergyReport) -> list[str]:
    """The customers whom the chart of energy names."""
    owned = sorted((row for row in by_tenant.rows if not row.label), key=lambda row: -row.amounts.kwh)
    named = [row.groups["tenant"] for row in owned if row.groups["tenant"] != ENERGY_OTHERS]
    return named[: figures.MOST_NAMED] or [ENERGY_OTHERS]


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


def _context(
    filters: Filters, found: Energy | None, health: EnergyHealth | None, here: list[ClusterPower]
) -> dict[str, Any]:
    page: dict[str, Any] = {
        "filters": filters,
        "by_label": (BY.choices or {})[filters.option(BY)].lower(),
        "span": filters.label,
        "reading": health is None,
        "reading_all": found is None,
        "coefficients": shown.coefficients(health.coefficients) if health else [],
        "any": False,
        "power": bool(here),
        "tiles": shown.power_tiles(here),
    }
    report, places = (found.by_tenant, found.by_place) if found else (None, None)
    if found is None or report is None or places is None or not report.rows:
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


def _figures(filters: Filters, hours: Hours, found: Energy | None, power: Power | None) -> dict[str, Figure]:
    """What is None is not read yet."""
    drawn = {"chart-power": figures.power_figure(*(power or ([], [])))}
    if power is None:
        drawn["chart-power"] |= {"reading": True}
    if hours.empty:
        return drawn
    by_tenant = filters.option(BY) == "tenant"
    step = tenant_step(hours) if by_tenant else hours.step
    shown_at = [hours.start + n * step for n in range(-((hours.start - hours.end) // step))]
    points, models = (found.points, found.models) if found else ([], [])
    settled = {
        "chart-energy": figures.energy_figure(points, shown_at, step),
        "chart-joules": figures.joules_figure(models, hours.steps),
        "chart-joules-all": figures.joules_per_token_figure(models, hours.steps),
        "chart-idle": figures.shares_figure(models, hours.steps),
    }
    return drawn | {place: one if found else one | {"reading": True} for place, one in settled.items()}


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
