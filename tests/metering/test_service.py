"""The service that a tenant got: exact, on events each once, as of a seal."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from metering.service import ServiceFigures, service_figures, service_hours
from tests.metering.rows import NOON, insert_requests, seal_row

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SPANS = ((NOON - DAY, NOON + DAY),)


@pytest.mark.parametrize(("count", "rank"), [(1, 1), (19, 19), (20, 19), (21, 20), (99, 95), (100, 95), (101, 96)])
def test_the_percentile_is_the_nearest_rank(tenant_key: str, count: int, rank: int) -> None:
    insert_requests(tenant_key, *({"id": str(n), "ttft_ms": float(n + 1)} for n in range(count)))
    found = service_figures([tenant_key], SPANS, seal_row(NOON + HOUR))[tenant_key, "m"]
    assert (found.ttft_measured, found.ttft_p95_ms) == (count, Decimal(rank))


def test_a_value_is_what_was_sent_and_not_what_a_binary_fraction_makes_of_it(tenant_key: str) -> None:
    insert_requests(tenant_key, {"id": "a", "ttft_ms": 0.1, "tpot_ms": 84.2})
    found = service_figures([tenant_key], SPANS, seal_row(NOON + HOUR))[tenant_key, "*"]
    assert found == ServiceFigures(1, 0, 1, Decimal("0.1"), 1, Decimal("84.2"))


def put(tenant: str, *rows: dict[str, Any]) -> None:
    insert_requests(tenant, *({"ttft_ms": None} | row for row in rows))


def test_failed_requests_count_for_availability_and_not_for_latency(tenant_key: str) -> None:
    put(
        tenant_key,
        {"id": "a", "ttft_ms": 5.0},
        {"id": "b", "ttft_ms": 900.0, "status": "error"},
        {"id": "c", "status": "cancelled"},
    )
    found = service_figures([tenant_key], SPANS, seal_row(NOON + HOUR))[tenant_key, "m"]
    assert found == ServiceFigures(3, 1, 1, Decimal(5), 0, None)


def test_each_event_counts_once_as_of_the_watermark_and_in_the_spans_alone(tenant_key: str) -> None:
    later = NOON + timedelta(minutes=1)
    insert_requests(
        tenant_key,
        {"id": "a", "ttft_ms": 5.0},
        {"id": "a", "ttft_ms": 7.0, "ingested_at": later},
        {"id": "after", "ttft_ms": 9.0, "ingested_at": NOON + HOUR},
        {"id": "outside", "time": NOON + DAY, "ttft_ms": 9.0},
        {"id": "watched", "observed": True, "ttft_ms": 9.0},
    )
    insert_requests(f"{tenant_key}-2", {"id": "a", "ttft_ms": 11.0})
    found = service_figures([tenant_key], SPANS, seal_row(NOON + HOUR))
    assert found == dict.fromkeys([(tenant_key, "m"), (tenant_key, "*")], ServiceFigures(1, 0, 1, Decimal(5), 0, None))
    halves = ((NOON - DAY, NOON - HOUR), (NOON + HOUR, NOON + 2 * DAY))
    assert service_figures([tenant_key], halves, seal_row(NOON + HOUR))[tenant_key, "m"].ttft_p95_ms == Decimal(9)


def test_models_are_kept_apart_and_taken_together(tenant_key: str) -> None:
    rows = [
        {"id": "a", "ttft_ms": 1.0},
        {"id": "b", "model": "", "ttft_ms": 2.0},
        {"id": "c", "model": "n", "status": "error"},
    ]
    put(tenant_key, *rows)
    found = service_figures([tenant_key], SPANS, seal_row(NOON + HOUR))
    counts = {model: (row.requests, row.errors) for (_, model), row in found.items()}
    assert counts == {"m": (1, 0), "": (1, 0), "n": (1, 1), "*": (3, 1)}


def test_hours_show_when_it_was(tenant_key: str) -> None:
    insert_requests(
        tenant_key,
        {"id": "a", "ttft_ms": 1.0},
        {"id": "b", "ttft_ms": 3.0, "time": NOON + HOUR},
        {"id": "c", "ttft_ms": 9.0, "time": NOON + HOUR, "model": "n"},
    )
    seal = seal_row(NOON + HOUR)
    every = service_hours(tenant_key, "*", SPANS, seal)
    assert {hour: row.ttft_p95_ms for hour, row in every.items()} == {NOON: Decimal(1), NOON + HOUR: Decimal(9)}
    assert service_hours(tenant_key, "m", SPANS, seal)[NOON + HOUR].ttft_p95_ms == Decimal(3)
