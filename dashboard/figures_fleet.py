"""Saturation over time as a Plotly figure; figures.py has the rules."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dashboard.figures import SERIES_COLOURS, Figure, Numbers, base_layout, rounded
from metering.public import SaturationPoint

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MOST_LINES = 8
BOUND_MARK = 7


def saturation_figure(
    points: Sequence[SaturationPoint],
    steps: Sequence[datetime],
    limits: Mapping[str, str],
    together: Mapping[str, Numbers] | None = None,
) -> Figure:
    """Scores by model over `steps`, at most MOST_LINES of them: those that were bound longest, then the highest. A diamond marks
    a step in which a limit bound; `limits` are their names. `together`: thin lines of all models, by name."""
    by_model: dict[str, list[SaturationPoint]] = {}
    for point in points:
        by_model.setdefault(point.group["model"], []).append(point)
    chosen = sorted(by_model, key=lambda name: (*_severity(by_model[name]), name))[:MOST_LINES]
    data = [_line(name, place, by_model[name], steps, limits) for place, name in enumerate(sorted(chosen))]
    data += [_thin(name, place, y, steps) for place, (name, y) in enumerate((together or {}).items())]
    layout = base_layout("score, 0 to 1")
    layout["yaxis"] |= {"range": [0, 1.04], "tickformat": ".1f", "dtick": 0.2}
    layout["xaxis"] |= {"range": [steps[0].isoformat(), steps[-1].isoformat()]}
    return {"data": data, "layout": layout}


def _severity(points: Sequence[SaturationPoint]) -> tuple[float, float]:
    return -sum(point.bound_share for point in points), -max(point.score or 0.0 for point in points)


def _line(
    name: str, place: int, points: Sequence[SaturationPoint], steps: Sequence[datetime], limits: Mapping[str, str]
) -> dict[str, Any]:
    """A step without minutes is a gap."""
    at = {point.start: point for point in points}
    found = [at.get(step) for step in steps]
    colour = f"--series-{place % SERIES_COLOURS + 1}"
    return {
        "type": "scatter",
        "uid": f"model.{name}",
        "mode": "lines+markers",
        "name": name or "(no model)",
        "x": [step.isoformat() for step in steps],
        "y": [None if one is None or one.score is None else rounded(one.score) for one in found],
        "text": ["" if one is None else _bound(one, limits) for one in found],
        "connectgaps": False,
        "line": {"color": colour, "dash": DASHES[place % len(DASHES)], "width": 1.75},
        "marker": {
            "symbol": "diamond",
            "color": colour,
            "size": [BOUND_MARK if one is not None and one.bound else 0 for one in found],
        },
        "hovertemplate": "%{y:.2f}%{text}",
    }


def _thin(name: str, place: int, y: Numbers, steps: Sequence[datetime]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "uid": f"together.{place}",
        "mode": "lines",
        "name": name,
        "x": [step.isoformat() for step in steps],
        "y": [None if value is None else rounded(value) for value in y],
        "line": {"color": "--ink-soft", "dash": ("solid", "dot")[place % 2], "width": 1.25},
        "hovertemplate": "%{y:.2f}",
    }


def _bound(point: SaturationPoint, limits: Mapping[str, str]) -> str:
    shares = (f"{limits.get(each.constraint, each.constraint)} {each.share * 100:.0f} %" for each in point.bound)
    return f", bound by {', '.join(shares)}" if point.bound else ""
