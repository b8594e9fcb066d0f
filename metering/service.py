"""The service that tenants got on their own requests: availability and percentiles of latency, exact, as of a seal.

Dashboards merge sketches that are 1 % wide; a credit that is owed or not needs the value itself. So this reads the events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from metering.clickhouse import client
from metering.clickhouse.queries.service import ServiceFigures as FiguresQuery
from metering.clickhouse.queries.service import ServiceHours
from metering.clickhouse.queries.usage import Scope
from metering.contracts import SealInfo
from metering.moments import milliseconds

ALL_MODELS = "*"
MOST_TENANTS = 200  # in one statement
TIMEOUT_S = 600
Spans = tuple[tuple[datetime, datetime], ...]


@dataclass(frozen=True)
class ServiceFigures:
    """Of `requests`, `errors` failed. Percentiles are those of requests without an error that say how long it took, nearest rank, in ms to
    three places; None where none says it.
    """

    requests: int
    errors: int
    ttft_measured: int
    ttft_p95_ms: Decimal | None
    tpot_measured: int
    tpot_p95_ms: Decimal | None


def service_figures(tenants: Sequence[str], spans: Spans, as_of: SealInfo) -> dict[tuple[str, str], ServiceFigures]:
    """By tenant and model, and by tenant and `*` for all its models together. `spans`: half-open, of the time of use."""
    found: dict[tuple[str, str], ServiceFigures] = {}
    for first in range(0, len(tenants), MOST_TENANTS):
        query = FiguresQuery(_scope(tuple(tenants[first : first + MOST_TENANTS]), spans, as_of))
        for tenant, model, all_models, *figures in client.run(query, timeout_s=TIMEOUT_S).rows:
            found[tenant, ALL_MODELS if all_models else model] = _figures(figures)
    return found


def service_hours(tenant: str, model: str, spans: Spans, as_of: SealInfo) -> dict[datetime, ServiceFigures]:
    """Hour by hour, in UTC. `model` `*`: all of them."""
    query = ServiceHours(_scope((tenant,), spans, as_of), None if model == ALL_MODELS else model)
    rows = client.run(query, timeout_s=TIMEOUT_S).rows
    return {datetime.fromtimestamp(hour_s, UTC): _figures(figures) for _, _, hour_s, *figures in rows}


def _scope(tenants: tuple[str, ...], spans: Spans, as_of: SealInfo) -> Scope:
    ranges = tuple((milliseconds(start), milliseconds(end)) for start, end in spans)
    return Scope(ranges, arrived_until=as_of.watermark, tenants=tenants)


def _figures(counts: Sequence[int]) -> ServiceFigures:
    requests, errors, ttft_measured, ttft_us, tpot_measured, tpot_us = counts
    return ServiceFigures(
        requests=requests,
        errors=errors,
        ttft_measured=ttft_measured,
        ttft_p95_ms=_ms(ttft_us) if ttft_measured else None,
        tpot_measured=tpot_measured,
        tpot_p95_ms=_ms(tpot_us) if tpot_measured else None,
    )


def _ms(microseconds: int) -> Decimal:
    return Decimal(microseconds).scaleb(-3)
