"""Where the time of one request went and what held it up, worked out and in sentences. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard import formats
from dashboard.operator.fleet_words import ADVICE, limit
from metering.public import EnginePoint, GpuPoint, LivePoint, RequestStory, SaturationPoint

NOTHING = formats.NOTHING
QUEUE, PREFILL, DECODE, FIRST = "queue", "prefill", "decode", "first"
LABELS = {QUEUE: "Queue", PREFILL: "Prefill", DECODE: "Decode", FIRST: "Queue and prefill"}
WAITED = {
    QUEUE: "it waited in the engine's queue",
    PREFILL: "its prompt was computed",
    DECODE: "its answer was written",
    FIRST: "it waited and its prompt was computed",
}
MEASURES = {"ttft_ms": "Time to first token", "tpot_ms": "Time per output token", "e2e_ms": "End to end"}
SLOW_FROM = 1.5  # times the median
AGREES_WITHIN = 0.1


@dataclass(frozen=True)
class Part:
    """One stretch of the request's time. `width` is its share in percent; None where the whole is not known."""

    name: str
    label: str
    ms: float
    width: float | None
    detail: str

    @property
    def time(self) -> str:
        return duration(self.ms)

    @property
    def share(self) -> str:
        return NOTHING if self.width is None else formats.percent(self.width / 100)


@dataclass(frozen=True)
class Compared:
    """One measure beside what was usual for its model in that hour."""

    label: str
    unit: str
    own: str
    p50: str
    p95: str
    times: str
    slow: bool


@dataclass(frozen=True)
class Minute:
    """The request's engine in one minute. `during`: the request was in it."""

    at: datetime
    during: bool
    running: str
    waiting: str
    kv_cache: str
    preemptions: str
    score: str
    bound: str
    throttled: str
    power: str


def parts(story: RequestStory) -> list[Part]:
    """Queue, prefill = TTFT - queue, decode = end to end - TTFT: as far as they are told, none of them less than nothing."""
    whole = story.e2e_ms
    found: list[tuple[str, float, str]] = []
    if story.ttft_ms is not None:
        if story.queue_ms is not None:
            queue = min(story.queue_ms, story.ttft_ms)
            found.append((QUEUE, queue, "before it had a place in the batch"))
            found.append((PREFILL, story.ttft_ms - queue, _prefill(story, story.ttft_ms - queue)))
        else:
            found.append((FIRST, story.ttft_ms, _prefill(story, None)))
        if whole is not None:
            rest = max(whole - story.ttft_ms, 0.0)
            found.append((DECODE, rest, _decode(story, rest)))
    elif story.queue_ms is not None:
        found.append((QUEUE, story.queue_ms, "before it had a place in the batch"))
    return [
        Part(name, LABELS[name], ms, min(ms / whole * 100, 100.0) if whole else None, detail)
        for name, ms, detail in found
    ]


def doubts(story: RequestStory) -> list[str]:
    """What its figures contradict each other in."""
    found = []
    if story.queue_ms is not None and story.ttft_ms is not None and story.queue_ms > story.ttft_ms:
        found.append(
            f"It says that it queued for {duration(story.queue_ms)}, which is longer than until its first token."
        )
    if story.ttft_ms is not None and story.e2e_ms is not None and story.ttft_ms > story.e2e_ms:
        found.append("It says that its first token came after its end.")
    return found


def compared(story: RequestStory, usual: LivePoint | None) -> list[Compared]:
    rows = []
    for measure, label in MEASURES.items():
        own = getattr(story, measure)
        known = getattr(usual, measure) if usual else None
        times = own / known.p50 if own is not None and known and known.p50 else None
        rows.append(
            Compared(
                label,
                formats.LATENCY_UNITS[measure],
                formats.latency(measure, own),
                formats.latency(measure, known.p50 if known else None),
                formats.latency(measure, known.p95 if known else None),
                NOTHING if times is None else f"{times:,.1f}\N{MULTIPLICATION SIGN}",
                times is not None and times >= SLOW_FROM,
            )
        )
    return rows


def sentences(
    story: RequestStory,
    usual: LivePoint | None,
    saturation: Sequence[SaturationPoint],
    engine: Sequence[EnginePoint],
) -> list[str]:
    """The whole story: how slow, what it waited for, and what was saturated on its engine meanwhile."""
    return [text for text in (_how_slow(story, usual), _largest(story), *_held(story, saturation, engine)) if text]


def during(story: RequestStory, start: datetime, step: timedelta) -> bool:
    """Whether the request was in the step that begins there."""
    return start <= story.time and start + step > (story.started or story.time)


def minutes(
    story: RequestStory,
    steps: Sequence[datetime],
    step: timedelta,
    *,
    engine: Sequence[EnginePoint],
    saturation: Sequence[SaturationPoint],
    gpus: Sequence[GpuPoint],
) -> list[Minute]:
    engines = {one.start: one for one in engine}
    scores = {one.start: one for one in saturation}
    drawn = {one.start: one for one in gpus}
    return [
        _minute(at, during(story, at, step), engines.get(at), scores.get(at), drawn.get(at))
        for at in steps
        if at in engines or at in scores or at in drawn
    ]


