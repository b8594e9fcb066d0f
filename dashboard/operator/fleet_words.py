"""What the fleet's state is, in sentences: which limit binds whom since when, or that nothing does. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from dashboard import formats
from dashboard.operator.ingest_findings import BAD, WARN, Finding
from metering.public import EngineState, Headroom, ScopeState

GOOD = "good"
LIMITS = {
    "kv_cache": "KV cache",
    "power": "power",
    "thermal": "heat",
    "memory_bandwidth": "memory bandwidth",
    "compute": "compute",
    "queue": "queue",
}
ADVICE = {
    "kv_cache": "Requests wait for room in the KV cache, or are put out of it again: add a replica, or shorten contexts.",
    "power": "Its GPUs run at their power limit: raise the cap, or move load to another node.",
    "thermal": "Its GPUs clock down because they are hot: look at the cooling of the node.",
    "memory_bandwidth": "Decoding reads memory as fast as it goes: add GPUs, or move load to another engine.",
    "compute": "Prefill takes all of the tensor cores: add GPUs, or see why fewer prompts come from the prefix cache.",
    "queue": "Requests queue and no resource explains it: look at the engine's own limit of running requests.",
}
MOST_NAMED = 3


def limit(constraint: str) -> str:
    return LIMITS.get(constraint, formats.words(constraint))


def findings(engines: Sequence[EngineState], models: Sequence[ScopeState], now: datetime) -> list[Finding]:
    """What binds first, then what does not answer; or one sentence that all is well. Empty without engines."""
    bound = sorted((one for one in models if one.bound), key=lambda one: -one.bound[0].share)
    found = [_bound(one, now) for one in bound[:MOST_NAMED]]
    if len(bound) > MOST_NAMED:
        others = ", ".join(one.name or "(no model)" for one in bound[MOST_NAMED:])
        found.append(Finding(WARN, f"Bound as well: {others}.", "The table of models says by what."))
    found += _down(engines)
    return found or list(_calm(engines))


def _bound(one: ScopeState, now: datetime) -> Finding:
    first, worst = one.bound[0], one.worst
    since = f" since {ago(one.since, now)}" if one.since else ""
    text = (
        f"{one.name or '(no model)'} is bound by {limit(first.constraint)}{since}, on {first.share * 100:.0f} % of its GPUs; "
        f"the worst is engine {worst.engine} on {worst.node}."
    )
    return Finding(WARN, text, ADVICE.get(first.constraint, ""))


def _down(engines: Sequence[EngineState]) -> Iterator[Finding]:
    down = [f"{one.engine} on {one.node}" for one in engines if not one.up]
    if down:
        more = f" and {len(down) - MOST_NAMED} more" if len(down) > MOST_NAMED else ""
        verb = "does" if len(down) == 1 else "do"
        text = (
            f"{formats.counted(len(down), 'engine')} {verb} not answer the agent: {', '.join(down[:MOST_NAMED])}{more}."
        )
        yield Finding(BAD, text, "On the node, tallywatt-agent --once --print says what the agent sees.")


def _calm(engines: Sequence[EngineState]) -> Iterator[Finding]:
    scored = [one for one in engines if one.saturation.score is not None]
    if not scored:
        return
    top = max(scored, key=lambda one: one.saturation.score or 0.0)
    text = f"Nothing binds. The highest score is {score(top.saturation.score)}: engine {top.engine} on {top.node} ({top.model})"
    near = f", nearest to its limit of {limit(top.saturation.constraint)}." if top.saturation.constraint else "."
    room = soonest(engines)
    yield Finding(GOOD, text + near, f"If it goes on like this, {_room(*room)}." if room else "")


def _room(engine: EngineState, room: Headroom) -> str:
    return f"engine {engine.engine} on {engine.node} comes to its limit of {limit(room.constraint)} in about {minutes(room)}"


def soonest(engines: Sequence[EngineState]) -> tuple[EngineState, Headroom] | None:
    """The engine that comes to a limit first if it goes on as in the last quarter of an hour."""
    found = [(one, one.headroom) for one in engines if one.headroom is not None]
    return min(found, key=lambda pair: pair[1].minutes, default=None)


def minutes(room: Headroom) -> str:
    """'25 min', '3 h'."""
    return formats.span(max(timedelta(minutes=room.minutes), timedelta(minutes=2)))


def ago(moment: datetime, now: datetime) -> str:
    """'14:05 UTC (12 min)'."""
    return f"{formats.clock(moment, now)} ({formats.span(now - moment)})"


def score(value: float | None) -> str:
    return formats.NOTHING if value is None else f"{value:.2f}"
