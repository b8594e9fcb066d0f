"""What a span's attributes mean: the three generations of OpenTelemetry GenAI, vLLM, SGLang, and where cached tokens are counted."""

from typing import Any

import pytest

from metering.contracts import RejectReason
from metering.ingest.context import Decoded
from metering.ingest.decoders.otlp_traces import columns, decode
from tests.metering.ingest.otlp_bodies import (
    CHAT,
    LLM_NS,
    NOW_NS,
    SGLANG,
    VLLM,
    as_json,
    llm_request,
    span,
    trace_request,
)

TOKENS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def read(
    attributes: dict[str, Any], *, resource: dict[str, Any] | None = None, scope: str = "test", **fields: Any
) -> Any:
    """The only span's outcome: the canonical event, or the Decoded of a refusal, or None if it is no usage."""
    body = trace_request(span(attributes, **fields), resource=resource, scope=scope).SerializeToString()
    found = list(decode(body, 10))
    if not found:
        return None
    return found[0].event if found[0].error is None else found[0]


def counted(attributes: dict[str, Any], **where: Any) -> tuple[Any, ...]:
    event = read({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"} | attributes, **where)
    return tuple(event.get(name, 0) for name in TOKENS)


def usage(**tokens: int) -> dict[str, int]:
    return {f"gen_ai.usage.{name}": count for name, count in tokens.items()}


V141 = {"gen_ai.usage.cache_read.input_tokens": 60, "gen_ai.usage.cache_creation.input_tokens": 30}
CURRENT = {"gen_ai.usage.cache_read.input_tokens": 60, "gen_ai.usage.cache_write.input_tokens": 30}
API_NAMES = usage(cache_read_input_tokens=60, cache_creation_input_tokens=30)
REASONING = {"gen_ai.usage.reasoning.output_tokens": 4}
NEW = usage(input_tokens=100, output_tokens=10)
OLD = usage(prompt_tokens=100, completion_tokens=10)
OPENLLMETRY = "opentelemetry.instrumentation."


@pytest.mark.parametrize(
    ("attributes", "scope", "expected"),
    [
        # generation by generation
        (OLD, "vllm.llm_engine", (100, 0, 0, 10, 0)),
        (OLD | usage(cached_tokens=60), "sglang server", (100, 60, 0, 10, 0)),
        (NEW | V141 | REASONING, "", (100, 60, 30, 10, 4)),
        (NEW | CURRENT | REASONING, "", (100, 60, 30, 10, 4)),
        (NEW | OLD, "", (100, 0, 0, 10, 0)),
        (NEW | usage(prompt_tokens=7, completion_tokens=7), "", (100, 0, 0, 10, 0)),
        # the convention's own names: inside, whoever the provider is
        (NEW | V141 | {"gen_ai.system": "anthropic"}, "", (100, 60, 30, 10, 0)),
        (NEW | CURRENT | {"gen_ai.provider.name": "anthropic"}, "", (100, 60, 30, 10, 0)),
        (NEW | CURRENT | {"gen_ai.provider.name": "openai"}, "", (100, 60, 30, 10, 0)),
        (NEW | CURRENT | {"gen_ai.provider.name": "aws.bedrock"}, "", (100, 60, 30, 10, 0)),
        # the names of Anthropic's and Bedrock's own APIs: beside with these two, inside with all others
        (NEW | API_NAMES | {"gen_ai.system": "anthropic"}, "", (190, 60, 30, 10, 0)),
        (NEW | API_NAMES | {"gen_ai.system": "Anthropic"}, "", (190, 60, 30, 10, 0)),
        (OLD | API_NAMES | {"gen_ai.system": "aws.bedrock"}, "", (190, 60, 30, 10, 0)),
        (
            NEW | usage(cache_read_input_tokens=60, cache_write_input_tokens=30) | {"gen_ai.system": "strands-agents"},
            "",
            (190, 60, 30, 10, 0),
        ),
        (NEW | API_NAMES | {"gen_ai.system": "openai"}, "", (100, 60, 30, 10, 0)),
        (NEW | API_NAMES, "", (100, 60, 30, 10, 0)),
        # instrumentations known to do otherwise
        (OLD | API_NAMES | {"gen_ai.system": "Anthropic"}, f"{OPENLLMETRY}anthropic", (100, 60, 30, 10, 0)),
        (NEW | V141 | {"gen_ai.system": "aws.bedrock"}, f"{OPENLLMETRY}bedrock", (190, 60, 30, 10, 0)),
        # both spellings at once are the same tokens
        (NEW | CURRENT | API_NAMES | {"gen_ai.system": "anthropic"}, "", (100, 60, 30, 10, 0)),
        # without cache counts there is nothing to add
        (NEW | {"gen_ai.system": "anthropic"}, "", (100, 0, 0, 10, 0)),
        # declared by the sender
        (NEW | CURRENT | {"tallywatt.cached_tokens": "beside"}, "", (190, 60, 30, 10, 0)),
        (
            NEW | API_NAMES | {"gen_ai.system": "anthropic", "tallywatt.cached_tokens": "inside"},
            "",
            (100, 60, 30, 10, 0),
        ),
    ],
)
def test_the_convention_follows_from_spelling_provider_and_writer(
    attributes: dict[str, Any], scope: str, expected: tuple[int, ...]
) -> None:
    assert counted(attributes, scope=scope) == expected


def test_the_convention_does_not_follow_from_the_numbers() -> None:
    """More cached tokens than input is a contradiction under this convention, and stays one."""
    assert counted(usage(input_tokens=10, output_tokens=1) | CURRENT)[:3] == (10, 60, 30)


def test_a_resource_may_declare_the_convention_of_all_its_spans() -> None:
    assert counted(NEW | CURRENT, resource={"tallywatt.cached_tokens": "beside"})[0] == 190


def test_an_unknown_convention_is_refused() -> None:
    refused = read(CHAT | {"tallywatt.cached_tokens": "outside"})
    assert (refused.error_field, refused.error.reason) == ("tallywatt.cached_tokens", RejectReason.OUT_OF_RANGE)


@pytest.mark.parametrize("bad", ["60", 60.0, True])
def test_a_count_that_is_no_whole_number_is_left_for_the_fields_rule(bad: Any) -> None:
    given = NEW | usage(cache_read_input_tokens=bad) | {"gen_ai.system": "anthropic"}
    assert counted(given)[:2] == (100, bad)


def test_vllms_span_becomes_an_event() -> None:
    request = trace_request(
        llm_request(), resource={"tallywatt.model": "llama", "host.name": "gpu-7"}, scope="vllm.llm_engine"
    )
    (decoded,) = decode(request.SerializeToString(), 10)
    (sent,) = request.resource_spans[0].scope_spans[0].spans
    assert decoded.event == {
        "id": f"{sent.trace_id.hex()}-{sent.span_id.hex()}",
        "source": "otlp",
        "time": NOW_NS // 1_000_000,
        "model": "llama",
        "operation": "chat",
        "node": "gpu-7",
        "engine": "vllm",
        "stream": False,
        "attributes": {
            "trace_id": sent.trace_id.hex(),
            "span_id": sent.span_id.hex(),
            "request_id": "cmpl-7",
            "request_n": "1",
        },
        "input_tokens": 1000,
        "output_tokens": 101,
        "status": "ok",
        "finish_reason": "",
        "ttft_ms": 250.0,
        "queue_ms": 50.0,
        "e2e_ms": 2250.0,
        "tpot_ms": 20.0,
    }


def test_sglangs_span_becomes_an_event() -> None:
    event = read(SGLANG, scope="sglang server", name=" Req a1b2c3d4", resource={"service.name": "sglang"})
    assert [event[name] for name in ("model", "operation", "engine", "finish_reason", "status")] == [
        "llama-70b",
        "chat",
        "sglang",
        "stop",
        "ok",
    ]
    assert [event[name] for name in ("input_tokens", "cached_input_tokens", "output_tokens")] == [900, 512, 11]
    assert (event["ttft_ms"], event["e2e_ms"], event["tpot_ms"]) == (500.0, 1500.0, 100.0)


def test_sglangs_embedding_has_no_output() -> None:
    given = {key: value for key, value in SGLANG.items() if key != "gen_ai.usage.completion_tokens"}
    event = read(given, scope="sglang server")
    assert (event["operation"], event["input_tokens"], event["output_tokens"]) == ("embedding", 900, 0)


def test_the_prefill_side_of_a_disaggregated_sglang_is_not_counted_again() -> None:
    assert read(SGLANG, scope="sglang server", name="prefill Req a1b2c3d4") is None
    assert read(SGLANG, scope="sglang server", name="decode Req a1b2c3d4") is not None


@pytest.mark.parametrize(
    ("said", "operation"),
    [
        ("chat", "chat"),
        ("generate_content", "chat"),
        ("text_completion", "completion"),
        ("embeddings", "embedding"),
        ("rerank", "rerank"),
        ("Chat", "chat"),
    ],
)
def test_operations_have_one_name(said: str, operation: str) -> None:
    assert read(CHAT | {"gen_ai.operation.name": said})["operation"] == operation


def test_openllmetrys_request_type_is_an_operation_too() -> None:
    old = OLD | {"gen_ai.request.model": "m", "llm.request.type": "completion"}
    assert read(old)["operation"] == "completion"
    assert read(old, scope="litellm")["operation"] == "chat"


@pytest.mark.parametrize("said", ["invoke_agent", "create_agent", "invoke_workflow", "execute_tool", "retrieval"])
def test_a_span_that_repeats_the_tokens_of_model_calls_is_not_counted(said: str) -> None:
    assert read(CHAT | {"gen_ai.operation.name": said}) is None
    assert read(CHAT | {"gen_ai.operation.name": said, "tallywatt.operation": "chat"}) is None


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"http.request.method": "POST", "http.response.status_code": 200},
        {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"},
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"},
        {"gen_ai.operation.name": "my_pipeline"},
        {"gen_ai.usage.total_tokens": 5},
    ],
)
def test_a_span_without_token_counts_is_no_usage(attributes: dict[str, Any]) -> None:
    assert read(attributes) is None


