"""A scripted run in which the KV cache, then the power cap, then the queue binds: each is named within a minute, and all is quiet else.

Once as it was recorded, once through the simulator, the agent's parser and the minutes. After a phase its backlog has to drain, which binds
for a few minutes more: so the minutes right after are left out.
"""

import csv
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from metering.agent.engines import EngineSource, EngineSpec
from metering.agent.samples import EngineSample, GpuSample
from metering.agent.sources import Place
from metering.simulator.exposition import metrics_text
from metering.simulator.fleet import Fleet
from metering.simulator.hardware import H100
from metering.simulator.models import LLAMA_70B
from metering.simulator.plan import EngineSetup, NodeSetup, Plan, Tenant, Workload
from metering.simulator.script import Change
from metering.simulator.sources import SimulatedGpus
from metering.telemetry import fleet as live
from metering.telemetry import rollups
from metering.telemetry.saturation import READINGS, Points, Readings, saturation
from metering.telemetry.spans import Span
from tests.metering.telemetry.sample_rows import (
    MINUTE,
    SECOND,
    insert_engines,
    insert_gpus,
    minutes_of,
    own_node,
    recent_hour,
)

RECORDED = Path(__file__).parent / "recorded" / "scripted_day.csv"  # of the simulator: Llama-3.3-70B on four H100
PHASES = {"kv_cache": range(10, 15), "power": range(25, 30), "queue": range(40, 45)}
CALM = (*range(2, 10), *range(20, 25), *range(35, 40), *range(50, 55))
END = 55


def test_the_recorded_run_is_named_as_it_was_scripted() -> None:
    with RECORDED.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["phase"] != "recovering"]
    assert {row["phase"] for row in rows} == {*PHASES, "calm"}
    for row in rows:
        found = saturation(Readings(**{name: float(row[name]) for name in READINGS}), Points())
        assert (found.constraint if found.bound else "calm") == row["phase"], row


def plan(node: NodeSetup, start: datetime) -> Plan:
    def during(name: str) -> tuple[float, float]:
        return PHASES[name][0] * 60.0, (PHASES[name][-1] + 1) * 60.0

    engine = f"{node.name}/{node.engines[0].name}"
    changes = (
        Change("kv_capacity", engine, *during("kv_cache"), 0.12),
        Change("power_cap", node.name, *during("power"), 250.0),
        Change("max_sequences", engine, *during("queue"), 24.0),
    )
    tenant = Tenant("t", 2.4, Workload(1500, 0.8, 350, 0.7), {LLAMA_70B.name: 1.0})
    return Plan((node,), (tenant,), int(start.timestamp() * 1000), seed=3, changes=changes)


def samples(fleet: Fleet, node: NodeSetup) -> Iterator[GpuSample | EngineSample]:
    """Every ten seconds of the run, as the node's agent reads them."""

    def text(request: httpx.Request) -> httpx.Response:
        names, capacity = fleet.engines.names, float(fleet.limits.kv_tokens[0])
        body = metrics_text(names[0], 0, fleet.counters, fleet.gauges(), capacity)
        return httpx.Response(200, stream=httpx.ByteStream(body.encode()))

    setup, place = node.engines[0], Place(node.name)
    uuids = tuple(node.gpu_uuid(index) for index in setup.gpus)
    gpus = SimulatedGpus(fleet, 0, place)
    with httpx.Client(transport=httpx.MockTransport(text)) as http:
        spec = EngineSpec(setup.name, "vllm", "http://simulated/metrics", setup.model.name, uuids)
        engine = EngineSource(place, spec, http)
        while fleet.time_ms < fleet.plan.start_ms + END * 60_000:
            fleet.step(fleet.time_ms + 10_000)
            yield from (*gpus.read(fleet.time_ms), *engine.read(fleet.time_ms))


def row(sample: GpuSample | EngineSample) -> dict[str, Any]:
    found: dict[str, Any] = asdict(sample) | {"time": datetime.fromtimestamp(sample.time / 1000, UTC)}
    del found["node"]
    if isinstance(sample, GpuSample):
        return found | {"throttle": list(sample.throttle or ()), "throttle_known": sample.throttle is not None}
    return found | {"gpus": list(sample.gpus)}


@pytest.mark.django_db
@pytest.mark.usefixtures("clickhouse")
def test_the_simulated_run_is_named_within_a_minute() -> None:
    start, name = recent_hour(), own_node()
    node = NodeSetup(name, H100, (EngineSetup("llama-0", LLAMA_70B, (0, 1, 2, 3), max_sequences=192),), gpus=4)
    taken = list(samples(Fleet(plan(node, start)), node))
    insert_gpus(name, *(row(sample) for sample in taken if isinstance(sample, GpuSample)))
    insert_engines(name, *(row(sample) for sample in taken if isinstance(sample, EngineSample)))
    rollups.write(Span(start, start + END * MINUTE))

    states = minutes_of("saturation_minute", name)
    bound = {index: state["constraint"] if state["bound"] else "" for index, state in enumerate(states)}
    assert len(bound) == END
    for constraint, phase in PHASES.items():
        assert {index: bound[index] for index in phase} == dict.fromkeys(phase, constraint)
        now = start + phase[0] * MINUTE + 59 * SECOND
        (engine,) = [each for each in live.fleet_engines(now) if each.node == name]
        assert (engine.saturation.constraint, engine.saturation.bound) == (constraint, True)
        assert engine.since == pytest.approx(start + phase[0] * MINUTE, abs=timedelta(seconds=40))
    assert {index: bound[index] for index in CALM} == dict.fromkeys(CALM, "")
