"""The overview's charts of the fleet: what bound, and power against the cap. Pure functions, as figures.py."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from dashboard.figures import PATTERNS, SERIES_COLOURS, Figure, Line, base_layout, faint, filled, line_figure, rounded
from metering.public import SATURATION_CONSTRAINTS, GpuPoint, SaturationPoint

POWER = (
    Line("power.drawn", "drawn", "--series-1", "solid", 2.25),
    Line("power.cap", "cap", "--series-bad", "dash"),
)


def bound_figure(points: Sequence[SaturationPoint], step: timedelta, names: Mapping[str, str]) -> Figure:
    """Stacked bars of the share of all GPU time that each constraint bound. `names`: of constraints, in words.

    Steps in which nothing bound are 0 and not missing, so that a calm range is a chart that says so.
    """
    width = int(step.total_seconds() * 1000)
    x = [int(point.start.timestamp() * 1000) + width // 2 for point in points]
    data = []
    for place, constraint in enumerate(SATURATION_CONSTRAINTS):
        shares = [
            next((rounded(one.share * 100) for one in point.bound if one.constraint == constraint), 0.0)
            for point in points
        ]
        if any(shares):
            data.append(
                {
                    "type": "bar",
                    "uid": f"bound.{constraint}",
                    "name": names.get(constraint, constraint),
                    "x": x,
                    "y": shares,
                    "width": width,
                    "marker": filled(f"--series-{place % SERIES_COLOURS + 1}", PATTERNS[place % len(PATTERNS)]),
                    "hovertemplate": "%{y:,.3~g} %",
                }
            )
    layout = base_layout("% of GPU time") | {"barmode": "stack", "bargap": 0}
    layout["yaxis"] |= {"range": [0, 100]}
    return {"data": data, "layout": layout}


def power_figure(
    points: Sequence[GpuPoint], step: timedelta, before: Sequence[tuple[datetime, GpuPoint]] | None = None
) -> Figure:
    """Power of all GPUs together against the sum of their limits, kW. `before`: with when to draw each."""
    figure = line_figure(POWER, "kW")
    x = [int((point.start + step).timestamp() * 1000) for point in points]
    for trace, name in zip(figure["data"], ("power_w", "power_limit_w"), strict=True):
        trace |= {"x": x, "y": [_kw(getattr(point, name)) for point in points]}
    figure["data"][1]["line"]["shape"] = "hv"
    if before:
        at = [int((moment + step).timestamp() * 1000) for moment, _ in before]
        earlier = [_kw(point.power_w) for _, point in before]
        figure["data"] = [faint("power.drawn", "drawn, before", at, earlier, figure), *figure["data"]]
    return figure


def _kw(watts: float | None) -> float | None:
    return None if watts is None else rounded(watts / 1000)
