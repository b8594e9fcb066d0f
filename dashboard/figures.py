"""Data to Plotly figures: pure functions, values in, plain dictionaries out.

Colours are names of tokens of the style sheet (`--series-1`), which the page replaces by their values, so that one figure serves
the light and the dark theme. Lines differ by dash and bars by pattern as well as by colour. A trace's `uid` is its own on its chart:
Plotly tells traces apart by it when a live page draws them anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from metering.public import LivePoint, Quantiles

Figure = dict[str, Any]
Numbers = list[float | None]
LEVELS = ("p50", "p90", "p95", "p99")
PATTERNS = ("", "/", ".", "x", "-", "|", "+", "\\")
SERIES_COLOURS = 8


@dataclass(frozen=True)
class Line:
    uid: str
    label: str
    colour: str
    dash: str = "solid"
    width: float = 1.75


REQUESTS = (
    Line("requests.ok", "ok", "--series-1"),
    Line("requests.cancelled", "cancelled", "--series-2", "dot"),
    Line("requests.error", "error", "--series-bad", "dash", 2.25),
)
TOKENS = (
    Line("tokens.input", "input", "--series-1"),
    Line("tokens.output", "output", "--series-3", "dash", 2.25),
)
PERCENTILE_STYLES = (
    ("solid", "--series-1"),
    ("dash", "--series-3"),
    ("dashdot", "--series-2"),
    ("dot", "--series-bad"),
)


def overview_figures(
    points: Sequence[LivePoint] | None, before: Sequence[LivePoint] | None = None
) -> dict[str, Figure]:
    """What was served and how fast, by the id of the chart's place on the overview. None: still being read, so nothing is drawn.

    `before`: the range before, at the times of this one, as faint lines.
    """
    drawn = {
        "chart-requests": line_figure(REQUESTS, "requests / s"),
        "chart-tokens": line_figure(TOKENS, "tokens / s"),
        "chart-ttft": line_figure(_percentiles("ttft"), "ms"),
        "chart-tpot": line_figure(_percentiles("tpot"), "ms / token"),
        "chart-e2e": line_figure(_percentiles("e2e"), "s"),
    }
    if points is None:
        return {name: one | {"reading": True} for name, one in drawn.items()}
    x, numbers = [_ms(point.end) for point in points], overview_series(points)
    for one in drawn.values():
        for trace in one["data"]:
            trace |= {"x": x, "y": numbers[trace["uid"]]}
    if before:
        earlier, faded = overview_series(before), [_ms(point.end) for point in before]
        for place, uids in COMPARED.items():
            drawn[place]["data"] = [
                *(faint(uid, label, faded, earlier[uid], drawn[place]) for uid, label in uids),
                *drawn[place]["data"],
            ]
    return drawn


# What of the range before is drawn: enough to see whether today differs, and no more.
COMPARED = {
    "chart-requests": (("requests.ok", "ok, before"),),
    "chart-tokens": (("tokens.input", "input, before"), ("tokens.output", "output, before")),
    "chart-ttft": (("ttft.p95", "p95, before"),),
    "chart-tpot": (("tpot.p95", "p95, before"),),
    "chart-e2e": (("e2e.p95", "p95, before"),),
}


def faint(uid: str, label: str, x: Sequence[int], y: Numbers, figure: Figure) -> dict[str, Any]:
    """A line of the range before on a figure of this one."""
    like = next((trace for trace in figure["data"] if trace["uid"] == uid), figure["data"][0])
    return {
        "type": "scatter",
        "mode": "lines",
        "uid": f"{uid}.before",
        "name": label,
        "x": list(x),
        "y": y,
        "opacity": 0.5,
        "line": {"color": like["line"]["color"], "dash": "dot", "width": 1.25},
        "hovertemplate": like["hovertemplate"],
    }


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def overview_series(points: Sequence[LivePoint]) -> dict[str, Numbers]:
    """Numbers by uid, rates per second, None where nothing was measured."""
    y: dict[str, Numbers] = {
        "requests.ok": [rounded(point.counts.per_second(point.counts.ok)) for point in points],
        "requests.cancelled": [rounded(point.counts.per_second(point.counts.cancelled)) for point in points],
        "requests.error": [rounded(point.counts.per_second(point.counts.error)) for point in points],
        "tokens.input": [rounded(point.counts.per_second(point.counts.input_tokens)) for point in points],
        "tokens.output": [rounded(point.counts.per_second(point.counts.output_tokens)) for point in points],
    }
    for level in LEVELS:
        y[f"ttft.{level}"] = [_level(point.ttft_ms, level, 1) for point in points]
        y[f"tpot.{level}"] = [_level(point.tpot_ms, level, 1) for point in points]
        y[f"e2e.{level}"] = [_level(point.e2e_ms, level, 1000) for point in points]
    return y


def line_figure(lines: Sequence[Line], unit: str) -> Figure:
    """Lines over time in UTC, without numbers."""
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "uid": line.uid,
            "name": line.label,
            "line": {"color": line.colour, "dash": line.dash, "width": line.width},
            "hovertemplate": "%{y:,.3~g} " + unit,
        }
        for line in lines
    ]
    return {"data": data, "layout": base_layout(unit)}


def daily_figure(days: Sequence[date], by_model: Mapping[str, Sequence[int]], unit: str = "tokens") -> Figure:
    """Stacked bars, a bar a day; `by_model` holds as many numbers for each model as there are days."""
    data = [
        {
            "type": "bar",
            "name": model,
            "x": [day.isoformat() for day in days],
            "y": list(numbers),
            "marker": filled(f"--series-{position % SERIES_COLOURS + 1}", PATTERNS[position % len(PATTERNS)]),
            "hovertemplate": "%{y:,} " + unit,
        }
        for position, (model, numbers) in enumerate(by_model.items())
    ]
    layout = base_layout(f"{unit} a day") | {"barmode": "stack", "bargap": 0.25}
    layout["legend"] |= {"traceorder": "normal"}
    layout["xaxis"] |= {"tickformat": "%-d %b", "hoverformat": "%a %-d %b %Y"}
    return {"data": data, "layout": layout}


def filled(colour: str, pattern: str) -> dict[str, Any]:
    """A bar's colour with a pattern on it (one of PATTERNS)."""
    return {
        "color": colour,
        "pattern": {
            "shape": pattern,
            "bgcolor": colour,
            "fgcolor": "--surface",
            "fgopacity": 0.55,
            "size": 7,
            "solidity": 0.2,
        },
    }


