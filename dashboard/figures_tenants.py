"""What customers use and see over time as Plotly figures; figures.py has the rules."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from dashboard.figures import PATTERNS, SERIES_COLOURS, Figure, Line, Numbers, base_layout, filled, line_figure, rounded
from dashboard.figures_energy import NOBODYS_LOOK, OTHERS, uid
from dashboard.nobodys import SHORT_NAMES
from metering.public import ENERGY_OTHERS, EnergyPoint, LivePoint, Quantiles, TenantStep

COLOURS = (1, 3, 2, 4, 5, 7, 8, 6)
TOKENS = (Line("tokens.input", "input", "--series-1"), Line("tokens.output", "output", "--series-3", "dash", 2.25))
REQUESTS = (
    Line("requests.ok", "ok", "--series-1"),
    Line("requests.cancelled", "cancelled", "--series-2", "dot"),
    Line("requests.error", "error", "--series-bad", "dash", 2.25),
)


def tokens_figure(found: Sequence[TenantStep], steps: Sequence[datetime], step: timedelta, now: datetime) -> Figure:
    """Stacked bars, one a step: tokens a second of those with the most, and of all others together."""
    places = {at: place for place, at in enumerate(steps)}
    held: dict[str, list[float]] = {}
    for one in found:
        if (place := places.get(one.start)) is not None:
            seconds = max((min(one.start + step, now) - one.start).total_seconds(), 1.0)
            rates = held.setdefault(one.tenant, [0.0] * len(steps))
            rates[place] += (one.input_tokens + one.output_tokens) / seconds
    return _stacked(held, steps, step, "tokens / s", {})


def capacity_figure(points: Sequence[EnergyPoint], steps: Sequence[datetime], step: timedelta) -> Figure:
    """Stacked bars that come to 100: the share of all GPU time of those who had most, of the others, idle, and unattributed by cause."""
    places = {at: place for place, at in enumerate(steps)}
    held: dict[str, list[float]] = {}
    nobodys: dict[str, list[float]] = {}
    for one in points:
        if (place := places.get(one.start)) is not None:
            numbers = (nobodys if one.label else held).setdefault(one.label or one.value, [0.0] * len(steps))
            numbers[place] += one.gpu_hours
    wholes = [sum(numbers[place] for numbers in (*held.values(), *nobodys.values())) for place in range(len(steps))]
    for numbers in (*held.values(), *nobodys.values()):
        numbers[:] = [part / whole * 100 if whole else 0.0 for part, whole in zip(numbers, wholes, strict=True)]
    figure = _stacked(held, steps, step, "% of GPU time", nobodys)
    figure["layout"]["yaxis"] |= {"range": [0, 100]}
    return figure


def usage_figures(points: Sequence[LivePoint]) -> dict[str, Figure]:
    """One customer's tokens, and requests by status."""
    x = _ends(points)
    numbers: dict[str, Numbers] = {
        "tokens.input": [rounded(one.counts.per_second(one.counts.input_tokens)) for one in points],
        "tokens.output": [rounded(one.counts.per_second(one.counts.output_tokens)) for one in points],
        "requests.ok": [rounded(one.counts.per_second(one.counts.ok)) for one in points],
        "requests.cancelled": [rounded(one.counts.per_second(one.counts.cancelled)) for one in points],
        "requests.error": [rounded(one.counts.per_second(one.counts.error)) for one in points],
    }
    return {
        "chart-tokens": _with(line_figure(TOKENS, "tokens / s"), x, numbers),
        "chart-requests": _with(line_figure(REQUESTS, "requests / s"), x, numbers),
    }


def latency_figure(
    own: Sequence[LivePoint], everybodys: Sequence[LivePoint], measure: str, unit: str, divisor: int
) -> Figure:
    """p50 and p95 of one measure, the customer's beside everybody's."""
    lines = (
        Line(f"{measure}.own.p95", "this customer, p95", "--series-1", width=2.25),
        Line(f"{measure}.all.p95", "everybody, p95", "--series-3", "dash"),
        Line(f"{measure}.own.p50", "this customer, p50", "--series-1", "dot"),
        Line(f"{measure}.all.p50", "everybody, p50", "--series-3", "longdashdot"),
    )
    numbers = {}
    for whose, points in (("own", own), ("all", everybodys)):
        for level in ("p50", "p95"):
            numbers[f"{measure}.{whose}.{level}"] = _level(points, measure, level, divisor)
    figure = line_figure(lines, unit)
    for trace in figure["data"]:
        trace |= {"x": _ends(own if ".own." in trace["uid"] else everybodys), "y": numbers[trace["uid"]]}
    return figure


def _level(points: Sequence[LivePoint], measure: str, level: str, divisor: int) -> Numbers:
    found: list[Quantiles | None] = [getattr(one, measure) for one in points]
    return [None if one is None else rounded(getattr(one, level) / divisor) for one in found]


def _ends(points: Sequence[LivePoint]) -> list[int]:
    return [int(one.end.timestamp() * 1000) for one in points]


def _with(figure: Figure, x: list[int], numbers: Mapping[str, Numbers]) -> Figure:
    for trace in figure["data"]:
        trace |= {"x": x, "y": numbers[trace["uid"]]}
    return figure


def _stacked(
    held: dict[str, list[float]],
    steps: Sequence[datetime],
    step: timedelta,
    unit: str,
    nobodys: Mapping[str, list[float]],
) -> Figure:
    """The largest at the bottom, then the others, then what is nobody's."""
    others = held.pop(ENERGY_OTHERS, None)
    data = []
    for place, name in enumerate(sorted(held, key=lambda key: (-sum(held[key]), key))):
        look = (f"--series-{COLOURS[place % SERIES_COLOURS]}", PATTERNS[place % len(PATTERNS)])
        data.append(_bar(name, name, held[name], look, unit))
    if others and any(others):
        data.append(_bar(ENERGY_OTHERS, OTHERS, others, ("--ink-soft", "/"), unit))
    for label, look in NOBODYS_LOOK.items():
        if any(nobodys.get(label, ())):
            data.append(_bar(f"nobody.{label}", SHORT_NAMES[label], nobodys[label], look, unit))
    # The left edge of a bar is the beginning of its step.
    span: dict[str, Any] = {
        "x": [at.isoformat() for at in steps],
        "width": step.total_seconds() * 1000 * 0.85,
        "offset": 0,
    }
    layout = base_layout(unit) | {"barmode": "stack", "bargap": 0.15, "height": 300}
    layout["legend"] |= {"traceorder": "normal"}
    return {"data": [bar | span for bar in data], "layout": layout}


def _bar(key: str, name: str, numbers: Sequence[float], look: tuple[str, str], unit: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "uid": uid("share", key),
        "name": name,
        "y": [rounded(number) for number in numbers],
        "marker": filled(*look),
        "hovertemplate": "%{y:,.3~g} " + unit,
    }
