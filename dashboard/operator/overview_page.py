"""The operator's overview: what is read for it, as templates and charts want it."""

from dataclasses import dataclass
from typing import Any

from dashboard import figures, figures_overview
from dashboard.figures import Figure
from dashboard.operator import links, overview
from dashboard.operator.filters import Filters
from dashboard.operator.fleet_words import LIMITS
from dashboard.operator.overview import LATENCY, Overview
from dashboard.operator.overview_tables import table_context
from dashboard.operator.overview_tiles import tiles
from dashboard.operator.pages import Ids, Page, Shown
from dashboard.operator.state import findings
from dashboard.operator.state_words import Said

MARKS = {"bad": "\N{MULTIPLICATION X}", "warn": "!", "good": "\N{CHECK MARK}", "unknown": "?"}


@dataclass(frozen=True)
class Finding:
    """One sentence with its mark, and where it leads."""

    said: Said
    mark: str
    link: str
    page: str


def _read(filters: Filters, ids: Ids) -> Shown:
    return _shown(overview.read(filters))


def _glance(filters: Filters, ids: Ids) -> Shown:
    return _shown(overview.glance(filters))


def _shown(found: Overview) -> Shown:
    context = {"tiles": tiles(found), "ever": found.freshness.ever or bool(found.fleet and found.fleet.gpus)}
    return Shown(found.at, context | state_context(found) | table_context(found), drawn(found))


def state_context(found: Overview) -> dict[str, Any]:
    """The sentence and what else is found; none while it is being read."""
    said = findings(found.state) if found.state is not None else []
    return {
        "findings": [
            Finding(
                one,
                MARKS[one.tone],
                links.address(one.page, found.filters, one.narrow),
                links.label(one.page) if one.page else "",
            )
            for one in said
        ],
        "simulated": bool(found.fleet and found.fleet.simulated),
    }


def drawn(found: Overview) -> dict[str, Figure]:
    history, fleet, window = found.history, found.fleet_history, found.filters.window(found.at)
    served = figures.overview_figures(found.points, history.before) if history else figures.overview_figures(None)
    if fleet is None:
        nothing = figures_overview.bound_figure([], window.step, LIMITS), figures_overview.power_figure([], window.step)
        bound, power = (figure | {"reading": True} for figure in nothing)
    else:
        bound = figures_overview.bound_figure(fleet.saturation, fleet.step, LIMITS)
        power = figures_overview.power_figure(fleet.gpus, fleet.step, fleet.before)
    for figure in (bound, power):
        # Over all of the range, though samples may begin within it: so that it lies under what was served then.
        figure["layout"]["xaxis"]["range"] = [int(at.timestamp() * 1000) for at in (window.start, window.end)]
    return served | {"chart-bound": bound, "chart-power": power}


PAGE = Page(
    key="overview",
    title="Overview",
    template="operator/overview.html",
    section="overview",
    read=_read,
    glance=_glance,
    parts={"state": "operator/_state.html", "tiles": "operator/_tiles.html", "tables": "operator/_tables.html"},
    options=(LATENCY,),
)
