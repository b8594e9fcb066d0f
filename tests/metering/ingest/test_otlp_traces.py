"""`POST /v1/traces`: what exporters send arrives once, and what is refused is told and kept."""

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from metering import accounts, keys
from metering.ingest import local
from metering.ingest.decoders import otlp_common, otlp_traces
from metering.ingest.decoders.common import TooManyEvents, Undecodable
from tests.metering.ingest.edge import Edge
from tests.metering.ingest.otlp_bodies import (
    CHAT,
    JSON,
    NOW_NS,
    PROTOBUF,
    SGLANG,
    Exporter,
    as_json,
    llm_request,
    partial_success,
    span,
    trace_request,
    vllm_request,
)

ENCODINGS = ("protobuf", "json", "protobuf+gzip", "json+gzip")


@pytest.fixture
def edge(db: None, clickhouse: None, spool: Path, tenant_key: str) -> Edge:
    accounts.create_tenant(tenant_key)
    return Edge(tenant_key, keys.issue_key(tenant_key, ["ingest"]))


@pytest.fixture
def exporter(edge: Edge) -> Exporter:
    return Exporter(edge.key)


def identity(sent: Any) -> str:
    return f"{sent.trace_id.hex()}-{sent.span_id.hex()}"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_vllms_spans_are_stored_and_answered_in_their_encoding(edge: Edge, exporter: Exporter, encoding: str) -> None:
    request = vllm_request(llm_request(), **{"host.name": "gpu-7"})
    answer = exporter.send(request, encoding)
    assert answer.status_code == 200
    assert answer["Content-Type"] == (JSON if encoding.startswith("json") else PROTOBUF)
    assert partial_success(answer, exporter.path) == (0, "")
    (sent,) = request.resource_spans[0].scope_spans[0].spans
    moment = datetime.fromtimestamp(NOW_NS // 1_000_000_000, UTC).replace(microsecond=NOW_NS // 1_000_000 % 1000 * 1000)
    columns = "id, source, time, model, engine, node, input_tokens, output_tokens, ttft_ms, queue_ms, e2e_ms, tpot_ms"
    assert edge.stored(columns) == [
        (identity(sent), "otlp", moment, "llama", "vllm", "gpu-7", 1000, 101, 250, 50, 2250, 20)
    ]


def test_a_full_success_is_an_empty_message(exporter: Exporter) -> None:
    assert exporter.send(vllm_request(llm_request())).content == b""
    assert exporter.send(vllm_request(llm_request()), "json").content == b"{}"


def test_the_generations_arrive_side_by_side(edge: Edge, exporter: Exporter) -> None:
    request = trace_request(span(CHAT))
    request.MergeFrom(trace_request(span(SGLANG), scope="sglang server"))
    request.MergeFrom(vllm_request(llm_request()))
    assert exporter.outcome(request) == (0, "")
    assert edge.stored("model, cached_input_tokens", "model") == [
        ("gpt-5-2026-08-01", 0),
        ("llama", 0),
        ("llama-70b", 512),
    ]


def test_an_exporters_retry_is_the_same_event(edge: Edge, exporter: Exporter) -> None:
    request = vllm_request(llm_request())
    for encoding in ("protobuf", "protobuf", "json"):
        assert exporter.outcome(request, encoding) == (0, "")
    rows = edge.stored("id, source, input_tokens, time")
    assert len(rows) == 3
    assert len(set(rows)) == 1


def test_what_is_no_usage_is_neither_stored_nor_refused(edge: Edge, exporter: Exporter) -> None:
    agent = span(CHAT | {"gen_ai.operation.name": "invoke_agent"})
    http = span({"http.request.method": "POST"}, name="POST /v1/chat/completions")
    assert exporter.outcome(trace_request(agent, span(CHAT), http)) == (0, "")
    assert len(edge.stored()) == 1
    assert edge.quarantined() == []


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_request_without_any_usage_is_taken(edge: Edge, exporter: Exporter, encoding: str) -> None:
    assert exporter.outcome(trace_request(), encoding) == (0, "")
    assert exporter.outcome(trace_request(span({"a": 1})), encoding) == (0, "")
    assert edge.stored() == []
    assert edge.quarantined() == []


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_bad_spans_are_counted_named_and_kept_alone(edge: Edge, exporter: Exporter, encoding: str) -> None:
    bad = [span(CHAT | {"gen_ai.usage.input_tokens": -1}), span({"gen_ai.usage.input_tokens": 5})]
    request = trace_request(span({"no": "usage"}), span(CHAT), *bad)
    refused, message = exporter.outcome(request, encoding)
    assert refused == 2
    assert "span 2: input_tokens is -1" in message
    assert "span 3: " in message
    assert len(edge.stored()) == 1
    assert edge.quarantined("row, reason, decoder") == [
        (2, "out_of_range", "otlp_traces"),
        (3, "missing_field", "otlp_traces"),
    ]


def test_a_refused_span_can_be_sent_again_once_it_is_fixed(edge: Edge, exporter: Exporter) -> None:
    request = trace_request(span(CHAT | {"gen_ai.usage.input_tokens": -1}), span(CHAT), resource={"host.name": "n1"})
    exporter.outcome(request)
    ((raw,),) = edge.quarantined("raw")
    fixed = orjson.dumps(orjson.loads(raw)).replace(b'"intValue":"-1"', b'"intValue":"7"')
    assert exporter.post(fixed, JSON).status_code == 200
    first = request.resource_spans[0].scope_spans[0].spans[0]
    assert (identity(first), 7, "n1") in edge.stored("id, input_tokens, node")


def test_many_bad_spans_are_summed_up(exporter: Exporter) -> None:
    refused, message = exporter.outcome(trace_request(*(span({"gen_ai.usage.input_tokens": 1}) for _ in range(12))))
    assert refused == 12
    assert message.endswith("and 7 more")


def test_a_broken_span_does_not_take_its_neighbours_with_it(edge: Edge, exporter: Exporter) -> None:
    packed = [one.SerializeToString() for one in (span(CHAT), span(CHAT))]
    parts = [packed[0], b"\x4a\x05hello", packed[1]]  # an attribute that is no KeyValue
    scope = b"".join(b"\x12" + varint(len(part)) + part for part in parts)
    resource = b"\x12" + varint(len(scope)) + scope
    answer = exporter.post(b"\x0a" + varint(len(resource)) + resource)
    refused, message = partial_success(answer, exporter.path)
    assert (refused, "span 1: the span cannot be read" in message) == (1, True)
    assert len(edge.stored()) == 2
    assert edge.quarantined("row, reason, raw") == [(1, "malformed", text(b"\x4a\x05hello"))]


def test_a_broken_span_in_json_does_not_either(edge: Edge, exporter: Exporter) -> None:
    document = orjson.loads(as_json(trace_request(span(CHAT), span(CHAT))))
    spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans[1:1] = [7, {"traceId": "not hex"}, {"endTimeUnixNano": "soon"}, {"attributes": {"a": 1}}]
    answer = exporter.post(orjson.dumps(document), JSON)
    assert partial_success(answer, exporter.path)[0] == 4
    assert len(edge.stored()) == 2


def test_unknown_fields_are_ignored_as_otlp_demands(edge: Edge, exporter: Exporter) -> None:
    document = orjson.loads(as_json(trace_request(span(CHAT))))
    document["fromTheFuture"] = [1]
    resource = document["resourceSpans"][0]
    resource["entities"] = {"a": 1}
    resource["scopeSpans"][0]["spans"][0] |= {"newField": {"b": 2}, "kind": 99}
    assert exporter.post(orjson.dumps(document), JSON).status_code == 200
    unknown = b"\xfa\x3e\x03abc"  # field 1007, length-delimited
    assert exporter.post(trace_request(span(CHAT)).SerializeToString() + unknown).status_code == 200
    assert len(edge.stored()) == 2


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\xff\xff\xff", PROTOBUF),
        (b"hello, this is text", PROTOBUF),
        (b"\x0a\x05abc", PROTOBUF),
        (b"{", JSON),
        (b"[]", JSON),
        (b'{"resourceSpans": 7}', JSON),
        (b'{"resourceSpans": [7]}', JSON),
        (b'{"resourceSpans": [{"resource": 7, "scopeSpans": []}]}', JSON),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": {}}]}]}', JSON),
        (b'{"resourceSpans": [{"scopeSpans": [{"scope": {"name": 7}, "spans": [{}]}]}]}', JSON),
    ],
)
def test_garbage_is_400_and_kept(edge: Edge, exporter: Exporter, body: bytes, content_type: str) -> None:
    answer = exporter.post(body, content_type)
    assert answer.status_code == 400, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert edge.quarantined("reason, raw") == [("malformed", text(body))]


