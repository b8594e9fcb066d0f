"""The state of the service in at most three sentences, the gravest first: what binds, what is gone, who or what caused it. Pure.

A cause that explains a finding is told with it and not once more by itself. Words are in state_words.py.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dashboard.operator import state_words as words
from dashboard.operator.state_words import Bound, Cause, Said
from metering.public import Causes, EngineState, LatencyShift, LoadShift, Lost

MOST = 3
SATURATED_FROM = 0.25  # of a model's GPUs: a single engine of many is bound now and then
LASTING = timedelta(minutes=3)  # then it is said of a smaller part as well
CAUSED_BEFORE, CAUSED_AFTER = timedelta(minutes=30), timedelta(minutes=2)
DEPLOYED_BEFORE = timedelta(minutes=15)
BURST_ADDS = 0.25  # of the model's load
GREW = 0.2  # of the model's load in the hour before, that is worth a word where no customer stands out
SOON_MINUTES, SOON_FROM = 10.0, 0.6  # of headroom; and how near its point the reading is by then
LOST_RANK = {"node": 2, "down": 3, "engine": 5, "gpu": 5}


@dataclass(frozen=True)
class Mark:
    """A deploy, as somebody told: of one model, or '' of any."""

    at: datetime
    text: str
    model: str = ""


@dataclass(frozen=True)
class Signals:
    """What the sentence is made from. `newest`: the latest arrival of the last quarter of an hour; `ever`: whether any event has come."""

    at: datetime
    causes: Causes
    engines: Sequence[EngineState]
    ever: bool
    deploys: Sequence[Mark] = ()


@dataclass
class _Account:
    """What is said so far, by rank, and what has been used up as a cause."""

    said: list[tuple[float, Said]] = field(default_factory=list)
    caps: set[str] = field(default_factory=set)
    slower: set[str] = field(default_factory=set)
    loads: set[tuple[str, str]] = field(default_factory=set)


def findings(found: Signals) -> list[Said]:
    """At most MOST, the gravest first; or one that all is well, or that nothing is known."""
    account = _Account()
    causes = found.causes
    if causes.silence is not None:
        account.said.append((0, words.silent_events(causes.silence, found.at)))
    if causes.presence.silent is not None:
        account.said.append((1, words.silent_fleet(causes.presence.silent, found.at)))
    for lost in _grouped(causes.presence.lost):
        account.said.append(
            (LOST_RANK[lost[0].kind] - min(sum(one.gpus for one in lost), 900) / 1000, words.lost(lost, found.at))
        )
    bound = bounds(found.engines)
    for one in bound:
        _tell_bound(found, one, account)
    models = {one.model for one in bound}
    for error in causes.errors:
        account.said.append(
            (4.5 - min(error.ratio, 1) / 10, words.errors(error, _deploy(found, error.model, error.since), found.at))
        )
    account.said += [
        (5.5, words.slower(each, _deploy(found, each.model, each.since), found.at))
        for each in _slower(found, models, account)
    ]
    account.said += [(6, words.cap(each, found.at)) for each in causes.caps if each.node not in account.caps]
    account.said += [(7, words.burst(each, found.at)) for each in _bursts(found, account)]
    account.said += [(8, said) for said in _soon(found, models)]
    account.said.sort(key=lambda each: each[0])
    return [said for _, said in account.said[:MOST]] or [_calm(found)]


def bounds(engines: Sequence[EngineState]) -> list[Bound]:
    """Models of which a limit binds a part: what binds most of it, the most GPUs first."""
    by_model: dict[str, list[EngineState]] = defaultdict(list)
    for engine in engines:
        by_model[engine.model].append(engine)
    found = [one for model, of_model in by_model.items() if (one := _bound(model, of_model)) is not None]
    return sorted(found, key=lambda each: (-each.gpus, each.model))


def _bound(model: str, engines: Sequence[EngineState]) -> Bound | None:
    held: dict[str, list[EngineState]] = defaultdict(list)
    for engine in engines:
        if engine.saturation.bound:
            held[engine.saturation.constraint].append(engine)
    if not held:
        return None
    constraint, first = max(held.items(), key=lambda each: sum(one.weight for one in each[1]))
    everything = [one for some in held.values() for one in some]
    rooms = [one.headroom for one in engines if one.headroom is not None and not one.saturation.bound]
    regions = {one.region for one in everything}
    return Bound(
        model=model,
        constraint=constraint,
        gpus=sum(one.weight for one in everything),
        share=sum(one.weight for one in everything) / sum(one.weight for one in engines),
        since=min((one.since for one in first if one.since), default=None),
        regions=tuple(sorted(regions)) if regions != {one.region for one in engines} or len(regions) == 1 else (),
        nodes=tuple(sorted({one.node for one in first})),
        engines=len(everything),
        engines_of=len(engines),
        room=min(rooms, key=lambda each: each.minutes, default=None),
    )


def _tell_bound(found: Signals, one: Bound, account: _Account) -> None:
    lasting = one.since is not None and found.at - one.since >= LASTING
    if one.share < SATURATED_FROM and not lasting:
        return
    rank = 4 - min(one.gpus, 900) / 1000 if one.share >= SATURATED_FROM else 6.5
    account.said.append(
        (rank, words.bound(one, _cause(found, one, account), found.at, whole=one.share >= SATURATED_FROM))
    )


def _cause(found: Signals, one: Bound, account: _Account) -> Cause | None:
    """What changed at about the time that it began to bind; the first of these that did."""
    since, causes = one.since or found.at, found.causes
    caps = [each for each in causes.caps if each.node in one.nodes and _led_to(each.since, since)]
    if caps and one.constraint in {"power", "queue"}:
        account.caps.update(each.node for each in caps)
        return words.because_of_cap(caps)
    lost = [each for each in causes.presence.lost if one.model in each.models and _led_to(each.since, since)]
    if lost:
        return words.because_of_loss(lost)
    slower = [
        each
        for each in causes.latencies
        if each.model == one.model and each.measure in {"itl", "tpot"} and _led_to(each.since, since)
    ]
    if slower and one.constraint != "thermal":
        account.slower.add(one.model)
        return words.because_of_slowness(slower[0], _deploy(found, one.model, slower[0].since), found.at)
    loads = [each for each in causes.loads if each.model == one.model and _led_to(each.since, since)]
    if loads:
        account.loads.add((one.model, loads[0].tenant))
        return words.because_of_load(loads[0], one.constraint, found.at)
    grown = next(
        (each for each in causes.models if each.model == one.model and each.now_s >= (1 + GREW) * each.before_s > 0),
        None,
    )
    if grown is not None:
        return words.because_of_all(grown)
    deploy = _deploy(found, one.model, since)
    return words.because_of_deploy(deploy) if deploy else None


def _led_to(began: datetime, since: datetime) -> bool:
    return since - CAUSED_BEFORE <= began <= since + CAUSED_AFTER


def _deploy(found: Signals, model: str, since: datetime | None) -> Mark | None:
    """The latest one of the model, or of all, shortly before."""
    if since is None:
        return None
    near = [
        each
        for each in found.deploys
        if each.model in {"", model} and since - DEPLOYED_BEFORE <= each.at <= since + CAUSED_AFTER
    ]
    return max(near, key=lambda each: each.at, default=None)


def _grouped(lost: Sequence[Lost]) -> Iterator[list[Lost]]:
    """What is gone together is told together: by kind, and GPUs and engines by node."""
    groups: dict[tuple[str, str], list[Lost]] = defaultdict(list)
    for one in lost:
        groups[one.kind, "" if one.kind == "node" else one.node].append(one)
    yield from groups.values()


def _slower(found: Signals, bound: set[str], account: _Account) -> Iterator[LatencyShift]:
    """Once for each model; not where a limit that binds, a lower cap or a lost node explains it."""
    capped = {each.node for each in found.causes.caps}
    explained = {each.model for each in found.engines if each.node in capped}
    explained |= {model for each in found.causes.presence.lost for model in each.models}
    told = set(account.slower)
    for each in found.causes.latencies:
        if each.model not in bound | explained | told:
            told.add(each.model)
            yield each


def _bursts(found: Signals, account: _Account) -> Iterator[LoadShift]:
    """Once for each customer, where it weighs most; what has caused something else is told there."""
    told = {tenant for _, tenant in account.loads}
    for each in found.causes.loads:
        adds = each.now_s - each.before_s
        if each.tenant not in told and each.model_before_s and adds >= BURST_ADDS * each.model_before_s:
            told.add(each.tenant)
            yield each


def _soon(found: Signals, bound: set[str]) -> Iterator[Said]:
    # Of power and activity much may be used and all be well; a cache that fills ends in requests that wait.
    near = [
        one
        for one in found.engines
        if one.headroom
        and one.headroom.constraint in {"kv_cache", "queue"}
        and one.headroom.minutes <= SOON_MINUTES
        and (one.saturation.score or 0) >= SOON_FROM
        and one.model not in bound
    ]
    if near:
        yield words.soon(min(near, key=lambda one: one.headroom.minutes if one.headroom else 0.0))


def _calm(found: Signals) -> Said:
    if not found.engines:
        return words.without_telemetry() if found.ever else words.nothing_yet()
    return words.calm(found.engines)
