"""Power, clocks and heat: what a cap, a hot node and an idle one do, and what the GPUs tell of it."""

import numpy as np
import pytest

from metering.agent.sources import Place
from metering.simulator.fleet import Fleet
from metering.simulator.plan import Plan, Workload
from metering.simulator.pool import ARRIVED, ENDED
from metering.simulator.script import Change
from metering.simulator.sources import SimulatedGpus
from tests.metering.simulator.plans import MINUTE_MS, NODE, START_MS, mixed_plan, one_engine, ran, tenant

PROMPTS = Workload(6_000, 0.5, 20, 0.5)  # prefill is what draws most


def capped(watts: float) -> Plan:
    change = Change("power_cap", NODE, 120, 10_000, watts)
    return one_engine(tenant("t", 8.0, workload=PROMPTS), changes=(change,), patience_s=1e6)


def tokens_per_minute(fleet: Fleet) -> list[float]:
    return [float(minute.computed_tokens.sum()) for minute in fleet.truth.minutes]


def test_throughput_falls_when_the_cap_is_lowered() -> None:
    by_cap = [tokens_per_minute(ran(capped(watts), 6)[0]) for watts in (700, 450, 300)]

    for minutes in by_cap:
        assert minutes[0] == pytest.approx(by_cap[0][0])  # the cap comes after two minutes
    full, middle, low = (np.mean(minutes[3:]) for minutes in by_cap)
    assert middle < 0.92 * full
    assert low < 0.75 * middle


def test_a_cap_is_kept_and_told() -> None:
    fleet = Fleet(capped(300))
    gpus = SimulatedGpus(fleet, 0, Place(NODE))
    fleet.step(START_MS + MINUTE_MS)
    before = gpus.read(fleet.time_ms)[0]
    fleet.step(START_MS + 5 * MINUTE_MS)
    after = gpus.read(fleet.time_ms)[0]

    assert (before.power_limit_w, before.throttle, before.sm_clock_mhz) == (700, (), 1980)
    assert before.power_w is not None
    assert before.power_w > 600
    assert (after.power_limit_w, after.throttle) == (300, ("sw_power_cap",))
    assert after.power_w == pytest.approx(300, rel=0.03)
    assert after.sm_clock_mhz is not None
    assert after.sm_clock_mhz < 1400


def test_decoding_a_small_batch_hardly_notices_a_cap() -> None:
    """It is bound by memory: arXiv 2605.11999 found the same."""
    change = Change("power_cap", NODE, 0, 10_000, 350)
    talk = tenant("t", 0.6, workload=Workload(100, 0.1, 400, 0.1))
    free, held = (ran(one_engine(talk, changes=changes), 6)[1] for changes in ((), (change,)))

    spent = [np.sum(run.rows[ENDED] - run.rows[ARRIVED]) for run in (free, held)]
    assert spent[1] < 1.1 * spent[0]


def test_a_cap_outside_the_boards_range_is_taken_to_its_edge() -> None:
    assert (
        ran(one_engine(tenant("t", 1.0), changes=(Change("power_cap", NODE, 0, 60, 50),)), 0.5)[0].limits.power_cap_w[0]
        == 200
    )


def test_a_broken_fan_heats_the_gpu_until_clocks_come_down() -> None:
    change = Change("cooling", NODE, 60, 10_000, 3.5)
    fleet = Fleet(one_engine(tenant("t", 8.0, workload=PROMPTS), changes=(change,), patience_s=1e6))
    gpus = SimulatedGpus(fleet, 0, Place(NODE))
    told, warmest = set(), []
    for minute in range(1, 9):
        fleet.step(START_MS + minute * MINUTE_MS)
        sample = gpus.read(fleet.time_ms)[0]
        told |= set(sample.throttle or ())
        warmest.append(sample.temperature_c or 0)

    assert warmest[0] < 65
    assert "sw_thermal" in told
    assert 85 <= warmest[-1] <= 90
    minutes = tokens_per_minute(fleet)
    assert np.mean(minutes[5:]) < 0.9 * minutes[0]


def test_temperature_follows_power_with_a_delay() -> None:
    fleet = Fleet(one_engine(tenant("t", 8.0, workload=PROMPTS)))
    temperatures = []
    for second in (5, 30, 300):
        fleet.step(START_MS + second * 1000)
        temperatures.append(float(fleet.boards.temperature_c[0]))

    assert temperatures[0] < 46
    assert temperatures[0] < temperatures[1] < temperatures[2]
    assert temperatures[2] == pytest.approx(38.8 + 0.0322 * float(fleet.boards.power_w[0]), abs=2)


def test_an_idle_engine_draws_what_a_cuda_context_draws_and_a_free_gpu_less() -> None:
    silence = Change("tenant_rate", "t", 0, 10_000, 0)
    fleet, _ = ran(one_engine(tenant("t", 1.0), changes=(silence,)), 2)
    with_engine, without = SimulatedGpus(fleet, 0, Place(NODE)).read(fleet.time_ms)

    assert (with_engine.power_w, without.power_w) == (115, 70)
    assert (with_engine.energy_j, without.energy_j) == (115 * 120, 70 * 120)
    assert with_engine.gpu_utilization == with_engine.dram_active == 0
    assert (without.sm_clock_mhz, without.index) == (345, 1)
    assert float(sum(minute.idle_j.sum() for minute in fleet.truth.minutes)) == 115 * 120


def test_utilisation_says_busy_where_activity_does_not() -> None:
    """The gap that TELEMETRY.md reports of real clusters: GPU_UTIL near 100 %, tensor activity a tenth of it."""
    fleet, _ = ran(one_engine(tenant("t", 4.0)), 5)
    sample = SimulatedGpus(fleet, 0, Place(NODE))
    sample._before = type(sample._before)(0.0, *(np.zeros(2) for _ in range(4)))
    gpu = sample.read(fleet.time_ms)[0]

    assert gpu.gpu_utilization is not None
    assert gpu.tensor_active is not None
    assert gpu.sm_active is not None
    assert gpu.gpu_utilization > 0.97
    assert 0.3 < gpu.sm_active < 0.8
    assert gpu.tensor_active < 0.2


def test_gpus_of_a_group_differ_a_little_and_share_the_load() -> None:
    fleet, _ = ran(mixed_plan(), 3)
    burned = fleet.boards.burned_j[1:5]

    assert len(set(burned.round(3))) == 4
    assert burned.max() / burned.min() < 1.15
