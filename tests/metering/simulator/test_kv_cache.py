"""The KV cache: a small one makes requests wait and be preempted, and nothing is lost or counted twice by that."""

import numpy as np
import pytest

from metering.simulator.fleet import Fleet
from metering.simulator.plan import Workload
from metering.simulator.pool import ARRIVED, DONE, FIRST, OUTPUT, PREEMPTED, STARTED, TENANT
from metering.simulator.script import Change
from tests.metering.simulator.plans import NODE, SMALL_NAME, START_MS, one_engine, ran, served, tenant

TALK = Workload(300, 0.4, 600, 0.5)
SHORT = Change("kv_capacity", f"{NODE}/{SMALL_NAME}", 0, 100_000, 0.03)  # 13 thousand of 432 thousand tokens


def test_time_to_first_token_rises_with_the_pressure_on_the_cache() -> None:
    roomy, short = (
        served(ran(one_engine(tenant("t", 2.6, workload=TALK), changes=changes), 10)[1]) for changes in ((), (SHORT,))
    )

    to_first = [np.mean(rows[FIRST] - rows[ARRIVED]) for rows in (roomy, short)]
    assert to_first[0] < 0.1
    assert to_first[1] > 5 * to_first[0]
    assert np.mean(short[STARTED] - short[ARRIVED]) > 0.5 * to_first[1]  # it is the queue


def test_a_full_cache_shows_in_the_gauges() -> None:
    fleet = Fleet(one_engine(tenant("t", 4.0, workload=TALK), changes=(SHORT,)))
    usage, waiting = [], []
    for second in range(60, 240):
        fleet.step(START_MS + second * 1000)
        gauges = fleet.gauges()
        usage.append(gauges.kv_cache_usage[0])
        waiting.append(gauges.waiting[0])

    assert np.mean(usage) > 0.9
    assert max(usage) <= 1
    assert np.mean(waiting) > 5


def test_preempted_requests_finish_and_are_counted_once() -> None:
    fleet, finished = ran(one_engine(tenant("t", 4.0, workload=TALK), changes=(SHORT,)), 6)
    rows = served(finished)
    live = fleet._pool.live
    preempted = rows[:, rows[PREEMPTED] > 0]

    assert preempted.shape[1] > 20
    assert fleet.counters.value(0, "preemptions") == rows[PREEMPTED].sum() + live[PREEMPTED].sum()
    np.testing.assert_array_equal(rows[DONE], rows[OUTPUT])
    produced = rows[DONE].sum() + np.floor(live[DONE]).sum()
    assert fleet.counters.value(0, "generation_tokens") == produced


def test_recomputing_is_work_that_no_prompt_token_counter_shows() -> None:
    fleet, _ = ran(one_engine(tenant("t", 4.0, workload=TALK), changes=(SHORT,)), 6)
    computed = sum(float(minute.computed_tokens.sum()) for minute in fleet.truth.minutes)

    assert computed > 1.02 * fleet.counters.value(0, "prompt_tokens")


def test_what_can_never_fit_any_more_leaves_instead_of_blocking_all() -> None:
    long = Workload(9_000, 0.05, 50, 0.1)
    cut = Change("kv_capacity", f"{NODE}/{SMALL_NAME}", 60, 100_000, 0.01)  # 4 thousand tokens
    plan = one_engine(
        tenant("t", 20.0, workload=long), tenant("u", 1.0, workload=Workload(50, 0.1, 20, 0.1)), changes=(cut,)
    )
    fleet, finished = ran(plan, 4)

    late = served(finished)
    late = late[:, late[ARRIVED] > 90]
    assert set(late[TENANT]) == {1}  # only the one with short prompts is still served
    assert late.shape[1] > 100
    assert fleet.gauges().waiting[0] < 5


def test_cached_tokens_are_not_computed() -> None:
    cached = Workload(2_000, 0.1, 20, 0.1, cache_hits=1.0, cached_share=1.0)
    fleet, _ = ran(one_engine(tenant("t", 1.0, workload=cached)), 5)
    computed = sum(float(minute.computed_tokens.sum()) for minute in fleet.truth.minutes)

    prompts = fleet.counters.value(0, "prompt_tokens")
    hits = fleet.counters.value(0, "cached_prompt_tokens")
    assert hits == pytest.approx(0.5 * prompts, rel=0.1)
    assert computed == pytest.approx(prompts - hits, rel=0.02)
