"""The fleet as it is now, from raw samples, and as it was, from minutes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metering.telemetry import fleet, fleet_history, rollups
from metering.telemetry.fleet_history import FleetRange
from metering.telemetry.saturation_scopes import BoundShare, EngineState
from metering.telemetry.saturation_trend import Headroom
from metering.telemetry.spans import Span
from tests.metering.telemetry.sample_rows import (
    MINUTE,
    SECOND,
    every,
    forget_telemetry,
    insert_engines,
    insert_gpus,
    own_node,
    recent_hour,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]
START = recent_hour()
NOW = datetime.now(UTC)  # of the test that runs: see `young`
CALM = {"running": 10.0, "waiting": 0.0, "kv_cache_usage": 0.5}
FULL = {"running": 10.0, "waiting": 5.0, "kv_cache_usage": 0.99}


@pytest.fixture(autouse=True)
def young(monkeypatch: pytest.MonkeyPatch) -> None:
    """The present is read from tables of the last half hour; this module may have been imported before."""
    monkeypatch.setattr(f"{__name__}.NOW", datetime.now(UTC).replace(microsecond=0))


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    forget_telemetry()


def engines(now: datetime | None = None) -> dict[str, EngineState]:
    return {each.engine: each for each in fleet.fleet_engines(now or NOW)}


def insert_state(node: str, state: dict[str, Any], start: datetime, end: datetime, **fields: Any) -> None:
    insert_engines(node, *({"time": time} | state | fields for time in every(10 * SECOND, start, end)))


def test_an_engine_is_read_from_the_half_minute_up_to_its_newest_sample() -> None:
    insert_state(own_node(), FULL, NOW - 100 * SECOND, NOW - 45 * SECOND)
    insert_state(own_node(), CALM, NOW - 60 * SECOND, NOW - 5 * SECOND, engine="calm")
    found = engines()
    assert (found["e0"].saturation.constraint, found["e0"].saturation.bound) == ("kv_cache", True)
    assert found["e0"].at == NOW - 50 * SECOND
    assert (found["calm"].saturation.bound, found["calm"].since) == (False, None)
    assert (found["calm"].running, found["calm"].waiting) == (10.0, 0.0)


def test_a_change_shows_as_soon_as_its_half_minute_is_over() -> None:
    node = own_node()
    insert_state(node, FULL, NOW - 120 * SECOND, NOW - 30 * SECOND)
    insert_state(node, CALM, NOW - 30 * SECOND, NOW)
    assert engines()["e0"].saturation.bound is False


def test_an_engine_without_a_sample_for_two_minutes_is_gone_and_one_that_does_not_answer_is_down() -> None:
    insert_engines(own_node(), {"time": NOW - 121 * SECOND, "engine": "gone"})
    insert_engines(own_node(), {"time": NOW - 60 * SECOND} | CALM, {"time": NOW - 5 * SECOND, "up": False, "gpus": []})
    found = engines()
    assert set(found) == {"e0"}
    assert (found["e0"].up, found["e0"].running, found["e0"].saturation.score) == (False, None, None)


def test_tokens_a_second_are_over_the_time_between_the_samples_compared() -> None:
    node = own_node()
    for index, time in enumerate(every(10 * SECOND, NOW - 120 * SECOND, NOW)):
        insert_engines(node, {"time": time, "prompt_tokens": index * 5000, "generation_tokens": 10**6 + index * 200})
    found = engines()["e0"]
    assert (found.prompt_tokens_per_s, found.generation_tokens_per_s) == (500.0, 20.0)


def test_what_binds_has_bound_since_minutes_that_are_worked_up_and_raw_samples_after_them() -> None:
    node = own_node()
    start = NOW.replace(second=0) - 9 * MINUTE
    insert_state(node, CALM, start - 5 * MINUTE, start)
    insert_state(node, FULL, start, NOW)
    closed = NOW.replace(second=0) - 2 * MINUTE
    rollups.write(Span(start - 5 * MINUTE, closed))
    assert engines()["e0"].since == start


def test_what_has_just_begun_to_bind_is_known_to_half_a_minute() -> None:
    now = NOW.replace(second=0)
    node = own_node()
    insert_state(node, CALM, now - 4 * MINUTE, now - 90 * SECOND)
    insert_state(node, FULL, now - 90 * SECOND, now)
    assert engines(now)["e0"].since == pytest.approx(now - 90 * SECOND, abs=30 * SECOND)


def test_a_break_of_more_than_a_minute_begins_it_anew() -> None:
    now = NOW.replace(second=0)
    node = own_node()
    for state, start, end in ((FULL, 4.5, 3.5), (CALM, 3.5, 2.0), (FULL, 2.0, 0.0)):
        insert_state(node, state, now - start * MINUTE, now - end * MINUTE)
    assert engines(now)["e0"].since == pytest.approx(now - 2 * MINUTE, abs=30 * SECOND)


def test_headroom_is_what_is_left_if_the_last_quarter_of_an_hour_goes_on() -> None:
    node = own_node()
    now = NOW.replace(second=0)
    for index, time in enumerate(every(10 * SECOND, now - 15 * MINUTE, now)):
        insert_engines(node, {"time": time, "running": 5.0, "waiting": 0.0, "kv_cache_usage": 0.3 + index * 0.005})
    rollups.write(Span(now - 15 * MINUTE, now))
    found = engines(now)["e0"].headroom
    # 0.03 a minute: the point of 0.9 comes five minutes from now, when it is at 0.75.
    assert found == Headroom("kv_cache_usage", "kv_cache", pytest.approx(5.0, abs=1.0))


def test_every_gpu_is_listed_with_its_latest_sample() -> None:
    node = own_node()
    insert_gpus(
        node,
        {"time": NOW - 90 * SECOND, "index": 1, "gpu": "GPU-b", "power_w": 300.0},
        {"time": NOW - 80 * SECOND, "index": 1, "gpu": "GPU-b", "power_w": 310.0}
        | {"throttle": ["sw_power_cap"], "throttle_known": True},
        {"time": NOW - 20 * SECOND, "index": 0, "gpu": "GPU-a", "sm_active": 0.5},
        {"time": NOW - 20 * SECOND, "index": 0, "gpu": "GPU-a", "mig": "1/0"},
        {"time": NOW - 16 * MINUTE, "index": 2, "gpu": "GPU-c"},
    )
    insert_gpus(own_node(), {"time": NOW - SECOND, "gpu": "GPU-x"})
    found = fleet.fleet_gpus(NOW, node)
    assert [(each.gpu, each.mig, each.power_w, each.throttle) for each in found] == [
        ("GPU-a", "", None, None),
        ("GPU-a", "1/0", None, None),
        ("GPU-b", "", 310.0, ("sw_power_cap",)),
    ]
    assert (found[0].sm_active, found[0].at) == (0.5, NOW - 20 * SECOND)
    assert len(fleet.fleet_gpus(NOW)) == 4


def history(minutes: int = 10, **fields: Any) -> FleetRange:
    return FleetRange(START, START + minutes * MINUTE, **fields)


def test_saturation_over_time_is_by_gpus_and_says_what_bound_for_how_much_of_it() -> None:
    node = own_node()
    insert_state(node, FULL, START, START + 2 * MINUTE, gpus=["a", "b", "c"])
    insert_state(node, CALM, START + 2 * MINUTE, START + 4 * MINUTE, gpus=["a", "b", "c"])
    insert_state(node, CALM, START, START + 4 * MINUTE, engine="e1", gpus=["d"])
    rollups.write(Span(START, START + 4 * MINUTE))
    found = fleet_history.saturation_series(history(step=2 * MINUTE, group=("node",), only={"node": node}))
    calm = pytest.approx(0.5 / 0.9, abs=1e-6)
    assert [(each.start, each.group, each.engines, each.gpus) for each in found] == [
        (START, {"node": node}, 2, 4.0),
        (START + 2 * MINUTE, {"node": node}, 2, 4.0),
    ]
    assert [each.score for each in found] == [pytest.approx((3 + 0.5 / 0.9) / 4, abs=1e-6), calm]
    assert (found[0].bound, found[0].constraint) == ((BoundShare("kv_cache", 0.75),), "kv_cache")
    assert (found[0].worst_node, found[0].worst_engine, found[0].highest) == (node, "e0", 1.0)
    assert (found[1].bound, found[1].bound_share) == ((), 0.0)


def test_gpus_over_time_add_their_power_and_average_their_activity() -> None:
    node = own_node()
    for index, power in enumerate((100.0, 300.0)):
        rows = (
            {"time": time, "gpu": f"GPU-{index}", "power_w": power, "sm_active": power / 1000, "power_limit_w": 700.0}
            | {"energy_j": power * (time - START).total_seconds(), "temperature_c": power / 10}
            for time in every(10 * SECOND, START, START + 2 * MINUTE)
        )
        insert_gpus(node, *rows)
    rollups.write(Span(START, START + 2 * MINUTE))
    (both,) = fleet_history.gpu_series(history(step=10 * MINUTE, only={"node": node}))
    assert (both.gpus, both.power_w, both.power_limit_w, both.energy_j) == (2, 400.0, 1400.0, 400.0 * 110)
    assert (both.sm_active, both.temperature_c) == (pytest.approx(0.2), 30.0)
    assert both.throttled_share is None
    single = fleet_history.gpu_series(history(group=("gpu",), only={"node": node}))
    assert [(each.group["gpu"], each.start, each.power_w) for each in single] == [
        ("GPU-0", START, 100.0),
        ("GPU-1", START, 300.0),
        ("GPU-0", START + MINUTE, 100.0),
        ("GPU-1", START + MINUTE, 300.0),
    ]


def test_engines_over_time_add_their_requests_and_average_latencies_over_what_was_counted() -> None:
    node = own_node()
    for name, ttft, count in (("a", 0.1, 30), ("b", 0.5, 10)):
        for index in range(3):
            counters = {
                "ttft_sum_s": ttft * count * index,
                "ttft_count": count * index,
                "generation_tokens": 100 * index,
            }
            cache = {"prefix_cache_queries": 10 * index, "prefix_cache_hits": 4 * index}
            row = {"time": START + index * 20 * SECOND, "engine": name} | CALM | counters | cache
            insert_engines(node, row)
    rollups.write(Span(START, START + MINUTE))
    (found,) = fleet_history.engine_series(history(step=10 * MINUTE, only={"node": node}))
    assert (found.engines, found.running, found.generation_tokens) == (2, 20.0, 400)
    assert found.ttft_s == pytest.approx((0.1 * 30 + 0.5 * 10) / 40)
    assert found.itl_s is None
    assert found.prefix_hit_rate == pytest.approx(0.4)


@pytest.mark.parametrize(
    "read", [fleet_history.gpu_series, fleet_history.engine_series, fleet_history.saturation_series]
)
@pytest.mark.parametrize("fields", [{"group": ("tenant",)}, {"only": {"1=1 OR node": "x"}}])
def test_a_group_that_is_not_known_is_refused(read: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="unknown group"):
        read(history(**fields))


def test_minutes_that_were_worked_up_twice_count_once() -> None:
    node = own_node()
    insert_state(node, CALM, START, START + MINUTE)
    for _ in range(2):
        rollups.write(Span(START, START + MINUTE))
    (found,) = fleet_history.saturation_series(history(only={"node": node}))
    assert (found.engines, found.gpus) == (1, 1.0)


def test_steps_line_up_with_the_start_of_the_range() -> None:
    node = own_node()
    insert_state(node, CALM, START, START + 10 * MINUTE)
    rollups.write(Span(START, START + 10 * MINUTE))
    asked = FleetRange(START + 3 * MINUTE, START + 9 * MINUTE, timedelta(minutes=5), only={"node": node})
    assert [each.start for each in fleet_history.engine_series(asked)] == [START + 3 * MINUTE, START + 8 * MINUTE]
