"""Which attributes of a span hold token counts, and whether cached tokens lie inside the prompt's count or beside it.

The convention is declared: by how the cache counts are spelled, and by who wrote them. It is never guessed from the numbers.
- `gen_ai.usage.cached_tokens` (spelling "engine"): inside. SGLang counts the whole prompt with its cached prefix, as OpenAI's API does.
- `gen_ai.usage.cache_read.input_tokens` and its siblings ("semconv"): inside. OpenTelemetry says so since 1.40 for every provider, and of
  Anthropic that its cache counts "MUST be added" to its own input_tokens.
- `gen_ai.usage.cache_read_input_tokens` and its siblings ("api"): the names that Anthropic's and Bedrock's own APIs have, in use before
  there was a convention. So these two mean by them what their APIs mean, beside; all others' APIs count the whole prompt.
- Instrumentations that are known to do otherwise are listed by their scope.

A sender that knows better says so with `tallywatt.cached_tokens` = `inside` or `beside`, on the span or the resource. vLLM's spans have no
cache counts at all. Reasoning tokens lie inside the output in every generation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from metering.contracts import RejectReason
from metering.ingest.decoders.common import BadEvent

Placed = Literal["inside", "beside"]
Spelling = Literal["engine", "api", "semconv"]

# The newest name first: whoever sends two generations at once means the same by both.
INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
REASONING = ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens")
CACHE_READ: dict[Spelling, tuple[str, ...]] = {
    "semconv": ("gen_ai.usage.cache_read.input_tokens",),
    "api": ("gen_ai.usage.cache_read_input_tokens",),
    "engine": ("gen_ai.usage.cached_tokens",),
}
CACHE_WRITE: dict[Spelling, tuple[str, ...]] = {
    "semconv": ("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
    "api": ("gen_ai.usage.cache_write_input_tokens", "gen_ai.usage.cache_creation_input_tokens"),
    "engine": (),
}
DECLARED = "tallywatt.cached_tokens"
TOKEN_ATTRIBUTES = frozenset(
    (*INPUT, *OUTPUT, *REASONING, DECLARED, *sum((*CACHE_READ.values(), *CACHE_WRITE.values()), ()))
)

# What is in neither of these is inside; the scope goes first.
BY_SCOPE: dict[tuple[Spelling, str], Placed] = {
    # OpenLLMetry adds Anthropic's counts up since it reports the cache at all (October 2024).
    ("api", "opentelemetry.instrumentation.anthropic"): "inside",
    # It copies the usage block of Bedrock's Converse, whose inputTokens exclude the cache, under both spellings.
    ("api", "opentelemetry.instrumentation.bedrock"): "beside",
    ("semconv", "opentelemetry.instrumentation.bedrock"): "beside",
}
BY_PROVIDER: dict[tuple[Spelling, str], Placed] = {
    ("api", "anthropic"): "beside",
    ("api", "aws.bedrock"): "beside",
    ("api", "aws_bedrock"): "beside",
    ("api", "aws"): "beside",
    ("api", "strands-agents"): "beside",  # copies Bedrock's usage block
}


@dataclass(frozen=True, slots=True)
class Writer:
    """Who wrote a span: its instrumentation scope, the provider that it names, and what it declares of its cached tokens."""

    scope: str
    provider: str
    declared: Any


def token_counts(attributes: Mapping[str, Any], writer: Writer) -> dict[str, Any]:
    """The canonical counts, as far as they are given, with the cached tokens inside `input_tokens`. Raises BadEvent."""
    spelling, read, write = _cache(attributes)
    found = {
        "input_tokens": first(attributes, INPUT),
        "output_tokens": first(attributes, OUTPUT),
        "reasoning_tokens": first(attributes, REASONING),
        "cached_input_tokens": read,
        "cache_write_tokens": write,
    }
    if placed(spelling, writer) == "beside":
        found["input_tokens"] = _sum(found["input_tokens"], read, write)
    return {name: count for name, count in found.items() if count is not None}


def placed(spelling: Spelling, writer: Writer) -> Placed:
    if writer.declared is not None:
        if writer.declared not in {"inside", "beside"}:
            raise BadEvent(DECLARED, RejectReason.OUT_OF_RANGE, f"{DECLARED} must be 'inside' or 'beside'")
        return "inside" if writer.declared == "inside" else "beside"
    by_scope = BY_SCOPE.get((spelling, writer.scope))
    return by_scope or BY_PROVIDER.get((spelling, writer.provider.lower()), "inside")


def first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The value under the first of the names that is there; None if none is."""
    for name in names:
        if name in attributes:
            return attributes[name]
    return None


def _cache(attributes: Mapping[str, Any]) -> tuple[Spelling, Any, Any]:
    """Tokens read from and written to the cache, and the spelling that both come from: generations are not mixed."""
    for spelling, names in CACHE_READ.items():
        read, write = first(attributes, names), first(attributes, CACHE_WRITE[spelling])
        if read is not None or write is not None:
            return spelling, read, write
    return "semconv", None, None


def _sum(counted: Any, read: Any, write: Any) -> Any:
    """What is not a whole number is left as it is, for the field's rule to refuse."""
    parts = [part for part in (counted, read, write) if part is not None]
    whole = counted is not None and all(isinstance(part, int) and not isinstance(part, bool) for part in parts)
    return sum(parts) if whole else counted
