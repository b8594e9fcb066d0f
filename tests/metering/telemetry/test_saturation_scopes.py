"""Engines added up to nodes, models and regions; how long a limit has bound; how long there is until the next."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metering.telemetry.saturation import Points, Saturation
from metering.telemetry.saturation_scopes import BoundShare, EngineState, ScopeState, scopes
from metering.telemetry.saturation_trend import Headroom, Held, Trend, headroom, since

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def engine(
    name: str, score: float | None, constraint: str = "kv_cache", *, bound: bool = False, **fields: Any
) -> EngineState:
    missing = fields.pop("missing", ())
    defaults: dict[str, Any] = {
        "node": "n1",
        "engine_kind": "vllm",
        "model": "m",
        "region": "eu",
        "cluster": "",
        "simulated": False,
        "gpus": (),
        "weight": 1.0,
        "at": NOW,
        "up": score is not None,
        "running": 1.0,
        "waiting": 0.0,
        "prompt_tokens_per_s": None,
        "generation_tokens_per_s": None,
    }
    state = Saturation(score, constraint, bound, {}, missing)
    return EngineState(engine=name, saturation=state, **(defaults | fields))


def scope(*engines: EngineState) -> ScopeState:
    (found,) = scopes(engines, "region")
    return found


def test_a_scopes_score_is_the_mean_by_gpus() -> None:
    found = scope(engine("a", 1.0, weight=3.0), engine("b", 0.2, weight=1.0))
    assert found.score == pytest.approx(0.8)
    assert (found.engines, found.gpus) == (2, 4.0)


def test_engines_without_a_score_are_left_out_of_the_mean_and_counted_as_down() -> None:
    found = scope(engine("a", 0.4), engine("b", None, weight=7.0))
    assert (found.score, found.engines, found.down, found.gpus) == (0.4, 2, 1, 8.0)
    assert scope(engine("a", None)).score is None


def test_constraints_bind_a_share_of_the_gpus_the_largest_first() -> None:
    found = scope(
        engine("a", 1.0, "power", bound=True, weight=4.0),
        engine("b", 1.0, "kv_cache", bound=True, weight=1.0),
        engine("c", 1.0, "kv_cache", bound=True, weight=1.0),
        engine("d", 0.9, "compute", weight=2.0),
    )
    assert found.bound == (BoundShare("power", 0.5), BoundShare("kv_cache", 0.25))
    assert found.constraint == "power"


def test_of_constraints_with_equal_shares_the_order_of_constraints_decides() -> None:
    found = scope(engine("a", 1.0, "compute", bound=True), engine("b", 1.0, "thermal", bound=True))
    assert found.constraint == "thermal"


def test_nothing_binds_a_scope_whose_engines_are_only_busy() -> None:
    found = scope(engine("a", 1.0), engine("b", 0.97))
    assert (found.bound, found.constraint, found.since) == ((), "", None)


def test_the_worst_engine_is_the_bound_one_then_the_highest_then_the_first_by_name() -> None:
    assert scope(engine("a", 1.0), engine("b", 0.99, bound=True)).worst.engine == "b"
    assert scope(engine("b", 0.5), engine("a", 0.7)).worst.engine == "a"
    assert scope(engine("b", 0.5), engine("a", 0.5)).worst.engine == "a"
    assert scope(engine("b", None), engine("c", 0.1)).worst.engine == "c"


def test_a_scope_is_bound_since_the_first_of_the_engines_that_its_constraint_binds() -> None:
    found = scope(
        engine("a", 1.0, "power", bound=True, since=NOW - 5 * MINUTE),
        engine("b", 1.0, "power", bound=True, since=NOW - 9 * MINUTE),
        engine("c", 1.0, "thermal", bound=True, since=NOW - 90 * MINUTE),
    )
    assert found.since == NOW - 9 * MINUTE


def test_scopes_are_those_of_the_group_in_order_and_tell_of_simulation_and_missing_readings() -> None:
    found = scopes(
        [
            engine("a", 0.5, model="m2", missing=("dram_active",)),
            engine("b", 0.5, model="m1", simulated=True),
            engine("c", 0.5, model="m2", missing=("tensor_active",)),
            engine("d", None, model="m2", missing=("kv_cache_usage",)),
        ],
        "model",
    )
    assert [(each.name, each.simulated, each.missing) for each in found] == [
        ("m1", True, ()),
        ("m2", False, ("dram_active", "tensor_active")),
    ]


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown group 'cluster'"):
        scopes([], "cluster")


def held(start: float, end: float, constraint: str = "power") -> Held:
    """In minutes before NOW."""
    return Held(constraint, NOW - start * MINUTE, NOW - end * MINUTE)


def test_a_constraint_has_bound_since_the_start_of_what_leads_up_to_now() -> None:
    assert since("power", NOW, [held(9, 2), held(2, 1), held(1, 0.5)]) == NOW - 9 * MINUTE


def test_a_break_of_a_minute_is_bridged_and_a_longer_one_is_not() -> None:
    assert since("power", NOW, [held(9, 3), held(2, 0)]) == NOW - 9 * MINUTE
    assert since("power", NOW, [held(9, 3.1), held(2, 0)]) == NOW - 2 * MINUTE
    assert since("power", NOW, [held(9, 1)]) == NOW - 9 * MINUTE
    assert since("power", NOW, [held(9, 1.1)]) is None


def test_another_constraint_does_not_carry_it_on() -> None:
    flapping = [held(8, 6), held(6, 4, "kv_cache"), held(4, 3), held(3, 2.5, "kv_cache"), held(2.5, 0)]
    assert since("power", NOW, flapping) == NOW - 4 * MINUTE


def trend(reading: str = "kv_cache_usage", slope: float = 0.01, value: float = 0.6, **fields: Any) -> Trend:
    return Trend(reading, slope, value, fields.get("minutes", 15), fields.get("fit", 0.9))


def test_headroom_is_the_minutes_until_the_first_reading_is_at_its_point() -> None:
    found = headroom([trend(), trend("dram_active", 0.05, 0.5)], Points())
    assert found == Headroom("dram_active", "memory_bandwidth", pytest.approx(5.0))


@pytest.mark.parametrize(
    "found",
    [
        trend(slope=-0.01),
        trend(minutes=4),
        trend(fit=0.4),
        trend(value=0.95),
        trend(slope=0.0001),
        trend(fit=float("nan")),
    ],
)
def test_there_is_no_headroom_without_a_clear_rise_within_a_day_below_the_point(found: Trend) -> None:
    assert headroom([found], Points()) is None
