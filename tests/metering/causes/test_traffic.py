"""Errors that are more than before, and requests that have stopped. Over the rows that ingest writes."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from metering.causes.minutes import Minutes
from metering.causes.traffic import Traffic, error_shifts, silence, traffic
from metering.live import LiveScope
from metering.telemetry.spans import MINUTE, minute_of
from tests.metering.rows import insert_requests

NOW = minute_of(datetime(2026, 5, 5, 9, 0, tzinfo=UTC)) + timedelta(seconds=40)


def of(requests: Sequence[float], errors: Sequence[float]) -> Traffic:
    """121 points that end as given, before that the first value."""
    minutes = Minutes.until(NOW)
    count = len(minutes.lengths_s)

    def padded(values: Sequence[float]) -> list[float]:
        return [values[0]] * (count - len(values)) + list(values)

    return Traffic(minutes, {"m": padded(requests)}, {"m": padded(errors)}, {"m": padded(requests)})


def test_errors_that_begin_are_told_with_their_minute() -> None:
    [shift] = error_shifts(of([100, 100, 100, 70], [0, 0, 30, 25]))
    assert shift.ratio == pytest.approx(25 / 70, rel=0.6)
    assert shift.before == 0
    assert shift.since == minute_of(NOW) - MINUTE


def test_a_minute_of_nothing_but_errors_is_told_at_once() -> None:
    [shift] = error_shifts(of([1000, 1000, 1000, 20], [1, 1, 1, 20]))
    assert shift.ratio == 1.0


@pytest.mark.parametrize(
    ("requests", "errors"),
    [([100, 100], [1, 2]), ([20, 20], [0, 3]), ([100, 100], [10, 10]), ([0, 0], [0, 0])],
    ids=["few", "hardly any", "as always", "nothing"],
)
def test_errors_that_are_few_or_as_always_are_not_told(requests: list[float], errors: list[float]) -> None:
    assert error_shifts(of(requests, errors)) == []


def test_requests_that_stop_are_silence_from_their_minute_on() -> None:
    found = silence(of([50, 50, 0, 0, 0], [0, 0, 0, 0, 0]), None)
    assert found is not None
    assert found.since == minute_of(NOW) - 2 * MINUTE
    assert found.usual_s == pytest.approx(50 / 60)


def test_silence_needs_two_minutes_a_steady_hour_and_no_arrival() -> None:
    assert silence(of([50, 50, 0], [0]), None) is None
    assert silence(of([50, 50, 0, 0, 0], [0]), NOW - timedelta(seconds=5)) is None
    assert silence(of([0, 0, 50, 0, 0, 0], [0]), None) is None


@pytest.mark.django_db
@pytest.mark.usefixtures("clickhouse")
@pytest.mark.parametrize("by_tenant", [True, False])
def test_traffic_is_read_by_model_with_and_without_a_customer(tenant_key: str, by_tenant: bool) -> None:
    model = f"m-{uuid.uuid4().hex[:8]}"
    rows = [
        {"id": f"{model}-{at}-{n}", "time": NOW - at * MINUTE, "model": model, "status": "error" if n == 0 else "ok"}
        for at in (0, 3)
        for n in range(4)
    ]
    insert_requests(tenant_key, *rows)
    found = traffic(NOW, LiveScope(tenant=tenant_key) if by_tenant else LiveScope(model=model))
    assert (found.requests[model][-1], found.errors[model][-1], found.tokens[model][-1]) == (4, 1, 440)
    assert sum(found.requests[model]) == 8
    assert found.tokens_s(model)[-1] == pytest.approx(440 / 40)