def test_token_counts_under_an_unknown_operation_are_refused_and_not_lost() -> None:
    refused = read(CHAT | {"gen_ai.operation.name": "my_pipeline"})
    assert isinstance(refused, Decoded)
    assert refused.error_field == "gen_ai.operation.name"
    assert "tallywatt.operation" in refused.error.message


def test_a_span_may_declare_its_operation_and_a_resource_for_spans_that_do_not_say() -> None:
    assert read(CHAT | {"gen_ai.operation.name": "my_call", "tallywatt.operation": "chat"})["operation"] == "chat"
    assert read(VLLM, resource={"tallywatt.operation": "embedding"})["operation"] == "embedding"
    assert read(CHAT, resource={"tallywatt.operation": "embedding"})["operation"] == "chat"


@pytest.mark.parametrize(
    ("given", "error", "expected"),
    [
        ({}, False, ("ok", "stop")),
        ({}, True, ("error", "stop")),
        ({"error.type": "timeout"}, False, ("error", "stop")),
        ({"error.type": "asyncio.CancelledError"}, True, ("cancelled", "stop")),
        ({"gen_ai.response.finish_reasons": ["abort"]}, True, ("cancelled", "abort")),
        ({"gen_ai.response.finish_reasons": '["abort"]'}, False, ("cancelled", "abort")),
        ({"gen_ai.response.finish_reasons": ["tool_call"]}, False, ("ok", "tool_calls")),
        ({"gen_ai.response.finish_reasons": ["MAX_TOKENS"]}, False, ("ok", "max_tokens")),
        ({"gen_ai.response.finish_reasons": ["SAFETY"]}, False, ("ok", "content_filter")),
        ({"gen_ai.response.finish_reasons": ["length", "stop"]}, False, ("ok", "length")),
        ({"gen_ai.response.finish_reasons": []}, False, ("ok", "")),
        ({"gen_ai.response.finish_reasons": "stop"}, False, ("ok", "stop")),
        ({"gen_ai.response.finish_reasons": "[stop"}, False, ("ok", "other")),
        ({"gen_ai.response.finish_reasons": 7}, False, ("ok", "other")),
    ],
)
def test_status_and_finish_reason(given: dict[str, Any], error: bool, expected: tuple[str, str]) -> None:
    event = read(CHAT | given, error=error)
    assert (event["status"], event["finish_reason"]) == expected


