"""Cached tokens lie inside the prompt's count, or beside it: the caller says which."""

from types import SimpleNamespace
from typing import Any

import pytest

from tallywatt import InvalidUsage, from_anthropic_usage, from_openai_usage
from tallywatt.events import line_of

CHAT = {
    "prompt_tokens": 100,
    "completion_tokens": 40,
    "total_tokens": 140,
    "prompt_tokens_details": {"cached_tokens": 64},
    "completion_tokens_details": {"reasoning_tokens": 30},
}
CANONICAL = {
    "input_tokens": 100,
    "cached_input_tokens": 64,
    "cache_write_tokens": 0,
    "output_tokens": 40,
    "reasoning_tokens": 30,
}


def test_an_openai_block_has_its_cached_tokens_inside() -> None:
    assert from_openai_usage(CHAT) == CANONICAL


def test_a_block_of_the_responses_api_means_the_same() -> None:
    block = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 64},
        "output_tokens": 40,
        "output_tokens_details": {"reasoning_tokens": 30},
    }
    assert from_openai_usage(block) == CANONICAL


def test_an_object_is_read_by_its_attributes() -> None:
    block = SimpleNamespace(
        prompt_tokens=100,
        completion_tokens=40,
        prompt_tokens_details=SimpleNamespace(cached_tokens=64),
        completion_tokens_details=SimpleNamespace(reasoning_tokens=30),
    )
    assert from_openai_usage(block) == CANONICAL


def test_details_that_are_missing_or_null_count_nothing() -> None:
    found = from_openai_usage({"prompt_tokens": 7, "completion_tokens": 1, "prompt_tokens_details": None})
    assert (found["cached_input_tokens"], found["reasoning_tokens"]) == (0, 0)


def test_an_embedding_has_no_output() -> None:
    assert from_openai_usage({"prompt_tokens": 7, "total_tokens": 7})["output_tokens"] == 0


def test_an_anthropic_block_has_its_cached_tokens_beside() -> None:
    block = {
        "input_tokens": 10,
        "cache_read_input_tokens": 50,
        "cache_creation_input_tokens": 40,
        "output_tokens": 7,
    }
    assert from_anthropic_usage(block) == {
        "input_tokens": 100,
        "cached_input_tokens": 50,
        "cache_write_tokens": 40,
        "output_tokens": 7,
        "reasoning_tokens": 0,
    }


def test_a_stream_without_usage_is_told_how_to_ask_for_it() -> None:
    with pytest.raises(InvalidUsage, match="include_usage"):
        from_openai_usage(None)


@pytest.mark.parametrize("block", [{}, {"prompt_tokens": 1.0}, {"prompt_tokens": -1}, {"prompt_tokens": True}])
def test_a_block_without_whole_counts_is_refused(block: dict[str, Any]) -> None:
    with pytest.raises(InvalidUsage, match=r"usage\.prompt_tokens"):
        from_openai_usage(block)


def test_the_counts_go_into_an_event_as_they_are() -> None:
    line_of({"model": "m", **from_openai_usage(CHAT)})
