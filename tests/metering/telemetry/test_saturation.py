"""Cases made by hand: what an engine's readings say of its saturation, and which limit binds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.telemetry.saturation import (
    CONSTRAINT_OF,
    CONSTRAINTS,
    READINGS,
    Points,
    Readings,
    Saturation,
    saturation,
    worse,
)

POINTS = Points()
# An engine that works and is well: nothing waits, nothing is clocked down.
BUSY: dict[str, float] = {
    "kv_cache_usage": 0.6,
    "preemption_rate": 0.0,
    "waiting_per_running": 0.0,
    "dram_active": 0.45,
    "tensor_active": 0.2,
    "power_share": 0.6,
    "power_throttle": 0.0,
    "thermal_throttle": 0.0,
}
QUEUES = {"waiting_per_running": 0.1}


def of(**fields: Any) -> Saturation:
    return saturation(Readings(**{**BUSY, **fields}), POINTS)


def binding(**fields: Any) -> str:
    found = of(**fields)
    return found.constraint if found.bound else ""


def test_the_score_is_the_largest_reading_over_its_point() -> None:
    assert of(kv_cache_usage=0.45, dram_active=0.3, tensor_active=0.12, power_share=0.3).score == pytest.approx(0.5)
    assert of(tensor_active=0.54).score == pytest.approx(0.9)


def test_a_score_is_never_more_than_one() -> None:
    assert of(waiting_per_running=40.0).score == 1.0


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"kv_cache_usage": 0.95} | QUEUES, "kv_cache"),
        ({"kv_cache_usage": 0.95, "preemption_rate": 0.001}, "kv_cache"),
        ({"preemption_rate": 0.02}, "kv_cache"),
        ({"power_share": 0.99, "power_throttle": 0.5}, "power"),
        ({"power_throttle": 0.1}, "power"),
        ({"thermal_throttle": 0.1}, "thermal"),
        ({"dram_active": 0.76} | QUEUES, "memory_bandwidth"),
        ({"tensor_active": 0.62} | QUEUES, "compute"),
        ({"waiting_per_running": 0.25}, "queue"),
    ],
)
def test_each_constraint_binds_with_its_evidence(fields: dict[str, float], constraint: str) -> None:
    assert binding(**fields) == constraint
    assert of(**fields).score == 1.0


@pytest.mark.parametrize(
    "fields",
    [
        {"kv_cache_usage": 1.0},
        {"dram_active": 0.8},
        {"tensor_active": 0.9},
        {"power_share": 1.0},
        {"kv_cache_usage": 1.0, "dram_active": 0.8, "tensor_active": 0.9, "power_share": 1.0},
    ],
)
def test_a_busy_engine_with_nothing_waiting_scores_high_and_is_not_bound(fields: dict[str, float]) -> None:
    found = of(**fields)
    assert (found.score, found.bound) == (1.0, False)
    assert found.constraint, "the leading one is named all the same"


@pytest.mark.parametrize("reading", ["kv_cache_usage", "dram_active", "tensor_active", "power_share"])
def test_a_short_queue_before_a_resource_with_room_binds_nothing(reading: str) -> None:
    assert binding(**{reading: getattr(POINTS, reading) * 0.99} | QUEUES) == ""


def test_a_moment_in_the_queue_is_no_evidence() -> None:
    assert binding(kv_cache_usage=0.95, waiting_per_running=0.04) == ""
    assert binding(kv_cache_usage=0.95, waiting_per_running=0.05) == "kv_cache"


def test_a_queue_binds_only_where_no_resource_explains_it() -> None:
    assert binding(waiting_per_running=3.0) == "queue"
    assert binding(waiting_per_running=3.0, kv_cache_usage=0.9) == "kv_cache"
    assert binding(waiting_per_running=3.0, tensor_active=0.7) == "compute"
    assert binding(waiting_per_running=3.0, thermal_throttle=0.2) == "thermal"


def test_throttling_by_heat_does_not_explain_a_full_cache_that_nobody_waits_for() -> None:
    assert binding(kv_cache_usage=0.95, thermal_throttle=0.1) == "thermal"


def test_of_two_that_bind_the_one_further_past_its_point_is_named() -> None:
    assert binding(kv_cache_usage=0.95, power_throttle=1.0, **QUEUES) == "power"
    assert binding(kv_cache_usage=1.0, power_share=0.98, power_throttle=0.1, **QUEUES) == "kv_cache"
    assert binding(dram_active=0.76, tensor_active=0.9, **QUEUES) == "compute"


def test_of_two_that_bind_alike_the_order_decides() -> None:
    alike = {
        "kv_cache_usage": 0.9,
        "power_throttle": 0.1,
        "thermal_throttle": 0.1,
        "dram_active": 0.75,
        "tensor_active": 0.6,
        "waiting_per_running": 0.25,
    }
    expected = ["kv_cache", "power", "thermal", "memory_bandwidth", "compute", "queue"]
    for name, constraint in zip(list(alike), expected, strict=True):
        assert binding(**alike) == constraint
        alike = alike | {name: 0.0}
    assert binding(**alike) == ""


def test_a_power_limit_without_word_of_throttling_binds_if_requests_wait() -> None:
    assert binding(power_share=0.99, power_throttle=None, **QUEUES) == "power"
    assert binding(power_share=0.99, power_throttle=None) == ""
    assert binding(power_share=0.99, power_throttle=0.0, **QUEUES) == ""


def test_it_says_what_it_was_computed_without() -> None:
    found = of(dram_active=None, thermal_throttle=None)
    assert found.missing == ("dram_active", "thermal_throttle")
    assert set(found.readings) == set(READINGS) - set(found.missing)


def test_a_missing_counter_is_not_zero_and_not_full() -> None:
    assert of(kv_cache_usage=None).score == of(kv_cache_usage=0.0).score
    assert binding(kv_cache_usage=None, waiting_per_running=0.5) == "queue"


def test_without_a_queue_reading_only_preemptions_and_throttling_are_evidence() -> None:
    assert binding(kv_cache_usage=1.0, waiting_per_running=None) == ""
    assert binding(kv_cache_usage=1.0, waiting_per_running=None, preemption_rate=0.01) == "kv_cache"
    assert binding(dram_active=1.0, waiting_per_running=None) == ""


def test_without_any_reading_there_is_no_score() -> None:
    assert saturation(Readings(), POINTS) == Saturation(None, "", False, {}, READINGS)


def test_an_engine_at_rest_scores_nothing() -> None:
    found = saturation(Readings(**dict.fromkeys(READINGS, 0.0)), POINTS)
    assert (found.score, found.constraint, found.bound) == (0.0, "", False)


def test_the_points_are_the_operators_to_set() -> None:
    found = saturation(Readings(**{**BUSY, **QUEUES}), Points(kv_cache_usage=0.5))
    assert (found.constraint, found.bound, found.score) == ("kv_cache", True, 1.0)


def test_what_binds_is_worse_than_a_higher_score_that_does_not() -> None:
    calm, full, bound = of(), of(dram_active=1.0), of(waiting_per_running=0.3)
    assert worse(calm, full) is full
    assert worse(bound, full) is bound
    assert worse(full, bound) is bound
    assert worse(saturation(Readings(), POINTS), calm) is calm


def test_a_resource_that_bound_for_a_half_minute_explains_the_queue_of_the_other() -> None:
    full, queued = of(kv_cache_usage=1.0, **QUEUES), of(waiting_per_running=2.0)
    assert worse(full, queued) is full
    assert worse(queued, full) is full


def test_of_two_that_are_alike_the_latter_is_taken() -> None:
    first, second = of(kv_cache_usage=1.0, **QUEUES), of(thermal_throttle=1.0)
    assert worse(first, second) is second


def test_every_reading_belongs_to_a_constraint_and_has_a_point() -> None:
    assert set(CONSTRAINT_OF) == set(READINGS)
    assert set(CONSTRAINT_OF.values()) == set(CONSTRAINTS)
    assert all(getattr(POINTS, name) > 0 for name in READINGS)


MAYBE = st.none() | st.floats(0, 2)


@given(st.fixed_dictionaries(dict.fromkeys(READINGS, MAYBE)))
def test_whatever_the_readings_the_score_is_a_share_and_more_of_one_never_lowers_it(
    values: dict[str, float | None],
) -> None:
    found = saturation(Readings(**values), POINTS)
    assert found.score is None or 0 <= found.score <= 1
    assert not found.bound or (found.constraint in CONSTRAINTS and found.score == 1.0)
    for name, value in values.items():
        if value is not None:
            more = saturation(Readings(**{**values, name: value * 1.5}), POINTS)
            assert more.score is not None
            assert found.score is not None
            assert more.score >= found.score
            assert more.bound >= found.bound


@given(st.fixed_dictionaries(dict.fromkeys(READINGS, MAYBE)))
def test_nothing_binds_without_a_queue_preemptions_or_throttling(values: dict[str, float | None]) -> None:
    quiet = dict.fromkeys(("preemption_rate", "waiting_per_running", "power_throttle", "thermal_throttle"), 0.0)
    assert not saturation(Readings(**{**values, **quiet}), POINTS).bound