def test_without_latencies_the_spans_length_is_the_end_to_end_time() -> None:
    event = read(CHAT | {"gen_ai.response.time_to_first_chunk": 0.6, "gen_ai.request.stream": True})
    assert (event["e2e_ms"], event["ttft_ms"], event["stream"]) == (LLM_NS / 1e6, 600.0, True)
    assert event["tpot_ms"] == pytest.approx(1900 / 19)


def test_a_single_output_token_has_no_time_per_token() -> None:
    assert read(VLLM | {"gen_ai.usage.completion_tokens": 1})["tpot_ms"] is None


def test_the_model_is_the_spans_own_before_the_resources() -> None:
    resource = {"tallywatt.model": "declared"}
    assert read(CHAT, resource=resource)["model"] == "gpt-5-2026-08-01"
    assert read(CHAT | {"tallywatt.model": "mine"}, resource=resource)["model"] == "mine"
    assert read(VLLM, resource=resource)["model"] == "declared"
    assert read(VLLM)["model"] is None


def test_who_and_where_come_from_span_and_resource() -> None:
    resource = {
        "tallywatt.tenant": "acme",
        "tallywatt.project": "p1",
        "tallywatt.tier": "batch",
        "cloud.region": "eu-1",
        "k8s.cluster.name": "c1",
        "k8s.node.name": "n1",
        "service.name": "gateway",
    }
    event = read(CHAT | {"tallywatt.project": "p2", "user.id": "u1"}, resource=resource)
    names = ("tenant", "project", "tier", "region", "cluster", "node", "engine", "end_user")
    assert [event[name] for name in names] == ["acme", "p2", "batch", "eu-1", "c1", "n1", "gateway", "u1"]


