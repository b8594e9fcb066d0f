"""The tables of the overview as text with units."""

from dataclasses import dataclass
from typing import Any

from dashboard import formats
from dashboard.operator.overview import LATENCIES, LATENCY, Overview
from dashboard.operator.tiles import ERRORS_ARE_BAD_FROM
from metering.public import LiveGroup, Quantiles

LATENCY_FIELDS = {"ttft": "ttft_ms", "tpot": "tpot_ms", "e2e": "e2e_ms"}


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


def rows(overview: Overview, groups: list[LiveGroup], group: str) -> list[Row]:
    """`group` is model or tenant."""
    field = LATENCY_FIELDS[overview.filters.option(LATENCY)]
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
        "span": filters.label,
        "latency_label": LATENCIES[filters.option(LATENCY)],
        "latency_unit": formats.LATENCY_UNITS[LATENCY_FIELDS[filters.option(LATENCY)]],
        "reading": history is None,
        "tables": [
            ("model", "Models", rows(overview, history.models if history else [], "model")),
            ("tenant", "Customers", rows(overview, history.tenants if history else [], "tenant")),
        ],
    }


def _levels(field: str, latency: Quantiles | None) -> tuple[str, ...]:
    levels = (latency.p50, latency.p95, latency.p99) if latency else (None, None, None)
    return tuple(formats.latency(field, value) for value in levels)
