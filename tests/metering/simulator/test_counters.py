"""Counters only rise, but where an engine or a node begins anew."""

import numpy as np
import pytest

from metering.simulator.counters import COUNTERS
from metering.simulator.fleet import Fleet
from metering.simulator.pool import ABORTED, ARRIVED, DONE, ENDED, FIRST, OUTCOME, STARTED
from metering.simulator.script import Change
from tests.metering.simulator.plans import NODE, SMALL, SMALL_NAME, START_MS, mixed_plan, one_engine, ran, tenant

AT = {name: index for index, name in enumerate(COUNTERS)}
RESTART = Change("engine_restart", f"{NODE}/{SMALL_NAME}", 100, 130)
LOST = Change("node_lost", NODE, 200, 260)


def test_they_rise_and_fall_only_at_a_restart() -> None:
    fleet, shown = Fleet(mixed_plan(changes=(RESTART, LOST))), []
    for second in range(10, 400, 10):
        fleet.step(START_MS + second * 1000)
        shown.append(fleet.counters.shown)
    steps = np.diff(np.stack(shown), axis=0).min(axis=2)  # (readings, engines)

    fell = {(index + 2) * 10 for index in np.flatnonzero(steps[:, SMALL] < 0)}
    assert fell == {110, 210}
    others = {(index + 2) * 10 for index in np.flatnonzero((steps[:, SMALL + 1 :] < 0).any(axis=1))}
    assert others == {210}
    assert (np.diff(np.stack([fleet.counters.true]), axis=0) >= 0).all()


def test_the_energy_counter_begins_anew_with_its_node() -> None:
    fleet, read = Fleet(mixed_plan(changes=(LOST,))), []
    for second in range(10, 400, 10):
        fleet.step(START_MS + second * 1000)
        read.append(fleet.boards.energy_j.copy())
    steps = np.diff(np.stack(read), axis=0)

    assert {(index + 2) * 10 for index in np.flatnonzero((steps < 0).any(axis=1))} == {210}
    assert (steps[20:24] == 0).all()  # nothing is burned by a node that is off
    assert (steps[26:] > 0).all()


def test_a_restart_breaks_off_what_ran_and_the_engine_serves_again() -> None:
    fleet, finished = ran(one_engine(tenant("t", 5.0), changes=(RESTART,)), 5)
    rows = finished.rows

    arrived = rows[:, (rows[ARRIVED] > 101) & (rows[ARRIVED] < 129)]
    assert (arrived[OUTCOME] == 2).all()  # nobody else serves its model
    assert ((rows[ENDED] > 100) & (rows[ENDED] < 130) & (rows[FIRST] >= 0)).sum() == 0
    assert ((rows[ENDED] > 140) & (rows[FIRST] >= 0)).sum() > 100
    assert fleet.counters.shown[0, AT["e2e_count"]] < fleet.counters.true[0, AT["e2e_count"]]


def test_the_sums_are_those_of_the_requests() -> None:
    fleet, finished = ran(one_engine(tenant("t", 5.0), aborted=0.05), 5)
    rows = finished.rows
    done = rows[:, rows[ABORTED] == 0]

    value = {name: fleet.counters.value(0, name) for name in COUNTERS}
    assert value["e2e_count"] == value["queue_count"] == value["finished_stop"] + value["finished_length"]
    assert value["e2e_sum_s"] == pytest.approx(np.sum(done[ENDED] - done[ARRIVED]))
    assert value["queue_sum_s"] == pytest.approx(np.sum(done[STARTED] - done[ARRIVED]))
    parts = value["queue_sum_s"] + value["prefill_sum_s"] + value["decode_sum_s"]
    assert parts == pytest.approx(value["e2e_sum_s"])
    live = fleet._pool.live
    assert value["itl_count"] == value["generation_tokens"] - value["ttft_count"]
    decoding = np.sum(rows[ENDED] - rows[FIRST]) + np.sum((300 - live[FIRST])[live[FIRST] >= 0])
    assert value["itl_sum_s"] == pytest.approx(decoding)
    assert value["prompt_tokens"] >= value["cached_prompt_tokens"] > 0
    assert value["generation_tokens"] == rows[DONE].sum() + np.floor(live[DONE]).sum()
