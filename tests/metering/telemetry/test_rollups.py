"""Minutes of GPUs and engines follow from raw samples, each sample once."""

from datetime import timedelta
from typing import Any

import pytest

from metering.telemetry import rollups
from metering.telemetry.spans import Span
from tests.metering.telemetry.sample_rows import (
    MINUTE,
    SECOND,
    every,
    insert_engines,
    insert_gpus,
    minutes_of,
    own_node,
    recent_hour,
)

pytestmark = pytest.mark.usefixtures("clickhouse")
START = recent_hour()


def write(minutes: int = 1) -> None:
    rollups.write(Span(START, START + minutes * MINUTE))


def gpu_minute(*rows: dict[str, Any]) -> dict[str, Any]:
    """The row of the minute from START on that these samples make."""
    node = own_node()
    insert_gpus(node, *rows)
    write()
    (found,) = minutes_of("gpu_minute", node)
    return found


def engine_minutes(*rows: dict[str, Any], minutes: int = 1) -> list[dict[str, Any]]:
    node = own_node()
    insert_engines(node, *rows)
    write(minutes)
    return minutes_of("engine_minute", node)


def engine_minute(*rows: dict[str, Any]) -> dict[str, Any]:
    (found,) = engine_minutes(*rows)
    return found


def test_a_gpus_shares_and_power_are_means_and_maxima_of_the_samples_that_have_them() -> None:
    found = gpu_minute(
        {"time": START, "dram_active": 0.25, "power_w": 100.0, "temperature_c": 50.0, "power_limit_w": 700.0},
        {"time": START + 10 * SECOND, "dram_active": 0.75, "power_w": 300.0, "power_limit_w": 500.0},
        {"time": START + 20 * SECOND, "power_w": 200.0, "temperature_c": 60.0, "power_limit_w": 600.0},
    )
    assert (found["dram_active_mean"], found["dram_active_max"]) == (0.5, 0.75)
    assert (found["power_w_mean"], found["power_w_max"], found["power_limit_w"]) == (200.0, 300.0, 600.0)
    assert (found["temperature_c_max"], found["samples"]) == (60.0, 3)
    assert found["tensor_active_mean"] is None
    assert found["energy_j"] is None


def test_the_last_sample_before_the_minute_begins_its_energy() -> None:
    found = gpu_minute(
        {"time": START - 10 * SECOND, "energy_j": 1000.0},
        {"time": START, "energy_j": 1500.0},
        {"time": START + 50 * SECOND, "energy_j": 4000.0},
        {"time": START + MINUTE, "energy_j": 9000.0},
    )
    assert found["energy_j"] == 3000.0


def test_an_energy_counter_that_begins_anew_counts_from_zero() -> None:
    found = gpu_minute(
        {"time": START, "energy_j": 5000.0, "xid_errors": 7},
        {"time": START + 10 * SECOND, "energy_j": None, "xid_errors": 8, "xid_last": 79},
        {"time": START + 20 * SECOND, "energy_j": 200.0, "xid_errors": 1, "xid_last": 48},
        {"time": START + 30 * SECOND, "energy_j": 300.0, "xid_errors": 1},
    )
    assert (found["energy_j"], found["xid_errors"]) == (300.0, 2)


def test_a_counter_seen_after_more_than_five_minutes_adds_nothing_to_a_minute() -> None:
    found = gpu_minute({"time": START - 6 * MINUTE, "energy_j": 0.0}, {"time": START, "energy_j": 1e6})
    assert found["energy_j"] is None


def test_a_sample_that_was_sent_twice_counts_once_and_the_first_is_kept() -> None:
    found = gpu_minute(
        {"time": START, "power_w": 100.0},
        {"time": START, "power_w": 900.0, "ingested_at": START + 9 * SECOND},
        {"time": START + SECOND, "power_w": 300.0},
    )
    assert (found["samples"], found["power_w_mean"]) == (2, 200.0)


def test_throttling_is_a_share_of_the_samples_that_tell() -> None:
    found = gpu_minute(
        {"time": START, "throttle": ["sw_power_cap"], "throttle_known": True},
        {"time": START + 10 * SECOND, "throttle": ["sw_power_cap", "sw_thermal"], "throttle_known": True},
        {"time": START + 20 * SECOND, "throttle": [], "throttle_known": True},
        {"time": START + 30 * SECOND, "throttle": [], "throttle_known": True},
        {"time": START + 40 * SECOND, "throttle": [], "throttle_known": False},
    )
    assert (found["throttle_samples"], found["throttled_share"]) == (4, 0.5)
    assert found["throttle"] == {"sw_power_cap": 0.5, "sw_thermal": 0.25}


def test_throttling_that_no_sample_tells_is_not_known() -> None:
    found = gpu_minute({"time": START})
    assert (found["throttled_share"], found["throttle"], found["throttle_samples"]) == (None, {}, 0)


