"""The node agent under the load of a busy node: `agent.cpu_percent` of one core, everything that it does included.

The agent is a process of its own, as it is installed. Beside it, on 127.0.0.1: an engine whose `/metrics` has 170 KB, an exporter of
8 GPUs, a sender that posts the spans of 1,000 requests/s in bodies of 512 (as vLLM's exporter does), and a server that takes everything.
"""

import contextlib
import gzip
import http.client
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

from bench.report import Figure, figure
from bench.stack import ROOT

SECONDS = 60.0
WARM_UP_S = 6.0  # imports, connections, and the first readings
SPANS_PER_S = 1000
SPANS_PER_BODY = 512  # the most that OpenTelemetry's batch processor puts into one
GPUS = 8
SPAN_NAME = b"llm_request"


def measure() -> list[Figure]:
    world = World()
    with (
        _serving(world) as port,
        tempfile.TemporaryDirectory(prefix="tallywatt-bench-agent-") as folder,
        _agent(Path(folder), port) as (process, listens_on),
    ):
        body = spans_body()
        warmed = _send(body, listens_on, WARM_UP_S)
        _wait_for(world, warmed)
        before, began = process.cpu_times(), time.monotonic()
        sent = _send(body, listens_on, SECONDS)
        after, seconds = process.cpu_times(), time.monotonic() - began
        memory_mb = process.memory_info().rss / 2**20
        _wait_for(world, warmed + sent)
    cpu_s = (after.user - before.user) + (after.system - before.system)
    note = f"{sent / seconds:,.0f} spans/s in bodies of {len(body) // 1000} kB, {GPUS} GPUs, one engine; {world.samples} samples"
    return [
        figure("agent.cpu_percent", 100 * cpu_s / seconds, note=note),
        figure("agent.lost", warmed + sent - world.relayed),
        figure("agent.memory_mb", memory_mb, unit="MB"),
    ]


@dataclass
class World:
    """What stands around the agent. `relayed`: spans that the server was sent, with the agent's stamp."""

    relayed: int = 0
    samples: int = 0
    texts: dict[str, bytes] = field(default_factory=lambda: {"/metrics": engine_text(), "/gpus": gpus_text()})

    def take(self, path: str, body: bytes, headers: Any) -> tuple[int, str, bytes]:
        if path == "/v1/traces":
            # Every body has one resource; one that is not stamped counts for nothing.
            self.relayed += body.count(SPAN_NAME) if b"tallywatt.engine" in body else 0
            return 200, "application/x-protobuf", b""
        lines = gzip.decompress(body).count(b"\n") if headers.get("Content-Encoding") == "gzip" else body.count(b"\n")
        self.samples += lines
        return 202, "application/json", b'{"batch":"b","accepted":%d,"rejected":[]}' % lines


@contextlib.contextmanager
def _serving(world: World) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(*world.take(self.path, body, self.headers))

        def do_GET(self) -> None:
            self._answer(200, "text/plain; version=0.0.4", world.texts[self.path])

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            """Not on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def _agent(folder: Path, port: int) -> Iterator[tuple[psutil.Process, int]]:
    """Its process, and where it listens."""
    listens_on = _free_port()
    (folder / "agent.toml").write_text(f"""
url = "http://127.0.0.1:{port}"
key_file = "{folder}/key"
node = "bench"
data = "{folder}/data"
[gpu]
source = "dcgm"
url = "http://127.0.0.1:{port}/gpus"
[[engine]]
name = "llama"
kind = "vllm"
url = "http://127.0.0.1:{port}/metrics"
model = "llama-70b"
tenant = "acme"
[receiver]
listen = "127.0.0.1:{listens_on}"
""")
    (folder / "key").write_text("tw_bench")
    command = [sys.executable, "-m", "metering.agent.command", "--config", str(folder / "agent.toml")]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_it_listens(listens_on)
            yield psutil.Process(process.pid), listens_on
        finally:
            process.terminate()


def _send(body: bytes, port: int, seconds: float) -> int:
    """At SPANS_PER_S, over one connection. Returns how many spans were acknowledged."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sent, due = 0, time.monotonic()
    until = due + seconds
    while due < until:
        time.sleep(max(0.0, due - time.monotonic()))
        connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the agent answered {answer.status}")
        sent += SPANS_PER_BODY
        due += SPANS_PER_BODY / SPANS_PER_S
    connection.close()
    return sent


def _wait_for(world: World, spans: int) -> None:
    give_up_at = time.monotonic() + 10
    while world.relayed < spans and time.monotonic() < give_up_at:
        time.sleep(0.05)


