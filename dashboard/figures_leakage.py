"""The trend of leakage as a Plotly figure; figures.py has the rules."""

from collections.abc import Callable, Sequence
from typing import Any

from dashboard.figures import Figure, Line, Numbers, base_layout, rounded
from metering.public import Leakage, LeakageRow

UNBILLED = Line("unbilled", "unbilled", "--series-bad")
PHANTOM = Line("phantom", "phantom", "--series-2", "dash")
THRESHOLD = Line("threshold", "alert above", "--ink-soft", "dot", 1)


def leakage_figure(trend: Sequence[LeakageRow], alert_share: float) -> Figure:
    """Shares in per cent, a point an hour at the hour's beginning; a gap where nothing was compared."""
    x = [row.window_start.isoformat() for row in trend]
    data = [
        _line(UNBILLED, x, _shares(trend, lambda found: found.unbilled_share)),
        _line(PHANTOM, x, _shares(trend, lambda found: found.phantom_share)),
    ]
    if any(number is not None for trace in data for number in trace["y"]):
        threshold = _line(THRESHOLD, [x[0], x[-1]], [rounded(alert_share * 100)] * 2)
        data.append(threshold | {"mode": "lines", "hoverinfo": "skip"})
    layout = base_layout("% of tokens")
    layout["xaxis"] |= {"hoverformat": "%Y-%m-%d, hour from %H:%M UTC"}
    return {"data": data, "layout": layout}


def _line(line: Line, x: Sequence[str], y: Numbers) -> dict[str, Any]:
    """With a mark at every hour: an hour between two that were not compared would be no line."""
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": line.label,
        "x": list(x),
        "y": y,
        "connectgaps": False,
        "line": {"color": line.colour, "dash": line.dash, "width": line.width},
        "marker": {"size": 4, "color": line.colour},
        "hovertemplate": "%{y:.2f} %",
    }


def _shares(trend: Sequence[LeakageRow], share: Callable[[Leakage], float | None]) -> Numbers:
    found = (share(row.found) for row in trend)
    return [None if value is None else rounded(value * 100) for value in found]