@pytest.mark.parametrize(
    "ids", [{"trace_id": b""}, {"trace_id": bytes(16)}, {"span_id": bytes(8)}, {"span_id": b"short"}]
)
def test_a_span_without_proper_ids_is_refused(ids: dict[str, bytes]) -> None:
    assert read(CHAT, **ids).error.reason is RejectReason.OUT_OF_RANGE


def test_json_and_protobuf_mean_the_same() -> None:
    links = [{"trace_id": b"t" * 16, "span_id": b"s" * 8}]
    request = trace_request(
        span(
            CHAT | {"gen_ai.request.stop_sequences": ["a"], "f": 1.5, "b": b"\x00"},
            links=links,
            parent_span_id=b"p" * 8,
        ),
        llm_request(),
        resource={"tallywatt.model": "m"},
    )
    packed = [decoded.event for decoded in decode(request.SerializeToString(), 10)]
    assert packed == [decoded.event for decoded in decode(as_json(request), 10)]
    assert len(packed) == 2


def test_a_refused_spans_document_can_be_read_again() -> None:
    for is_json in (False, True):
        request = trace_request(span(CHAT), llm_request(), resource={"tallywatt.tenant": "acme"}, scope="vllm")
        body = as_json(request) if is_json else request.SerializeToString()
        for decoded in decode(body, 10):
            (again,) = decode(decoded.raw, 10)
            assert again.event == decoded.event


def test_the_fast_road_gives_the_same_events() -> None:
    request = trace_request(
        span(CHAT), llm_request(), span(CHAT | {"gen_ai.usage.input_tokens": -1}), resource={"tallywatt.model": "m"}
    )
    body = request.SerializeToString()
    slow = list(decode(body, 10))
    fast = columns(body, 10)
    assert fast is not None
    assert fast.positions == [0, 1]
    assert fast.table["id"].to_pylist() == [decoded.event["id"] for decoded in slow[:2] if decoded.event]
    assert fast.table["input_tokens"].to_pylist() == [100, 1000]
    assert list(fast.again([1])) == [slow[1]]
    assert list(fast.rest) == [slow[2]]