def test_mig_instances_have_minutes_of_their_own() -> None:
    node = own_node()
    insert_gpus(node, {"time": START, "sm_active": 0.2}, {"time": START, "mig": "1/0", "sm_active": 0.8})
    write()
    found = minutes_of("gpu_minute", node)
    assert [(row["mig"], round(row["sm_active_mean"], 3)) for row in found] == [("", 0.2), ("1/0", 0.8)]


def test_an_engines_counters_are_increases_from_the_last_sample_before_the_minute() -> None:
    counters = {"prompt_tokens": 100, "generation_tokens": 10, "ttft_sum_s": 1.5, "ttft_count": 3}
    found = engine_minute(
        {"time": START - 5 * SECOND} | counters,
        {"time": START + 55 * SECOND} | {name: value * 3 for name, value in counters.items()},
        {"time": START + 65 * SECOND} | {name: value * 9 for name, value in counters.items()},
    )
    assert {name: found[name] for name in counters} == {name: value * 2 for name, value in counters.items()}
    assert found["restarts"] == 0
    assert found["requests_aborted"] is None


def test_an_engine_that_restarts_counts_from_zero_and_says_so() -> None:
    found = engine_minute(
        {"time": START, "prompt_tokens": 1000, "generation_tokens": 500},
        {"time": START + 10 * SECOND, "prompt_tokens": 1100, "generation_tokens": 550},
        {"time": START + 20 * SECOND, "up": False, "model": "", "gpus": []},
        {"time": START + 30 * SECOND, "prompt_tokens": 30, "generation_tokens": 5},
        {"time": START + 40 * SECOND, "prompt_tokens": 40, "generation_tokens": 6},
    )
    assert (found["prompt_tokens"], found["generation_tokens"], found["restarts"]) == (140, 56, 1)
    assert round(found["up_share"], 4) == 0.8
    assert (found["model"], found["gpus"]) == ("m", ["GPU-0"])


def test_increases_of_all_minutes_add_up_to_the_increase_of_the_counter() -> None:
    times = every(7 * SECOND, START - MINUTE, START + 10 * MINUTE)
    rows = [{"time": time, "prompt_tokens": index**2} for index, time in enumerate(times)]
    found = engine_minutes(*rows, minutes=10)
    last_before = max(row["prompt_tokens"] for row in rows if row["time"] < START)
    assert sum(row["prompt_tokens"] for row in found) == rows[-1]["prompt_tokens"] - last_before
    assert len(found) == 10


def test_an_engines_gauges_are_means_and_maxima() -> None:
    found = engine_minute(
        {"time": START, "running": 10.0, "waiting": 0.0, "kv_cache_usage": 0.5},
        {"time": START + 30 * SECOND, "running": 20.0, "waiting": 4.0},
    )
    assert (found["running_mean"], found["running_max"]) == (15.0, 20.0)
    assert (found["waiting_mean"], found["waiting_max"]) == (2.0, 4.0)
    assert (found["kv_cache_usage_mean"], found["kv_cache_usage_max"]) == (0.5, 0.5)


def test_writing_a_minute_again_replaces_it() -> None:
    node = own_node()
    insert_engines(node, {"time": START, "running": 10.0, "waiting": 0.0})
    write()
    before = minutes_of("engine_minute", node) + minutes_of("saturation_minute", node)
    write()
    again = minutes_of("engine_minute", node) + minutes_of("saturation_minute", node)
    drop = {"version"}
    assert [{k: v for k, v in row.items() if k not in drop} for row in again] == [
        {k: v for k, v in row.items() if k not in drop} for row in before
    ]
    insert_engines(node, {"time": START + SECOND, "running": 30.0, "waiting": 15.0})
    write()
    (minute,) = minutes_of("engine_minute", node)
    (state,) = minutes_of("saturation_minute", node)
    assert minute["running_mean"] == 20.0
    assert state["readings"]["waiting_per_running"] == 0.375


def saturation_minute(engines: list[dict[str, Any]], gpus: list[dict[str, Any]]) -> dict[str, Any]:
    node = own_node()
    insert_engines(node, *engines)
    if gpus:
        insert_gpus(node, *gpus)
    write()
    (found,) = minutes_of("saturation_minute", node)
    return found


def test_a_minute_is_as_saturated_as_the_worse_of_its_halves() -> None:
    calm = {"running": 10.0, "waiting": 0.0, "kv_cache_usage": 0.5}
    full = {"running": 10.0, "waiting": 9.0, "kv_cache_usage": 0.99}
    readings = {5: full, 25: full, 35: calm, 55: calm}
    found = saturation_minute([{"time": START + at * SECOND} | reading for at, reading in readings.items()], [])
    assert (found["constraint"], found["bound"], found["score"]) == ("kv_cache", True, 1.0)
    assert round(found["readings"]["kv_cache_usage"], 4) == 0.99
    assert set(found["missing"]) == {
        "preemption_rate",
        "dram_active",
        "tensor_active",
        "power_share",
        "power_throttle",
        "thermal_throttle",
    }