def _wait_until_it_listens(port: int) -> None:
    give_up_at = time.monotonic() + 20
    while time.monotonic() < give_up_at:
        with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as probe:
            probe.connect()
            return
        time.sleep(0.1)
    raise RuntimeError("the agent does not listen")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spans_body() -> bytes:
    """As vLLM 0.33 makes them: twelve attributes of a span, ids, times, one resource and one scope."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "vllm"
    scope = resource.scope_spans.add()
    scope.scope.name = "vllm.llm_engine"
    for number in range(SPANS_PER_BODY):
        now = time.time_ns()
        span = scope.spans.add(
            name=SPAN_NAME.decode(), kind=2, start_time_unix_nano=now - 2 * 10**9, end_time_unix_nano=now
        )
        span.trace_id, span.span_id = secrets.token_bytes(16), secrets.token_bytes(8)
        for name in (
            "time_to_first_token",
            "e2e",
            "time_in_queue",
            "time_in_model_prefill",
            "time_in_model_decode",
            "time_in_model_inference",
        ):
            span.attributes.add(key=f"gen_ai.latency.{name}").value.double_value = secrets.randbelow(10**6) / 1e6
        for name in ("usage.prompt_tokens", "usage.completion_tokens", "request.max_tokens", "request.n"):
            span.attributes.add(key=f"gen_ai.{name}").value.int_value = number
        span.attributes.add(key="gen_ai.request.id").value.string_value = f"chatcmpl-{secrets.token_hex(16)}"
        span.attributes.add(key="gen_ai.request.top_p").value.double_value = 0.95
    return request.SerializeToString()


def engine_text() -> bytes:
    """vLLM's exposition with the buckets of its histograms, of five served adapters: about 170 KB, nearly all of it buckets."""
    gauges = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
    counters = (
        "prompt_tokens", "generation_tokens", "prompt_tokens_cached", "prefix_cache_queries", "prefix_cache_hits", "num_preemptions",
    )  # fmt: skip
    histograms = (
        "time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds",
        "request_prefill_time_seconds", "request_decode_time_seconds", "request_inference_time_seconds", "iteration_tokens_total",
        "request_prompt_tokens", "request_generation_tokens", "request_params_max_tokens", "request_time_per_output_token_seconds",
    )  # fmt: skip
    lines: list[str] = []
    labels = [f'engine="0",model_name="llama-70b-adapter-{number}"' for number in range(5)]
    for name in gauges:
        lines += [
            f"# HELP vllm:{name} text",
            f"# TYPE vllm:{name} gauge",
            *(f"vllm:{name}{{{label}}} 0.5" for label in labels),
        ]
    for name in counters:
        lines += [f"# HELP vllm:{name}_total text", f"# TYPE vllm:{name}_total counter"]
        lines += [f"vllm:{name}_total{{{label}}} 123456.0" for label in labels]
    for name in histograms:
        lines += [f"# HELP vllm:{name} text", f"# TYPE vllm:{name} histogram"]
        for label in labels:
            lines += [
                f'vllm:{name}_bucket{{{label},le="{0.001 * 1.5**step:.4g}"}} {step * 1000}.0' for step in range(24)
            ]
            lines += [f"vllm:{name}_count{{{label}}} 24000.0", f"vllm:{name}_sum{{{label}}} 1234.5"]
    return ("\n".join(lines) + "\n").encode()


def gpus_text() -> bytes:
    """A dcgm-exporter's default fields."""
    readings = {
        "SM_CLOCK": 1980, "MEM_CLOCK": 2619, "GPU_TEMP": 61, "MEMORY_TEMP": 70, "POWER_USAGE": 652.3, "TOTAL_ENERGY_CONSUMPTION": 987654321,
        "GPU_UTIL": 99, "MEM_COPY_UTIL": 40, "XID_ERRORS": 0, "FB_FREE": 9000, "FB_USED": 72000,
    }  # fmt: skip
    fields = {f"DCGM_FI_DEV_{name}": value for name, value in readings.items()}
    fields |= {
        f"DCGM_FI_PROF_{name}": 0.4 for name in ("GR_ENGINE_ACTIVE", "PIPE_TENSOR_ACTIVE", "DRAM_ACTIVE", "SM_ACTIVE")
    }
    labels = [
        f'gpu="{n}",UUID="GPU-{n:08d}-0000",device="nvidia{n}",modelName="NVIDIA H100 80GB HBM3",Hostname="bench"'
        for n in range(GPUS)
    ]
    lines: list[str] = []
    for name, value in fields.items():
        lines += [f"# HELP {name} text", f"# TYPE {name} gauge", *(f"{name}{{{label}}} {value}" for label in labels)]
    return ("\n".join(lines) + "\n").encode()
