"""The sentences of the overview: what they say, what to do, and which page shows it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from dashboard import formats
from dashboard.operator.fleet_words import ADVICE, limit
from metering.public import (
    CapChange,
    EngineState,
    ErrorShift,
    Headroom,
    LatencyShift,
    LoadShift,
    Lost,
    ModelLoad,
    Silence,
)

BAD, WARN, GOOD, UNKNOWN = "bad", "warn", "good", "unknown"
SATURATION, GPUS, ENGINES, LATENCY, TENANTS, INGEST, OVERVIEW, POWER = (
    "saturation",
    "gpus",
    "engines",
    "latency",
    "tenants",
    "ingest",
    "overview",
    "power",
)
MEASURES = {
    "itl": "time per output token",
    "prefill": "prefill",
    "tpot": "median time per output token",
    "ttft": "median time to first token",
}
MOST_NAMED = 3
HELD_MORE = 1.2  # than its tokens alone: its requests run for longer


class Deploy(Protocol):
    @property
    def at(self) -> datetime: ...
    @property
    def text(self) -> str: ...


@dataclass(frozen=True)
class Said:
    """`title` is the state in a word or two, `text` the rest of the sentence. `page` shows it, narrowed to `narrow`."""

    kind: str
    tone: str
    title: str
    text: str
    advice: str = ""
    page: str = ""
    narrow: tuple[tuple[str, str], ...] = ()

    @property
    def sentence(self) -> str:
        return f"{self.title}: {self.text}" if self.text else self.title


@dataclass(frozen=True)
class Bound:
    """A model of which `share` of the GPUs is bound, most of that by `constraint`, on `nodes`. `regions`: () for all that it runs in."""

    model: str
    constraint: str
    gpus: float
    share: float
    since: datetime | None
    regions: tuple[str, ...]
    nodes: tuple[str, ...]
    engines: int
    engines_of: int
    room: Headroom | None


@dataclass(frozen=True)
class Cause:
    """`text` goes on after a semicolon; `advice` is better than that of the limit."""

    text: str
    advice: str = ""
    page: str = ""
    narrow: tuple[tuple[str, str], ...] = ()


def bound(one: Bound, cause: Cause | None, now: datetime, *, whole: bool) -> Said:
    """'Saturated: KV cache on llama-70b in eu-west since 02:12; 14 minutes of headroom; caused by tenant X, +180 % since 02:10'."""
    parts = [f"{limit(one.constraint)} on {_model(one.model)}{_in(one.regions)}{_since(one.since, now)}"]
    if one.share < 1:
        parts[0] += f", {one.engines} of {formats.counted(one.engines_of, 'engine')}"
    if one.room is not None:
        parts.append(
            f"{_minutes(one.room.minutes)} of headroom on the others"
            if one.share < 1
            else f"{_minutes(one.room.minutes)} of headroom"
        )
    if cause:
        parts.append(cause.text)
    narrow = (("model", one.model), *((("region", one.regions[0]),) if len(one.regions) == 1 else ()))
    title, tone = ("Saturated", BAD) if whole else ("Strained", WARN)
    advice = cause.advice if cause and cause.advice else ADVICE.get(one.constraint, "")
    page, to = (cause.page, cause.narrow) if cause and cause.page else (SATURATION, narrow)
    return Said("saturated", tone, title, "; ".join(parts), advice, page, to)


def because_of_cap(caps: Sequence[CapChange]) -> Cause:
    first = caps[0]
    return Cause(
        f"the power cap of {_names([each.node for each in caps])} was lowered {_watts(first)} a GPU at {first.since:%H:%M}",
        "Raise the cap again, or move load to another node until it is.",
        POWER,
        (("region", first.region),) if first.region else (),
    )


def because_of_loss(lost: Sequence[Lost]) -> Cause:
    what = {"node": "node", "gpu": "GPU"}.get(lost[0].kind, "engine")
    names = [each.node if each.kind == "node" else f"{each.name} on {each.node}" for each in lost]
    verb = "was" if len(names) == 1 else "were"
    return Cause(
        f"since {what}{'' if len(names) == 1 else 's'} {_names(names)} {verb} lost",
        "Bring it back, or shed load until it is.",
    )


def because_of_slowness(each: LatencyShift, deploy: Deploy | None, now: datetime) -> Cause:
    return Cause(f"{_slowness(each, now)}{_after(deploy)}", _undo(deploy), LATENCY, (("model", each.model),))


def because_of_load(each: LoadShift, constraint: str, now: datetime) -> Cause:
    held = ""
    if constraint == "kv_cache" and each.held_before and each.held_now and each.before_s:
        times = each.held_now / each.held_before
        if times > HELD_MORE * each.now_s / each.before_s:
            held = f" (and about {times:.1f} times the KV cache)"
    return Cause(
        f"caused by {each.tenant}, {_growth(each)}{_since(each.since, now)}{held}",
        f"{each.tenant} sends {each.share * 100:.0f} % of the model's tokens: limit its rate, or add a replica.",
        TENANTS,
        (("model", each.model), ("tenant", each.tenant)),
    )


def because_of_all(each: ModelLoad) -> Cause:
    return Cause(
        f"its load is up {each.now_s / each.before_s * 100 - 100:.0f} % on the hour before, by no one customer"
    )


def because_of_deploy(deploy: Deploy) -> Cause:
    return Cause(f"after {_deploy(deploy)}", _undo(deploy))


def silent_events(found: Silence, now: datetime) -> Said:
    text = f"no request has ended{_since(found.since, now)}, after {formats.rate(found.usual_s)} a second"
    return Said(
        "silent",
        BAD,
        "No events",
        text,
        "Either nothing is served, or nothing reaches ingest: its page tells which.",
        INGEST,
    )


def silent_fleet(since: datetime, now: datetime) -> Said:
    text = f"no agent has reported{_since(since, now)}; what binds is not known"
    return Said(
        "blind",
        BAD,
        "No samples",
        text,
        "All agents at once: look at the network to this server, and at its ingest.",
        INGEST,
    )


def lost(found: Sequence[Lost], now: datetime) -> Said:
    """Of one kind; engines and GPUs are of one node."""
    first, count = found[0], len(found)
    since = _since(min(each.since for each in found), now)
    models = sorted({model for each in found for model in each.models})
    serves = (
        f"; {_names(models)} runs on fewer engines"
        if len(models) == 1
        else f"; {_names(models)} run on fewer engines"
        if models
        else ""
    )
    gpus, narrow = sum(each.gpus for each in found), (("region", first.region),) if first.region else ()
    of = f", {gpus} of {formats.counted(first.gpus_of, 'GPU')}" if gpus and first.gpus_of else ""
    if first.kind == "node":
        text = f"node{'s' if count > 1 else ''} {_names([each.node for each in found])}{since}{of}{serves}"
        return Said(
            "lost",
            BAD,
            "Lost",
            text,
            "It reports nothing: look whether it is up, then at its agent and network.",
            GPUS,
            narrow,
        )
    names = _names([each.name for each in found])
    if first.kind == "down":
        text = f"engine{'s' if count > 1 else ''} {names} on {first.node} {'does' if count == 1 else 'do'} not answer{since}{of}{serves}"
        return Said(
            "lost",
            BAD,
            "Down",
            text,
            "On the node, tallywatt-agent --once --print says what the agent sees.",
            ENGINES,
            narrow,
        )
    what = "engine" if first.kind == "engine" else "GPU"
    text = f"{what}{'s' if count > 1 else ''} {names} on {first.node}{since}, though the node reports{serves if what == 'engine' else ''}"
    advice = (
        "Look at the agent's list of engines."
        if what == "engine"
        else "A GPU that fell off the bus shows as XID 79 in the node's log."
    )
    return Said("lost", WARN, "Lost", text, advice, ENGINES if what == "engine" else GPUS, narrow)


def errors(each: ErrorShift, deploy: Deploy | None, now: datetime) -> Said:
    usual = f", {formats.percent(each.before)} before" if each.before else ", none before"
    text = f"{formats.percent(each.ratio)} of the requests to {_model(each.model)}{_since(each.since, now)}{usual}{_after(deploy)}"
    return Said(
        "errors",
        BAD,
        "Failing",
        text,
        "The slowest and failed requests name node and engine.",
        LATENCY,
        (("model", each.model),),
    )


def slower(each: LatencyShift, deploy: Deploy | None, now: datetime) -> Said:
    where = "" if each.everywhere else _in(each.regions)
    text = f"{_model(each.model)}{where}: {_slowness(each, now)}{_after(deploy)}"
    advice = _undo(deploy) or "Its load does not explain it: look at what was changed on its engines at that time."
    return Said("slower", BAD if each.ratio >= 1.5 else WARN, "Slower", text, advice, LATENCY, (("model", each.model),))


def cap(each: CapChange, now: datetime) -> Said:
    text = f"{each.node}, {_watts(each)} a GPU on {formats.counted(each.gpus, 'GPU')}{_since(each.since, now)}; it does not bind yet"
    advice = "Its engines are slower under load from here on: raise it again, or move load."
    return Said(
        "cap", WARN, "Power cap lowered", text, advice, POWER, (("region", each.region),) if each.region else ()
    )


def burst(each: LoadShift, now: datetime) -> Said:
    text = (
        f"{each.tenant} sends {_growth(each)} to {_model(each.model)}{_since(each.since, now)}, {each.share * 100:.0f} % of its load; "
        "nothing binds because of it yet"
    )
    narrow = (("model", each.model), ("tenant", each.tenant))
    return Said(
        "burst",
        WARN,
        "Burst",
        text,
        "If it goes on, limit its rate or add a replica before a limit binds.",
        TENANTS,
        narrow,
    )


def soon(one: EngineState) -> Said:
    room = one.headroom
    if room is None:
        raise ValueError("an engine without headroom")
    where = f"{_model(one.model)}{_in((one.region,))}, first on {one.engine} of {one.node}"
    text = f"{limit(room.constraint)} binds in {_minutes(room.minutes)} on {where}, if it goes on like this"
    return Said("soon", WARN, "Filling up", text, ADVICE.get(room.constraint, ""), SATURATION, (("model", one.model),))


def calm(engines: Sequence[EngineState]) -> Said:
    """'All well: nothing binds; the nearest limit is KV cache on llama-70b in 3 h'."""
    rooms = [(one.headroom.minutes, one) for one in engines if one.headroom is not None]
    scored = [one for one in engines if one.saturation.score is not None]
    if rooms:
        minutes, one = min(rooms, key=lambda each: each[0])
        constraint = one.headroom.constraint if one.headroom else ""
        near = f"the nearest limit is {limit(constraint)} on {_model(one.model)} in {_minutes(minutes)}, if it goes on like this"
    elif scored:
        top = max(scored, key=lambda one: (one.saturation.score or 0.0, one.engine))
        near = f"nothing is on its way to a limit; the nearest is {limit(top.saturation.constraint)} on {_model(top.model)}, at "
        near += f"{(top.saturation.score or 0) * 100:.0f} % of it" if top.saturation.constraint else "rest"
    else:
        near = "the engines tell too little to say how near a limit is"
    return Said("calm", GOOD, "All well", f"nothing binds; {near}", "", SATURATION)


def without_telemetry() -> Said:
    text = "requests arrive, but no engine or GPU reports, so what binds is not known"
    return Said("unknown", UNKNOWN, "No samples", text, "Install the agent on your nodes: docs/agent.md.", INGEST)


def nothing_yet() -> Said:
    return Said(
        "empty", UNKNOWN, "Nothing yet", "no event and no sample has arrived", "Below is how to send the first."
    )


def _slowness(each: LatencyShift, now: datetime) -> str:
    load = each.load_ratio - 1
    beside = (
        "load unchanged" if abs(load) < 0.15 else f"load {'+' if load > 0 else formats.MINUS}{abs(load) * 100:.0f} %"
    )
    return f"{MEASURES[each.measure]} from {_ms(each.before_ms)} to {_ms(each.now_ms)} ms{_since(each.since, now)}, {beside}"


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _growth(each: LoadShift) -> str:
    if each.before_s <= 0 or each.growth > 20:
        return "new load" if each.before_s <= 0 else f"{each.growth + 1:.0f} times as much"
    return f"+{each.growth * 100:.0f} %"


def _watts(each: CapChange) -> str:
    return f"from {each.before_w:.0f} to {each.now_w:.0f} W"


def _after(deploy: Deploy | None) -> str:
    return f", after {_deploy(deploy)}" if deploy else ""


def _deploy(deploy: Deploy) -> str:
    return f"the deploy at {deploy.at:%H:%M}" + (f" ({deploy.text})" if deploy.text else "")


def _undo(deploy: Deploy | None) -> str:
    return "Roll the deploy back, or hold it where it is until it is understood." if deploy else ""


def _model(name: str) -> str:
    return name or "(no model)"


def _in(regions: Sequence[str]) -> str:
    named = [each for each in regions if each]
    return f" in {_names(named)}" if named else ""


def _since(at: datetime | None, now: datetime) -> str:
    if at is None:
        return ""
    return f" since {at:%H:%M}" if now - at < timedelta(hours=20) else f" since {at:%-d %b %H:%M}"


def _minutes(minutes: float) -> str:
    """'14 minutes', '3 h'."""
    if minutes < 90:
        return formats.counted(max(round(minutes), 1), "minute")
    return f"{minutes / 60:.0f} h"


def _names(names: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b, c and 2 more'."""
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