def test_of_the_gpus_of_an_engine_the_one_that_is_worst_off_counts() -> None:
    gpus = [
        {"gpu": "GPU-0", "dram_active": 0.2, "power_w": 350.0, "power_limit_w": 700.0, "throttle_known": True},
        {"gpu": "GPU-1", "dram_active": 0.6, "power_w": 690.0, "power_limit_w": 700.0, "throttle_known": True}
        | {"throttle": ["sw_power_cap"]},
        {"gpu": "GPU-2", "dram_active": 1.0, "throttle": ["hw_thermal"], "throttle_known": True},  # another engine's
    ]
    found = saturation_minute(
        [{"time": START + SECOND, "gpus": ["GPU-0", "GPU-1"], "running": 4.0, "waiting": 0.0}],
        [{"time": START + 2 * SECOND} | gpu for gpu in gpus],
    )
    readings = {name: round(value, 4) for name, value in found["readings"].items()}
    assert readings["dram_active"] == 0.6
    assert readings["power_share"] == round(690 / 700, 4)
    assert (readings["power_throttle"], readings["thermal_throttle"]) == (1.0, 0.0)
    assert (found["constraint"], found["bound"], found["gpus"]) == ("power", True, 2.0)


@pytest.mark.parametrize(
    ("throttle", "by_power", "by_heat"),
    [
        (["sw_power_cap"], 1.0, 0.0),
        (["power_brake", "hw_slowdown"], 1.0, 0.0),
        (["hw_slowdown", "hw_thermal"], 0.0, 1.0),
        (["hw_slowdown"], 0.0, 1.0),
        (["sw_thermal", "sw_power_cap"], 1.0, 1.0),
        ([], 0.0, 0.0),
    ],
)
def test_throttling_is_told_apart_by_power_and_by_heat(throttle: list[str], by_power: float, by_heat: float) -> None:
    found = saturation_minute(
        [{"time": START + SECOND}], [{"time": START + SECOND, "throttle": throttle, "throttle_known": True}]
    )
    assert (found["readings"]["power_throttle"], found["readings"]["thermal_throttle"]) == (by_power, by_heat)


def test_preemptions_are_a_rate_for_each_running_request() -> None:
    found = saturation_minute(
        [
            {"time": START - 10 * SECOND, "preemptions": 100, "running": 50.0, "waiting": 0.0},
            {"time": START, "preemptions": 120, "running": 50.0, "waiting": 0.0},
            {"time": START + 10 * SECOND, "preemptions": 140, "running": 50.0, "waiting": 0.0},
        ],
        [],
    )
    assert round(found["readings"]["preemption_rate"], 6) == 0.04  # 40 in 20 s, of 50
    assert (found["constraint"], found["bound"]) == ("kv_cache", True)


def test_engines_that_share_a_gpu_count_for_a_part_of_it() -> None:
    node = own_node()
    insert_engines(node, {"time": START, "engine": "a"}, {"time": START, "engine": "b", "gpus": ["GPU-0", "GPU-1"]})
    write()
    assert {row["engine"]: row["gpus"] for row in minutes_of("saturation_minute", node)} == {"a": 0.5, "b": 1.5}


def test_an_engine_that_is_down_has_no_score() -> None:
    found = saturation_minute([{"time": START, "up": False, "gpus": []}], [])
    assert (found["score"], found["constraint"], found["bound"]) == (None, "", False)


def test_simulated_samples_stay_marked() -> None:
    found = gpu_minute({"time": START, "simulated": True})
    assert found["simulated"] is True
    assert engine_minute({"time": START, "simulated": True})["simulated"] is True


def test_an_hour_is_written_as_its_minutes_would_be() -> None:
    nodes = own_node(), own_node()
    for node in nodes:
        insert_engines(
            node,
            *(
                {"time": time, "running": float(index % 7), "waiting": float(index % 3), "prompt_tokens": index * 3}
                for index, time in enumerate(every(timedelta(seconds=11), START - MINUTE, START + 5 * MINUTE))
            ),
        )
    write(5)
    whole = minutes_of("engine_minute", nodes[0])
    for minute in every(MINUTE, START, START + 5 * MINUTE):
        rollups.write(Span(minute, minute + MINUTE))
    single = minutes_of("engine_minute", nodes[1])
    drop = {"version", "node"}
    assert [{k: v for k, v in row.items() if k not in drop} for row in single] == [
        {k: v for k, v in row.items() if k not in drop} for row in whole
    ]
