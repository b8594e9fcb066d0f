"""What the agent sends, taken by the real endpoints: samples become rows, stamped spans become events."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from metering import accounts, keys
from metering.agent import looking
from metering.agent.aside import Aside
from metering.agent.config import MIB, Config, Engine
from metering.agent.engines.spec import EngineSpec
from metering.agent.gpus_seen import GpusSeen
from metering.agent.messages import Message
from metering.agent.relay import EVENTS_PATH, TRACES_PATH, Relay
from metering.agent.relay import options_of as relay_options
from metering.agent.sources import Place
from metering.agent.stamp import PROTOBUF, stamp
from metering.agent.telemetry import Telemetry, options_of
from metering.clickhouse import client
from tallywatt.answers import Answer
from tallywatt.threads import Deadline, drive
from tallywatt.wire import NDJSON_TYPE, Body
from tests.metering.agent.running.fakes import FakeGpus, engine_sample
from tests.metering.agent.running.waiting import quick
from tests.metering.ingest.edge import Edge
from tests.metering.ingest.otlp_bodies import llm_request, trace_request
from tests.metering.ingest.samples import NOW_MS, Node

Send = Callable[[str, Body], Answer]


@pytest.fixture
def send(db: None, clickhouse: None, spool: Path) -> Send:
    """Posts to Django itself, by an operator's key."""
    key = keys.issue_key(None, ["ingest"])

    def post(path: str, body: Body) -> Answer:
        headers = {name: value for name, value in body.headers.items() if name != "Content-Type"}
        headers["Authorization"] = f"Bearer {key}"
        found = Client().post(path, body.content, content_type=body.headers["Content-Type"], headers=headers)
        return Answer(found.status_code, found.content, {name.lower(): value for name, value in found.headers.items()})

    return post


@pytest.fixture
def edge(db: None, clickhouse: None, spool: Path, tenant_key: str) -> Edge:
    accounts.create_tenant(tenant_key)
    return Edge(tenant_key, keys.issue_key(tenant_key, ["ingest"]))


def deliver(outlet: Any, path: str, send: Send) -> None:
    assert drive(outlet._outlet._sending.until_empty(), lambda body: send(path, body), Deadline(20))
    assert (outlet.stats.pending, outlet.stats.rejected, outlet.trouble) == (0, 0, None)


def test_samples_become_rows(config: Config, send: Send) -> None:
    node = Node.new()
    sending = Telemetry(quick(options_of(config)))
    seen = GpusSeen([EngineSpec("llama", "vllm", "http://127.0.0.1:8000/metrics")])
    for samples in (FakeGpus().read(NOW_MS), [engine_sample(NOW_MS)]):
        sending.take([replace(sample, node=node.name) for sample in seen.complete(samples)])
    deliver(sending, "/api/v1/telemetry", send)
    sending.close(0)
    assert node.stored("gpu_samples", "gpu, power_w", "gpu") == [("GPU-0", 100.0), ("GPU-1", 101.0)]
    assert node.stored("engine_samples", "engine, running, gpus", "engine") == [("llama", 3.0, ["GPU-0", "GPU-1"])]


def test_stamped_spans_become_events_of_tenant_model_node_and_engine(config: Config, send: Send, edge: Edge) -> None:
    assert config.receiver is not None
    engine = Engine(
        EngineSpec("llama", "vllm", "http://127.0.0.1:8000/metrics"), {"tenant": edge.tenant, "model": "m7"}
    )
    by = stamp(Place("gpu-node-7", "eu-west", "prod"), engine.stamps, "llama", ("GPU-a", "GPU-b"))
    body = trace_request(llm_request(), llm_request(), scope="vllm.llm_engine").SerializeToString()
    relay = Relay(quick(relay_options(config, config.receiver, TRACES_PATH, "traces")), Aside(config.data / "a", MIB))
    relay.take(Message({"Content-Type": PROTOBUF}, by.on(body, PROTOBUF)))
    deliver(relay, TRACES_PATH, send)
    relay.close(0)
    assert (
        edge.stored("tenant, model, node, engine, gpus, region, cluster, input_tokens")
        == [(edge.tenant, "m7", "gpu-node-7", "llama", ["GPU-a", "GPU-b"], "eu-west", "prod", 1000)] * 2
    )


def test_events_of_a_gateway_pass_through(config: Config, send: Send, edge: Edge) -> None:
    assert config.receiver is not None
    relay = Relay(quick(relay_options(config, config.receiver, EVENTS_PATH, "events")), Aside(config.data / "a", MIB))
    line = b'{"id":"e1","tenant":"%b","model":"m","input_tokens":1,"output_tokens":2}\n' % edge.tenant.encode()
    relay.take(Message({"Content-Type": NDJSON_TYPE}, line))
    deliver(relay, EVENTS_PATH, send)
    relay.close(0)
    assert edge.stored("id, output_tokens") == [("e1", 2)]


def test_an_empty_question_is_answered_and_leaves_nothing_behind(send: Send, tenant_key: str) -> None:
    """What `--check` and `--print` ask the server."""
    answer = send("/api/v1/telemetry", Body(looking.NOTHING, {"Content-Type": NDJSON_TYPE}))
    assert looking._objection(answer) is None
    unknown = Client().post(
        "/api/v1/telemetry",
        looking.NOTHING,
        content_type=NDJSON_TYPE,
        headers={"Authorization": "Bearer tw_000000000000_no"},
    )
    refused = Answer(unknown.status_code, unknown.content, {"content-type": unknown["Content-Type"]})
    assert "HTTP 401" in (looking._objection(refused) or "")
    found = client.statement(
        "test_quarantined", "SELECT count() FROM quarantine WHERE decoder = 'telemetry' AND length(raw) < 2", {}
    )
    assert found == [(0,)]
