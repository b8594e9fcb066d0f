"""One inference span as a canonical request event: vLLM's `llm_request`, SGLang's request spans, and OpenTelemetry GenAI.

docs/otlp.md has the table of attributes. What a span says goes before what its resource says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from metering.contracts import RejectReason
from metering.ingest.decoders.common import BadEvent
from metering.ingest.decoders.otlp_common import Origin, as_text
from metering.ingest.decoders.otlp_conventions import INPUT, OUTPUT, TOKEN_ATTRIBUTES, Writer, first, token_counts
from metering.ingest.decoders.otlp_operations import OPERATION_ATTRIBUTES, operation_of
from metering.ingest.fields import FINISH_REASONS, LONGEST_LATENCY_MS

SOURCE = "otlp"
LONGEST_EXTRA = 1024  # characters of a value in `attributes`; a longer one is cut, it is no content

# canonical field -> attributes of the span, the first that is there
PLAIN = {
    "api_key_id": ("tallywatt.api_key_id",),
    "end_user": ("tallywatt.end_user", "user.id", "enduser.id", "llm.user", "gen_ai.user"),
}
# canonical field -> attribute of the span, else of the resource
DECLARED = {"tenant": "tallywatt.tenant", "project": "tallywatt.project", "tier": "tallywatt.tier"}
# canonical field -> attribute of the resource
PLACE = {"region": "cloud.region", "cluster": "k8s.cluster.name"}
# attributes of the resource: which engine of the node, and the UUIDs of the GPUs that it runs on
ENGINE, GPUS = "tallywatt.engine", "tallywatt.gpus"
# canonical field -> attributes in seconds
SECONDS = {
    "ttft_ms": (
        "gen_ai.latency.time_to_first_token",
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.server.time_to_first_token",
    ),
    "queue_ms": ("gen_ai.latency.time_in_queue",),
    "e2e_ms": ("gen_ai.latency.e2e",),
}
MODEL = ("tallywatt.model", "gen_ai.response.model", "gen_ai.request.model")
PROVIDER = ("gen_ai.provider.name", "gen_ai.system")
STREAM = ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming")
FINISH = ("gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "gen_ai.response.stop_reason")
# key in the event's `attributes` -> attribute of the span
EXTRAS = {
    "response_id": "gen_ai.response.id",
    "request_id": "gen_ai.request.id",
    "conversation_id": "gen_ai.conversation.id",
    "agent_name": "gen_ai.agent.name",
    "request_n": "gen_ai.request.n",
    "error_type": "error.type",
}
READ = (
    TOKEN_ATTRIBUTES
    | OPERATION_ATTRIBUTES
    | {*MODEL, *PROVIDER, *STREAM, *FINISH, *EXTRAS.values(), *DECLARED.values()}
    | {name for names in (*PLAIN.values(), *SECONDS.values()) for name in names}
)

# Other providers' words for why generation ended -> ours; in lower case.
FINISHES = {
    "tool_call": "tool_calls",
    "tool-calls": "tool_calls",
    "function_calls": "function_call",
    "content-filter": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "guardrail_intervened": "content_filter",
    "canceled": "cancelled",
    "complete": "stop",
    "completed": "stop",
}
ENDED_EARLY = frozenset(("abort", "cancelled"))  # an engine says so when the client has gone
CANCELLED = frozenset(
    ("cancelled", "canceled", "cancellederror", "asyncio.cancellederror", "context canceled", "aborterror", "499")
)


@dataclass(frozen=True, slots=True)
class SpanFacts:
    """What is read of a span. `attributes`: those in READ. Times in nanoseconds since 1970, 0 if not given."""

    name: str
    trace_id: bytes
    span_id: bytes
    start_ns: int
    end_ns: int
    failed: bool
    attributes: Mapping[str, Any]

    def first(self, names: tuple[str, ...]) -> Any:
        return first(self.attributes, names)


def event_of(span: SpanFacts, origin: Origin) -> dict[str, Any] | None:
    """The canonical fields; None if the span is no inference, or tells no usage. Raises BadEvent."""
    counted = span.first(INPUT) is not None or span.first(OUTPUT) is not None
    operation = operation_of(span.name, span.attributes, origin) if counted else None
    if operation is None:
        return None
    provider = _text_of(span.first(PROVIDER))
    event = {
        "id": _identity(span),
        "source": SOURCE,
        "time": span.end_ns // 1_000_000 or None,
        "model": _model(span, origin),
        "operation": operation,
        "node": origin.node,
        "engine": _engine(origin),
        "stream": span.first(STREAM) in (True, "True", "true"),
        "attributes": _extras(span, provider),
    }
    return (
        event | _declared(span, origin) | _tokens(span, origin, provider, operation) | _outcome(span) | _latencies(span)
    )


def _identity(span: SpanFacts) -> str:
    """Trace and span id. They are drawn once per span, so an exporter's retry repeats them, and no other span has both.

    A response id would not do: some servers draw it from a thousand numbers, and vLLM gives all `n` sequences of a request the same.
    """
    for name, value, length in (("traceId", span.trace_id, 16), ("spanId", span.span_id, 8)):
        if len(value) != length or not any(value):
            raise BadEvent(name, RejectReason.OUT_OF_RANGE, f"{name} must have {length} bytes that are not all zero")
    return f"{span.trace_id.hex()}-{span.span_id.hex()}"


def _model(span: SpanFacts, origin: Origin) -> Any:
    found = span.first(MODEL)
    return origin.resource.get("tallywatt.model") if found is None else found


def _engine(origin: Origin) -> Any:
    """The name that the resource declares (our agent does), else that of the engine whose scope it is, else the service."""
    declared = origin.resource.get(ENGINE)
    if declared is not None:
        return declared
    known = next((engine for engine in ("vllm", "sglang") if origin.scope.startswith(engine)), None)
    service = origin.resource.get("service.name", "")
    return known or ("" if _text_of(service).startswith("unknown_service") else service)


def _declared(span: SpanFacts, origin: Origin) -> dict[str, Any]:
    found = {field: span.first(names) for field, names in PLAIN.items()}
    found |= {field: span.attributes.get(name, origin.resource.get(name)) for field, name in DECLARED.items()}
    found |= {field: origin.resource.get(name) for field, name in PLACE.items()}
    found["gpus"] = _gpus(origin)
    return {field: value for field, value in found.items() if value is not None}


def _gpus(origin: Origin) -> Any:
    """A list, or text with commas: in OTEL_RESOURCE_ATTRIBUTES every value is text."""
    found = origin.resource.get(GPUS)
    return [name.strip() for name in found.split(",")] if isinstance(found, str) else found


def _tokens(span: SpanFacts, origin: Origin, provider: str, operation: str) -> dict[str, Any]:
    declared = span.attributes.get("tallywatt.cached_tokens", origin.resource.get("tallywatt.cached_tokens"))
    found = token_counts(span.attributes, Writer(origin.scope, provider, declared))
    if operation in {"embedding", "rerank"}:  # these have no output, and their spans no attribute for it
        found.setdefault("output_tokens", 0)
    return found


def _outcome(span: SpanFacts) -> dict[str, str]:
    reason = _finish_reason(span.first(FINISH))
    error = _text_of(span.attributes.get("error.type"))
    if error.lower() in CANCELLED or reason in ENDED_EARLY:
        return {"status": "cancelled", "finish_reason": reason}
    return {"status": "error" if span.failed or error else "ok", "finish_reason": reason}


def _finish_reason(given: Any) -> str:
    """Of the first choice. The list may come as JSON text, as SGLang and LiteLLM have it."""
    if isinstance(given, str) and given.startswith("["):
        try:
            given = orjson.loads(given)
        except ValueError:
            given = [given]
    reasons = given if isinstance(given, list) else [given]
    if not reasons or reasons[0] is None or reasons[0] == "":
        return ""
    word = _text_of(reasons[0]).lower()
    return word if word in FINISH_REASONS else FINISHES.get(word, "other")


def _latencies(span: SpanFacts) -> dict[str, Any]:
    """Milliseconds. Without a latency from the engine, the end-to-end time is the span's own length."""
    found = {field: _milliseconds(span.first(names)) for field, names in SECONDS.items()}
    if found["e2e_ms"] is None:
        found["e2e_ms"] = _length_ms(span)
    found["tpot_ms"] = _per_token(found["e2e_ms"], found["ttft_ms"], span.first(OUTPUT))
    return found


