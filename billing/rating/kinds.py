"""Kinds of tokens that have a price of their own, and the partition of a request's tokens into them."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    INPUT = "input"  # uncached: the input less cached reads and cache writes
    CACHED_INPUT = "cached_input"
    CACHE_WRITE = "cache_write"
    OUTPUT = "output"  # the output less reasoning
    REASONING = "reasoning"


# Where a kind has no price of its own, it has this one's.
PRICED_LIKE = {Kind.REASONING: Kind.OUTPUT}

ALIASES = {
    "uncached": Kind.INPUT,
    "uncached_input": Kind.INPUT,
    "input_tokens": Kind.INPUT,
    "uncached_input_tokens": Kind.INPUT,
    "prompt": Kind.INPUT,
    "cached": Kind.CACHED_INPUT,
    "cache_read": Kind.CACHED_INPUT,
    "cached_input_tokens": Kind.CACHED_INPUT,
    "cache_write_tokens": Kind.CACHE_WRITE,
    "output_tokens": Kind.OUTPUT,
    "completion": Kind.OUTPUT,
    "reasoning_tokens": Kind.REASONING,
}


def kind_named(text: str) -> Kind:
    """Raises ValueError naming the kinds for a word that is neither a kind nor one of its other names."""
    word = text.strip().lower().replace("-", "_")
    try:
        return ALIASES[word] if word in ALIASES else Kind(word)
    except ValueError:
        raise ValueError(f"unknown kind {text!r}: one of {', '.join(Kind)}") from None


@dataclass(frozen=True)
class Tokens:
    """Counts as they are metered: cached and cache_write are within input, reasoning is within output."""

    input: int
    cached_input: int
    cache_write: int
    output: int
    reasoning: int


def partition(tokens: Tokens) -> dict[Kind, int]:
    """Every token once, by the kind it is billed as. Raises ValueError where a subset is larger than its whole."""
    parts = {
        Kind.INPUT: tokens.input - tokens.cached_input - tokens.cache_write,
        Kind.CACHED_INPUT: tokens.cached_input,
        Kind.CACHE_WRITE: tokens.cache_write,
        Kind.OUTPUT: tokens.output - tokens.reasoning,
        Kind.REASONING: tokens.reasoning,
    }
    for kind, quantity in parts.items():
        if quantity < 0:
            raise ValueError(f"{kind} would be {quantity} tokens: a part is larger than its whole in {tokens}")
    return parts
