"""A plan that makes no sense is refused; the ready plans make sense."""

from dataclasses import replace

import numpy as np
import pytest

from metering.demo.provider import CUSTOMERS
from metering.simulator.fleet import Fleet
from metering.simulator.hardware import H100
from metering.simulator.models import LLAMA_8B
from metering.simulator.plan import EngineSetup, NodeSetup
from metering.simulator.pool import ARRIVED, ENGINE, FIRST
from metering.simulator.provider import PLANS, day_plan, demo_plan
from metering.simulator.script import Change
from tests.metering.simulator.plans import MINUTE_MS, START_MS, mixed_plan, tenant


def test_two_engines_cannot_share_a_gpu() -> None:
    with pytest.raises(ValueError, match="GPUs of its own"):
        NodeSetup("n", H100, (EngineSetup("a", LLAMA_8B, (0,)), EngineSetup("b", LLAMA_8B, (0,))))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"tick_s": 0.7}, "tick_s"),
        ({"start_ms": START_MS + 1}, "whole minute"),
        ({"tenants": (tenant("t", 1.0, "gpt-9"),)}, "no engine serves 'gpt-9'"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(mixed_plan(), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("fields", [{"cv": 0}, {"tiers": {"gold": 1.0}}, {"daily_swing": 1.0}])
def test_a_tenant_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="tenant t"):
        tenant("t", 1.0, **fields)


def test_the_ready_plans_have_the_demos_customers() -> None:
    for make in PLANS.values():
        assert {each.key for each in make(START_MS).tenants} == {customer.key for customer in CUSTOMERS}


def test_the_demo_sends_a_few_requests_per_second_over_three_nodes() -> None:
    plan = demo_plan(START_MS)

    assert len(plan.nodes) == 3
    assert 2 < sum(each.rate_rps for each in plan.tenants) < 6


def test_the_day_has_the_size_that_was_asked_for() -> None:
    plan = day_plan(START_MS)

    assert [node.gpus for node in plan.nodes] == [8] * 8
    assert 16 <= sum(len(node.engines) for node in plan.nodes) <= 32
    assert len(plan.tenants) == 12
    assert 1e6 < sum(each.rate_rps for each in plan.tenants) * 86_400 < 3e6


def test_fewer_nodes_leave_out_what_only_the_others_serve() -> None:
    plan = replace(
        demo_plan(START_MS), changes=(Change("node_lost", "sim-03", 0, 9), Change("node_lost", "sim-01", 0, 9))
    )
    first = plan.with_first_nodes(1)

    assert [node.name for node in first.nodes] == ["sim-01"]
    assert {model.name for model in first.models} == {"llama-3.3-70b", "llama-3.1-8b", "bge-m3"}
    assert "vega-research" not in {each.key for each in first.tenants}  # wants the large models only
    harbor = next(each for each in first.tenants if each.key == "harbor-code")
    assert harbor.rate_rps == pytest.approx(0.46 * 2 * 0.3)
    assert [change.target for change in first.changes] == ["sim-01"]


def test_the_busiest_hour_of_the_day_finds_engines_about_half_full() -> None:
    """Served without a queue to speak of, and no engine but the embedders far from what it can do."""
    fleet = Fleet(day_plan(START_MS))  # 13:00
    finished = fleet.step(START_MS + 6 * MINUTE_MS)
    shares = fleet.boards._activity[:, : fleet.engines.count] / 360
    dram = shares[3] / 0.75  # the point at which docs/saturation.md calls memory bandwidth saturated

    by_model = {fleet.engines.names[index].setup.model.name: dram[index] for index in range(fleet.engines.count)}
    assert 0.45 < by_model.pop("llama-3.3-70b") < 0.8
    assert by_model.pop("bge-m3") < 0.1
    assert all(0.3 < share < 0.8 for share in by_model.values())
    rows = finished.rows[:, finished.rows[FIRST] >= 0]
    assert np.median(rows[FIRST] - rows[ARRIVED]) < 0.2
    assert set(rows[ENGINE]) == set(range(fleet.engines.count))
