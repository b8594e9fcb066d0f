"""The page of all engines: how full they are, and where requests spend their time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from dashboard import formats
from dashboard.figures import Figure
from dashboard.figures_engines import engines_figures
from dashboard.formats import NOTHING
from dashboard.operator import fleet_words as words
from dashboard.operator.filters import PREVIOUS, Filters, Option, Window
from dashboard.operator.fleet_links import all_nodes_link, engine_link, narrowed_link
from dashboard.operator.fleet_reading import (
    NODE,
    SCOPE,
    History,
    engines_in,
    engines_now,
    history,
    narrowed,
    together,
    window_of,
)
from dashboard.operator.pages import Ids, Page, Shown
from dashboard.operator.tiles import Tile
from metering.public import EnginePoint, EngineState, FleetRange, fleet_engine_series

BY = Option("by", "Table by", {"model": "Model", "engine": "Engine", "node": "Node"}, "model")
GROUPS = {"model": ("model",), "engine": ("node", "engine"), "node": ("node",)}
MOST_ROWS = 100


@dataclass(frozen=True)
class Figures:
    """Over the range, as text. Latencies are in ms, rates a second. `queued`: more waits than the moment before a request begins."""

    running: str = NOTHING
    waiting: str = NOTHING
    waiting_most: str = NOTHING
    queued: bool = False
    batch: str = NOTHING
    kv: str = NOTHING
    kv_most: str = NOTHING
    preemptions: str = NOTHING
    hits: str = NOTHING
    queue: str = NOTHING
    prefill: str = NOTHING
    decode: str = NOTHING
    output: str = NOTHING
    restarts: str = NOTHING


@dataclass(frozen=True)
class Row:
    """An engine, model or node: its figures over the range, and its score now."""

    name: str
    on: str
    link: str
    simulated: bool
    engines: str
    down: int
    score: float | None
    score_text: str
    bound: bool
    figures: Figures


@dataclass(frozen=True)
class Range:
    figures: dict[str, Figure]
    groups: Sequence[EnginePoint]


def _read(filters: Filters, ids: Ids, *, glance: bool = False) -> Shown:
    past = History(("engines-history", filters), filters, now=glance)
    now, found = together(
        partial(engines_now, glance=glance), lambda: past.read(lambda: _range(filters, datetime.now(UTC)))
    )
    found = found or Range(engines_figures(None, window_of(filters, now.at)), ())
    engines = engines_in(now.found, filters)
    by = filters.option(BY)
    rows = _rows(found, engines, by, filters)
    simulated = [one.simulated for one in engines]
    context = {
        "engines": bool(engines) or bool(rows),
        "others": bool(now.found),
        "node": filters.option(NODE),
        "all_nodes": all_nodes_link(filters),
        "by": BY.choices[by] if BY.choices else by,
        "grouped": by,
        "tiles": _tiles(engines),
        "rows": rows[:MOST_ROWS],
        "rows_in_all": len(rows),
        "simulated": any(simulated),
        "all_simulated": all(simulated),
    }
    return Shown(now.at, context, found.figures)


def _range(filters: Filters, now: datetime) -> Range:
    window = window_of(filters, now)
    only = narrowed(filters)
    points = fleet_engine_series(history(window, (), only))
    before = fleet_engine_series(history(window.previous, (), only)) if filters.compare == PREVIOUS else None
    whole = _whole(window, history(window, GROUPS[filters.option(BY)], only))
    return Range(engines_figures(points, window, before), fleet_engine_series(whole))


def _whole(window: Window, asked: FleetRange) -> FleetRange:
    """As one step, of whole steps so that the same rows are read."""
    step = max(len(window.steps), 1) * window.step
    return FleetRange(asked.start, asked.end, step, asked.group, asked.only)


def _rows(found: Range, engines: Sequence[EngineState], by: str, filters: Filters) -> list[Row]:
    """Those that are there now or were in the range: what is bound first, then by score, then by what waits."""
    there: dict[tuple[str, ...], list[EngineState]] = {}
    for one in engines:
        there.setdefault(tuple(getattr(one, name) for name in GROUPS[by]), []).append(one)
    points = {tuple(point.group.values()): point for point in found.groups}
    rows = [_row(_named(key, by, filters), points.get(key), there.get(key, [])) for key in {**points, **there}]
    return sorted(rows, key=lambda row: (not row.bound, -(row.score or 0.0), row.on, row.name))


def _named(key: tuple[str, ...], by: str, filters: Filters) -> dict[str, str]:
    if by == "engine":
        node, engine = key
        return {"name": engine, "on": node, "link": engine_link(node, engine, filters)}
    [name] = key
    return {"name": name or "(none)", "on": "", "link": narrowed_link(filters, by, name)}


def _row(named: dict[str, str], point: EnginePoint | None, now: Sequence[EngineState]) -> Row:
    scored = [(one.saturation.score, one.weight) for one in now if one.saturation.score is not None]
    weight = sum(each for _, each in scored)
    score = sum(each * share for each, share in scored) / weight if weight else None
    return Row(
        **named,
        simulated=any(one.simulated for one in now) or bool(point and point.simulated),
        engines=formats.whole(len(now)),
        down=sum(not one.up for one in now),
        score=score,
        score_text=words.score(score),
        bound=any(one.saturation.bound for one in now),
        figures=_figures(point),
    )


def _figures(point: EnginePoint | None) -> Figures:
    if point is None:
        return Figures()
    waiting = point.waiting or 0.0
    return Figures(
        running=_count(point.running),
        waiting=_count(point.waiting),
        waiting_most=_count(point.waiting_max),
        queued=waiting >= max(0.05 * (point.running or 0.0), 0.5),
        batch=_count(point.batch),
        kv=_percent(point.kv_cache_usage),
        kv_most=_percent(point.kv_cache_usage_max),
        preemptions=formats.whole(point.preemptions),
        hits=_percent(point.prefix_hit_rate),
        queue=milliseconds(point.queue_s),
        prefill=milliseconds(point.prefill_s),
        decode=milliseconds(point.decode_s),
        output=formats.rate(_each_second(point)),
        restarts=formats.whole(point.restarts),
    )


def _each_second(point: EnginePoint) -> float | None:
    """Output tokens, over the time that was measured."""
    tokens = point.generation_tokens
    return None if tokens is None or not point.minutes else tokens / (point.minutes * 60)


def _count(value: float | None) -> str:
    return formats.NOTHING if value is None else f"{value:,.1f}" if 0 < value < 10 else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return formats.NOTHING if value is None else f"{value * 100:.0f} %"


def milliseconds(value_s: float | None) -> str:
    if value_s is None:
        return formats.NOTHING
    value = value_s * 1000
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def _tiles(engines: Sequence[EngineState]) -> list[Tile]:
    """Now, over the half minute up to each engine's newest sample."""
    if not engines:
        return []
    down, bound = sum(not one.up for one in engines), sum(one.saturation.bound for one in engines)
    full = [one for one in engines if "kv_cache_usage" in one.saturation.readings]
    fullest = max(full, key=lambda one: one.saturation.readings["kv_cache_usage"], default=None)
    return [
        Tile(
            "engines",
            "Engines",
            formats.whole(len(engines)),
            "",
            f"{down} without an answer" if down else "all answer",
            "bad" if down else "",
        ),
        Tile("bound", "Bound by a limit", formats.whole(bound), "", f"of {len(engines):,}", "bad" if bound else ""),
        Tile("running", "Running", _total(engines, "running"), "requests", "in all engines"),
        Tile("waiting", "Waiting", _total(engines, "waiting"), "requests", "in all engines"),
        Tile(
            "kv",
            "Fullest KV cache",
            _percent(fullest.saturation.readings["kv_cache_usage"]) if fullest else formats.NOTHING,
            "",
            f"{fullest.engine} on {fullest.node}" if fullest else "no engine tells",
        ),
        Tile("output", "Output", _rate(engines, "generation_tokens_per_s"), "tokens/s", "generated"),
        Tile("prompt", "Prompt", _rate(engines, "prompt_tokens_per_s"), "tokens/s", "cached ones included"),
    ]


def _known(engines: Sequence[EngineState], name: str) -> list[float]:
    return [value for one in engines if (value := getattr(one, name)) is not None]


def _total(engines: Sequence[EngineState], name: str) -> str:
    known = _known(engines, name)
    return f"{sum(known):,.0f}" if known else formats.NOTHING


def _rate(engines: Sequence[EngineState], name: str) -> str:
    known = _known(engines, name)
    return formats.rate(sum(known)) if known else formats.NOTHING


PAGE = Page(
    key="engines",
    title="Engines",
    template="operator/engines.html",
    section="fleet",
    read=_read,
    glance=partial(_read, glance=True),
    parts={
        "state": "operator/_engines_state.html",
        "tiles": "operator/_tiles.html",
        "rows": "operator/_engines_rows.html",
    },
    options=(BY, NODE),
    scope=SCOPE,
    every_s=2.0,
)
