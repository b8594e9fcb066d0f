"""OTLP requests as exporters build them, in protobuf and in JSON, and the two endpoints."""

import base64
import gzip
import itertools
import time
from dataclasses import dataclass
from typing import Any

import orjson
from django.test import Client
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as otlp
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
NOW_NS = time.time_ns()
LLM_NS = 2_500_000_000  # how long a span of these tests lasts
_numbers = itertools.count(1)

# What vLLM 0.33 puts on `llm_request` (vllm/v1/engine/output_processor.py, do_tracing).
VLLM = {
    "gen_ai.latency.time_to_first_token": 0.25,
    "gen_ai.latency.e2e": 2.25,
    "gen_ai.latency.time_in_queue": 0.05,
    "gen_ai.usage.prompt_tokens": 1000,
    "gen_ai.usage.completion_tokens": 101,
    "gen_ai.latency.time_in_model_prefill": 0.2,
    "gen_ai.latency.time_in_model_decode": 2.0,
    "gen_ai.latency.time_in_model_inference": 2.2,
    "gen_ai.request.id": "cmpl-7",
    "gen_ai.request.top_p": 0.9,
    "gen_ai.request.max_tokens": 256,
    "gen_ai.request.n": 1,
}
# What SGLang 0.5 puts on the span of a request (sglang/srt/observability, make_span_attrs).
SGLANG = {
    "rid": "a1b2c3d4e5",
    "module": "sglang::request",
    "gen_ai.usage.prompt_tokens": 900,
    "gen_ai.usage.completion_tokens": 11,
    "gen_ai.usage.cached_tokens": 512,
    "gen_ai.request.id": "a1b2c3d4e5",
    "gen_ai.response.model": "llama-70b",
    "gen_ai.response.finish_reasons": '["stop"]',
    "gen_ai.latency.time_to_first_token": 0.5,
    "gen_ai.latency.e2e": 1.5,
}
# OpenTelemetry GenAI as it is now.
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.response.model": "gpt-5-2026-08-01",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
}


def any_value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
    return AnyValue(string_value=value)


def pairs(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def span(attributes: dict[str, Any], *, name: str = "chat", error: bool = False, **fields: Any) -> Span:
    """A finished span with ids of its own."""
    number = next(_numbers)
    ids = {"trace_id": number.to_bytes(16, "big"), "span_id": number.to_bytes(8, "big")}
    times = {"start_time_unix_nano": NOW_NS - LLM_NS, "end_time_unix_nano": NOW_NS}
    found = Span(name=name, attributes=pairs(attributes), **(ids | times | fields))
    if error:
        found.status.code = 2
    return found


def llm_request(**attributes: Any) -> Span:
    return span(VLLM | attributes, name="llm_request", kind=Span.SPAN_KIND_SERVER)


def trace_request(
    *spans: Span, resource: dict[str, Any] | None = None, scope: str = "test"
) -> ExportTraceServiceRequest:
    found = ExportTraceServiceRequest()
    part = found.resource_spans.add()
    part.resource.attributes.extend(pairs(resource or {}))
    part.scope_spans.add(spans=spans).scope.name = scope
    return found


def vllm_request(*spans: Span, **resource: Any) -> ExportTraceServiceRequest:
    return trace_request(*spans, resource={"tallywatt.model": "llama"} | resource, scope="vllm.llm_engine")


def metric_request(*metrics: otlp.Metric, resource: dict[str, Any] | None = None) -> ExportMetricsServiceRequest:
    found = ExportMetricsServiceRequest()
    part = found.resource_metrics.add()
    part.resource.attributes.extend(pairs({"host.name": "node-1"} if resource is None else resource))
    part.scope_metrics.add(metrics=metrics).scope.name = "prometheusreceiver"
    return found


def gauge(name: str, *points: otlp.NumberDataPoint, unit: str = "W") -> otlp.Metric:
    return otlp.Metric(name=name, unit=unit, gauge=otlp.Gauge(data_points=points))


def number(value: float, *, at_ns: int = NOW_NS, **attributes: Any) -> otlp.NumberDataPoint:
    value_field = {"as_int": value} if isinstance(value, int) else {"as_double": value}
    return otlp.NumberDataPoint(time_unix_nano=at_ns, attributes=pairs(attributes), **value_field)


def as_json(message: Any) -> bytes:
    """OTLP/JSON: protobuf's JSON, but for ids in hex and enumerations as numbers."""
    return orjson.dumps(_hex_ids(json_format.MessageToDict(message, use_integers_for_enums=True)))


def _hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_hex_ids(item) for item in value]
    if isinstance(value, dict):
        return {
            key: base64.b64decode(item).hex() if key in {"traceId", "spanId", "parentSpanId"} else _hex_ids(item)
            for key, item in value.items()
        }
    return value


@dataclass
class Exporter:
    """What sends to us, as the OTLP/HTTP exporters do."""

    key: str
    path: str = "/v1/traces"

    def post(self, body: bytes, content_type: str = PROTOBUF, **headers: str) -> Any:
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        return Client().post(self.path, body, content_type=content_type, headers=headers)

    def send(self, message: Any, encoding: str = "protobuf") -> Any:
        """`encoding`: protobuf, json, or either with `+gzip`."""
        is_json = encoding.startswith("json")
        body = as_json(message) if is_json else message.SerializeToString()
        headers = {"Content-Encoding": "gzip"} if encoding.endswith("+gzip") else {}
        return self.post(gzip.compress(body) if headers else body, JSON if is_json else PROTOBUF, **headers)

    def outcome(self, message: Any, encoding: str = "protobuf") -> tuple[int, str]:
        """How many were refused of an accepted request, and the message."""
        answer = self.send(message, encoding)
        assert answer.status_code == 200, answer.content
        return partial_success(answer, self.path)


def partial_success(answer: Any, path: str) -> tuple[int, str]:
    kind = ExportTraceServiceResponse if path == "/v1/traces" else ExportMetricsServiceResponse
    if answer["Content-Type"] == JSON:
        found = json_format.Parse(answer.content, kind())
    else:
        assert answer["Content-Type"] == PROTOBUF
        found = kind.FromString(answer.content)
    partial = found.partial_success
    count = partial.rejected_spans if path == "/v1/traces" else partial.rejected_data_points
    return count, partial.error_message
