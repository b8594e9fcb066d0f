"""Demand, its forecast and what the fleet takes, as Plotly figures; figures.py has the rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashboard.figures import Figure, Line, base_layout, filled, rounded

Numbers = Sequence[float | None]
LIMIT_LOOK = {
    "kv_cache": ("--series-4", "dash"),
    "memory_bandwidth": ("--series-2", "dot"),
    "compute": ("--series-5", "dashdot"),
    "power": ("--series-7", "longdash"),
    "queue": ("--series-6", "longdashdot"),
    "site_power": ("--series-bad", "longdash"),
}
USE_LOOK = {
    "kv_cache": ("--series-4", ""),
    "memory_bandwidth": ("--series-2", "/"),
    "compute": ("--series-5", "x"),
    "power": ("--series-7", "-"),
    "queue": ("--series-6", "."),
}
HIGHEST_LIMIT = 4.0  # a limit this many times above all that is drawn would squeeze the rest


@dataclass(frozen=True)
class Fan:
    """A forecast over time: medians, and the edges of the 50 % and the 90 % interval, lowest first."""

    at: Sequence[datetime]
    median: Numbers
    edges: tuple[Numbers, Numbers, Numbers, Numbers]


@dataclass(frozen=True)
class Level:
    """Where a constraint is reached, as a line across."""

    constraint: str
    label: str
    value: float


def demand_figure(
    at: Sequence[datetime], seen: Numbers, fan: Fan | None, since: tuple[Sequence[datetime], Numbers], unit: str
) -> Figure:
    """What was asked for by the hour, the forecast with its interval, and what has come since it was made."""
    data = [_line(Line("demand.seen", "measured", "--ink-soft", width=1.5), at, seen, unit)]
    if fan is not None:
        data += _fan("demand", fan, unit)
    if since[0]:
        data.append(_line(Line("demand.since", "measured since", "--series-3", width=2.25), *since, unit))
    return {"data": data, "layout": _layout(unit)}


def peaks_figure(at: Sequence[datetime], seen: Numbers, fan: Fan | None, levels: Sequence[Level], unit: str) -> Figure:
    """The highest hour of each day, its forecast, and the levels at which constraints are reached."""
    data = [_line(Line("peaks.seen", "measured", "--ink-soft", width=1.5), at, seen, unit)]
    across: list[datetime] = [*at[:1]]
    if fan is not None:
        data += _fan("peaks", fan, unit)
        across = [(at or fan.at)[0], fan.at[-1]]
    top = max(
        (value for numbers in (seen, *((fan.median,) if fan else ())) for value in numbers if value is not None),
        default=0.0,
    )
    for level in levels if len(across) == 2 else ():
        if level.value <= HIGHEST_LIMIT * top:
            colour, dash = LIMIT_LOOK[level.constraint]
            line = Line(f"peaks.{level.constraint}", level.label, colour, dash, 2)
            data.append(_line(line, across, [level.value] * 2, unit))
    layout = _layout(unit)
    layout["xaxis"] |= {"hoverformat": "%a %-d %b %Y"}
    return {"data": data, "layout": layout}


def use_figure(names: Sequence[str], used: Mapping[str, Numbers], labels: Mapping[str, str]) -> Figure:
    """How full each constraint of each pool is: bars, a group for each pool; 100 % is where latency begins to climb."""
    data = []
    for constraint, numbers in used.items():
        colour, pattern = USE_LOOK[constraint]
        data.append(
            {
                "type": "bar",
                "uid": f"use.{constraint}",
                "name": labels[constraint],
                "x": list(names),
                "y": [None if value is None else rounded(value * 100) for value in numbers],
                "marker": filled(colour, pattern),
                "hovertemplate": "%{y:,.3~g} %",
            }
        )
    layout = base_layout("% of the saturation point") | {"barmode": "group", "bargap": 0.25, "height": 300}
    layout["yaxis"] |= {"tickformat": "~s"}
    layout["xaxis"] |= {"type": "category", "tickangle": 0, "automargin": True}
    full = {"color": "--series-bad", "width": 1.5, "dash": "dash"}
    layout["shapes"] = [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 100, "y1": 100, "line": full}]
    return {"data": data, "layout": layout}


def _layout(unit: str) -> dict[str, Any]:
    layout = base_layout(unit) | {"height": 290}
    layout["legend"] |= {"traceorder": "normal"}  # filled lines would turn it round
    return layout


def _fan(name: str, fan: Fan, unit: str) -> list[dict[str, Any]]:
    low, lower, upper, high = fan.edges
    return [
        _edge(f"{name}.low", fan.at, low),
        _band(f"{name}.most", "90 % interval", fan.at, high, "--band"),
        _edge(f"{name}.lower", fan.at, lower),
        _band(f"{name}.half", "50 % interval", fan.at, upper, "--band-inner"),
        _line(Line(f"{name}.median", "forecast, median", "--series-1", "dash", 2), fan.at, fan.median, unit),
    ]


def _edge(uid: str, at: Sequence[datetime], numbers: Numbers) -> dict[str, Any]:
    """The lower edge of a band, which is not a line of its own."""
    return _points(uid, at, numbers) | {
        "line": {"width": 0, "color": "--series-1"},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _band(uid: str, label: str, at: Sequence[datetime], numbers: Numbers, colour: str) -> dict[str, Any]:
    look = {
        "line": {"width": 0, "color": colour},
        "fill": "tonexty",
        "fillcolor": colour,
    }
    return _points(uid, at, numbers) | look | {"name": label, "hoverinfo": "skip"}


def _line(line: Line, at: Sequence[datetime], numbers: Numbers, unit: str) -> dict[str, Any]:
    look = {"color": line.colour, "dash": line.dash, "width": line.width}
    return _points(line.uid, at, numbers) | {
        "name": line.label,
        "line": look,
        "hovertemplate": "%{y:,.3~s} " + unit,
    }


def _points(uid: str, at: Sequence[datetime], numbers: Numbers) -> dict[str, Any]:
    x = [int(moment.timestamp() * 1000) for moment in at]
    y = [None if value is None else rounded(value) for value in numbers]
    return {"type": "scatter", "mode": "lines", "uid": uid, "x": x, "y": y}
