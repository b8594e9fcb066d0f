"""Streams that end without an event: exactly the wanted share, on every engine, in requests and in tokens."""

import numpy as np
import pytest

from metering.simulator.events import Events
from metering.simulator.hardware import H100
from metering.simulator.models import LLAMA_8B
from metering.simulator.plan import EngineSetup, NodeSetup, Plan
from metering.simulator.pool import ABORTED, ARRIVED, DONE, ENGINE, FIRST, INPUT
from metering.simulator.script import Change
from tests.metering.simulator.plans import START_MS, ran, tenant


def plan_of(count: int, **fields: float | tuple[Change, ...]) -> Plan:
    engines = tuple(EngineSetup(f"e{index}", LLAMA_8B, (index,)) for index in range(count))
    tenants = (tenant("t", 9.0 * count), tenant("u", 1.0 * count, cv=3.0))
    return Plan((NodeSetup("n", H100, engines),), tenants, START_MS, **fields)  # type: ignore[arg-type]


def test_two_per_cent_on_every_engine_within_a_tenth_of_a_point() -> None:
    fleet, finished = ran(plan_of(3, aborted=0.02), 60)
    rows = finished.rows[:, finished.rows[FIRST] >= 0]

    for engine in range(3):
        its = rows[:, rows[ENGINE] == engine]
        gone = its[ABORTED] > 0
        assert its.shape[1] > 30_000
        assert gone.mean() == pytest.approx(0.02, abs=0.001)
        tokens = its[INPUT] + its[DONE]
        assert tokens[gone].sum() / tokens.sum() == pytest.approx(0.02, abs=0.001)
        counted = fleet.counters.value(engine, "finished_abort")
        assert counted == gone.sum()  # the engine has seen the client go


def test_none_of_them_has_an_event() -> None:
    fleet, finished = ran(plan_of(1, aborted=0.2), 5)

    assert (finished.rows[ABORTED] > 0).sum() > 100
    assert len(list(Events(fleet).of(finished))) == (finished.rows[ABORTED] == 0).sum()


def test_without_a_share_nothing_is_aborted_and_the_script_may_change_it() -> None:
    change = Change("aborted", "*", 120, 240, 0.1)
    rows = ran(plan_of(1, changes=(change,)), 8)[1].rows
    aborted = rows[ABORTED] > 0

    assert aborted[rows[ARRIVED] < 120].sum() == 0
    assert aborted[rows[ARRIVED] >= 240].sum() == 0
    during = (rows[ARRIVED] >= 120) & (rows[ARRIVED] < 240)
    assert np.mean(aborted[during]) == pytest.approx(0.1, abs=0.01)
