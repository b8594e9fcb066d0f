"""Two simulated hours through the whole of it, up to coefficients and windows computed anew, against what the simulator knows."""

import dataclasses
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metering.agent.samples import GpuSample, Sample
from metering.clickhouse import client
from metering.simulator.events import Events
from metering.simulator.fleet import Fleet
from metering.simulator.nodes import SimulatedNode
from metering.simulator.plan import Plan
from metering.simulator.provider import day_plan
from metering.simulator.truth import tenant_joules
from metering.telemetry.energy.refitting import refit
from metering.telemetry.energy.writing import write
from metering.telemetry.spans import MINUTE, Span
from tests.metering.rows import empty_tables, insert_requests
from tests.metering.telemetry.sample_rows import insert_engines, insert_gpus, recent_hour

pytestmark = [pytest.mark.usefixtures("clickhouse", "db"), pytest.mark.timeout(180)]
HOURS = 2
SAMPLE_MS = 10_000
NODES = ("gpu-01", "gpu-03", "gpu-05", "gpu-08")  # of each model some
WITHIN = 0.05
# Coefficients are fitted to every window of these hours, whoever put it there.
TABLES = ("gpu_samples", "engine_samples", "requests", "energy_windows", "energy_attributed")
COLUMNS = ("id", "tier", "status", "input_tokens", "output_tokens", "model")
LATENCIES = ("queue_ms", "ttft_ms", "tpot_ms", "e2e_ms")


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    empty_tables(*TABLES)


def plan_of(start: datetime) -> Plan:
    """Half of the day's nodes, under names of their own, at a part of its load."""
    own = uuid.uuid4().hex[:8]
    plan = day_plan(round(start.timestamp() * 1000), seed=3, scale=0.2)
    nodes = tuple(dataclasses.replace(node, name=f"{node.name}-{own}") for node in plan.nodes if node.name in NODES)
    return dataclasses.replace(plan, nodes=nodes)


def simulate(plan: Plan) -> Fleet:
    """With all that it measures and meters in ClickHouse."""
    fleet = Fleet(plan)
    nodes, events = [SimulatedNode(fleet, place) for place in range(len(plan.nodes))], Events(fleet)
    samples, told = [sample for node in nodes for sample in node.read()], []
    while fleet.time_ms < plan.start_ms + (HOURS * 60 + 10) * 60_000:
        told.extend(events.of(fleet.step(fleet.time_ms + SAMPLE_MS)))
        samples.extend(sample for node in nodes for sample in node.read())
    for node in nodes:
        node.close()
        name = plan.nodes[nodes.index(node)].name
        own = [sample for sample in samples if sample.node == name]
        insert_gpus(name, *(_row(one) for one in own if isinstance(one, GpuSample)))
        insert_engines(name, *(_row(one) for one in own if not isinstance(one, GpuSample)))
    for tenant in plan.tenants:
        insert_requests(tenant.key, *(_request(event) for event in told if event["tenant"] == tenant.key))
    return fleet


def _row(sample: Sample) -> dict[str, Any]:
    row = dataclasses.asdict(sample) | {"time": datetime.fromtimestamp(sample.time / 1000, UTC)}
    if "throttle" in row:
        row |= {"throttle": list(row["throttle"] or ()), "throttle_known": row["throttle"] is not None}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in row.items()}


def _request(event: Mapping[str, Any]) -> dict[str, Any]:
    time = datetime.fromisoformat(event["time"])
    return {
        **{name: event[name] for name in COLUMNS},
        **{name: event.get(name) for name in LATENCIES},
        **{name: event.get(name, "") for name in ("node", "engine")},
        "cached_input_tokens": event.get("cached_input_tokens", 0),
        "time": time,
        "ingested_at": time + timedelta(seconds=1),
    }


def attributed(nodes: Iterable[str]) -> dict[str, float]:
    """By tenant, in joules."""
    text = "SELECT tenant, sum(energy_j) FROM energy_attributed FINAL WHERE node IN %(nodes)s GROUP BY tenant"
    return dict(client.statement("test_read", text, {"nodes": list(nodes)}))


def test_tenants_have_what_the_simulator_knows_they_burned_within_five_percent() -> None:
    start = recent_hour(HOURS + 2)
    plan = plan_of(start)
    fleet = simulate(plan)
    hours = [Span(start + n * 60 * MINUTE, start + (n + 1) * 60 * MINUTE) for n in range(HOURS)]
    for hour in hours:
        write(hour)
    fits = refit(start=start, end=hours[-1].end, effective_from=start)
    assert [fit.model for fit in fits if fit.accepted] == [
        "deepseek-r1",
        "llama-3.1-8b",
        "llama-3.3-70b",
        "qwen3-235b-a22b",
    ]
    for hour in hours:
        write(hour)
    found = attributed(node.name for node in plan.nodes)
    truth = tenant_joules(plan, fleet.truth.minutes[: HOURS * 60])
    off = {tenant: found[tenant] / joules - 1 for tenant, joules in truth.items()}
    assert max(map(abs, off.values())) < WITHIN, off
