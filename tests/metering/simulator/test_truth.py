"""The truth adds up: what tenants burned and what was idle is what the counters counted, whatever happened."""

import numpy as np
import pytest

from metering.simulator.fleet import Fleet
from metering.simulator.plan import Plan
from metering.simulator.pool import ABORTED, JOULES, TENANT
from metering.simulator.script import Change
from metering.simulator.truth import ABORTED_CELL, tenant_joules
from tests.metering.simulator.plans import (
    EMBEDDER,
    MINUTE_MS,
    NODE,
    SMALL_NAME,
    START_MS,
    mixed_plan,
    one_engine,
    ran,
    tenant,
)

CHANGES = (
    Change("power_cap", NODE, 60, 180, 300),
    Change("kv_capacity", f"{NODE}/{SMALL_NAME}", 120, 240, 0.01),
    Change("model_slowed", "llama-3.3-70b", 200, 300, 2),
    Change("engine_restart", f"{NODE}/{SMALL_NAME}", 300, 330),
    Change("cooling", NODE, 60, 400, 3),
    Change("node_lost", NODE, 400, 460),
)


@pytest.mark.parametrize("plan", [mixed_plan(), mixed_plan(changes=CHANGES)], ids=["quiet", "everything happens"])
def test_requests_and_idle_are_the_counters_in_every_minute(plan: Plan) -> None:
    fleet, _ = ran(plan, 10)

    for minute in fleet.truth.minutes:
        by_engine = minute.energy_j.sum(axis=(1, 2, 3)) + minute.idle_j
        np.testing.assert_allclose(by_engine, minute.counter_j, rtol=1e-9, atol=1e-6)
        assert (minute.energy_j >= 0).all()
        assert (minute.idle_j >= 0).all()


def test_both_ways_of_splitting_share_out_the_same_joules() -> None:
    fleet, _ = ran(mixed_plan(changes=CHANGES), 10)

    for minute in fleet.truth.minutes:
        np.testing.assert_allclose(
            minute.caused_j.sum(axis=(1, 2, 3)), minute.energy_j.sum(axis=(1, 2, 3)), rtol=1e-9, atol=1e-6
        )
    assert not np.allclose(fleet.truth.minutes[0].caused_j, fleet.truth.minutes[0].energy_j, rtol=1e-3)


def test_counters_are_what_gpus_with_and_without_an_engine_burned() -> None:
    fleet, _ = ran(one_engine(tenant("t", 2.0)), 5)

    unclaimed = sum(float(minute.unclaimed_j.sum()) for minute in fleet.truth.minutes)
    claimed = sum(float(minute.counter_j.sum()) for minute in fleet.truth.minutes)
    assert unclaimed == pytest.approx(70 * 300)  # one bare GPU
    assert claimed + unclaimed == pytest.approx(float(fleet.boards.burned_j.sum()), rel=1e-12)


def test_joules_of_requests_add_up_to_those_of_their_tenants() -> None:
    fleet, finished = ran(mixed_plan(failed=0), 5)
    rows = np.concatenate([finished.rows, fleet._pool.live], axis=1)

    per_tenant = np.bincount(rows[TENANT].astype(int), weights=rows[JOULES])
    told = sum(minute.energy_j.sum(axis=(0, 2, 3)) for minute in fleet.truth.minutes)
    np.testing.assert_allclose(told, per_tenant, rtol=1e-9)


def test_aborted_requests_stand_apart() -> None:
    fleet, finished = ran(mixed_plan(aborted=0.2), 5)
    aborted = finished.rows[:, finished.rows[ABORTED] > 0]

    energy = sum(minute.energy_j for minute in fleet.truth.minutes)
    assert float(energy[..., ABORTED_CELL].sum()) >= float(aborted[JOULES].sum()) > 0
    of_tenants = tenant_joules(fleet.plan, fleet.truth.minutes)
    assert sum(of_tenants.values()) == pytest.approx(float(energy[..., 0].sum()))


def test_tokens_of_the_truth_are_those_that_engines_counted() -> None:
    fleet, _ = ran(mixed_plan(), 10)
    output = sum(minute.output_tokens for minute in fleet.truth.minutes).sum(axis=(1, 2, 3))
    computed = sum(minute.computed_tokens for minute in fleet.truth.minutes).sum(axis=(1, 2, 3))

    for engine in range(fleet.engines.count):
        counted = fleet.counters.value(engine, "generation_tokens")
        assert output[engine] == pytest.approx(counted, abs=1e-6)
        prompts = fleet.counters.value(engine, "prompt_tokens") - fleet.counters.value(engine, "cached_prompt_tokens")
        # Prompts that are being computed have not been counted yet.
        assert prompts - 1e-6 <= computed[engine] <= prompts + 100_000
    assert output[EMBEDDER] == 0


def test_what_was_lost_with_its_engine_is_told() -> None:
    fleet, _ = ran(mixed_plan(changes=(Change("node_lost", NODE, 100, 160),)), 4)

    lost = [float(minute.lost_j.sum()) for minute in fleet.truth.minutes]
    assert lost[1] > 0
    assert lost[0] == lost[2] == 0


def test_a_run_without_end_keeps_the_latest_minutes_only() -> None:
    fleet = Fleet(one_engine(tenant("t", 1.0)), keep_minutes=2)
    fleet.step(START_MS + 5 * MINUTE_MS)

    assert [minute.start_ms for minute in fleet.truth.minutes] == [START_MS + 3 * MINUTE_MS, START_MS + 4 * MINUTE_MS]
