"""Power and energy over time as Plotly figures; figures.py has the rules."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from dashboard.figures import PATTERNS, SERIES_COLOURS, Figure, Line, Numbers, base_layout, filled, line_figure, rounded
from dashboard.nobodys import SHORT_NAMES
from metering.public import ENERGY_OTHERS, EnergyPoint, GpuPoint

MOST_NAMED = 6
MOST_LINES = 8
OTHERS = "others"
NO_NAME = "(none)"
# Nobody's energy looks the same whoever's is shown below it.
NOBODYS_LOOK = {
    "idle": ("--line-strong", ""),
    "gap": ("--series-6", "/"),
    "no_event": ("--series-bad", "x"),
    "aborted": ("--series-bad", "."),
    "no_engine": ("--ink-soft", "-"),
}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
J_PER_KWH = 3_600_000
W_PER_KW = 1000
HOUR = timedelta(hours=1)


def uid(kind: str, name: str = "") -> str:
    """A trace's own id from a name of any kind: Plotly makes selectors of it, in which a `/` or a `:` would be an error."""
    return f"{kind}-{crc32(name.encode()):08x}"


def energy_figure(points: Sequence[EnergyPoint], steps: Sequence[datetime], step: timedelta) -> Figure:
    """Stacked bars in kWh, one a step: the values that used most, the others together, idle, and what is nobody's by cause; so that
    a bar is as high as what the counters say."""
    owned = _by_step(((one.value, one) for one in points if not one.label), steps)
    rest = [owned.pop(ENERGY_OTHERS)] if ENERGY_OTHERS in owned else []
    largest = sorted(owned, key=lambda name: (-sum(owned[name]), name))
    data = [_bar(name or NO_NAME, owned[name], _look(place)) for place, name in enumerate(largest[:MOST_NAMED])]
    if rest := [*rest, *(owned[name] for name in largest[MOST_NAMED:])]:
        data.append(_bar(OTHERS, [sum(at) for at in zip(*rest, strict=True)], _look(MOST_NAMED)))
    nobody = _by_step(((one.label, one) for one in points if one.label), steps)
    for label, look in NOBODYS_LOOK.items():
        if any(nobody.get(label, ())):
            data.append(_bar(SHORT_NAMES[label], nobody[label], look))
    # The left edge of a bar is the beginning of its step.
    place = {"x": [at.isoformat() for at in steps], "width": step.total_seconds() * 1000 * 0.85, "offset": 0}
    layout = base_layout("kWh an hour" if step == HOUR else "kWh a day") | {
        "barmode": "stack",
        "bargap": 0.15,
        "height": 300,
    }
    layout["legend"] |= {"traceorder": "normal"}
    hover = "%Y-%m-%d, hour from %H:%M UTC" if step == HOUR else "%a %-d %b %Y"
    layout["xaxis"] |= {
        "hoverformat": hover,
        "tickangle": 0,
        "tickformat": "%H:%M\n%-d %b" if step == HOUR else "%-d %b",
    }
    return {"data": [bar | place for bar in data], "layout": layout}


def power_figure(points: Sequence[GpuPoint], steps: Sequence[datetime]) -> Figure:
    """kW by cluster against the sum of its GPUs' limits: a line and, dotted, its cap, for each of at most MOST_NAMED clusters, those that
    draw most. A step in which no GPU tells is a gap."""
    by_cluster: dict[str, dict[datetime, GpuPoint]] = {}
    for point in points:
        by_cluster.setdefault(point.group["cluster"], {})[point.start] = point
    largest = sorted(by_cluster, key=lambda name: (-max(one.power_w or 0 for one in by_cluster[name].values()), name))
    lines, numbers = [], {}
    for place, name in enumerate(sorted(largest[:MOST_NAMED])):
        found, colour = [by_cluster[name].get(at) for at in steps], f"--series-{place % SERIES_COLOURS + 1}"
        label = name or "no cluster"
        lines.append(Line(uid("power", name), label, colour, DASHES[place % 2 * 3], 2))
        numbers[lines[-1].uid] = [_kw(one.power_w if one else None) for one in found]
        lines.append(Line(uid("cap", name), f"{label}, cap", colour, "dot", 1.25))
        numbers[lines[-1].uid] = [_kw(one.power_limit_w if one else None) for one in found]
    return _numbered(line_figure(lines, "kW"), steps, numbers)


