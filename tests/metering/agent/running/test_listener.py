"""What local senders may post to the agent, over real sockets."""

import gzip
import http.client
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import tallywatt
from metering.agent.aside import Aside
from metering.agent.clock import ServerClock
from metering.agent.config import MIB, Config
from metering.agent.listener import Listener, Room
from metering.agent.receiver import MOST_INFLATED, Receiver, Refused, inflated
from metering.agent.relay import EVENTS_PATH, TRACES_PATH, Relay, options_of
from metering.agent.sources import Place
from metering.agent.stamp import JSON, PROTOBUF, stamp
from metering.ingest.decoders.otlp_traces import decode
from tallywatt.errors import OutboxError, OutboxFull
from tests.metering.agent.running.upstream import Upstream
from tests.metering.agent.running.waiting import quick, until
from tests.metering.ingest.otlp_bodies import as_json, llm_request, trace_request, vllm_request

NDJSON = "application/x-ndjson"
SPANS = trace_request(llm_request(), llm_request(), scope="vllm.llm_engine").SerializeToString()


class Agent:
    """A listener with both relays. `post` is a request by hand."""

    def __init__(self, config: Config, **options: Any) -> None:
        assert config.receiver is not None
        aside = Aside(config.data / "set-aside", MIB)
        self.relays = [
            Relay(quick(options_of(config, config.receiver, path, folder)), aside)
            for path, folder in ((TRACES_PATH, "traces"), (EVENTS_PATH, "events"))
        ]
        given: dict[str, Any] = {
            "traces": self.relays[0],
            "events": self.relays[1],
            "engines": frozenset(("llama", "qwen")),
            "stamp_of": lambda engine: stamp(Place("n1"), {"model": "m"}, engine),
            "max_body_bytes": 100_000,
        }
        self.listener = Listener("127.0.0.1", 0, Receiver(**given | options))
        self.listener.start()
        for relay in self.relays:
            relay.start(ServerClock())

    @property
    def port(self) -> int:
        return int(self.listener.address.rpartition(":")[2])

    def post(
        self, path: str, body: bytes, content_type: str = PROTOBUF, *, method: str = "POST", **headers: str
    ) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        given = {"Content-Type": content_type} | {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, given)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return Answered(answer.status, content, answer.headers)

    def raw(self, data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def close(self) -> None:
        self.listener.close()
        for relay in self.relays:
            relay.close(0)


class Answered:
    def __init__(self, status: int, body: bytes, headers: Any) -> None:
        self.status, self.body, self.headers = status, body, headers

    @property
    def detail(self) -> str:
        assert self.headers["Content-Type"] == "application/problem+json"
        document = json.loads(self.body)
        assert document["status"] == self.status
        return str(document["detail"])


MakeAgent = Callable[..., Agent]


@pytest.fixture
def agent(config: Config) -> Iterator[MakeAgent]:
    with ExitStack() as stack:

        def make(**options: Any) -> Agent:
            made = Agent(config, **options)
            stack.callback(made.close)
            return made

        yield make


def events_of(upstream: Upstream) -> list[dict[str, Any]]:
    return [dict(found.event or {}) for request in upstream.to(TRACES_PATH) for found in decode(request.body, 100)]


@pytest.mark.parametrize("encoding", ["protobuf", "json", "protobuf+gzip", "json+gzip"])
def test_spans_of_an_engine_are_stamped_and_relayed(upstream: Upstream, agent: MakeAgent, encoding: str) -> None:
    request = vllm_request(llm_request(), llm_request())
    kind = JSON if encoding.startswith("json") else PROTOBUF
    body = as_json(request) if kind == JSON else request.SerializeToString()
    headers = {"Content_Encoding": "gzip"} if encoding.endswith("gzip") else {}
    answer = agent().post("/engines/qwen/v1/traces", gzip.compress(body) if headers else body, kind, **headers)
    assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
    assert answer.body == (b"{}" if kind == JSON else b"")
    until(lambda: upstream.to(TRACES_PATH))
    (relayed,) = upstream.to(TRACES_PATH)
    assert relayed.headers["content-type"] == kind
    assert relayed.headers.get("content-encoding", "") == ("gzip" if headers else "")
    assert {(event["node"], event["engine"], event["model"]) for event in events_of(upstream)} == {
        ("n1", "qwen", "llama")
    }


def test_the_path_without_a_name_is_taken_too(upstream: Upstream, agent: MakeAgent) -> None:
    assert agent().post(TRACES_PATH, SPANS).status == 200
    until(lambda: upstream.to(TRACES_PATH))
    assert [(event["engine"], event["model"]) for event in events_of(upstream)] == [("vllm", "m")] * 2


def test_what_is_relayed_can_be_compressed(upstream: Upstream, agent: MakeAgent) -> None:
    assert agent(gzip=True).post(TRACES_PATH, SPANS).status == 200
    until(lambda: upstream.to(TRACES_PATH))
    assert upstream.requests[0].headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("gzipped", [False, True])
def test_events_pass_as_they_are(upstream: Upstream, agent: MakeAgent, gzipped: bool) -> None:
    body = b'{"id":"a"}\n\n{"id":"b"}\n'
    headers = {"Content_Encoding": "gzip"} if gzipped else {}
    answer = agent().post(EVENTS_PATH, gzip.compress(body) if gzipped else body, NDJSON, **headers)
    assert (answer.status, json.loads(answer.body)) == (202, {"batch": "", "accepted": 2, "rejected": []})
    until(lambda: upstream.to(EVENTS_PATH))
    assert upstream.to(EVENTS_PATH)[0].body == body


def test_cloudevents_pass_in_every_mode(upstream: Upstream, agent: MakeAgent) -> None:
    running = agent()
    for kind in ("application/cloudevents+json", "application/cloudevents-batch+json; charset=utf-8", JSON):
        assert running.post(EVENTS_PATH, b"{}", kind).status == 204
    binary = {"ce_specversion": "1.0", "ce_id": "7", "ce_type": "tallywatt.request", "ce_subject": "acme"}
    assert running.post(EVENTS_PATH, b"<x/>", "text/xml", **binary).status == 204
    until(lambda: len(upstream.to(EVENTS_PATH)) == 4)
    headers = upstream.to(EVENTS_PATH)[-1].headers
    assert [headers[name] for name in ("content-type", "ce-id", "ce-subject")] == ["text/xml", "7", "acme"]
    assert upstream.to(EVENTS_PATH)[1].headers["content-type"] == "application/cloudevents-batch+json; charset=utf-8"


def test_the_client_of_a_gateway_may_send_to_the_agent(upstream: Upstream, agent: MakeAgent, tmp_path: Path) -> None:
    """In Arrow, which the agent does not take, and in gzip: it falls back, and nothing is lost."""
    running = agent()
    url = f"http://127.0.0.1:{running.port}"
    with tallywatt.Client(url, "anything", outbox=tmp_path / "gateway", format="arrow", gzip=True) as client:
        for number in range(5):
            client.record(id=str(number), model="m", input_tokens=1, output_tokens=1)
        assert client.flush()
    until(lambda: upstream.to(EVENTS_PATH))
    lines = b"".join(request.body for request in upstream.to(EVENTS_PATH)).splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("path", "method", "content_type", "headers", "status", "said"),
    [
        ("/", "POST", PROTOBUF, {}, 404, "/v1/traces"),
        ("/v1/metrics", "POST", PROTOBUF, {}, 404, "are taken here"),
        ("/v1/traces?x=1", "POST", PROTOBUF, {}, 404, "are taken here"),
        ("/engines/mistral/v1/traces", "POST", PROTOBUF, {}, 404, "no engine is named 'mistral' here: llama, qwen"),
        ("/engines//v1/traces", "POST", PROTOBUF, {}, 404, "are taken here"),
        ("/v1/traces", "GET", PROTOBUF, {}, 405, "POST only"),
        ("/v1/traces", "OPTIONS", PROTOBUF, {}, 405, "POST only"),
        ("/api/v1/events", "PUT", NDJSON, {}, 405, "POST only"),
        ("/v1/traces", "POST", "text/plain", {}, 415, "Content-Type 'text/plain' is not taken here"),
        ("/v1/traces", "POST", NDJSON, {}, 415, "is not taken here"),
        ("/api/v1/events", "POST", "application/vnd.apache.arrow.stream", {}, 415, "is not taken here"),
        ("/v1/traces", "POST", PROTOBUF, {"Content_Encoding": "zstd"}, 415, "only gzip"),
        ("/v1/traces", "POST", PROTOBUF, {"Content_Encoding": "gzip"}, 400, "not valid gzip"),
        ("/api/v1/events", "POST", NDJSON, {"Content_Encoding": "gzip"}, 400, "not valid gzip"),
        ("/v1/traces", "POST", JSON, {}, 400, "not OTLP/JSON"),
    ],
)  # fmt: skip
def test_what_is_refused_says_why_and_nothing_of_it_is_kept(
    upstream: Upstream,
    agent: MakeAgent,
    path: str,
    method: str,
    content_type: str,
    headers: dict[str, str],
    status: int,
    said: str,
) -> None:
    running = agent()
    answer = running.post(path, SPANS, content_type, method=method, **headers)
    assert answer.status == status
    assert said in answer.detail
    if status == 405:
        assert answer.headers["Allow"] == "POST"
    assert [relay.stats.recorded for relay in running.relays] == [0, 0]
    assert running.post(TRACES_PATH, SPANS).status == 200  # it goes on


