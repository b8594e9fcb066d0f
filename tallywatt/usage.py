"""From a provider's `usage` block to the canonical token counts. Which convention a provider follows is said by the caller, who
chooses the function; it is never guessed from the numbers.
"""

from collections.abc import Mapping
from typing import Any, TypedDict

from tallywatt.errors import InvalidUsage


class TokenCounts(TypedDict):
    """Canonical: `input_tokens` includes cached and cache_write, `output_tokens` includes reasoning."""

    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int


def from_openai_usage(usage: Any) -> TokenCounts:
    """Cached tokens lie *inside* the prompt's count: OpenAI, vLLM, SGLang, Mistral and who else is compatible.

    Takes the block of Chat Completions, Completions and Embeddings (`prompt_tokens`) or of Responses (`input_tokens`), as a mapping
    or as the object of the `openai` package. Raises InvalidUsage.
    """
    _present(usage, "ask for it with stream_options={'include_usage': True}")
    responses = _get(usage, "prompt_tokens") is None and _get(usage, "input_tokens") is not None
    prompt, completion = ("input_tokens", "output_tokens") if responses else ("prompt_tokens", "completion_tokens")
    read, written = _get(usage, f"{prompt}_details"), _get(usage, f"{completion}_details")
    return {
        "input_tokens": _count(usage, prompt, required=True),
        "cached_input_tokens": _count(read, "cached_tokens"),
        "cache_write_tokens": 0,
        "output_tokens": _count(usage, completion),  # an embedding has none
        "reasoning_tokens": _count(written, "reasoning_tokens"),
    }


def from_anthropic_usage(usage: Any) -> TokenCounts:
    """Cached tokens lie *beside* `input_tokens`, which counts only what was neither read from a cache nor written to one: so
    the three are added. Takes the block of Anthropic's Messages API, as a mapping or an object. Raises InvalidUsage.
    """
    _present(usage, "of a stream, merge that of message_start with that of the last message_delta")
    cached, written = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
    return {
        "input_tokens": _count(usage, "input_tokens", required=True) + cached + written,
        "cached_input_tokens": cached,
        "cache_write_tokens": written,
        "output_tokens": _count(usage, "output_tokens", required=True),
        "reasoning_tokens": 0,  # thinking is billed as output and not told apart
    }


def _present(usage: Any, hint: str) -> None:
    if usage is None:
        raise InvalidUsage(f"there is no usage block: {hint}")


def _get(block: Any, name: str) -> Any:
    return block.get(name) if isinstance(block, Mapping) else getattr(block, name, None)


def _count(block: Any, name: str, *, required: bool = False) -> int:
    value = _get(block, name)
    if value is None and not required:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidUsage(f"usage.{name} is {value!r:.40}, expected a whole number")
    return value