def duration(ms: float) -> str:
    """'840 ms', '41.2 s', '12.5 min'."""
    if ms < 1000:
        return f"{ms:,.1f} ms" if ms < 100 else f"{ms:,.0f} ms"
    return f"{ms / 1000:,.1f} s" if ms < 600_000 else f"{ms / 60_000:,.1f} min"


def _how_slow(story: RequestStory, usual: LivePoint | None) -> str:
    if story.e2e_ms is None:
        return "It does not say how long it took."
    text = f"It took {duration(story.e2e_ms)}"
    if usual is None or usual.e2e_ms is None or not usual.e2e_ms.p50:
        return f"{text}."
    times = story.e2e_ms / usual.e2e_ms.p50
    return f"{text}: {times:,.1f} times the median of {story.model} in that hour ({duration(usual.e2e_ms.p50)})."


def _largest(story: RequestStory) -> str:
    found = [part for part in parts(story) if part.width is not None]
    if not found:
        return ""
    most = max(found, key=lambda part: part.ms)
    return f"Most of that, {most.time} ({most.share}), {WAITED[most.name]}."


def _held(story: RequestStory, saturation: Sequence[SaturationPoint], engine: Sequence[EnginePoint]) -> list[str]:
    if not story.engine or not story.node:
        return ["It does not say on which node and engine it ran, so what was saturated there is not known."]
    if not saturation and not engine:
        return [f"Engine {story.engine} on {story.node} reported nothing in these minutes: see how its agent is doing."]
    name = f"Engine {story.engine} on {story.node}"
    bound = [one for one in saturation if one.bound]
    if not bound:
        return [f"{name} was at none of its limits meanwhile{_load(engine)}."]
    shares: dict[str, float] = {}
    for one in bound:
        for each in one.bound:
            shares[each.constraint] = shares.get(each.constraint, 0.0) + each.share
    worst = max(shares, key=lambda constraint: shares[constraint])
    count = "the whole time" if len(bound) == len(saturation) else f"in {len(bound)} of these {len(saturation)} minutes"
    return [f"{name} was bound by {limit(worst)} {count}{_load(engine)}.", ADVICE.get(worst, "")]


def _load(engine: Sequence[EnginePoint]) -> str:
    """', with up to 64 requests running, 31 waiting, its KV cache up to 99 % full and 4 preemptions'."""
    running = [one.running for one in engine if one.running is not None]
    waiting = [one.waiting for one in engine if one.waiting is not None]
    cache = [one.kv_cache_usage_max for one in engine if one.kv_cache_usage_max is not None]
    preempted = sum(one.preemptions or 0 for one in engine)
    said = []
    if running:
        said.append(f"up to {max(running):,.0f} requests running")
    if waiting:
        said.append(f"{max(waiting):,.0f} waiting")
    if cache:
        said.append(f"its KV cache up to {max(cache) * 100:,.0f} % full")
    if preempted:
        said.append(formats.counted(preempted, "preemption"))
    return f", with {', '.join(said)}" if said else ""


def _prefill(story: RequestStory, ms: float | None) -> str:
    text = f"{formats.counted(story.uncached_tokens, 'prompt token')} computed"
    if story.cached_input_tokens:
        text += f", {formats.whole(story.cached_input_tokens)} more came from the cache"
    if ms and story.uncached_tokens:
        text += f": {story.uncached_tokens / ms * 1000:,.0f} tokens/s"
    return text


def _decode(story: RequestStory, ms: float) -> str:
    after = story.output_tokens - 1
    text = formats.counted(story.output_tokens, "output token")
    if after > 0 and story.tpot_ms is not None:
        text += f", {formats.latency('tpot_ms', story.tpot_ms)} ms each after the first"
        accounted = story.tpot_ms * after
        if ms and abs(ms - accounted) > AGREES_WITHIN * ms:
            text += f"; that accounts for {duration(accounted)}"
    elif after > 0 and ms:
        text += f", {formats.latency('tpot_ms', ms / after)} ms each after the first"
    return text


def _minute(
    at: datetime,
    inside: bool,
    engine: EnginePoint | None,
    saturation: SaturationPoint | None,
    gpu: GpuPoint | None,
) -> Minute:
    power = gpu.power_w / gpu.power_limit_w if gpu and gpu.power_w is not None and gpu.power_limit_w else None
    return Minute(
        at=at,
        during=inside,
        running=_count(engine.running if engine else None),
        waiting=_count(engine.waiting if engine else None),
        kv_cache=formats.percent(engine.kv_cache_usage_max if engine else None),
        preemptions=formats.whole(engine.preemptions if engine else None),
        score=NOTHING if saturation is None or saturation.score is None else f"{saturation.score:.2f}",
        bound=", ".join(limit(each.constraint) for each in saturation.bound) if saturation else "",
        throttled=formats.percent(gpu.throttled_share if gpu else None),
        power=formats.percent(power),
    )


def _count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.1f}"
