"""Latency over time, its spread, and how fast error budgets burn, as Plotly figures; figures.py has the rules."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashboard.figures import (
    LEVELS,
    PERCENTILE_STYLES,
    SERIES_COLOURS,
    Figure,
    Line,
    Numbers,
    base_layout,
    line_figure,
    rounded,
)
from metering.public import EnginePoint, GpuPoint, HistogramPoint, LivePoint, ObjectiveStep, SaturationPoint

UNITS = {"ttft_ms": ("ms", 1), "tpot_ms": ("ms / token", 1), "e2e_ms": ("s", 1000)}
BEFORE = ("p50", "p95")  # of the period before: two lines can still be told from the four of now
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
# Most of what is shown is small: so the scale spends its colours there. Each pair is a share of the highest cell, and a colour.
HEAT_SCALE = (
    (0.0, "--heat-1"),
    (0.04, "--heat-2"),
    (0.15, "--heat-3"),
    (0.45, "--heat-4"),
    (1.0, "--heat-5"),
)
HEAT_HEIGHT = 280
MOST_LINES = 8


@dataclass(frozen=True)
class Limit:
    """A line that an objective draws across a chart: in ms, with its name."""

    name: str
    ms: float


def percentiles_figure(
    measure: str,
    points: Sequence[LivePoint],
    before: Sequence[LivePoint] = (),
    limits: Sequence[Limit] = (),
) -> Figure:
    """p50 to p99 over time, each at the end of its step; of the period before, BEFORE, laid over it step by step."""
    unit, divisor = UNITS[measure]
    lines = [
        Line(f"{measure}.{level}", level, colour, dash)
        for level, (dash, colour) in zip(LEVELS, PERCENTILE_STYLES, strict=True)
    ]
    earlier = [
        Line(f"before.{measure}.{level}", f"{level} before", "--series-6", dash, 1.25)
        for level, dash in zip(BEFORE, ("dot", "dashdot"), strict=True)
    ]
    figure = line_figure([*earlier, *lines] if before else lines, unit)
    x = [_ms(point.end) for point in points]
    for trace in figure["data"]:
        *when, _, level = trace["uid"].split(".")
        found = before if when else points
        y = [_level(point, measure, level, divisor) for point in found]
        trace |= {"x": x, "y": _fitted(y, len(x)), "connectgaps": False}
    figure["layout"] |= _limit_lines(limits, divisor)
    return figure


def heat_figure(
    points: Sequence[HistogramPoint],
    edges: Sequence[float],
    unit: str,
    *,
    divisor: int = 1,
    limits: Sequence[Limit] = (),
) -> Figure:
    """Of each step's requests, the share in each bucket; the axis is logarithmic, as the buckets are. Steps without requests are gaps."""
    first, last = _used(points)
    lower = [edges[max(number - 1, 0)] / (1 if number else edges[1] / edges[0]) for number in range(first, last + 2)]
    y = [rounded(edge / divisor) for edge in lower]
    totals = [sum(point.counts) for point in points]
    z = [
        [
            rounded(point.counts[bucket] / total * 100) if total and point.counts[bucket] else None
            for point, total in zip(points, totals, strict=True)
        ]
        for bucket in range(first, last + 1)
    ]
    layout = base_layout(unit) | {"height": HEAT_HEIGHT, "hovermode": "closest", "showlegend": False}
    layout["margin"] |= {"r": 62}
    layout["xaxis"] |= {"tickangle": 0}
    layout["yaxis"] |= {
        "type": "log",
        "rangemode": "normal",
        "tickformat": "~s" if unit == "tokens" else ",~r",
    }
    layout["yaxis"] |= {
        "range": [math.log10(y[0]), math.log10(y[-1])],
        "autorange": False,
        "gridcolor": "rgba(0,0,0,0)",
    }
    layout |= _limit_lines(limits, divisor, log=True)
    trace = {
        "type": "heatmap",
        "uid": "heat",  # a class of its colour bar: no dot in it
        "x": [*(_ms(point.start) for point in points), *(_ms(points[-1].end) for _ in points[:1])],
        "y": y,
        "z": z,
        "colorscale": [list(pair) for pair in HEAT_SCALE],
        "zmin": 0,
        "hoverongaps": False,
        "hovertemplate": f"%{{x|%Y-%m-%d %H:%M}} UTC<br>about %{{y:.3~g}} {unit}: %{{z:.3~g}} % of requests<extra></extra>",
        "colorbar": {
            "title": {"text": "% of step", "side": "right", "font": {"size": 11}},
            "thickness": 10,
            "outlinewidth": 0,
            "tickfont": {"size": 11},
            "ticksuffix": " %",
            "nticks": 4,
            "x": 1.01,
        },
    }
    return {"data": [trace] if z and any(totals) else [], "layout": layout}


