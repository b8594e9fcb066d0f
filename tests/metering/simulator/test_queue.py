"""Queueing: nobody is served twice or lost, Little's law holds, tiers have their order, the impatient leave."""

import numpy as np
import pytest

from metering.simulator.fleet import Fleet
from metering.simulator.plan import TIERS, Workload
from metering.simulator.pool import ARRIVED, CANCELLED, ENDED, FIRST, NUMBER, OUTCOME, STARTED, TENANT, TIER
from tests.metering.simulator.plans import MINUTE_MS, START_MS, mixed_plan, one_engine, ran, served, tenant

BRIEF = Workload(400, 0.3, 150, 0.4)


def test_the_mean_queue_is_the_rate_times_the_mean_wait() -> None:
    """Little's law, L = lambda W, on the gauge that the engine shows."""
    plan = one_engine(tenant("t", 3.3, workload=BRIEF), engine={"max_sequences": 7})
    fleet, waiting, rows = Fleet(plan), [], []
    for second in range(1, 1801):
        rows.append(fleet.step(START_MS + second * 1000).rows)
        waiting.append(fleet.gauges().waiting[0])

    ended = np.concatenate(rows, axis=1)
    waits = (ended[STARTED] - ended[ARRIVED])[ended[ARRIVED] < 1790]
    assert np.mean(waiting) > 0.5  # otherwise the law would say nothing
    assert np.mean(waiting) == pytest.approx(waits.sum() / 1800, rel=0.03)


def test_every_request_ends_once_and_times_are_in_order() -> None:
    fleet, finished = ran(mixed_plan(), 10)
    rows = finished.rows

    identities = set(zip(rows[TENANT].tolist(), rows[NUMBER].tolist(), strict=True))
    assert len(identities) == rows.shape[1]
    tokens = served(finished)
    assert (tokens[STARTED] >= tokens[ARRIVED]).all()
    assert (tokens[FIRST] > tokens[STARTED]).all()
    assert (tokens[ENDED] >= tokens[FIRST]).all()
    assert (np.diff(rows[ENDED]) >= 0).all()
    ticks = rows[ENDED] / fleet.plan.tick_s
    assert np.mean(np.abs(ticks - np.round(ticks)) < 1e-9) < 0.02  # ends lie between ticks


def test_priority_waits_less() -> None:
    plan = one_engine(
        tenant("t", 2.9, workload=BRIEF, tiers={"priority": 0.3, "standard": 0.7}), engine={"max_sequences": 6}
    )
    rows = served(ran(plan, 20)[1])

    wait = rows[STARTED] - rows[ARRIVED]
    first = rows[TIER] == TIERS.index("priority")
    assert wait[first].mean() < wait[~first].mean() / 3


def test_who_waits_too_long_leaves_with_an_event_and_no_tokens() -> None:
    plan = one_engine(tenant("t", 8.0, workload=BRIEF), engine={"max_sequences": 2}, patience_s=10.0)
    rows = ran(plan, 5)[1].rows

    left = rows[:, rows[FIRST] < 0]
    assert left.shape[1] > 100
    assert (left[OUTCOME] == CANCELLED).all()
    assert ((left[ENDED] - left[ARRIVED] > 10) & (left[ENDED] - left[ARRIVED] < 11)).all()


def test_the_tick_decides_nothing() -> None:
    """A quarter of the tick gives the same latencies and joules, but for a few per cent."""
    coarse, fine = (ran(mixed_plan(tick_s=tick_s), 15) for tick_s in (1.0, 0.25))

    for measure in (lambda rows: rows[FIRST] - rows[ARRIVED], lambda rows: rows[ENDED] - rows[ARRIVED]):
        assert measure(served(coarse[1])).mean() == pytest.approx(measure(served(fine[1])).mean(), rel=0.05)
    burned = [sum(minute.counter_j.sum() for minute in fleet.truth.minutes) for fleet, _ in (coarse, fine)]
    assert burned[0] == pytest.approx(burned[1], rel=0.01)


def test_nothing_happens_before_its_time() -> None:
    fleet, finished = ran(mixed_plan(), 3.0041)

    assert fleet.time_ms == START_MS + 3 * MINUTE_MS  # the last whole tick
    assert finished.rows[ENDED].max() <= 180