def _length_ms(span: SpanFacts) -> float | None:
    """None where the two times do not make a length: nobody has said how long the request took."""
    length_ms = (span.end_ns - span.start_ns) / 1e6
    return length_ms if span.start_ns and 0 <= length_ms <= LONGEST_LATENCY_MS else None


def _milliseconds(seconds: Any) -> Any:
    """What is not a number is left as it is, for the field's rule to refuse."""
    return seconds * 1000 if isinstance(seconds, int | float) and not isinstance(seconds, bool) else seconds


def _per_token(e2e_ms: Any, ttft_ms: Any, output: Any) -> float | None:
    """Mean time per output token after the first; None where the span does not tell enough."""
    if not all(isinstance(part, int | float) for part in (e2e_ms, ttft_ms, output)) or output <= 1 or ttft_ms > e2e_ms:
        return None
    return float((e2e_ms - ttft_ms) / (output - 1))


def _extras(span: SpanFacts, provider: str) -> dict[str, str]:
    found = {"trace_id": span.trace_id.hex(), "span_id": span.span_id.hex()}
    found |= {key: _text_of(span.attributes[name]) for key, name in EXTRAS.items() if name in span.attributes}
    if provider:
        found["provider"] = provider
    return {key: value[:LONGEST_EXTRA] for key, value in found.items()}


def _text_of(value: Any) -> str:
    return "" if value is None else as_text(value)
