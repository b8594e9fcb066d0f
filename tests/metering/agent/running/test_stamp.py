"""What the agent adds to spans, in both encodings, and what the server makes of it."""

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from metering.agent import otlp_protobuf
from metering.agent.sources import Place
from metering.agent.stamp import JSON, PROTOBUF, Stamp, Unreadable, stamp
from metering.ingest.decoders.otlp_traces import decode
from tests.metering.ingest.otlp_bodies import as_json, llm_request, span, trace_request, vllm_request

PLACE = Place("gpu-node-7", "eu-west", "prod")
DEFAULTS = {"tenant": "acme", "model": "llama-70b"}
GPUS = ("GPU-a", "GPU-b")
STAMP = stamp(PLACE, DEFAULTS, "llama", GPUS)
ENCODINGS = ["protobuf", "json"]


def stamped(request: ExportTraceServiceRequest, encoding: str, by: Stamp = STAMP) -> bytes:
    if encoding == "json":
        return by.on(as_json(request), JSON)
    return by.on(request.SerializeToString(), PROTOBUF)


def events(body: bytes) -> list[dict[str, Any]]:
    found = list(decode(body, 1000))
    assert [decoded.error for decoded in found] == [None] * len(found)
    return [dict(decoded.event or {}) for decoded in found]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_server_sees_tenant_model_node_and_engine_of_stamped_spans(encoding: str) -> None:
    request = trace_request(llm_request(), llm_request(), scope="vllm.llm_engine")
    request.MergeFrom(trace_request(llm_request(), resource={"service.name": "vllm"}, scope="vllm.llm_engine"))
    found = events(stamped(request, encoding))
    assert len(found) == 3
    for event in found:
        assert {name: event[name] for name in ("tenant", "model", "node", "region", "cluster", "engine", "gpus")} == {
            "tenant": "acme",
            "model": "llama-70b",
            "node": "gpu-node-7",
            "region": "eu-west",
            "cluster": "prod",
            "engine": "llama",
            "gpus": list(GPUS),
        }
    assert [event["id"] for event in found] == [event["id"] for event in events(request.SerializeToString())]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_where_it_ran_is_said_by_the_agent_and_who_it_was_for_by_whoever_knows(encoding: str) -> None:
    """A container's own idea of its host loses; a tenant on the resource wins, one on the span wins over both."""
    resource = {
        "host.name": "3f2a9c",
        "cloud.region": "nowhere",
        "tallywatt.engine": "other",
        "tallywatt.gpus": "GPU-x",
        "tallywatt.tenant": "globex",
        "tallywatt.model": "their-model",
    }
    spans = (llm_request(), llm_request(**{"tallywatt.tenant": "initech", "gen_ai.request.model": "m1"}))
    first, second = events(stamped(vllm_request(*spans, **resource), encoding))
    for event in (first, second):
        assert (event["node"], event["region"], event["engine"], event["gpus"]) == (
            "gpu-node-7",
            "eu-west",
            "llama",
            list(GPUS),
        )
    assert (first["tenant"], first["model"]) == ("globex", "their-model")
    assert (second["tenant"], second["model"]) == ("initech", "m1")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_engine_that_is_not_known_is_stamped_with_the_node_alone(encoding: str) -> None:
    (event,) = events(stamped(vllm_request(llm_request()), encoding, stamp(Place("n"), {})))
    assert (event["node"], event["engine"], event["model"]) == ("n", "vllm", "llama")
    assert "gpus" not in event
    assert "tenant" not in event


@pytest.mark.parametrize("gpus", ["GPU-a,GPU-b", "GPU-a, GPU-b", ["GPU-a", "GPU-b"]])
def test_a_resource_may_say_engine_and_gpus_without_an_agent(gpus: Any) -> None:
    """As OTEL_RESOURCE_ATTRIBUTES has them, where every value is text, or as a list."""
    request = vllm_request(llm_request(), **{"tallywatt.engine": "llama-0", "tallywatt.gpus": gpus})
    (event,) = events(request.SerializeToString())
    assert (event["engine"], event["gpus"]) == ("llama-0", ["GPU-a", "GPU-b"])


