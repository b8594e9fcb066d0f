"""One customer's page: what it uses, the latency it sees against everybody's, its share of the capacity, what it costs and brings in."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dashboard import figures_energy, figures_tenants
from dashboard.figures import Figure
from dashboard.operator import neighbours, tenant_read, tenant_shown, tenants_read
from dashboard.operator.filters import Filters
from dashboard.operator.pages import Ids, NotThere, Page, Shown
from dashboard.operator.tenant_read import SCOPE, Drew, Earned, Used
from dashboard.operator.together import InTime, nothing
from metering.contracts import TenantInfo
from metering.public import tenant


def _read(filters: Filters, ids: Ids) -> Shown:
    now, info = datetime.now(UTC), _tenant(ids)
    used, drew = tenant_read.used(filters, info.key, now)(), tenant_read.drew(filters, info.key, now)
    earned = None if drew.hours.empty else tenant_read.earned(info.key, drew.hours)
    near = [one for one in neighbours.neighbours(replace(filters, tenant=""), now) if one.tenant == info.key]
    reading = earned is None and not drew.hours.empty
    return _shown(info, filters, (used, drew, earned), neighbours.shown(near), now, reading=reading)


def _glance(filters: Filters, ids: Ids) -> Shown:
    """Without money and neighbours, without energy if that is not at hand, and without usage if that is not there in time."""
    now, info, gather = datetime.now(UTC), _tenant(ids), InTime()
    _, used = gather(nothing, tenant_read.used(filters, info.key, now))
    drew = tenant_read.drew_at_hand(filters, info.key, now)
    return _shown(info, filters, (used, drew, None), [], now, reading=True)


def _tenant(ids: Ids) -> TenantInfo:
    info = tenant(ids[0]) if ids else None
    if info is None:
        raise NotThere(f"There is no customer {ids[0] if ids else ''!r}.")
    return info


def _shown(
    info: TenantInfo,
    filters: Filters,
    found: tuple[Used | None, Drew, Earned | None],
    near: Sequence[neighbours.Shown],
    now: datetime,
    *,
    reading: bool = False,
) -> Shown:
    used, drew, earned = found
    lines = tenant_shown.money(earned.total) if earned else {}
    context: dict[str, Any] = {
        "tenant": info,
        "window": used.window if used else tenants_read.window_of(filters, now),
        "hours": None if drew.hours.empty else drew.hours,
        "reading": reading,
        "counting": used is None,
        "tiles": tenant_shown.tiles(used, drew, earned) if used else [],
        "tables": [
            (name, f"By {name}", tenant_shown.parts(used.parts[name], drew.by_place, name, lines) if used else [])
            for name in tenant_read.PARTS
        ],
        "projects": tenant_shown.projects(earned.projects) if earned else [],
        "neighbours": near,
        "simulated": bool(drew.by_place and drew.by_place.total.simulated),
        "scoped": bool(tenant_read.only(filters)),
    }
    return Shown(now, context, _figures(used, drew))


def _figures(used: Used | None, drew: Drew) -> dict[str, Figure]:
    own, everybodys = (used.own, used.everybodys) if used else ([], [])
    drawn = figures_tenants.usage_figures(own)
    for measure, unit, divisor in (("ttft_ms", "ms", 1), ("tpot_ms", "ms / token", 1), ("e2e_ms", "s", 1000)):
        place = f"chart-{measure.removesuffix('_ms')}"
        drawn[place] = figures_tenants.latency_figure(own, everybodys, measure, unit, divisor)
    if used is None:
        drawn = {place: one | {"reading": True} for place, one in drawn.items()}
    if drew.hours.empty:
        return drawn
    step = tenants_read.energy_step(drew.hours)
    at = tenants_read.steps(drew.hours.start, drew.hours.end, step)
    drawn["chart-energy"] = figures_energy.energy_figure(drew.points, at, step)
    drawn["chart-capacity"] = figures_tenants.capacity_figure(drew.capacity, at, step)
    for place in () if drew.known else ("chart-energy", "chart-capacity"):
        drawn[place] |= {"reading": True}
    return drawn


PAGE = Page(
    key="tenant",
    title="Tenant",
    template="operator/tenant.html",
    section="tenants",
    read=_read,
    glance=_glance,
    parts={
        "tenant-state": "operator/_tenants_state.html",
        "tenant-tiles": "operator/_tiles.html",
        "tenant-neighbours": "operator/_neighbours.html",
        "tenant-tables": "operator/_tenant_tables.html",
    },
    scope=SCOPE,
    ranges=("1h", "6h", "24h", "7d", "30d", "90d"),
    every_s=2.0,
    compares=False,
)