def test_other_content_types_are_415(exporter: Exporter) -> None:
    assert exporter.post(b"{}", "application/x-ndjson").status_code == 415
    assert exporter.post(b"{}", "application/json; charset=utf-8").status_code == 200


def test_only_post_is_answered() -> None:
    assert Client().get("/v1/traces").status_code == 405


def test_a_bad_key_is_401_and_one_without_the_scope_403(edge: Edge) -> None:
    request = vllm_request(llm_request())
    assert Exporter("").send(request).status_code == 401
    assert Exporter("tw_000000000000_" + "a" * 43).send(request).status_code == 401
    assert Exporter(keys.issue_key(edge.tenant, ["usage:read"])).send(request).status_code == 403
    assert edge.stored() == []


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_naming_another_tenant_is_403_and_takes_nothing(
    edge: Edge, exporter: Exporter, tenant_key: str, encoding: str
) -> None:
    other = accounts.create_tenant(f"{tenant_key}-other").key
    by_span = trace_request(span(CHAT), span(CHAT | {"tallywatt.tenant": other}))
    by_resource = vllm_request(llm_request(), **{"tallywatt.tenant": other})
    for request in (by_span, by_resource):
        assert exporter.send(request, encoding).status_code == 403
    assert edge.stored() == []
    assert Edge(other, edge.key).stored() == []
    assert edge.quarantined("reason") == [("foreign_tenant",)] * 3


