"""An alert rule's measure over time, its threshold, and when it fired."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from dashboard.figures import SERIES_COLOURS, Figure, base_layout, rounded
from dashboard.operator.filters import Window

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MOST_LINES = 8
THRESHOLDS = (("dash", 1.5), ("dot", 1.0))


class Watched(Protocol):
    """A measure: what is stored times `factor` is in `unit`."""

    @property
    def unit(self) -> str: ...

    @property
    def factor(self) -> float: ...


Points = Sequence[tuple[datetime, float | None]]
Spans = Sequence[tuple[datetime, datetime | None]]


def rule_figure(
    values: Mapping[str, Points],
    measure: Watched,
    thresholds: Mapping[str, float],
    fired: Mapping[str, Spans],
    window: Window,
) -> Figure:
    """A line for each of the first MOST_LINES groups, and for each threshold (by what is said of it, in the unit that is shown). Bars at
    the foot: when any group fired."""
    unit = measure.unit
    data = [
        _line(name, points, number, measure) for number, (name, points) in enumerate(list(values.items())[:MOST_LINES])
    ]
    layout = base_layout(unit)
    layout["height"] = 300
    layout["shapes"] = [_fired(span, window) for spans in fired.values() for span in spans]
    if data:
        begin = min([_ms(window.start), *(trace["x"][0] for trace in data if trace["x"])])
        x = [begin, _ms(window.end)]
        marks = zip(thresholds.items(), THRESHOLDS, strict=False)
        data += [_threshold(name, value, look, x, unit) for (name, value), look in marks]
    return {"data": data, "layout": layout}


def _line(name: str, points: Points, number: int, measure: Watched) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "uid": f"alert.{name}",
        "name": name or "all",
        "x": [_ms(at) for at, _ in points],
        "y": [None if value is None else rounded(value * measure.factor) for _, value in points],
        "line": {
            "color": f"--series-{number % SERIES_COLOURS + 1}",
            "dash": DASHES[number % len(DASHES)],
            "width": 1.75,
        },
        "hovertemplate": "%{y:,.4~g} " + measure.unit,
    }


def _threshold(name: str, value: float, look: tuple[str, float], x: list[int], unit: str) -> dict[str, Any]:
    """As a trace and not a shape, so that the axis reaches it and the legend names it."""
    dash, width = look
    return {
        "type": "scatter",
        "mode": "lines",
        "uid": f"threshold.{name}",
        "name": name,
        "x": x,
        "y": [value, value],
        "line": {"color": "--series-bad", "dash": dash, "width": width},
        "hovertemplate": "%{y:,.4~g} " + unit,
    }


def _fired(span: tuple[datetime, datetime | None], window: Window) -> dict[str, Any]:
    begin, until = span
    return {
        "type": "rect",
        "yref": "paper",
        "y0": 0,
        "y1": 0.04,
        "x0": _ms(max(begin, window.start)),
        "x1": _ms(min(until or window.end, window.end)),
        "fillcolor": "--series-bad",
        "line": {"width": 0},
        "opacity": 0.8,
    }


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