def _percentiles(name: str) -> list[Line]:
    return [
        Line(f"{name}.{level}", level, colour, dash)
        for level, (dash, colour) in zip(LEVELS, PERCENTILE_STYLES, strict=True)
    ]


def base_layout(unit: str) -> dict[str, Any]:
    """Time in UTC across, a quantity with its unit up. New at every call, so that a figure may change its own."""
    axis = {"gridcolor": "--line", "linecolor": "--line-strong", "zeroline": False, "tickfont": {"size": 11}}
    return {
        "height": 225,
        "margin": {"l": 56, "r": 12, "t": 8, "b": 34},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "--ink-soft", "size": 12, "family": "system-ui, sans-serif"},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "--surface-raised", "bordercolor": "--line-strong", "font": {"color": "--ink"}},
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "itemwidth": 36, "font": {"size": 11}},
        "xaxis": axis | {"type": "date", "hoverformat": "%Y-%m-%d %H:%M UTC", "fixedrange": True},
        "yaxis": axis
        | {
            "rangemode": "tozero",
            "tickformat": "~s" if unit.startswith("tokens") else ",~r",
            "nticks": 6,
            "title": {"text": unit, "font": {"size": 11}, "standoff": 6},
            "automargin": True,
            "fixedrange": True,
        },
    }


def _level(quantiles: Quantiles | None, level: str, divisor: int) -> float | None:
    return None if quantiles is None else rounded(getattr(quantiles, level) / divisor)


def rounded(value: float) -> float:
    """Four significant digits: what a pixel can show, and a third of the bytes."""
    return float(f"{value:.4g}")