def test_protobuf_that_is_none_is_refused(agent: MakeAgent) -> None:
    answer = agent().post(TRACES_PATH, SPANS[:-3])
    assert (answer.status, "not protobuf" in answer.detail) == (400, True)


def test_a_body_over_the_limit_is_refused_before_it_is_read(agent: MakeAgent) -> None:
    running = agent()
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
    assert running.raw(head + b"Content-Length: 100001\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    assert running.raw(head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").startswith(b"HTTP/1.1 411 ")
    assert running.raw(head + b"\r\n").startswith(b"HTTP/1.1 411 ")
    assert running.raw(head + b"Content-Length: -1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert running.raw(head + b"Content-Length: 10\r\n\r\nabc").startswith(b"HTTP/1.1 400 ")
    assert running.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50 + b"\r\n") != b""  # TLS
    assert running.post(TRACES_PATH, SPANS).status == 200


def test_a_small_body_that_inflates_without_end_is_refused() -> None:
    with pytest.raises(Refused, match="longer than") as refused:
        inflated(gzip.compress(b"\x00" * (MOST_INFLATED + 1)))
    assert refused.value.status == 413
    two = gzip.compress(b"a" * 10) + gzip.compress(b"b" * 10)
    assert inflated(two) == b"a" * 10 + b"b" * 10
    with pytest.raises(Refused, match="truncated"):
        inflated(two[:-4])
    with pytest.raises(Refused, match="longer than"):
        inflated(two, 15)


