"""The figures at the top of the overview, as text with units."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dashboard import formats
from dashboard.operator.filters import LATENCIES
from dashboard.operator.overview import RECENT_MINUTES, Freshness, Now, Overview
from metering.public import LiveGroup, Quantiles

ERRORS_ARE_BAD_FROM = 0.05
LATENCY_FIELDS = {"ttft": "ttft_ms", "tpot": "tpot_ms", "e2e": "e2e_ms"}


@dataclass(frozen=True)
class Tile:
    """`value` alone is large; `unit` and `note` say what it is. `tone` is '' or 'bad'."""

    key: str
    label: str
    value: str
    unit: str
    note: str
    tone: str = ""


@dataclass(frozen=True)
class Row:
    """One model or tenant of a table, its link narrowing the page to it."""

    name: str
    link: str
    requests: str
    requests_s: str
    input_s: str
    output_s: str
    errors: str
    errors_bad: bool
    latencies: tuple[str, ...]


def tiles(overview: Overview) -> list[Tile]:
    return [*_rates(overview.now), *_latencies(overview.now), _newest(overview.freshness)]


def rows(overview: Overview, groups: list[LiveGroup], group: str) -> list[Row]:
    """`group` is model or tenant."""
    field = LATENCY_FIELDS[overview.filters.latency]
    return [
        Row(
            name=one.name or "(none)",
            link=f"?{overview.filters.narrowed(group, one.name).query()}" if one.name else "",
            requests=formats.whole(one.counts.requests),
            requests_s=formats.rate(one.counts.per_second(one.counts.requests)),
            input_s=formats.rate(one.counts.per_second(one.counts.input_tokens)),
            output_s=formats.rate(one.counts.per_second(one.counts.output_tokens)),
            errors=formats.percent(one.counts.error_ratio),
            errors_bad=(one.counts.error_ratio or 0) >= ERRORS_ARE_BAD_FROM,
            latencies=_levels(field, one.latency),
        )
        for one in groups
    ]


def table_context(overview: Overview) -> dict[str, Any]:
    history, filters = overview.history, overview.filters
    return {
        "filters": filters,
        "latency_label": LATENCIES[filters.latency],
        "latency_unit": formats.LATENCY_UNITS[LATENCY_FIELDS[filters.latency]],
        "reading": history is None,
        "tables": [
            ("model", "Models", rows(overview, history.models if history else [], "model")),
            ("tenant", "Customers", rows(overview, history.tenants if history else [], "tenant")),
        ],
    }


def _rates(now: Now) -> list[Tile]:
    pulse, today = now.pulse, now.today
    bad = "bad" if (pulse.error_ratio or 0) >= ERRORS_ARE_BAD_FROM else ""
    minute = "last 60 s"
    errors, _, percent = formats.percent(pulse.error_ratio).partition(" ")
    return [
        Tile("requests", "Requests", formats.rate(pulse.per_second(pulse.requests)), "/ s", minute),
        Tile("input", "Input tokens", formats.rate(pulse.per_second(pulse.input_tokens)), "/ s", minute),
        Tile("output", "Output tokens", formats.rate(pulse.per_second(pulse.output_tokens)), "/ s", minute),
        Tile("errors", "Errors", errors, percent, f"{formats.whole(pulse.error)} in the {minute}", bad),
        Tile(
            "today",
            "Tokens today",
            *compact(today.input_tokens + today.output_tokens),
            f"{formats.whole(today.requests)} requests since 00:00 UTC",
        ),
    ]


def _latencies(now: Now) -> list[Tile]:
    note = f"last {RECENT_MINUTES} min"
    measured = (("ttft", now.recent.ttft_ms), ("tpot", now.recent.tpot_ms), ("e2e", now.recent.e2e_ms))
    short = {"ttft": "TTFT p95", "tpot": "TPOT p95", "e2e": "End to end p95"}
    return [
        Tile(
            key,
            short[key],
            formats.latency(LATENCY_FIELDS[key], found.p95 if found else None),
            formats.LATENCY_UNITS[LATENCY_FIELDS[key]] if found else "",
            note,
        )
        for key, found in measured
    ]


def _newest(freshness: Freshness) -> Tile:
    sealed = f"sealed up to {formats.clock(freshness.sealed_until)}" if freshness.sealed_until else "nothing sealed yet"
    if freshness.newest is None:
        return Tile("newest", "Newest event", "> 15" if freshness.ever else formats.NOTHING, "min ago", sealed)
    value, _, unit = formats.span(datetime.now(UTC) - freshness.newest).partition(" ")
    return Tile("newest", "Newest event", value, f"{unit} ago", sealed)


def compact(tokens: int) -> tuple[str, str]:
    """Four digits and a unit: the exact number is on the usage page."""
    for size, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M")):
        if tokens >= size:
            return f"{tokens / size:.2f}", unit
    return formats.whole(tokens), ""


def _levels(field: str, latency: Quantiles | None) -> tuple[str, ...]:
    levels = (latency.p50, latency.p95, latency.p99) if latency else (None, None, None)
    return tuple(formats.latency(field, value) for value in levels)
