"""Noisy neighbours as text: whose load moves others' latency, on which model, by how much."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dashboard import formats
from dashboard.operator.aside import ASIDE
from dashboard.operator.filters import Filters
from metering.public import Neighbour, noisy_neighbours

FRESH_S, TRUE_S = 20.0, 120.0
MEASURES = {"ttft_ms": "time to first token", "tpot_ms": "time per output token", "e2e_ms": "end-to-end time"}


@dataclass(frozen=True)
class Shown:
    """`times`: how much higher the others' p95 is."""

    tenant: str
    model: str
    measure: str
    quiet: str
    loud: str
    unit: str
    times: str
    share: str
    minutes: str
    correlation: str
    leads: bool


def neighbours(filters: Filters, now: datetime) -> list[Neighbour]:
    """In the window that the filters choose; none while they are being looked for, which takes longer than a page may. Raises as a
    reading does."""
    window = filters.window(now)
    key = ("neighbours", filters.range, filters.start, filters.end, filters.scope)
    fresh_s = max(filters.refresh_s, FRESH_S)
    found = ASIDE.latest(key, fresh_s, TRUE_S, lambda: noisy_neighbours(window.start, window.end, filters.scope))
    return found or []


def shown(found: Iterable[Neighbour]) -> list[Shown]:
    return [
        Shown(
            tenant=one.tenant,
            model=one.model,
            measure=MEASURES.get(one.measure, one.measure),
            quiet=formats.latency(one.measure, one.others_p95_quiet_ms),
            loud=formats.latency(one.measure, one.others_p95_loud_ms),
            unit=formats.LATENCY_UNITS[one.measure],
            times=f"{one.ratio:.1f}",
            share=formats.percent(one.share_of_load),
            minutes=formats.whole(one.minutes),
            correlation=f"{one.correlation:.2f}",
            leads=one.leads,
        )
        for one in found
    ]
