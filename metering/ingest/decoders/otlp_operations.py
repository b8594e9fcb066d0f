"""Which spans are usage, and of what operation.

Counting the wrong span bills a token twice, so only what is known to be one model call counts.
A span with token counts whose operation is not known here is refused by name, not ignored: it may be usage.
"""

from collections.abc import Mapping
from typing import Any

from metering.contracts import RejectReason
from metering.ingest.decoders.common import BadEvent
from metering.ingest.decoders.otlp_common import Origin, as_text
from metering.ingest.decoders.otlp_conventions import OUTPUT

# What a span says it does -> the canonical operation; in lower case. The first names are OpenTelemetry's.
OPERATIONS = {
    "chat": "chat",
    "generate_content": "chat",
    "text_completion": "completion",
    "embeddings": "embedding",
    "chat_streaming": "chat",
    "chat.completions": "chat",
    "message": "chat",
    "messages": "chat",
    "responses": "chat",
    "response": "chat",
    "completion": "completion",
    "embedding": "embedding",
    "rerank": "rerank",
    "image": "image",
    "image_generation": "image",
    "generate_image": "image",
    "speech": "audio",
    "text_to_speech": "audio",
    "transcription": "audio",
    "audio": "audio",
    # LiteLLM's call types
    "acompletion": "chat",
    "aresponses": "chat",
    "anthropic_messages": "chat",
    "agenerate_content": "chat",
    "atext_completion": "completion",
    "aembedding": "embedding",
    "arerank": "rerank",
    "aimage_generation": "image",
    "aspeech": "audio",
    "atranscription": "audio",
}
# These hold model calls, and may repeat the sum of their tokens; or they call no model.
NOT_USAGE = frozenset(
    (
        "invoke_agent",
        "create_agent",
        "invoke_workflow",
        "execute_tool",
        "execute_event_loop_cycle",
        "plan",
        "retrieval",
        "workflow",
        "agent",
        "task",
        "tool",
    )
)
DECLARED = "tallywatt.operation"
# The current name, then what OpenLLMetry and LiteLLM said before it.
SAID = ("gen_ai.operation.name", "llm.request.type", "traceloop.span.kind")
OPERATION_ATTRIBUTES = frozenset((*SAID, DECLARED))
SGLANG = "sglang"  # its scope is `sglang server`
# In disaggregated serving each side of SGLang reports the request; the decoding side has all of its tokens.
SGLANG_PREFILL = "prefill Req "


def operation_of(name: str, attributes: Mapping[str, Any], origin: Origin) -> Any:
    """The canonical operation; None if the span is no usage. Raises BadEvent for one that is not known.

    A span may declare its operation whatever it calls itself; a resource only for spans that do not say.
    """
    said = next((attributes[key] for key in SAID if key in attributes), None)
    word = None if said is None else as_text(said).strip().lower()
    if word in NOT_USAGE or (origin.scope.startswith(SGLANG) and name.startswith(SGLANG_PREFILL)):
        return None
    if DECLARED in attributes:
        return attributes[DECLARED]
    if word is None:
        return origin.resource.get(DECLARED) or _unsaid(attributes, origin)
    if word not in OPERATIONS:
        message = f"{word[:64]!r} is not known to be one model call; if it is, declare it with {DECLARED} on the span"
        raise BadEvent("gen_ai.operation.name", RejectReason.OUT_OF_RANGE, message)
    # LiteLLM's function `completion` is a chat; its text completion is `text_completion`.
    return "chat" if origin.scope == "litellm" and word == "completion" else OPERATIONS[word]


def _unsaid(attributes: Mapping[str, Any], origin: Origin) -> str:
    """vLLM and SGLang name no operation. SGLang leaves out the count of the completion for embeddings alone."""
    has_output = any(name in attributes for name in OUTPUT)
    return "embedding" if origin.scope.startswith(SGLANG) and not has_output else "chat"