def test_an_operators_key_names_the_tenant_on_the_span_or_the_resource(edge: Edge) -> None:
    operator = Exporter(keys.issue_key(None, ["ingest"]))
    request = vllm_request(
        llm_request(), llm_request(**{"tallywatt.tenant": "nobody"}), **{"tallywatt.tenant": edge.tenant}
    )
    request.MergeFrom(vllm_request(llm_request()))
    refused, message = operator.outcome(request)
    assert refused == 2
    assert "span 1: there is no tenant 'nobody'" in message
    assert "span 2: tenant is required" in message
    assert len(edge.stored()) == 1


def test_an_observing_keys_spans_are_never_billed(edge: Edge) -> None:
    Exporter(keys.issue_key(edge.tenant, ["ingest"], observing=True)).outcome(vllm_request(llm_request()))
    assert edge.stored("observed") == [(True,)]


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({"start_time_unix_nano": 1, "end_time_unix_nano": 10**15}, "too_old"),
        ({"end_time_unix_nano": NOW_NS + 10**15}, "in_future"),
        ({"end_time_unix_nano": 2**64 - 1}, "in_future"),
    ],
)
def test_impossible_times_are_refused(edge: Edge, exporter: Exporter, times: dict[str, int], reason: str) -> None:
    assert exporter.outcome(trace_request(span(CHAT, **times)))[0] == 1
    assert edge.quarantined("reason") == [(reason,)]


def test_a_span_that_ends_before_it_starts_has_no_length(edge: Edge, exporter: Exporter) -> None:
    exporter.outcome(trace_request(span(CHAT, start_time_unix_nano=NOW_NS + 10**9)))
    assert edge.stored("e2e_ms") == [(None,)]