def test_protobuf_is_spliced_and_not_changed_otherwise() -> None:
    request = vllm_request(llm_request(), **{"host.name": "h"})
    request.resource_spans.add(schema_url="https://example.com/no-resource")
    raw = request.SerializeToString() + b"\x15abcd" + b"\x19abcdefgh" + b"\x20\x07"  # fields of a later version
    found = STAMP.on(raw, PROTOBUF)
    merged = ExportTraceServiceRequest.FromString(found)
    names = [pair.key for pair in merged.resource_spans[0].resource.attributes]
    own = ["host.name", "cloud.region", "k8s.cluster.name", "tallywatt.engine", "tallywatt.gpus"]
    defaults = ["tallywatt.tenant", "tallywatt.model"]
    assert names == [*defaults, "tallywatt.model", "host.name", *own]
    assert [pair.key for pair in merged.resource_spans[1].resource.attributes] == defaults + own
    assert merged.resource_spans[1].schema_url == "https://example.com/no-resource"
    assert merged.resource_spans[0].scope_spans == request.resource_spans[0].scope_spans
    assert found.endswith(b"\x15abcd\x19abcdefgh\x20\x07")
    assert len(found) < len(raw) + 600


def test_nothing_in_it_is_nothing_to_stamp() -> None:
    assert STAMP.on(b"", PROTOBUF) == b""
    assert json.loads(STAMP.on(b"{}", JSON)) == {}
    assert json.loads(STAMP.on(b'{"resourceSpans": null}', JSON)) == {"resourceSpans": None}
    assert json.loads(stamp(Place(""), {}).on(b'{"resourceSpans":[{}]}', JSON)) == {
        "resourceSpans": [{"resource": {"attributes": []}}]
    }


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x05abc",  # shorter than it says
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",  # a number without an end
        b"\x0b\x0c",  # groups
        b"\x02\x00",  # field 0
        b"\x0d\x01",  # a fixed number cut short
        b'{"resourceSpans":[]}',
    ],
)
def test_what_is_no_protobuf_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        STAMP.on(body, PROTOBUF)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no",
        b"[]",
        b"\xff",
        b'{"resourceSpans":{}}',
        b'{"resourceSpans":[1]}',
        b'{"resourceSpans":[{"resource":3}]}',
        b'{"resourceSpans":[{"resource":{"attributes":{}}}]}',
        b'{"resourceSpans":[{"x":NaN}]}',
        b'{"resourceSpans":' + b"[" * 100_000,
    ],
)
def test_what_is_no_otlp_json_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        STAMP.on(body, JSON)


def test_big_numbers_and_odd_text_survive_json() -> None:
    text = '\\ud83d\\ude00 \\u0000 \\" ü'
    body = f'{{"resourceSpans":[{{"a":18446744073709551615,"b":"{text}","c":1.5e300}}]}}'.encode()
    (found,) = json.loads(STAMP.on(body, JSON))["resourceSpans"]
    assert (found["a"], found["c"]) == (2**64 - 1, 1.5e300)
    assert found["b"] == json.loads(f'"{text}"')


def test_a_partial_success_is_read_without_a_protobuf_library() -> None:
    response = ExportTraceServiceResponse()
    assert otlp_protobuf.partial_success(response.SerializeToString()) == ""
    response.partial_success.error_message = "a hint"
    assert otlp_protobuf.partial_success(response.SerializeToString()) == "a hint"
    response.partial_success.rejected_spans = 300
    assert otlp_protobuf.partial_success(response.SerializeToString()) == "300 spans were refused: a hint"


def test_a_body_of_512_spans_costs_next_to_nothing() -> None:
    """1,000 requests/s are two such bodies a second: 10 ms of CPU each would be too much, this is far below 1 ms."""
    import time

    body = vllm_request(*(llm_request() for _ in range(512))).SerializeToString()
    began = time.process_time()
    for _ in range(20):
        STAMP.on(body, PROTOBUF)
    assert (time.process_time() - began) / 20 < 0.005


def test_spans_that_are_no_usage_pass_through_too() -> None:
    request = trace_request(span({"http.request.method": "GET"}, name="GET /"))
    assert list(decode(STAMP.on(request.SerializeToString(), PROTOBUF), 10)) == []
