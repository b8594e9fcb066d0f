"""The page of one engine: what it is saturated by, and everything that it counts, on one axis of time."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import partial

from dashboard import formats
from dashboard.figures import Figure
from dashboard.figures_engines import engine_figure
from dashboard.operator import fleet_words as words
from dashboard.operator.filters import PREVIOUS, Filters
from dashboard.operator.fleet_gpus import gpu_rows
from dashboard.operator.fleet_links import gpu_link
from dashboard.operator.fleet_reading import (
    History,
    engines_now,
    gpus_now,
    history,
    together,
    window_of,
)
from dashboard.operator.fleet_shown import READINGS, STALE, EngineRow, engine_rows
from dashboard.operator.pages import Ids, NotThere, Page, Shown
from dashboard.operator.tiles import Tile
from metering.public import EngineState, fleet_engine_series, saturation_points, saturation_series


@dataclass(frozen=True)
class Drawn:
    figure: Figure
    measured: bool


@dataclass(frozen=True)
class Reading:
    """A reading now as text. `width`: of its bar, in per cent of the point at which it saturates."""

    label: str
    text: str
    point: str
    width: int
    at_limit: bool


def _read(filters: Filters, ids: Ids, *, glance: bool = False) -> Shown:
    node, engine = ids
    past = History(("engine-history", ids, filters), filters, now=glance, slow_from_s=0.0)  # of several queries
    now, gpus_there, drawn = together(
        engines_now, gpus_now, lambda: past.read(lambda: _drawn(filters, ids, datetime.now(UTC)))
    )
    state = next((one for one in now.found if (one.node, one.engine) == (node, engine)), None)
    if state is None:  # it may have been there in the range: that has to be known now
        drawn = drawn or _drawn(filters, ids, now.at)
    drawn = drawn or Drawn(engine_figure(None, (), window_of(filters, now.at), {}), measured=False)
    if state is None and not drawn.measured:
        raise NotThere("No engine of this name was heard of, neither lately nor in this range.")
    rows = engine_rows([state], saturation_points(), now.at, filters) if state else []
    gpus = [one for one in gpus_there.found if state and one.node == node and one.gpu in state.gpus]
    known = {one.gpu for one in gpus}
    context = {
        "node": node,
        "engine": engine,
        "state": state,
        "facts": _facts(state, now.at),
        "finding": words.findings([state], (), now.at)[:1] if state and not state.saturation.bound else [],
        "row": rows[0] if rows else None,
        "tiles": _tiles(state, rows[0], now.at) if state else [],
        "readings": _readings(state) if state else [],
        "rows": gpu_rows(gpus, now.at, filters),
        "silent": [(gpu, gpu_link(node, gpu, filters)) for gpu in (state.gpus if state else ()) if gpu not in known],
        "simulated": bool(state and state.simulated),
        "all_simulated": True,
    }
    return Shown(now.at, context, {"chart-engine": drawn.figure})


def _facts(state: EngineState | None, now: datetime) -> str:
    if state is None:
        return "Not heard of in the last two minutes."
    place = ", ".join(filter(None, (state.model or "no model", state.engine_kind, state.region, state.cluster)))
    if not state.up:
        return f"{place}. It does not answer its node's agent."
    if now - state.at > STALE:
        return f"{place}. Stale: no sample for {formats.span(now - state.at)}."
    return f"{place}."


def _tiles(state: EngineState, row: EngineRow, now: datetime) -> list[Tile]:
    bound = f"bound by {row.bound}" if row.bound else f"nearest: {row.score.nearest}" if row.score.nearest else ""
    return [
        Tile("score", "Saturation", row.score.text, "", bound, "bad" if row.bound else ""),
        Tile("since", "Since", row.since or formats.NOTHING, "", "the limit binds" if row.bound else "nothing binds"),
        Tile("headroom", "Next limit", row.headroom, "", "as the last 15 minutes went"),
        Tile("running", "Running", row.running, "requests"),
        Tile("waiting", "Waiting", row.waiting, "requests"),
        Tile("output", "Output", row.tokens_s, "tokens/s"),
        Tile("prompt", "Prompt", formats.rate(state.prompt_tokens_per_s), "tokens/s", "cached ones included"),
        Tile("seen", "Seen", row.seen.removesuffix(" ago"), "ago", "", "bad" if row.stale else ""),
    ]


def _readings(state: EngineState) -> list[Reading]:
    points = saturation_points()
    limits = {field.name: getattr(points, field.name) for field in fields(points)}
    found = []
    for name, label in READINGS.items():
        value, limit = state.saturation.readings.get(name), limits[name]
        share = 0.0 if value is None else value / limit
        found.append(Reading(label, _text(name, value), _text(name, limit), round(min(share, 1) * 100), share >= 1))
    return found


def _text(name: str, value: float | None) -> str:
    if value is None:
        return formats.NOTHING
    if name == "waiting_per_running":
        return f"{value:.2f} waiting / running"
    if name == "preemption_rate":
        return f"{value:.3f} / s / running"
    return f"{value * 100:.0f} %"


def _drawn(filters: Filters, ids: Ids, now: datetime) -> Drawn:
    window = window_of(filters, now)
    only: dict[str, str | Sequence[str]] = dict(zip(("node", "engine"), ids, strict=True))
    points = fleet_engine_series(history(window, (), only))
    before = fleet_engine_series(history(window.previous, (), only)) if filters.compare == PREVIOUS else None
    scores = saturation_series(history(window, (), only), readings=True)
    limits = saturation_points()
    near = {name: (label, getattr(limits, name)) for name, label in READINGS.items()}
    return Drawn(engine_figure(points, scores, window, near, before), bool(points))


PAGE = Page(
    key="engine",
    title="Engine",
    template="operator/engine.html",
    section="fleet",
    part="engines",
    read=_read,
    glance=partial(_read, glance=True),
    parts={"now": "operator/_engine_now.html", "runs": "operator/_engine_gpus.html"},
    scope=(),
    every_s=2.0,
)