def joules_figure(points: Sequence[EnergyPoint], steps: Sequence[datetime]) -> Figure:
    """J per output token by model, without idle and unattributed: at most MOST_LINES models, those with the most output."""
    return _by_model(points, steps, "J / output token", lambda one: one.decode_tokens)


def joules_per_token_figure(points: Sequence[EnergyPoint], steps: Sequence[datetime]) -> Figure:
    """The same for each token, computed prompt and output alike."""
    return _by_model(points, steps, "J / token", lambda one: one.prefill_tokens + one.decode_tokens)


def shares_figure(points: Sequence[EnergyPoint], steps: Sequence[datetime]) -> Figure:
    """Of the counters' energy, the share that is idle and that is unattributed."""
    idle, nobodys, everything = ([0.0] * len(steps) for _ in range(3))
    places = {at: place for place, at in enumerate(steps)}
    for one in points:
        if (at := places.get(one.start)) is not None:
            everything[at] += one.kwh
            idle[at] += one.kwh if one.label == "idle" else 0.0
            nobodys[at] += one.kwh if one.label not in {"", "idle"} else 0.0
    lines = (
        Line("share.idle", "idle", "--series-1", width=2),
        Line("share.unattributed", "unattributed", "--series-bad", "dash", 2),
    )
    numbers = {"share.idle": _percents(idle, everything), "share.unattributed": _percents(nobodys, everything)}
    return _numbered(line_figure(lines, "% of energy"), steps, numbers)


def _by_model(points: Sequence[EnergyPoint], steps: Sequence[datetime], unit: str, tokens: Any) -> Figure:
    by_model: dict[str, dict[datetime, EnergyPoint]] = {}
    for one in points:
        if not one.label:
            by_model.setdefault(one.value, {})[one.start] = one
    output = {name: sum(one.decode_tokens for one in held.values()) for name, held in by_model.items()}
    chosen = sorted(sorted(output, key=lambda name: (-output[name], name))[:MOST_LINES])
    lines, numbers = [], {}
    for place, name in enumerate(chosen):
        colour = f"--series-{place % SERIES_COLOURS + 1}"
        lines.append(Line(uid("joules", name), name or NO_NAME, colour, DASHES[place % len(DASHES)]))
        found = (by_model[name].get(at) for at in steps)
        numbers[lines[-1].uid] = [_joules(one, tokens(one)) if one else None for one in found]
    return _numbered(line_figure(lines, unit), steps, numbers)


def _joules(one: EnergyPoint, tokens: float) -> float | None:
    return rounded(one.kwh * J_PER_KWH / tokens) if tokens > 0 else None


def _kw(watts: float | None) -> float | None:
    return None if watts is None else rounded(watts / W_PER_KW)


def _percents(parts: Sequence[float], wholes: Sequence[float]) -> Numbers:
    return [rounded(part / whole * 100) if whole else None for part, whole in zip(parts, wholes, strict=True)]


def _numbered(figure: Figure, steps: Sequence[datetime], numbers: Mapping[str, Numbers]) -> Figure:
    """With its numbers, each at the beginning of its step."""
    x = [int(at.timestamp() * 1000) for at in steps]
    for trace in figure["data"]:
        trace |= {"x": x, "y": numbers[trace["uid"]], "connectgaps": False}
    return figure


def _look(place: int) -> tuple[str, str]:
    return f"--series-{(1, 3, 2, 4, 5, 7, 8)[place]}", PATTERNS[place]


def _by_step(points: Iterable[tuple[str, EnergyPoint]], steps: Sequence[datetime]) -> dict[str, list[float]]:
    places = {step: place for place, step in enumerate(steps)}
    found: dict[str, list[float]] = {}
    for name, one in points:
        if one.start in places:
            found.setdefault(name, [0.0] * len(steps))[places[one.start]] += one.kwh
    return found


def _bar(name: str, numbers: Sequence[float], look: tuple[str, str]) -> dict[str, Any]:
    return {
        "type": "bar",
        "uid": uid("energy", name),
        "name": name,
        "y": [rounded(number) for number in numbers],
        "marker": filled(*look),
        "hovertemplate": "%{y:,.3~f} kWh",
    }
