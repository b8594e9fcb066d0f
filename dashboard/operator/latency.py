"""The latency page: percentiles over time, by model, customer and tier, their spread, what was promised, and the slowest requests."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from dashboard import figures_latency, formats
from dashboard.figures import Figure
from dashboard.figures_latency import Limit
from dashboard.operator import latency_read, latency_shown
from dashboard.operator.filters import Filters
from dashboard.operator.latency_read import (
    GROUP,
    GROUPS,
    LATENCIES,
    MEASURE,
    MEASURES,
    Objectives,
    Reader,
    Series,
)
from dashboard.operator.pages import Ids, Page, Shown
from dashboard.operator.together import Gather, InTime, together
from metering.public import HISTOGRAM_EDGES, HistogramPoint, ObjectiveState

LENGTH_CHARTS = {"input_tokens": "chart-input", "output_tokens": "chart-output"}
LATENCY_CHARTS = {"ttft_ms": "chart-ttft", "tpot_ms": "chart-tpot", "e2e_ms": "chart-e2e"}


def _read(filters: Filters, ids: Ids) -> Shown:
    return _shown(Reader(filters, latency_read.moment()), together)


def _glance(filters: Filters, ids: Ids) -> Shown:
    return _shown(Reader(filters, latency_read.moment()), InTime())


def _shown(reader: Reader, gather: Gather) -> Shown:
    """What `gather` gives up is shown as still being read."""
    filters, now = reader.filters, reader.now
    measures = (latency_read.measure_of(filters), *LENGTH_CHARTS)
    objectives, series, recent, groups, slowest, *spreads = gather(
        lambda: latency_read.objectives(filters, now),
        reader.series,
        lambda: latency_read.recent(filters.scope, now),
        reader.groups,
        reader.slowest,
        *(partial(reader.spread, one) for one in measures),
    )
    group = filters.option(GROUP)
    any_requests = any(point.counts.requests for point in series.points) if series else False
    context: dict[str, Any] = {
        "tiles": latency_shown.tiles(recent, objectives.states) if recent else [],
        "rows": latency_shown.rows(filters, group, groups.rows, groups.before) if groups else [],
        "rows_read": groups is not None,
        "group": GROUPS[group],
        "compared": bool(filters.compare),
        "span": filters.label,
        "objectives": latency_shown.objectives(objectives.states, filters),
        "objectives_defined": objectives.defined,
        "objectives_as_of": _as_of(objectives),
        "slowest": latency_shown.slow(slowest or [], filters),
        "slowest_read": slowest is not None,
        "measure_label": MEASURES[filters.option(MEASURE)],
        "any_requests": any_requests,
        "ever": any_requests or latency_read.ever(),
    }
    return Shown(now, context, _figures(filters, series, objectives, dict(zip(measures, spreads, strict=True))))


def _figures(
    filters: Filters, series: Series | None, objectives: Objectives, spreads: Mapping[str, list[HistogramPoint] | None]
) -> dict[str, Figure]:
    measure = latency_read.measure_of(filters)
    limits = {one: _limits(filters, one, objectives.states) for one in LATENCIES}
    points, before = (series.points, series.before) if series else ([], [])
    charts = {
        chart: _read_or_not(figures_latency.percentiles_figure(one, points, before, limits[one]), series)
        for one, chart in LATENCY_CHARTS.items()
    }
    charts["chart-spread"] = _spread(spreads[measure], measure, limits[measure])
    charts |= {chart: _spread(spreads[one], one) for one, chart in LENGTH_CHARTS.items()}
    targets = {state.name: state.target for state in objectives.states}
    charts["chart-burn"] = figures_latency.burn_figure(objectives.steps, targets, objectives.trailing)
    return charts


def _spread(points: list[HistogramPoint] | None, measure: str, limits: Sequence[Limit] = ()) -> Figure:
    """`points` None: not read yet."""
    unit, divisor = figures_latency.UNITS.get(measure, ("tokens", 1))
    figure = figures_latency.heat_figure(points or [], HISTOGRAM_EDGES[measure], unit, divisor=divisor, limits=limits)
    return _read_or_not(figure, points)


def _read_or_not(figure: Figure, read: object) -> Figure:
    return figure | {"reading": True} if read is None else figure


def _limits(filters: Filters, measure: str, states: list[ObjectiveState]) -> list[Limit]:
    """Of the objectives that cover all that is shown."""
    return [
        Limit(state.name, state.threshold_ms)
        for state in states
        if state.measure == measure and state.threshold_ms is not None and latency_read.covers(state, filters)
    ]


def _as_of(objectives: Objectives) -> str:
    counted = [state.as_of for state in objectives.states if state.as_of]
    return formats.clock(max(counted)) if counted else ""


PAGE = Page(
    key="latency",
    title="Latency",
    template="operator/latency.html",
    section="latency",
    read=_read,
    glance=_glance,
    parts={
        "tiles": "operator/_tiles.html",
        "objectives": "operator/_latency_objectives.html",
        "table": "operator/_latency_table.html",
        "slowest": "operator/_latency_slowest.html",
    },
    options=(MEASURE, GROUP),
)
