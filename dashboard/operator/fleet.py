"""The page of the fleet's saturation: what binds whom, now and over time."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from dashboard.figures import Figure, base_layout
from dashboard.figures_fleet import saturation_figure
from dashboard.operator import fleet_shown as shown
from dashboard.operator import fleet_words as words
from dashboard.operator.filters import PREVIOUS, Filters
from dashboard.operator.fleet_links import all_nodes_link
from dashboard.operator.fleet_reading import (
    NODE,
    SCOPE,
    History,
    engines_in,
    engines_now,
    history,
    narrowed,
    together,
    window_of,
)
from dashboard.operator.pages import Ids, Page, Shown
from metering.public import EngineState, SaturationPoint, fleet_scopes, saturation_points, saturation_series

MOST_ENGINES = 30
MOST_SCOPES = 64


def _read(filters: Filters, ids: Ids, *, glance: bool = False) -> Shown:
    history_of = History(("fleet-history", filters), filters, now=glance)
    now, figure = together(
        partial(engines_now, glance=glance), lambda: history_of.read(lambda: _drawn(filters, datetime.now(UTC)))
    )
    everywhere = engines_in(now.found, filters, node=False)
    listed = engines_in(now.found, filters)
    simulated = [one.simulated for one in everywhere]
    context = {
        "engines": bool(everywhere),
        "others": bool(now.found),
        "findings": words.findings(everywhere, fleet_scopes(everywhere, "model"), now.at),
        "models": _scopes(everywhere, "model", filters, now.at),
        "scopes": [(one, title, _scopes(everywhere, one, filters, now.at)) for one, title in TITLES],
        "engine_rows": shown.engine_rows(listed, saturation_points(), now.at, filters)[:MOST_ENGINES],
        "engines_in_all": len(listed),
        "node": filters.option(NODE),
        "all_nodes": all_nodes_link(filters),
        "simulated": any(simulated),
        "all_simulated": all(simulated),
    }
    return Shown(now.at, context, {"chart-saturation": figure or READING})


READING: Figure = {"data": [], "layout": base_layout("score, 0 to 1"), "reading": True}
TITLES = (("region", "Regions"), ("node", "Nodes"))


def _scopes(engines: Sequence[EngineState], group: str, filters: Filters, now: datetime) -> list[shown.ScopeRow]:
    return shown.scope_rows(fleet_scopes(engines, group), engines, now, filters)[:MOST_SCOPES]


def _drawn(filters: Filters, now: datetime) -> Figure:
    """By model; and of all together before, where that is compared with."""
    window, only = window_of(filters, now), narrowed(filters)
    points = saturation_series(history(window, ("model",), only))
    if filters.compare != PREVIOUS:
        return saturation_figure(points, window.steps, words.LIMITS)
    back = window.start - window.previous.start
    both = [_by_start(saturation_series(history(one, (), only))) for one in (window, window.previous)]
    together = {
        "all together": [_score(both[0].get(step)) for step in window.steps],
        "all together before": [_score(both[1].get(step - back)) for step in window.steps],
    }
    return saturation_figure(points, window.steps, words.LIMITS, together)


def _by_start(points: Sequence[SaturationPoint]) -> Mapping[datetime, SaturationPoint]:
    return {point.start: point for point in points}


def _score(point: SaturationPoint | None) -> float | None:
    return point.score if point else None


PAGE = Page(
    key="saturation",
    title="Saturation",
    template="operator/fleet.html",
    section="fleet",
    read=_read,
    glance=partial(_read, glance=True),
    parts={
        "findings": "operator/_fleet_findings.html",
        "models": "operator/_fleet_models.html",
        "scopes": "operator/_fleet_scopes.html",
        "engines": "operator/_fleet_engines.html",
    },
    options=(NODE,),
    scope=SCOPE,
)