def burn_figure(steps: Mapping[str, Sequence[ObjectiveStep]], targets: Mapping[str, float], trailing: int) -> Figure:
    """How fast each objective's budget burnt, over the `trailing` steps up to each; 1 is as fast as it may over its whole window."""
    lines, numbers, x = [], {}, []
    for place, name in enumerate(sorted(steps)[:MOST_LINES]):
        line = Line(f"burn.{name}", name, f"--series-{place % SERIES_COLOURS + 1}", DASHES[place % len(DASHES)])
        lines.append(line)
        numbers[line.uid] = _burns(steps[name], targets[name], trailing)
        x = [_ms(one.start) for one in steps[name][trailing - 1 :]]
    figure = line_figure(lines, "times the allowed rate")
    for trace in figure["data"]:
        trace |= {"x": x, "y": numbers[trace["uid"]], "connectgaps": False}
    figure["layout"] |= {"shapes": [_level_line(1.0, "--ink-soft")]}
    return figure


def load_figure(points: Sequence[EnginePoint], steps: Sequence[datetime], span: tuple[datetime, datetime]) -> Figure:
    """Requests in an engine around the time of one of them."""
    lines = (
        Line("load.running", "running", "--series-1"),
        Line("load.waiting", "waiting", "--series-bad", "dash", 2.25),
    )
    at = {point.start: point for point in points}
    found = [at.get(step) for step in steps]
    numbers = {
        "load.running": [_value(one.running if one else None) for one in found],
        "load.waiting": [_value(one.waiting if one else None) for one in found],
    }
    return _around(line_figure(lines, "requests"), steps, numbers, span)


def readings_figure(
    points: Sequence[SaturationPoint],
    steps: Sequence[datetime],
    span: tuple[datetime, datetime],
    shown: Sequence[tuple[str, str]],
) -> Figure:
    """What bound or nearly bound the engine: readings as shares, `shown` as pairs of a reading and what it is called."""
    lines = [
        Line(f"reading.{name}", label, f"--series-{place % SERIES_COLOURS + 1}", DASHES[place % len(DASHES)])
        for place, (name, label) in enumerate(shown)
    ]
    at = {point.start: point for point in points}
    found = [at.get(step) for step in steps]
    numbers = {
        f"reading.{name}": [_share(one.readings.get(name) if one else None) for one in found] for name, _ in shown
    }
    figure = _around(line_figure(lines, "%"), steps, numbers, span)
    figure["layout"]["yaxis"] |= {"range": [0, 105]}
    return figure


def gpus_figure(points: Sequence[GpuPoint], steps: Sequence[datetime], span: tuple[datetime, datetime]) -> Figure:
    """The request's GPUs: how long they were throttled, and how much of their power limit they drew."""
    lines = (
        Line("gpus.power", "power of the limit", "--series-2"),
        Line("gpus.throttled", "time throttled", "--series-bad", "dash", 2.25),
        Line("gpus.dram", "memory active", "--series-1", "dot"),
        Line("gpus.tensor", "tensor cores active", "--series-3", "dashdot"),
    )
    at = {point.start: point for point in points}
    found = [at.get(step) for step in steps]
    numbers = {
        "gpus.power": [_share(_power(one)) for one in found],
        "gpus.throttled": [_share(one.throttled_share if one else None) for one in found],
        "gpus.dram": [_share(one.dram_active if one else None) for one in found],
        "gpus.tensor": [_share(one.tensor_active if one else None) for one in found],
    }
    figure = _around(line_figure(lines, "%"), steps, numbers, span)
    figure["layout"]["yaxis"] |= {"range": [0, 105]}
    return figure


