"""The latency page as text: its tiles, the table by group, the slowest requests and how objectives stand. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from dashboard import formats
from dashboard.operator.filters import Filters
from dashboard.operator.latency_read import RECENT_MINUTES
from dashboard.operator.tiles import ERRORS_ARE_BAD_FROM, Tile
from metering.public import (
    BURN_WINDOWS,
    LiveGroup,
    LivePoint,
    LiveScope,
    ObjectiveState,
    Quantiles,
    SlowRequest,
)

NOTHING = formats.NOTHING
LEVELS = ("p50", "p90", "p95", "p99")
TILES = (("ttft_ms", "TTFT p95"), ("tpot_ms", "TPOT p95"), ("e2e_ms", "End to end p95"))
# Worth a mark: more than a sketch's own 1 % twice over, and more than noise.
CHANGED = 0.05
NARROWED = {"region": "region", "cluster": "cluster", "model": "model", "tenant": "customer", "tier": "tier"}


@dataclass(frozen=True)
class Latency:
    """One measure of a row: its four levels, and how its p95 has changed on the period before ('' without a comparison)."""

    levels: tuple[str, ...]
    change: str
    worse: bool


@dataclass(frozen=True)
class Row:
    """One model, customer, tier, region or cluster; its link narrows the page to it."""

    name: str
    link: str
    requests: str
    errors: str
    errors_bad: bool
    latencies: tuple[Latency, ...]


@dataclass(frozen=True)
class Slow:
    """One of the slowest requests, in short."""

    link: str
    at: str
    when: datetime
    model: str
    tenant: str
    place: str
    status: str
    failed: bool
    latencies: tuple[str, ...]
    tokens: str
    cached: str
    parts: tuple[tuple[str, float], ...]  # what takes which share of its time, in percent
    made_up: str


@dataclass(frozen=True)
class Burn:
    text: str
    high: bool


@dataclass(frozen=True)
class Objective:
    """How one stands. `tone` is of its tag: '', bound or alert."""

    name: str
    words: str
    link: str
    state: str
    tone: str
    attained: str
    target: str
    left: str
    left_width: int
    overspent: bool
    burns: tuple[Burn, ...]
    requests: str
    since: str


def tiles(now: LivePoint, states: Sequence[ObjectiveState]) -> list[Tile]:
    """The last minutes, and how many objectives are kept."""
    found = [_tile(measure, label, getattr(now, measure)) for measure, label in TILES]
    judged = [state for state in states if state.attained is not None]
    kept = sum(not _missed(state) for state in judged)
    acting = sum(bool(state.burning) for state in judged)
    note = f"{acting} burning" if acting else ("none is burning" if judged else "none is counted yet")
    tone = "bad" if kept < len(judged) or any(rule.urgent for state in judged for rule in state.burning) else ""
    value = f"{kept} of {len(judged)}" if judged else NOTHING
    return [*found, Tile("objectives", "Objectives kept", value, "", note, tone)]


def rows(filters: Filters, group: str, found: Sequence[LiveGroup], before: Sequence[LiveGroup]) -> list[Row]:
    earlier = {one.name: one for one in before}
    return [
        Row(
            name=one.name or "(none)",
            link=f"?{filters.narrowed(group, one.name).query()}" if one.name else "",
            requests=formats.whole(one.counts.requests),
            errors=formats.percent(one.counts.error_ratio),
            errors_bad=(one.counts.error_ratio or 0) >= ERRORS_ARE_BAD_FROM,
            latencies=tuple(_latency(measure, one, earlier.get(one.name)) for measure, _ in TILES),
        )
        for one in found
    ]


def slow(found: Sequence[SlowRequest], filters: Filters) -> list[Slow]:
    return [
        Slow(
            link=story_link(one, filters),
            at=f"{one.time:%Y-%m-%d %H:%M:%S}",
            when=one.time,
            model=one.model,
            tenant=one.tenant,
            place=" / ".join(part for part in (one.node, one.engine) if part) or NOTHING,
            status=one.status,
            failed=one.status == "error",
            latencies=tuple(formats.latency(measure, getattr(one, measure)) for measure, _ in TILES),
            tokens=f"{formats.whole(one.input_tokens)} → {formats.whole(one.output_tokens)}",
            cached=formats.percent(one.cached_input_tokens / one.input_tokens) if one.input_tokens else NOTHING,
            parts=shares(one),
            made_up=one.made_up,
        )
        for one in found
    ]


def story_link(one: SlowRequest, filters: Filters) -> str:
    address = reverse("operator-latency-request", args=[one.tenant, milliseconds(one.time), one.key])
    carried = filters.carried()
    return f"{address}?{carried}" if carried else address


def milliseconds(at: datetime) -> str:
    """Since 1970, as an address has it; exactly, which a float is not."""
    return str((at - datetime(1970, 1, 1, tzinfo=at.tzinfo)) // timedelta(milliseconds=1))


def shares(one: SlowRequest) -> tuple[tuple[str, float], ...]:
    """Queue, prefill and decode in percent of the whole; what is not known is left out."""
    whole = one.e2e_ms
    if not whole:
        return ()
    first = min(one.ttft_ms, whole) if one.ttft_ms is not None else None
    queue = min(one.queue_ms, whole if first is None else first) if one.queue_ms is not None else None
    parts = [("queue", queue), ("prefill", None if first is None else first - (queue or 0.0))]
    parts.append(("decode", None if first is None else whole - first))
    return tuple((name, round(value / whole * 100, 1)) for name, value in parts if value)


def objectives(states: Sequence[ObjectiveState], filters: Filters) -> list[Objective]:
    """Those that call for action first, then those with the least budget left."""
    ordered = sorted(states, key=lambda state: (_urgency(state), _left(state), state.name))
    return [_objective(state, filters) for state in ordered]


def in_words(state: ObjectiveState) -> str:
    """'within 500 ms, of model llama-70b, over 30 days'."""
    days = state.window.days
    parts = [f"{state.measure_label} within {threshold(state)}" if state.threshold_ms is not None else "no error"]
    scope = [f"{NARROWED[name]} {value}" for name, value in _named(state.scope)]
    return "; ".join([*parts, *([", ".join(scope)] if scope else []), f"over {days} day{'' if days == 1 else 's'}"])


def threshold(state: ObjectiveState) -> str:
    ms = state.threshold_ms or 0.0
    return f"{ms / 1000:,g} s" if ms >= 10_000 else f"{ms:,g} ms"


def _objective(state: ObjectiveState, filters: Filters) -> Objective:
    text, tone = verdict(state)
    left = state.budget_left
    narrowed = filters
    for name, value in _named(state.scope):
        narrowed = narrowed.narrowed(name, value)
    return Objective(
        name=state.name,
        words=in_words(state),
        link=f"?{narrowed.query()}" if narrowed != filters else "",
        state=text,
        tone=tone,
        attained=share(state.attained),
        target=share(state.target),
        left=formats.percent(left) if left is None or left >= 0 else f"{formats.MINUS}{formats.percent(-left)}",
        left_width=round(min(max(left or 0.0, 0.0), 1.0) * 100),
        overspent=left is not None and left < 0,
        burns=tuple(_burn(state, window) for window in BURN_WINDOWS),
        requests=formats.whole(state.tally.total) if state.as_of else NOTHING,
        since=_since(state),
    )


def verdict(state: ObjectiveState) -> tuple[str, str]:
    """In a word or two, and the tone of its tag."""
    if state.as_of is None:
        return "Not counted yet", ""
    if state.attained is None:
        return "No requests", ""
    if state.burning:
        return ("Burns fast", "alert") if state.burning[0].urgent else ("Burns", "bound")
    return ("Missed", "alert") if _missed(state) else ("Kept", "win")


def share(value: float | None) -> str:
    """0.99953 -> '99.953 %': the nines are what counts, so they are not rounded up to a hundred."""
    if value is None:
        return NOTHING
    text = f"{int(value * 10**5 + 1e-6) / 1000:.3f}".rstrip("0").rstrip(".")
    return f"{text} %"


def _burn(state: ObjectiveState, window: str) -> Burn:
    rate = state.burn(window)
    high = any(window in {rule.short, rule.long} for rule in state.burning)
    return Burn(NOTHING if rate is None else f"{rate:,.1f}" if rate < 100 else f"{rate:,.0f}", high)


def _since(state: ObjectiveState) -> str:
    if state.as_of is None or state.whole or state.counted_from is None:
        return ""
    return f"counted back to {state.counted_from:%Y-%m-%d %H:%M} so far"


def _missed(state: ObjectiveState) -> bool:
    return state.attained is not None and state.attained < state.target


def _urgency(state: ObjectiveState) -> int:
    if state.burning:
        return 0 if state.burning[0].urgent else 2
    return 1 if _missed(state) else 3


def _left(state: ObjectiveState) -> float:
    return 2.0 if state.budget_left is None else state.budget_left


def _named(scope: LiveScope) -> list[tuple[str, str]]:
    return [(name, value) for name in NARROWED if (value := getattr(scope, name))]


def _tile(measure: str, label: str, found: Quantiles | None) -> Tile:
    unit = formats.LATENCY_UNITS[measure]
    note = f"last {RECENT_MINUTES} min"
    if found is None:
        return Tile(measure, label, NOTHING, "", f"not measured in the {note}")
    low, high = (formats.latency(measure, value) for value in (found.p50, found.p99))
    return Tile(measure, label, formats.latency(measure, found.p95), unit, f"p50 {low}, p99 {high}; {note}")


def _latency(measure: str, one: LiveGroup, before: LiveGroup | None) -> Latency:
    found: Quantiles | None = getattr(one, measure)
    levels = tuple(formats.latency(measure, getattr(found, level) if found else None) for level in LEVELS)
    earlier: Quantiles | None = getattr(before, measure) if before else None
    if found is None or earlier is None or not earlier.p95:
        return Latency(levels, "", False)
    change = found.p95 / earlier.p95 - 1
    sign = "+" if change >= 0 else formats.MINUS
    return Latency(levels, f"{sign}{abs(change) * 100:,.0f} %", change > CHANGED)
