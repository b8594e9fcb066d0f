"""Several quantities over the same time, one below the other on one axis: Plotly figures of stacked panels. figures.py has the rules.

Each panel has its own unit and its own legend; a label under the pointer names all of them at that moment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from dashboard.figures import PATTERNS, SERIES_COLOURS, Figure, Numbers, base_layout, filled, rounded
from dashboard.operator.filters import Window

PANEL_PX = 104
BETWEEN_PX = 30  # holds the legend of the panel below
ABOVE_PX, BELOW_PX = 26, 34
LINE, BAR, MARK = "line", "bar", "mark"
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True)
class Track:
    """One quantity in a panel; `y`: a number for each step, None where it is not known. `text`: what is said at each step after it.

    `kind`: a line; a bar, stacked on those before it in its panel; or a mark where there is a number. `pattern`: of bars, one of
    figures.PATTERNS. `size`: of a mark on a line, for each step; 0 for none.
    """

    uid: str
    label: str
    y: Numbers
    colour: str
    dash: str = "solid"
    width: float = 1.75
    kind: str = LINE
    pattern: str = ""
    text: Sequence[str] = ()
    size: Sequence[int] = ()


@dataclass(frozen=True)
class Panel:
    """`top`: the least that its axis reaches; None: as far as its numbers go. `height`: over that of a usual panel."""

    unit: str
    tracks: Sequence[Track]
    top: float | None = None
    height: float = 1.0
    tickformat: str = ""
    axis: Mapping[str, Any] = field(default_factory=dict)


class Step(Protocol):
    @property
    def start(self) -> datetime: ...


P = TypeVar("P", bound=Step)
# (uid, label, what it is of a point)
Reads = Sequence[tuple[str, str, Callable[[P], float | None]]]


class Overlay(Generic[P]):
    """Points of a window laid over its steps, as tracks; `before`: those of the window before it, drawn thin over the same steps."""

    def __init__(self, points: Sequence[P], window: Window, before: Sequence[P] | None = None) -> None:
        self.window = window
        self.at = {point.start: point for point in points}
        self.before = None if before is None else {point.start: point for point in before}
        self.back = window.start - window.previous.start

    def lines(self, reads: Reads[P], first: int = 0) -> list[Track]:
        """`first`: the place of its first colour."""
        found = []
        for place, (uid, label, read) in enumerate(reads):
            colour = f"--series-{(first + place) % SERIES_COLOURS + 1}"
            found.append(Track(uid, label, self.numbers(read), colour, DASHES[place % len(DASHES)]))
            if self.before is not None:
                found.append(Track(f"{uid}.before", f"{label} before", self._earlier(read), colour, "dot", 1.0))
        return found

    def bars(self, reads: Reads[P], first: int = 0) -> list[Track]:
        """Stacked."""
        return [
            Track(
                uid,
                label,
                self.numbers(read),
                f"--series-{(first + place) % SERIES_COLOURS + 1}",
                kind=BAR,
                pattern=PATTERNS[place % len(PATTERNS)],
            )
            for place, (uid, label, read) in enumerate(reads)
        ]

    def numbers(self, read: Callable[[P], float | None]) -> Numbers:
        return [_number(self.at.get(step), read) for step in self.window.steps]

    def _earlier(self, read: Callable[[P], float | None]) -> Numbers:
        return [_number((self.before or {}).get(step - self.back), read) for step in self.window.steps]


def _number(point: P | None, read: Callable[[P], float | None]) -> float | None:
    value = None if point is None else read(point)
    return None if value is None else rounded(value)


def panels_figure(steps: Sequence[datetime], panels: Sequence[Panel], *, panel_px: int = PANEL_PX) -> Figure:
    """`steps`: where each begins, in UTC."""
    heights = [panel.height * panel_px for panel in panels]
    inside = sum(heights) + BETWEEN_PX * (len(panels) - 1)
    x = [step.isoformat() for step in steps]
    layout = base_layout("")
    layout |= {
        "height": round(inside + ABOVE_PX + BELOW_PX),
        "margin": {"l": 62, "r": 12, "t": ABOVE_PX, "b": BELOW_PX},
        "hoversubplots": "axis",
        "barmode": "stack",
        "bargap": 0,
    }
    axis, y_axis = layout.pop("xaxis"), layout.pop("yaxis")
    legend = layout.pop("legend")
    data: list[dict[str, Any]] = []
    top = inside
    for place, (panel, height) in enumerate(zip(panels, heights, strict=True)):
        number = "" if place == 0 else str(place + 1)
        domain = [max(0.0, (top - height) / inside), min(1.0, top / inside)]
        layout[f"yaxis{number}"] = y_axis | _axis(panel) | {"domain": domain, "anchor": "x"}
        layout[f"legend{number}"] = legend | {"y": domain[1], "traceorder": "normal"}
        data += [_trace(track, x, panel, number) for track in panel.tracks]
        top -= height + BETWEEN_PX
    lowest = "y" if len(panels) == 1 else f"y{len(panels)}"
    layout["xaxis"] = axis | {"anchor": lowest, "range": [x[0], x[-1]]} if x else axis | {"anchor": lowest}
    return {"data": data, "layout": layout}


def _axis(panel: Panel) -> dict[str, Any]:
    title = {"text": panel.unit, "font": {"size": 11}, "standoff": 6}
    highest = max((value for track in panel.tracks for value in track.y if value is not None), default=0.0)
    found: dict[str, Any] = {"title": title, "nticks": 4, "tickformat": panel.tickformat or ",~r"}
    if panel.top is not None:
        found["range"] = [0, max(panel.top, highest) * 1.05]
    return found | dict(panel.axis)


def _trace(track: Track, x: list[str], panel: Panel, number: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "uid": track.uid,
        "name": track.label,
        "x": x,
        "y": track.y,
        "yaxis": f"y{number}",
        "legend": f"legend{number}",
        "hovertemplate": f"%{{y:{panel.tickformat or ',.3~g'}}} {panel.unit}" + ("%{text}" if track.text else ""),
    }
    if track.text:
        found["text"] = list(track.text)
    if track.kind == BAR:
        return found | {"type": "bar", "marker": filled(track.colour, track.pattern), "textposition": "none"}
    if track.kind == MARK:
        marker = {"symbol": "x", "size": 9, "color": track.colour}
        return found | {"type": "scatter", "mode": "markers", "marker": marker}
    line = {"color": track.colour, "dash": track.dash, "width": track.width}
    found |= {"type": "scatter", "mode": "lines", "line": line, "connectgaps": False}
    if track.size:
        marker = {"symbol": "diamond", "color": track.colour, "size": list(track.size)}
        found |= {"mode": "lines+markers", "marker": marker}
    return found
