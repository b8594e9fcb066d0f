"""The whole agent as a process: it reads, receives and sends; kill -9 keeps what was acknowledged."""

import contextlib
import http.client
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from metering.agent import frames
from metering.agent.messages import Message
from metering.agent.stamp import PROTOBUF
from metering.ingest.decoders.otlp_traces import decode
from tallywatt import lanes
from tests.metering.agent.running.node import Node
from tests.metering.agent.running.upstream import Upstream, problem, taking
from tests.metering.agent.running.waiting import until
from tests.metering.ingest.otlp_bodies import llm_request, trace_request

LISTEN = '[receiver]\nlisten = "127.0.0.1:0"\ncatch_up_mib_per_s = 1000\n'
AGENT = [sys.executable, "-m", "metering.agent.command", "--config"]


@pytest.fixture
def node() -> Iterator[Node]:
    running = Node()
    yield running
    running.close()


class Running:
    """An agent's process. `port`: where it listens."""

    def __init__(self, config: Path) -> None:
        self.log = config.with_suffix(f".{secrets.token_hex(4)}.log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*AGENT, str(config)], stderr=log)
        until(lambda: "listening on" in self.log.read_text() or self.process.poll() is not None)
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", self.log.read_text())
        assert found, self.log.read_text()
        self.port = int(found[1])

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@contextlib.contextmanager
def running(config: Path) -> Iterator[Running]:
    agent = Running(config)
    try:
        yield agent
    finally:
        if agent.process.poll() is None:
            agent.end(signal.SIGKILL)


def post(port: int, body: bytes, path: str = "/v1/traces") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", path, body, {"Content-Type": PROTOBUF})
        return connection.getresponse().status


def span_of(number: int) -> bytes:
    return trace_request(
        llm_request(**{"gen_ai.request.id": f"r{number}"}), scope="vllm.llm_engine"
    ).SerializeToString()


def requests_in(body: bytes) -> list[str]:
    return [str(dict(found.event or {})["attributes"]["request_id"]) for found in decode(body, 1000)]


def samples_of(upstream: Upstream, kind: str) -> list[dict[str, Any]]:
    return [sample for sample in upstream.samples if sample["kind"] == kind]


def left_on_disk(folder: Path) -> list[str]:
    segments = sorted((path for lane in lanes.survey(folder) for path in lane.segments), key=lambda path: path.name)
    bodies = [Message.unpacked(packed).body for path in segments for packed in frames.parse(path.read_bytes())[0]]
    return [found for body in bodies for found in requests_in(body)]


def test_it_reads_stamps_sends_and_ends_when_it_is_told_to(node: Node, upstream: Upstream, tmp_path: Path) -> None:
    began_ms = time.time() * 1000
    with running(node.config_file(tmp_path, upstream.url, LISTEN)) as agent:
        until(lambda: len(samples_of(upstream, "gpu")) >= 4 and len(samples_of(upstream, "engine")) >= 3)
        assert post(agent.port, span_of(1)) == 200
        until(lambda: upstream.to("/v1/traces"))
        assert agent.end(signal.SIGTERM) == 0
        assert "ended; samples: " in agent.log.read_text()
    kinds = {(sample["kind"], sample.get("gpu") or sample["engine"]) for sample in upstream.samples}
    assert kinds == {("gpu", "GPU-0"), ("gpu", "GPU-1"), ("engine", "llama")}
    times = [sample["time"] for sample in samples_of(upstream, "engine")]
    assert began_ms < times[0] < times[-1] < time.time() * 1000
    # A busy machine may read late, or leave a second out, but it never reads twice in one; 50 ms for what sets the clock right.
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) > 0
    assert sum(gaps) > (len(gaps) - 1) * 1000 - 50
    assert min(gaps) < 3000
    (event,) = [dict(found.event or {}) for found in decode(upstream.to("/v1/traces")[0].body, 10)]
    assert {name: event[name] for name in ("tenant", "node", "engine", "gpus")} == {
        "tenant": "acme",
        "node": "node-1",
        "engine": "llama",
        "gpus": ["GPU-0", "GPU-1"],
    }
    assert all(not lane.segments for name in ("telemetry", "traces") for lane in lanes.survey(tmp_path / "data" / name))


def test_it_says_that_this_machines_clock_lies(node: Node, upstream: Upstream, tmp_path: Path) -> None:
    upstream.date = "Thu, 01 Jan 2026 00:00:00 GMT"
    with running(node.config_file(tmp_path, upstream.url, LISTEN)) as agent:
        until(lambda: "this machine's clock is" in agent.log.read_text())
        until(lambda: len(upstream.requests) > 2)
        assert agent.log.read_text().count("this machine's clock is") == 1


def test_kill_9_keeps_what_was_acknowledged(node: Node, upstream: Upstream, tmp_path: Path) -> None:
    """Killed again and again while four senders post and the server takes nothing; what follows sends it all, in order."""
    upstream.then = problem(503)
    config = node.config_file(tmp_path, upstream.url, LISTEN)
    acknowledged: list[str] = []
    for life in range(3):
        with running(config) as agent:
            threads = [
                threading.Thread(target=_post_until_it_dies, args=(agent.port, life * 4 + sender, acknowledged))
                for sender in range(4)
            ]
            for thread in threads:
                thread.start()
            time.sleep(0.5 + secrets.randbelow(500) / 1000)
            os.kill(agent.process.pid, signal.SIGKILL)
            agent.process.wait(10)
            for thread in threads:
                thread.join()
    assert len(acknowledged) > 12
    kept = left_on_disk(tmp_path / "data" / "traces")
    assert set(acknowledged) <= set(kept)
    assert len(set(kept)) == len(kept)

    upstream.then = taking
    with running(config):
        until(lambda: len(upstream.to("/v1/traces")) >= len(kept), within_s=30)
    arrived = [found for request in upstream.to("/v1/traces") for found in requests_in(request.body)]
    assert arrived == kept


def _post_until_it_dies(port: int, sender: int, acknowledged: list[str]) -> None:
    number = 0
    with contextlib.suppress(OSError, http.client.HTTPException):
        while True:
            number += 1
            if post(port, span_of(sender * 1_000_000 + number)) == 200:
                acknowledged.append(f"r{sender * 1_000_000 + number}")


def test_samples_of_a_killed_agent_arrive_before_those_of_its_follower(
    node: Node, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.then = problem(503)
    config = node.config_file(tmp_path, upstream.url, LISTEN)
    with running(config):
        time.sleep(2.5)
    upstream.then = taking
    killed_at: Any = time.time() * 1000
    with running(config):
        until(lambda: any(sample["time"] > killed_at for sample in upstream.samples))
    times = [sample["time"] for sample in samples_of(upstream, "engine")]
    assert times == sorted(times)
    assert times[0] < killed_at