def test_too_many_spans_are_422_whatever_they_are(exporter: Exporter, settings: Settings) -> None:
    settings.INGEST_MAX_EVENTS = 3
    assert exporter.send(trace_request(*(span({}) for _ in range(3)))).status_code == 200
    assert exporter.send(trace_request(*(span({}) for _ in range(4)))).status_code == 422
    assert exporter.send(trace_request(*(span({}) for _ in range(4))), "json").status_code == 422


def test_a_body_over_the_limit_is_413(exporter: Exporter, settings: Settings) -> None:
    settings.INGEST_MAX_INFLATED_BYTES = 1000
    body = trace_request(span(CHAT), span({"a": "x" * 2000})).SerializeToString()
    headers = {"Content-Encoding": "gzip"}
    assert exporter.post(gzip.compress(body), PROTOBUF, **headers).status_code == 413


def test_a_full_spool_is_503_with_retry_after_for_exporters_give_up_on_a_429(
    exporter: Exporter, settings: Settings
) -> None:
    exporter.outcome(vllm_request(llm_request()))
    settings.SPOOL_MAX_BYTES = 1
    answer = exporter.send(vllm_request(llm_request()))
    assert answer.status_code == answer.json()["status"] == 503
    assert int(answer["Retry-After"]) > 0


def test_a_body_of_empty_messages_is_refused_before_it_grows() -> None:
    """Each takes two bytes on the wire and a hundred in memory once parsed."""
    empties = {
        "resources": b"\x0a\x00" * 100_000,
        "scopes": message(b"\x12\x00" * 100_000),
        "spans": message(message(b"\x12\x00" * 100_000, b"\x12")),
        "unknown": b"\x20\x00" * 100_000,
    }
    for body in empties.values():
        with pytest.raises(TooManyEvents):
            list(otlp_traces.decode(body, 1000, is_json=False))


def message(content: bytes, tag: bytes = b"\x0a") -> bytes:
    return tag + varint(len(content)) + content


def test_a_huge_span_is_refused_unparsed_and_its_neighbours_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_common, "SOURCE_LIMIT", 2000)
    body = trace_request(span({"a": "x" * 3000}), span(CHAT)).SerializeToString()
    large, good = otlp_traces.decode(body, 10)
    assert large.error is not None
    assert "at most 2000 are taken" in large.error.message
    assert good.event is not None


def test_json_of_too_many_parts_is_refused_before_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_common, "MOST_JSON_PARTS", 100)
    with pytest.raises(TooManyEvents):
        list(otlp_traces.decode(b'{"a": [' + b"[]," * 200 + b"[]]}", 1000, is_json=True))


@pytest.mark.parametrize(
    "body", [b"\x0a", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0b\x00", b"\x02\x00", b"\x09\x00"]
)
def test_what_is_no_protobuf_is_told_from_what_is(body: bytes) -> None:
    with pytest.raises(Undecodable):
        list(otlp_traces.decode(body, 10, is_json=False))


good = vllm_request(llm_request(), span(CHAT), span(SGLANG)).SerializeToString()
good_json = as_json(vllm_request(llm_request(), span(CHAT), span(SGLANG)))


def mutated(body: bytes) -> st.SearchStrategy[bytes]:
    """The body with some bytes changed, cut out or put in."""
    change = st.tuples(st.integers(0, len(body) - 1), st.integers(0, 4), st.binary(max_size=4))
    return st.lists(change, min_size=1, max_size=6).map(lambda changes: _changed(body, changes))


def _changed(body: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, cut, put in changes:
        body = body[:at] + put + body[at + cut :]
    return body


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.tuples(st.binary(min_size=1, max_size=200) | mutated(good), st.just(PROTOBUF))
    | st.tuples(st.binary(min_size=1, max_size=200) | mutated(good_json), st.just(JSON))
)
def test_no_body_whatever_is_a_500(exporter: Exporter, sent: tuple[bytes, str]) -> None:
    before = len(local.spool().pending())
    answer = exporter.post(*sent)
    assert answer.status_code in {200, 400, 403, 422}
    if answer.status_code == 400:
        assert len(local.spool().pending()) > before
