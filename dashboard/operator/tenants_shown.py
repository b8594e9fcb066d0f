"""Customers as text: the rows and tiles of their pages. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing.contracts import MarginReport
from dashboard import formats
from dashboard.finance import margin_shown
from dashboard.operator.energy_shown import change
from dashboard.operator.tiles import ERRORS_ARE_BAD_FROM, Tile, compact
from metering.public import EnergyPoint, Quantiles, TenantLatency, TenantUsage

NOTHING = formats.NOTHING
READING = "…"
LEVELS = ("p50", "p95")
MEASURES = ("ttft_ms", "tpot_ms", "e2e_ms")


@dataclass(frozen=True)
class Money:
    """In one currency, rounded to its minor unit for display; a dash where a part is not known."""

    currency: str
    revenue: str
    energy: str
    gpu: str


@dataclass(frozen=True)
class Row:
    """One customer. `latencies`: p50 and p95 of TTFT, TPOT and end to end. `reading`: latency and money are not read yet."""

    key: str
    name: str
    requests: str
    input_tokens: str
    output_tokens: str
    growth: str
    shrinks: bool
    errors: str
    errors_bad: bool
    gpu: str
    energy: str
    latencies: tuple[str, ...]
    money: tuple[Money, ...]
    margin: str
    share: str
    loss: bool
    why: tuple[str, ...]
    simulated: bool
    reading: bool


@dataclass(frozen=True)
class Known:
    """What is known of the customers of a page, by key. Who is not in `latencies` is not read yet, nor is its line."""

    usages: Mapping[str, TenantUsage]
    drawn: Mapping[str, EnergyPoint]
    gpu_hours: float  # of the whole capacity
    kwh: float
    names: Mapping[str, str]
    latencies: Mapping[str, TenantLatency]
    lines: Mapping[str, margin_shown.Line]


def rows(keys: Sequence[str], known: Known) -> list[Row]:
    return [_row(key, known) for key in keys]


def lines(money: MarginReport | None) -> dict[str, margin_shown.Line]:
    return {} if money is None else {one.name: one for one in margin_shown.lines(money, "tenant")}


def currency(found: Mapping[str, margin_shown.Line]) -> str:
    """The one of all of them, '' if there are several."""
    held = {one.currency for line in found.values() for one in line.amounts} - {""}
    return held.pop() if len(held) == 1 else ""


def _row(key: str, known: Known) -> Row:
    usage, drawn = known.usages.get(key), known.drawn.get(key)
    line, reading = known.lines.get(key), key not in known.latencies
    counts = usage.counts if usage else None
    ratio = counts.error_ratio if counts else None
    return Row(
        key=key,
        name=known.names.get(key, ""),
        requests=formats.whole(counts.requests if counts else 0),
        input_tokens=formats.whole(counts.input_tokens if counts else 0),
        output_tokens=formats.whole(counts.output_tokens if counts else 0),
        growth=growth(usage),
        shrinks=bool(usage and usage.growth is not None and usage.growth < 0),
        errors=formats.percent(ratio),
        errors_bad=(ratio or 0) >= ERRORS_ARE_BAD_FROM,
        gpu=share(drawn.gpu_hours if drawn else None, known.gpu_hours),
        energy=share(drawn.kwh if drawn else None, known.kwh),
        latencies=latencies(known.latencies.get(key)),
        money=tuple(Money(one.currency, one.revenue, one.energy_cost, one.gpu_cost) for one in line.amounts)
        if line
        else (),
        margin=READING if reading else line.margin if line else NOTHING,
        share=line.share if line else NOTHING,
        loss=bool(line and line.loss),
        why=line.why if line else (),
        simulated=bool(drawn and drawn.simulated),
        reading=reading,
    )


def growth(usage: TenantUsage | None) -> str:
    if usage is None or (usage.growth is None and not usage.tokens):
        return NOTHING
    return "new" if usage.growth is None else change(usage.growth)


def share(part: float | None, whole: float) -> str:
    """Of the capacity; a dash where none is known."""
    return formats.percent((part or 0.0) / whole if whole else None)


def latencies(found: TenantLatency | None) -> tuple[str, ...]:
    """p50 and p95 of each of MEASURES; None: not read yet."""
    if found is None:
        return (READING,) * (len(MEASURES) * len(LEVELS))
    return tuple(_level(name, getattr(found, name), level) for name in MEASURES for level in LEVELS)


def _level(measure: str, quantiles: Quantiles | None, level: str) -> str:
    return formats.latency(measure, getattr(quantiles, level) if quantiles else None)


def tiles(usages: Sequence[TenantUsage], energy: Sequence[EnergyPoint]) -> list[Tile]:
    """Of all customers together."""
    active = [one for one in usages if one.counts.requests]
    tokens, before = sum(one.tokens for one in usages), sum(one.before_tokens for one in usages)
    largest = max(active, key=lambda one: one.tokens, default=None)
    found = [
        Tile("active", "Active", formats.whole(len(active)), "customers", "with requests in this period"),
        Tile("tokens", "Tokens", *compact(tokens), _rate_change(usages, tokens, before)),
        Tile("requests", "Requests", *compact(sum(one.counts.requests for one in usages)), "errors included"),
    ]
    if largest is not None and tokens:
        value, _, unit = formats.percent(largest.tokens / tokens).partition(" ")
        found.append(Tile("largest", "Largest", value, unit, f"of all tokens: {largest.tenant}"))
    return [*found, *_capacity(energy)]


def _rate_change(usages: Sequence[TenantUsage], tokens: int, before: int) -> str:
    if not before or not usages:
        return "nothing in the period before"
    one = usages[0]
    return f"{change((tokens / one.counts.seconds) / (before / one.before_s) - 1)} on the period before"


def _capacity(energy: Sequence[EnergyPoint]) -> list[Tile]:
    whole = sum(one.gpu_hours for one in energy)
    if not whole:
        return [Tile("capacity", "Customers' GPU time", NOTHING, "", "no energy is settled in this range")]
    used = sum(one.gpu_hours for one in energy if not one.label)
    value, _, unit = formats.percent(used / whole).partition(" ")
    note = f"of {formats.quantity(whole)} GPU hours; the rest is idle or unattributed"
    return [Tile("capacity", "Customers' GPU time", value, unit, note)]
