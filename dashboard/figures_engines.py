"""Engines over time as Plotly figures; figures.py has the rules."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from dashboard.figures import SERIES_COLOURS, Figure, rounded
from dashboard.figures_gpus import ALONE, alone, bound_marks
from dashboard.figures_panels import DASHES, Overlay, Panel, Reads, Track, panels_figure
from dashboard.operator.filters import Window
from metering.public import EnginePoint, SaturationPoint

Read = Callable[[EnginePoint], float | None]


def _each_second(read: Read) -> Read:
    """Over the time that was measured: a step may not be over."""

    def rate(one: EnginePoint) -> float | None:
        value = read(one)
        return None if value is None or not one.minutes else value / (one.minutes * 60)

    return rate


TOKENS: Reads[EnginePoint] = (
    ("output", "output", _each_second(lambda one: one.generation_tokens)),
    ("prompt", "prompt", _each_second(lambda one: one.prompt_tokens)),
    ("cached", "prompt, cached", _each_second(lambda one: one.cached_prompt_tokens)),
)
RUNNING: Reads[EnginePoint] = (
    ("running", "running", lambda one: one.running),
    ("waiting", "waiting", lambda one: one.waiting),
)
CACHE: Reads[EnginePoint] = (
    ("kv", "mean", lambda one: one.kv_cache_usage),
    ("kv_max", "highest", lambda one: one.kv_cache_usage_max),
)
PARTS: Reads[EnginePoint] = (
    ("queue", "queue", lambda one: one.queue_s),
    ("prefill", "prefill", lambda one: one.prefill_s),
    ("decode", "decode", lambda one: one.decode_s),
)
HITS: Reads[EnginePoint] = (("hits", "found in the prefix cache", lambda one: one.prefix_hit_rate),)
TROUBLE: Reads[EnginePoint] = (
    ("preemptions", "preemptions", lambda one: one.preemptions),
    ("aborted", "aborted requests", lambda one: one.requests_aborted),
    ("restarts", "restarts", lambda one: one.restarts),
)
BATCH: Reads[EnginePoint] = (("batch", "requests in an engine", lambda one: one.batch),)
ANSWERS: Reads[EnginePoint] = (("up", "of its samples", lambda one: one.up_share),)


def engines_figures(
    points: Sequence[EnginePoint] | None, window: Window, before: Sequence[EnginePoint] | None = None
) -> dict[str, Figure]:
    """Of all engines together. None: still being read, so nothing is drawn. `before`: the same of the window before this one."""
    laid = Overlay(points or (), window, before)
    panels = {
        "chart-running": Panel("requests", laid.lines(RUNNING), height=ALONE),
        "chart-kv": Panel("of the KV cache", laid.lines(CACHE), top=1.0, tickformat=".0%", height=ALONE),
        "chart-parts": Panel("s / request", laid.bars(PARTS), height=ALONE),
        "chart-tokens": Panel("tokens / s", laid.lines(TOKENS), tickformat=".3~s", height=ALONE),
        "chart-batch": Panel("requests", laid.lines(BATCH), height=ALONE),
        "chart-hits": Panel("of prompt tokens", laid.lines(HITS), top=1.0, tickformat=".0%", height=ALONE),
        "chart-trouble": Panel("in each step", laid.bars(TROUBLE), height=ALONE),
    }
    return alone(panels, window, reading=points is None)


def engine_figure(
    points: Sequence[EnginePoint] | None,
    scores: Sequence[SaturationPoint],
    window: Window,
    near: Mapping[str, tuple[str, float]],
    before: Sequence[EnginePoint] | None = None,
) -> Figure:
    """One engine, panel below panel. `near`: what each reading is called, and the point at which it saturates."""
    laid = Overlay(points or (), window, before)
    panels = [
        Panel("score", _scores(scores, window.steps, near), top=1.0, tickformat=".1f", height=1.5),
        Panel("requests", laid.lines(RUNNING)),
        Panel("KV cache", laid.lines(CACHE), top=1.0, tickformat=".0%"),
        Panel("s / request", laid.bars(PARTS), height=1.2),
        Panel("tokens / s", laid.lines(TOKENS), tickformat=".3~s"),
        Panel("prompt", laid.lines(HITS), top=1.0, tickformat=".0%"),
        Panel("in a step", laid.bars(TROUBLE), height=0.8),
        Panel("answers", laid.lines(ANSWERS), top=1.0, tickformat=".0%", height=0.6),
    ]
    return panels_figure(window.steps, panels) | ({"reading": True} if points is None else {})


def _scores(
    points: Sequence[SaturationPoint], steps: Sequence[datetime], near: Mapping[str, tuple[str, float]]
) -> list[Track]:
    """The score with a diamond where a limit bound, and each reading over the point at which it saturates."""
    at = {point.start: point for point in points}
    held = [at.get(step) for step in steps]
    y = [None if one is None or one.score is None else rounded(one.score) for one in held]
    score = Track("score", "score", y, "--ink", width=2.25, **bound_marks(held))
    seen = [name for name in near if any(one is not None and one.readings.get(name) for one in held)]
    return [score, *(_reading(name, place, held, near[name]) for place, name in enumerate(seen))]


def _reading(name: str, place: int, held: Sequence[SaturationPoint | None], near: tuple[str, float]) -> Track:
    label, saturates = near
    y = [None if one is None or name not in one.readings else rounded(one.readings[name] / saturates) for one in held]
    colour, dash = f"--series-{place % SERIES_COLOURS + 1}", DASHES[1 + place % (len(DASHES) - 1)]
    return Track(f"reading.{name}", label, y, colour, dash, 1.25)