def test_a_token_keeps_others_out(upstream: Upstream, agent: MakeAgent) -> None:
    running = agent(token="s3cret")
    for headers in (
        {},
        {"Authorization": "Bearer no"},
        {"Authorization": "s3cret"},
        {"Authorization": "Bearer s3cr\u00e9t"},
    ):
        answer = running.post(TRACES_PATH, SPANS, **headers)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert running.post(TRACES_PATH, SPANS, Authorization="Bearer s3cret").status == 200
    until(lambda: upstream.requests)
    assert "s3cret" not in str(upstream.requests[0].headers)  # the agent's own key goes to the server


@pytest.mark.parametrize(("path", "status"), [(TRACES_PATH, 503), (EVENTS_PATH, 429)])
@pytest.mark.parametrize("why", ["full", "disk"])
def test_what_cannot_be_kept_is_not_acknowledged(
    agent: MakeAgent, monkeypatch: pytest.MonkeyPatch, path: str, status: int, why: str
) -> None:
    """OpenTelemetry's exporter for Python, which is vLLM's, gives spans up on a 429, and sends them again on a 503."""
    running = agent()

    def refusing(*_: Any) -> None:
        raise OutboxFull("full") if why == "full" else OutboxError("the disk failed")

    for relay in running.relays:
        monkeypatch.setattr(relay, "take", refusing)
    answer = running.post(path, SPANS if path == TRACES_PATH else b"{}\n", PROTOBUF if path == TRACES_PATH else NDJSON)
    assert answer.status == (status if why == "full" else 503)
    assert int(answer.headers["Retry-After"]) >= 1


def test_bodies_under_way_are_bounded_together(agent: MakeAgent) -> None:
    room = Room(100)
    assert room.take(60)
    assert not room.take(41)
    room.give_back(60)
    assert room.take(100)
    running = agent()
    running.listener._http.room = Room(10)
    answer = running.post(TRACES_PATH, SPANS)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


def test_a_connection_serves_many_requests_and_many_connections_are_served(
    upstream: Upstream, agent: MakeAgent
) -> None:
    running = agent()

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        for _ in range(20):
            connection.request("POST", TRACES_PATH, SPANS, {"Content-Type": PROTOBUF})
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: len(upstream.to(TRACES_PATH)) == 160)


def test_too_many_connections_are_closed_and_the_others_served(agent: MakeAgent) -> None:
    running = agent()
    running.listener._http._connections = threading.BoundedSemaphore(2)
    held = [socket.create_connection(("127.0.0.1", running.port), timeout=10) for _ in range(2)]
    until(lambda: running.listener._http._connections._value == 0)
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as refused:
        assert refused.recv(10) == b""
    for connection in held:
        connection.close()
    until(lambda: running.listener._http._connections._value == 2)
    assert running.post(TRACES_PATH, SPANS).status == 200


def test_a_sender_that_hangs_up_is_nobodys_trouble(agent: MakeAgent, caplog: pytest.LogCaptureFixture) -> None:
    running = agent()
    with caplog.at_level(logging.INFO):
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(b"POST /v1/traces HTTP/1.1\r\n")
        assert running.post(TRACES_PATH, SPANS).status == 200
    assert "Traceback" not in caplog.text


def test_an_address_that_is_taken_is_an_error(agent: MakeAgent) -> None:
    running = agent()
    with pytest.raises(OSError, match="in use"):
        Listener("127.0.0.1", running.port, running.listener._http.receiver)
