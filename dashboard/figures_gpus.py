"""GPUs over time as Plotly figures; figures.py has the rules."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from dashboard.figures import SERIES_COLOURS, Figure, rounded
from dashboard.figures_panels import DASHES, MARK, Overlay, Panel, Reads, Track, panels_figure
from dashboard.operator.filters import Window
from metering.public import GpuPoint, SaturationPoint

GIB = 2**30
ALONE = 1.6  # the height of a panel that is a chart of its own
ACTIVITY: Reads[GpuPoint] = (
    ("sm", "SM", lambda one: one.sm_active),
    ("tensor", "tensor cores", lambda one: one.tensor_active),
    ("dram", "DRAM", lambda one: one.dram_active),
)
POWER: Reads[GpuPoint] = (
    ("power", "power", lambda one: one.power_w),
    ("power_max", "highest sample", lambda one: one.power_w_max),
    ("limit", "limit", lambda one: one.power_limit_w),
)
KILOWATTS: Reads[GpuPoint] = (
    ("power", "power", lambda one: _over(one.power_w, 1000)),
    ("limit", "limit", lambda one: _over(one.power_limit_w, 1000)),
)
THROTTLED: Reads[GpuPoint] = (("throttled", "throttled", lambda one: one.throttled_share),)
CLOCKS: Reads[GpuPoint] = (
    ("sm_clock", "SM clock", lambda one: one.sm_clock_mhz),
    ("memory_clock", "memory clock", lambda one: one.memory_clock_mhz),
)
TEMPERATURES: Reads[GpuPoint] = (
    ("temperature", "GPU", lambda one: one.temperature_c),
    ("memory_temperature", "memory", lambda one: one.memory_temperature_c),
)
MEMORY: Reads[GpuPoint] = (
    ("memory", "memory used", lambda one: _over(one.memory_used_bytes, GIB)),
    ("memory_total", "there is", lambda one: _over(one.memory_total_bytes, GIB)),
)


def fleet_figures(
    points: Sequence[GpuPoint] | None, window: Window, before: Sequence[GpuPoint] | None = None
) -> dict[str, Figure]:
    """Of all GPUs together. None: still being read, so nothing is drawn. `before`: the same of the window before this one."""
    laid = Overlay(points or (), window, before)
    panels = {
        "chart-activity": Panel("of the time", laid.lines(ACTIVITY), top=1.0, tickformat=".0%", height=ALONE),
        "chart-power": Panel("kW", laid.lines(KILOWATTS), height=ALONE),
        "chart-throttled": Panel("of the time", laid.lines(THROTTLED, 6), top=0.02, tickformat=".1%", height=ALONE),
    }
    return alone(panels, window, reading=points is None)


def alone(panels: Mapping[str, Panel], window: Window, *, reading: bool) -> dict[str, Figure]:
    """Each panel as a chart of its own."""
    found = {place: panels_figure(window.steps, [panel]) for place, panel in panels.items()}
    return {place: one | {"reading": True} for place, one in found.items()} if reading else found


def gpu_figure(
    points: Sequence[GpuPoint] | None,
    engines: Mapping[str, Sequence[SaturationPoint]],
    window: Window,
    reasons: Mapping[str, str],
    before: Sequence[GpuPoint] | None = None,
) -> Figure:
    """One GPU, panel below panel. `engines`: the saturation of those that ran on it, by name; `reasons`: what throttles are called."""
    laid = Overlay(points or (), window, before)
    panels = [
        Panel("activity", laid.lines(ACTIVITY), top=1.0, tickformat=".0%", height=1.3),
        Panel("score", _scores(engines, window.steps), top=1.0, tickformat=".1f"),
        Panel("W", laid.lines(POWER)),
        Panel("throttled", laid.bars(_throttles(points or (), reasons), 6), top=0.1, tickformat=".0%", height=0.8),
        Panel("MHz", laid.lines(CLOCKS)),
        Panel("°C", laid.lines(TEMPERATURES), top=90.0),
        Panel("GiB", laid.lines(MEMORY)),
        Panel("errors", [_xids(laid)], top=1.0, height=0.6),
    ]
    return panels_figure(window.steps, panels) | ({"reading": True} if points is None else {})


def _scores(engines: Mapping[str, Sequence[SaturationPoint]], steps: Sequence[datetime]) -> list[Track]:
    found = []
    for place, (name, points) in enumerate(engines.items()):
        at = {point.start: point for point in points}
        held = [at.get(step) for step in steps]
        colour = f"--series-{place % SERIES_COLOURS + 1}"
        found.append(
            Track(
                f"engine.{name}",
                name,
                [None if one is None or one.score is None else rounded(one.score) for one in held],
                colour,
                DASHES[place % len(DASHES)],
                **bound_marks(held),
            )
        )
    return found


def bound_marks(held: Sequence[SaturationPoint | None]) -> dict[str, Any]:
    """A diamond in each step in which a limit bound, and which it was."""
    return {
        "size": [7 if one is not None and one.bound else 0 for one in held],
        "text": [
            f", bound by {one.constraint.replace('_', ' ')}" if one is not None and one.bound else "" for one in held
        ],
    }


def _throttles(points: Sequence[GpuPoint], reasons: Mapping[str, str]) -> Reads[GpuPoint]:
    """A band for each reason that there was; without any, one of nothing, where the GPU tells."""
    seen = {name for point in points for name in point.throttle or {}}
    names = [*(name for name in reasons if name in seen), *sorted(seen - set(reasons))]
    return [
        (f"throttle.{name}", f"by {reasons.get(name, name.replace('_', ' '))}", _share(name)) for name in names
    ] or THROTTLED


def _share(reason: str) -> Callable[[GpuPoint], float | None]:
    return lambda one: None if one.throttle is None else one.throttle.get(reason, 0.0)


def _xids(laid: Overlay[GpuPoint]) -> Track:
    points = [laid.at.get(step) for step in laid.window.steps]
    text = [
        f", last XID {one.xid_last}" if one is not None and one.xid_errors and one.xid_last else "" for one in points
    ]
    return Track(
        "xid", "XID errors", laid.numbers(lambda one: one.xid_errors or None), "--series-bad", kind=MARK, text=text
    )


def _over(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit
