"""Saturation of what engines add up to: nodes, models and regions. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from metering.telemetry.saturation import CONSTRAINTS, Saturation
from metering.telemetry.saturation_trend import Headroom

ENGINE, NODE, MODEL, REGION = "engine", "node", "model", "region"
GROUPS = (NODE, MODEL, REGION)


@dataclass(frozen=True, slots=True)
class EngineState:
    """One engine as its newest samples have it. `weight`: the GPUs it counts for; of a GPU that engines share, a part each.

    `since`: when the constraint that binds began to; None if none binds. `headroom`: None if nothing rises.
    """

    node: str
    engine: str
    engine_kind: str
    model: str
    region: str
    cluster: str
    simulated: bool
    gpus: tuple[str, ...]
    weight: float
    at: datetime
    up: bool
    running: float | None
    waiting: float | None
    prompt_tokens_per_s: float | None
    generation_tokens_per_s: float | None
    saturation: Saturation
    since: datetime | None = None
    headroom: Headroom | None = None


@dataclass(frozen=True, slots=True)
class BoundShare:
    """A constraint, and the share of the scope's GPUs whose engines it binds."""

    constraint: str
    share: float


@dataclass(frozen=True, slots=True)
class ScopeState:
    """`score`: the mean of the engines' scores by their GPUs; None if none has one. `bound`: the largest share first.

    `since`: when the constraint with the largest share began to bind the first of its engines. `worst`: the engine with what binds, or
    the highest score. `missing`: readings that some engine was computed without.
    """

    group: str
    name: str
    engines: int
    down: int
    gpus: float
    score: float | None
    bound: tuple[BoundShare, ...]
    since: datetime | None
    worst: EngineState
    missing: tuple[str, ...]
    simulated: bool

    @property
    def constraint(self) -> str:
        """The one that binds most of its GPUs; '' if none binds."""
        return self.bound[0].constraint if self.bound else ""


def scopes(engines: Iterable[EngineState], group: str) -> tuple[ScopeState, ...]:
    """By name, in order. Raises ValueError for another group."""
    if group not in GROUPS:
        raise ValueError(f"unknown group {group!r}: one of {', '.join(GROUPS)}")
    found: dict[str, list[EngineState]] = defaultdict(list)
    for engine in engines:
        found[getattr(engine, group)].append(engine)
    return tuple(_scope(group, name, found[name]) for name in sorted(found))


def _scope(group: str, name: str, engines: list[EngineState]) -> ScopeState:
    bound = _bound(engines)
    first = bound[0].constraint if bound else ""
    missing = {reading for engine in engines if engine.up for reading in engine.saturation.missing}
    return ScopeState(
        group=group,
        name=name,
        engines=len(engines),
        down=sum(not engine.up for engine in engines),
        gpus=sum(engine.weight for engine in engines),
        score=_score(engines),
        bound=bound,
        since=min((each.since for each in engines if _binds(each, first) and each.since), default=None),
        worst=min(engines, key=_severity),
        missing=tuple(sorted(missing)),
        simulated=any(engine.simulated for engine in engines),
    )


def _score(engines: list[EngineState]) -> float | None:
    known = [(each.saturation.score, each.weight) for each in engines if each.saturation.score is not None]
    weight = sum(share for _, share in known)
    return sum(score * share for score, share in known) / weight if weight else None


def _bound(engines: list[EngineState]) -> tuple[BoundShare, ...]:
    weight = sum(each.weight for each in engines)
    held = [(name, sum(each.weight for each in engines if _binds(each, name)) / weight) for name in CONSTRAINTS]
    largest_first = sorted(held, key=lambda each: -each[1])  # stable: of equal shares, the order of CONSTRAINTS
    return tuple(BoundShare(name, share) for name, share in largest_first if share)


def _binds(engine: EngineState, constraint: str) -> bool:
    return engine.saturation.bound and engine.saturation.constraint == constraint


def _severity(engine: EngineState) -> tuple[bool, float, str, str]:
    """The worst is the smallest; equals go by name, so that it does not change from one reading to the next."""
    state = engine.saturation
    return (not state.bound, -1.0 * (state.score or 0.0), engine.node, engine.engine)
