"""Energy over time as a Plotly figure; figures.py has the rules."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from dashboard.figures import PATTERNS, Figure, base_layout, filled, rounded
from dashboard.nobodys import SHORT_NAMES
from metering.public import EnergyRow

MOST_NAMED = 6
OTHERS = "others"
# Nobody's energy looks the same whoever's is shown below it.
NOBODYS_LOOK = {
    "idle": ("--line-strong", ""),
    "gap": ("--series-6", "/"),
    "no_event": ("--series-bad", "x"),
    "aborted": ("--series-bad", "."),
    "no_engine": ("--ink-soft", "-"),
}
HOUR = timedelta(hours=1)


def energy_figure(rows: Sequence[EnergyRow], group: str, steps: Sequence[datetime], step: timedelta) -> Figure:
    """Stacked bars in kWh, one a step: the groups that used most, the others together, idle, and what is nobody's by cause; so that
    a bar is as high as what the counters say. `rows`: by `steps` and `group`."""
    owned = _by_step(((row.groups[group], row) for row in rows if not row.label), steps)
    largest = sorted(owned, key=lambda name: (-sum(owned[name]), name))
    data = [_bar(name or "(none)", owned[name], _look(place)) for place, name in enumerate(largest[:MOST_NAMED])]
    if rest := [owned[name] for name in largest[MOST_NAMED:]]:
        data.append(_bar(OTHERS, [sum(at) for at in zip(*rest, strict=True)], _look(MOST_NAMED)))
    nobody = _by_step(((row.label, row) for row in rows if row.label), steps)
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


def _look(place: int) -> tuple[str, str]:
    return f"--series-{(1, 3, 2, 4, 5, 7, 8)[place]}", PATTERNS[place]


def _by_step(rows: Iterable[tuple[str, EnergyRow]], steps: Sequence[datetime]) -> Mapping[str, list[float]]:
    places = {step: place for place, step in enumerate(steps)}
    found: dict[str, list[float]] = {}
    for name, row in rows:
        if row.window_start in places:
            found.setdefault(name, [0.0] * len(steps))[places[row.window_start]] += float(row.amounts.kwh)
    return found


def _bar(name: str, numbers: Sequence[float], look: tuple[str, str]) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": name,
        "y": [rounded(number) for number in numbers],
        "marker": filled(*look),
        "hovertemplate": "%{y:,.3~f} kWh",
    }
