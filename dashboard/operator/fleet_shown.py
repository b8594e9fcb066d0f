"""The fleet's saturation as text: the rows of its tables. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from dashboard import formats
from dashboard.operator import fleet_words as words
from dashboard.operator.filters import Filters
from dashboard.operator.fleet_links import engine_link, narrowed_link
from metering.public import EngineState, Headroom, SaturationPoints, ScopeState

READINGS = {
    "kv_cache_usage": "KV cache",
    "waiting_per_running": "queue",
    "preemption_rate": "preemptions",
    "dram_active": "memory bandwidth",
    "tensor_active": "tensor cores",
    "power_share": "power",
    "power_throttle": "power throttling",
    "thermal_throttle": "heat throttling",
}
STALE = timedelta(seconds=60)
UNFILTERED = Filters()


@dataclass(frozen=True)
class Score:
    """`width`: of its bar, in per cent. `bound`: whether a limit binds; `nearest`: the limit that is nearest."""

    text: str
    width: int
    bound: bool
    nearest: str


@dataclass(frozen=True)
class ScopeRow:
    """A model, node or region. `bound`: each limit that binds, with its share of the GPUs; `since`: when the first of them began to,
    '' if that is not known. `link`: of the page narrowed to it; `worst_link`: of the worst engine's."""

    name: str
    link: str
    worst_link: str
    simulated: bool
    score: Score
    bound: tuple[str, ...]
    since: str
    headroom: str
    worst: str
    engines: str
    down: int
    gpus: str
    without: str


@dataclass(frozen=True)
class Cell:
    """`at_limit`: the reading is at its saturation point or above."""

    text: str
    at_limit: bool = False


@dataclass(frozen=True)
class EngineRow:
    node: str
    engine: str
    link: str
    model: str
    simulated: bool
    up: bool
    score: Score
    bound: str
    since: str
    headroom: str
    running: str
    waiting: str
    tokens_s: str
    readings: tuple[Cell, ...]
    without: str
    seen: str
    stale: bool


def scope_rows(
    scopes: Sequence[ScopeState], engines: Sequence[EngineState], now: datetime, filters: Filters = UNFILTERED
) -> list[ScopeRow]:
    """What binds first, then by score."""
    found = sorted(scopes, key=lambda one: (not one.bound, -(one.score or 0.0), one.name))
    members: dict[str, list[EngineState]] = defaultdict(list)
    for each in engines:
        members[getattr(each, found[0].group)].append(each)
    return [_scope(one, members[one.name], now, filters) for one in found]


def engine_rows(
    engines: Sequence[EngineState], points: SaturationPoints, now: datetime, filters: Filters = UNFILTERED
) -> list[EngineRow]:
    """What does not answer first, then what binds, then by score."""
    found = sorted(engines, key=_severity)
    limits = {field.name: getattr(points, field.name) for field in fields(points)}
    return [_engine(one, limits, now, filters) for one in found]


def _scope(one: ScopeState, engines: Sequence[EngineState], now: datetime, filters: Filters) -> ScopeRow:
    room = words.soonest(engines)
    return ScopeRow(
        name=one.name or "(none)",
        link=narrowed_link(filters, one.group, one.name),
        worst_link=engine_link(one.worst.node, one.worst.engine, filters),
        simulated=one.simulated,
        score=_score(one.score, bool(one.bound), one.worst.saturation.constraint),
        bound=tuple(f"{words.limit(each.constraint)} {each.share * 100:.0f} %" for each in one.bound),
        since=words.ago(one.since, now) if one.since else "",
        headroom=_headroom(room[1] if room else None),
        worst=f"{one.worst.engine} on {one.worst.node}",
        engines=formats.whole(one.engines),
        down=one.down,
        gpus=f"{one.gpus:g}" if one.gpus == round(one.gpus, 1) else f"{one.gpus:.1f}",
        without=_without(one.missing),
    )


def _engine(one: EngineState, limits: Mapping[str, float], now: datetime, filters: Filters) -> EngineRow:
    state = one.saturation
    stale = now - one.at > STALE
    return EngineRow(
        node=one.node,
        engine=one.engine,
        link=engine_link(one.node, one.engine, filters),
        model=one.model,
        simulated=one.simulated,
        up=one.up,
        score=_score(state.score, state.bound, state.constraint),
        bound=words.limit(state.constraint) if state.bound else "",
        since=words.ago(one.since, now) if one.since else "",
        headroom=_headroom(one.headroom),
        running=_count(one.running),
        waiting=_count(one.waiting),
        tokens_s=formats.rate(one.generation_tokens_per_s),
        readings=tuple(_reading(name, state.readings.get(name), limits[name]) for name in READINGS),
        without=_without(state.missing),
        seen=f"{formats.span(now - one.at)} ago",
        stale=stale,
    )


def _severity(one: EngineState) -> tuple[bool, bool, float, str, str]:
    return (one.up, not one.saturation.bound, -(one.saturation.score or 0.0), one.node, one.engine)


def _score(value: float | None, bound: bool, nearest: str) -> Score:
    return Score(words.score(value), round((value or 0.0) * 100), bound, words.limit(nearest) if nearest else "")


def _headroom(room: Headroom | None) -> str:
    return f"{words.limit(room.constraint)} in {words.minutes(room)}" if room else formats.NOTHING


def _reading(name: str, value: float | None, limit: float) -> Cell:
    if value is None:
        return Cell(formats.NOTHING)
    if name == "waiting_per_running":
        text = f"{value:.2f}"
    elif name == "preemption_rate":
        text = "0" if value == 0 else f"{value:.3f}"
    else:
        text = f"{value * 100:.0f} %"
    return Cell(text, value >= limit)


def _count(value: float | None) -> str:
    return formats.NOTHING if value is None else f"{value:,.0f}"


def _without(missing: Sequence[str]) -> str:
    """The readings that the score was computed without, in the order of the columns."""
    return ", ".join(label for name, label in READINGS.items() if name in missing)
