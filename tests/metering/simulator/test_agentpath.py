"""The fleet through the agents: what arrives at a server is what happened, in order, labelled, and the server's own endpoints take it."""

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from metering import accounts, keys
from metering.contracts import Scope
from metering.simulator.agentpath import AgentPath, Destination, NotDelivered
from metering.simulator.events import Events
from metering.simulator.fleet import Fleet
from metering.simulator.hardware import H100
from metering.simulator.models import LLAMA_8B
from metering.simulator.plan import EngineSetup, NodeSetup, Plan
from metering.simulator.script import Change
from tests.metering.agent.running.upstream import KEY, Upstream, problem
from tests.metering.simulator.plans import MINUTE_MS, tenant

MINUTES = 3
TELEMETRY, EVENTS = "/api/v1/telemetry", "/api/v1/events"


def small_plan(**fields: Any) -> Plan:
    """Two nodes of two GPUs, an engine each; an hour ago, for the server takes nothing from the future and keeps samples for some days."""
    name = uuid.uuid4().hex[:8]
    engines = (EngineSetup("vllm", LLAMA_8B, (0,)),)
    nodes = tuple(NodeSetup(f"sim-{name}-{number}", H100, engines, gpus=2, region="eu") for number in (1, 2))
    start_ms = (time.time_ns() // 1_000_000 - 60 * MINUTE_MS) // MINUTE_MS * MINUTE_MS
    return Plan(nodes, (tenant(f"t-{name}", 6.0), tenant(f"u-{name}", 2.0, cv=2.0)), start_ms, **fields)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.close()
    assert running.faults == []


def destination(upstream: Upstream, folder: Path, **fields: Any) -> Destination:
    return Destination(url=upstream.url, key=KEY, folder=folder, **fields)


def events_at(upstream: Upstream) -> list[dict[str, Any]]:
    return [json.loads(line) for request in upstream.to(EVENTS) for line in request.body.splitlines()]


def test_all_samples_and_events_arrive(upstream: Upstream, tmp_path: Path) -> None:
    plan = small_plan(aborted=0.05)
    fleet = Fleet(plan)
    with AgentPath(fleet, destination(upstream, tmp_path)) as path:
        sent = path.run(plan.start_ms + MINUTES * MINUTE_MS)
        path.flush()

    samples, events = upstream.samples, events_at(upstream)
    readings = MINUTES * 6 + 1  # every ten seconds, and one of the start
    assert sent.samples == len(samples) == readings * 2 * (2 + 1)
    twin = Fleet(plan)
    expected = list(Events(twin).of(twin.step(plan.start_ms + MINUTES * MINUTE_MS)))
    assert sent.events == len(events) == len(expected)
    assert sorted(events, key=lambda event: event["id"]) == sorted(expected, key=lambda event: event["id"])
    assert all(sample["simulated"] for sample in samples)


def test_each_node_tells_its_own_story_in_order(upstream: Upstream, tmp_path: Path) -> None:
    plan = small_plan()
    with AgentPath(Fleet(plan), destination(upstream, tmp_path)) as path:
        path.run(plan.start_ms + MINUTES * MINUTE_MS)
        path.flush()

    for node in plan.nodes:
        its = [sample for sample in upstream.samples if sample["node"] == node.name]
        engines = [sample for sample in its if sample["kind"] == "engine"]
        times = [sample["time"] for sample in engines]
        assert times == list(range(plan.start_ms, plan.start_ms + MINUTES * MINUTE_MS + 1, 10_000))
        assert all(sample["up"] and sample["gpus"] == [node.gpu_uuid(0)] for sample in engines)
        tokens = [sample["generation_tokens"] for sample in engines]
        assert tokens == sorted(tokens)
        assert tokens[0] == 0 < tokens[-1]
        counter = [sample["energy_j"] for sample in its if sample.get("gpu") == node.gpu_uuid(0)]
        assert counter == sorted(counter)
        assert counter[0] == 0


def test_the_counters_that_arrive_are_the_truth(upstream: Upstream, tmp_path: Path) -> None:
    plan = small_plan()
    fleet = Fleet(plan)
    with AgentPath(fleet, destination(upstream, tmp_path)) as path:
        path.run(plan.start_ms + MINUTES * MINUTE_MS)
        path.flush()

    truth = sum(minute.counter_j for minute in fleet.truth.minutes)
    for index, node in enumerate(plan.nodes):
        told = [sample["energy_j"] for sample in upstream.samples if sample.get("gpu") == node.gpu_uuid(0)]
        assert told[-1] - told[0] == pytest.approx(truth[index], abs=2e-3)  # millijoules are rounded
    for node in plan.nodes:
        produced = sum(event["output_tokens"] for event in events_at(upstream) if event["node"] == node.name)
        counted = [
            each["generation_tokens"]
            for each in upstream.samples
            if (each["node"], each["kind"]) == (node.name, "engine")
        ]
        assert 0 < produced <= counted[-1]


def test_a_lost_node_is_silent_and_an_engine_that_restarts_is_down(upstream: Upstream, tmp_path: Path) -> None:
    plan = small_plan()
    first, second = (node.name for node in plan.nodes)
    changes = (Change("node_lost", first, 60, 120), Change("engine_restart", f"{second}/vllm", 60, 120))
    fleet = Fleet(Plan(plan.nodes, plan.tenants, plan.start_ms, changes=changes))
    with AgentPath(fleet, destination(upstream, tmp_path)) as path:
        path.run(plan.start_ms + MINUTES * MINUTE_MS)
        path.flush()

    seconds = [(sample["node"], (sample["time"] - plan.start_ms) // 1000, sample) for sample in upstream.samples]
    assert not [at for node, at, _ in seconds if node == first and 60 < at <= 120]
    down = {at for node, at, sample in seconds if node == second and sample["kind"] == "engine" and not sample["up"]}
    assert down == {70, 80, 90, 100, 110, 120}
    after = [sample for node, at, sample in seconds if node == second and sample["kind"] == "engine" and at > 120]
    before = [sample for node, at, sample in seconds if node == second and sample["kind"] == "engine" and at == 60]
    assert after[0]["generation_tokens"] < before[0]["generation_tokens"]


def test_a_server_that_is_away_for_a_while_loses_nothing(upstream: Upstream, tmp_path: Path) -> None:
    upstream.script = [problem(503, Retry_After="0")] * 6
    plan = small_plan()
    with AgentPath(Fleet(plan), destination(upstream, tmp_path)) as path:
        sent = path.run(plan.start_ms + MINUTE_MS)
        path.flush()

    assert len(upstream.samples) == sent.samples
    assert len(events_at(upstream)) == sent.events


def test_a_server_that_never_takes_it_is_told(upstream: Upstream, tmp_path: Path) -> None:
    upstream.then = problem(503)
    plan = small_plan()
    with AgentPath(Fleet(plan), destination(upstream, tmp_path, give_up_after_s=0.3)) as path:
        path.run(plan.start_ms + MINUTE_MS)
        with pytest.raises(NotDelivered, match="503"):
            path.flush()


@pytest.mark.django_db
def test_the_servers_endpoints_take_every_line(upstream: Upstream, tmp_path: Path, spool: Path) -> None:
    plan = small_plan(aborted=0.02, cancelled=0.05, failed=0.02)
    with AgentPath(Fleet(plan), destination(upstream, tmp_path)) as path:
        path.run(plan.start_ms + MINUTES * MINUTE_MS)
        path.flush()
    for each in plan.tenants:
        accounts.create_tenant(each.key, is_demo=True)
    key = keys.issue_key(None, [Scope.INGEST])

    for request in [*upstream.to(TELEMETRY), *upstream.to(EVENTS)]:
        answer = Client().post(
            request.path, request.body, "application/x-ndjson", headers={"Authorization": f"Bearer {key}"}
        )
        assert answer.status_code == 202, answer.content
        assert answer.json()["rejected"] == []
        assert answer.json()["accepted"] == request.body.count(b"\n")