def _around(
    figure: Figure, steps: Sequence[datetime], numbers: Mapping[str, Numbers], span: tuple[datetime, datetime]
) -> Figure:
    """Minutes as points in their middle, with the time of the request shaded."""
    x = [_ms(step) + 30_000 for step in steps]
    for trace in figure["data"]:
        trace |= {"x": x, "y": numbers[trace["uid"]], "connectgaps": False, "mode": "lines+markers"}
        trace["marker"] = {"size": 4, "color": trace["line"]["color"]}
    begin, end = (_ms(at) for at in span)
    shade = {"type": "rect", "xref": "x", "yref": "paper", "x0": begin, "x1": end, "y0": 0, "y1": 1, "layer": "below"}
    shade |= {"fillcolor": "--series-2", "opacity": 0.18, "line": {"width": 1, "color": "--series-2"}}
    figure["layout"]["shapes"] = [shade]
    figure["layout"]["height"] = 200
    return figure


def _burns(steps: Sequence[ObjectiveStep], target: float, trailing: int) -> Numbers:
    found: Numbers = []
    for last in range(trailing - 1, len(steps)):
        tallies = [one.tally for one in steps[last - trailing + 1 : last + 1] if one.tally is not None]
        total = sum(one.total for one in tallies)
        bad = total - sum(one.good for one in tallies)
        found.append(rounded(bad / total / (1 - target)) if total else None)
    return found


def _used(points: Sequence[HistogramPoint]) -> tuple[int, int]:
    """The first and the last bucket with a request in it, with one more on either side."""
    buckets = [number for point in points for number, count in enumerate(point.counts) if count]
    if not buckets:
        return 0, 1
    most = len(points[0].counts) - 1
    return max(min(buckets) - 1, 0), min(max(buckets) + 1, most)


def _limit_lines(limits: Sequence[Limit], divisor: int, *, log: bool = False) -> dict[str, Any]:
    """On a logarithmic axis Plotly takes the place of an annotation, and not that of a shape, as a logarithm."""
    if not limits:
        return {}
    words = [
        {
            "xref": "paper",
            "x": 1,
            "xanchor": "right",
            "yref": "y",
            "y": math.log10(limit.ms / divisor) if log else limit.ms / divisor,
            "yanchor": "bottom",
            "showarrow": False,
            "text": "objective",
            "hovertext": limit.name,
            "bgcolor": "--surface",
            "borderpad": 1,
            "font": {"size": 11, "color": "--ink"},
        }
        for limit in limits
    ]
    return {"shapes": [_level_line(limit.ms / divisor, "--ink") for limit in limits], "annotations": words}


def _level_line(y: float, colour: str) -> dict[str, Any]:
    line = {"color": colour, "width": 1.25, "dash": "longdash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": y, "y1": y, "line": line}


def _level(point: LivePoint, measure: str, level: str, divisor: int) -> float | None:
    found = getattr(point, measure)
    return None if found is None else rounded(getattr(found, level) / divisor)


def _fitted(numbers: Numbers, length: int) -> Numbers:
    return [*numbers[:length], *(None for _ in range(length - len(numbers)))]


def _power(point: GpuPoint | None) -> float | None:
    if point is None or point.power_w is None or not point.power_limit_w:
        return None
    return point.power_w / point.power_limit_w


def _value(number: float | None) -> float | None:
    return None if number is None else rounded(number)


def _share(number: float | None) -> float | None:
    return None if number is None else rounded(number * 100)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
