"""The sentences on top of the saturation page, and the rows of its tables."""

from datetime import timedelta

import pytest

from dashboard.formats import NOTHING
from dashboard.operator import fleet_words as words
from dashboard.operator.fleet_gpus import MOST_LISTED, gpu_rows
from dashboard.operator.fleet_shown import engine_rows, scope_rows
from metering.public import SATURATION_CONSTRAINTS, EngineState, Headroom, SaturationPoints, fleet_scopes
from tests.dashboard.fleet_states import NOW, SECOND, engine, gpu

POINTS = SaturationPoints()


def said(*engines: EngineState) -> list[tuple[str, str]]:
    found = words.findings(engines, fleet_scopes(engines, "model"), NOW)
    return [(one.tone, one.text) for one in found]


def test_what_binds_is_said_with_whom_since_when_and_where() -> None:
    since = NOW - timedelta(minutes=12)
    full = engine("e0", 1.0, "kv_cache", bound=True, since=since, model="llama-70b")
    assert said(full, engine("e1", model="llama-70b")) == [
        (
            "warn",
            "llama-70b is bound by KV cache since 14:18 UTC (12 min), on 50 % of its GPUs; the worst is engine e0 on n1.",
        )
    ]


def test_that_nothing_binds_is_said_with_the_nearest_limit_and_how_long_there_is() -> None:
    rising = engine("e1", 0.7, "kv_cache", headroom=Headroom("kv_cache_usage", "kv_cache", 25.4))
    found = words.findings([engine("e0", 0.4), rising], fleet_scopes([rising], "model"), NOW)
    assert [(one.tone, one.text) for one in found] == [
        ("good", "Nothing binds. The highest score is 0.70: engine e1 on n1 (m), nearest to its limit of KV cache.")
    ]
    assert found[0].advice == "If it goes on like this, engine e1 on n1 comes to its limit of KV cache in about 25 min."


def test_an_engine_that_does_not_answer_is_named() -> None:
    assert said(engine("e0", None, "", up=False), engine("e1")) == [
        ("bad", "1 engine does not answer the agent: e0 on n1.")
    ]


def test_only_the_first_few_models_are_told_at_length() -> None:
    engines = [engine(f"e{n}", 1.0, "queue", bound=True, model=f"m{n}") for n in range(5)]
    assert [text.split(" ")[0] for _, text in said(*engines)] == ["m0", "m1", "m2", "Bound"]
    assert said(*engines)[-1][1] == "Bound as well: m3, m4."


def test_nothing_is_said_of_a_fleet_that_is_not_there() -> None:
    assert said() == []


def test_every_limit_has_a_name_and_an_advice() -> None:
    assert set(words.LIMITS) == set(words.ADVICE) == set(SATURATION_CONSTRAINTS)


def test_a_limit_that_is_less_than_two_minutes_away_is_not_told_in_seconds() -> None:
    assert words.minutes(Headroom("kv_cache_usage", "kv_cache", 0.2)) == "2 min"


def test_engines_come_by_urgency_down_then_bound_then_by_score() -> None:
    engines = [
        engine("calm", 0.2),
        engine("busy", 0.9),
        engine("bound", 0.8, "queue", bound=True),
        engine("down", None, "", up=False),
    ]
    assert [row.engine for row in engine_rows(engines, POINTS, NOW)] == ["down", "bound", "busy", "calm"]


def test_a_reading_at_its_saturation_point_is_marked_and_an_unknown_one_is_a_dash() -> None:
    readings = {"kv_cache_usage": 0.93, "waiting_per_running": 0.1, "power_share": 0.5, "preemption_rate": 0.0}
    missing = ("dram_active", "tensor_active")
    row = engine_rows([engine(readings=readings, missing=missing)], POINTS, NOW)[0]
    assert [(cell.text, cell.at_limit) for cell in row.readings] == [
        ("93 %", True),
        ("0.10", False),
        ("0", False),
        (NOTHING, False),
        (NOTHING, False),
        ("50 %", False),
        (NOTHING, False),
        (NOTHING, False),
    ]
    assert row.without == "memory bandwidth, tensor cores"


def test_a_scope_says_which_limits_bind_which_part_of_its_gpus_and_the_next_one() -> None:
    soon = Headroom("kv_cache_usage", "kv_cache", 90)
    engines = [
        engine("e0", 1.0, "power", bound=True, weight=6.0),
        engine("e1", 0.5, "queue", headroom=soon, weight=2.0, simulated=True),
    ]
    [row] = scope_rows(fleet_scopes(engines, "node"), engines, NOW)
    assert (row.name, row.bound, row.headroom) == ("n1", ("power 75 %",), "KV cache in 90 min")
    assert (row.score.text, row.score.width, row.score.bound) == ("0.88", 88, True)
    assert (row.gpus, row.engines, row.simulated) == ("8", "2", True)


def test_a_gpu_shows_what_is_known_of_it_and_dashes_for_the_rest() -> None:
    [row] = gpu_rows(
        [gpu(3, power_w=350.0, power_limit_w=700.0, throttle=("sw_power_cap",), xid_errors=2, xid_last=79)], NOW
    )
    assert (row.label, row.power, row.power_share, row.throttle, row.xid) == (
        "3",
        "350",
        "50 %",
        "power cap",
        "2 (last: 79)",
    )
    assert (row.sm, row.memory, row.temperature) == (NOTHING, NOTHING, NOTHING)


@pytest.mark.parametrize(("throttle", "text"), [(None, NOTHING), ((), "none"), (("hw_thermal",), "heat (hardware)")])
def test_not_throttled_and_not_known_are_told_apart(throttle: tuple[str, ...] | None, text: str) -> None:
    assert gpu_rows([gpu(throttle=throttle)], NOW)[0].throttle == text


def test_a_gpu_that_has_not_been_heard_of_for_a_minute_is_stale() -> None:
    rows = gpu_rows([gpu(0, at=NOW - 59 * SECOND), gpu(1, at=NOW - 61 * SECOND)], NOW)
    assert [row.stale for row in rows] == [False, True]


def test_of_many_gpus_those_that_need_a_look_are_listed_first() -> None:
    gpus = [gpu(n, throttle=("power_brake",) if n == 500 else ()) for n in range(512)]
    rows = gpu_rows(gpus, NOW)
    assert len(rows) == MOST_LISTED
    assert [row.label for row in rows if row.throttled] == ["500"]
