"""Mooncake's traces (Kimi, production): JSON lines `timestamp` (ms), `input_length`, `output_length`, `hash_ids`.

`hash_ids` names the blocks of 512 tokens that make up the prompt; equal ids mean equal prefixes. A block that an earlier
request of the trace had already is taken as a cache hit, which is what an unlimited prefix cache would give: cached tokens are
512 for each such block, at most the input length (the last block may be part full). That is derived, not measured, so
events say so. Source of the format: "Mooncake: A KVCache-centric Disaggregated Architecture for LLM Serving", section on
the open trace, and the README of its repository.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from metering.replay.trace import (
    RELATIVE_ORIGIN,
    TraceError,
    TraceRequest,
    count_lines,
    opened,
    sha256_of,
    token_count,
)

BLOCK_TOKENS = 512


class MooncakeTrace:
    format = "mooncake"
    modelled = "cached_input_tokens"

    def __init__(self, path: Path) -> None:
        self.path = path

    def origin(self) -> datetime:
        return RELATIVE_ORIGIN

    def total(self) -> int:
        return count_lines(self.path)

    def clients(self) -> list[str]:
        return []

    def digest(self) -> str:
        return sha256_of(self.path)

    def requests(self) -> Iterator[TraceRequest]:
        seen: set[int] = set()
        with opened(self.path) as file:
            number = 0
            for line, text in enumerate(file, start=1):
                if not text.strip():
                    continue
                number += 1
                yield self._request(number, line, self._object(text, line), seen)

    def _request(self, number: int, line: int, row: dict[str, Any], seen: set[int]) -> TraceRequest:
        """One row; its blocks are added to `seen` after its own hits are counted."""
        input_tokens = token_count(row["input_length"], "input_length", self.path, line)
        blocks = row["hash_ids"]
        if not isinstance(blocks, list) or not all(type(block) is int for block in blocks):
            raise TraceError(self.path, line, "hash_ids: expected a list of whole numbers")
        repeated = sum(block in seen for block in blocks)
        seen.update(blocks)
        return TraceRequest(
            str(number),
            token_count(row["timestamp"], "timestamp", self.path, line),
            input_tokens,
            token_count(row["output_length"], "output_length", self.path, line),
            cached_input_tokens=min(repeated * BLOCK_TOKENS, input_tokens),
        )

    def _object(self, text: str, line: int) -> dict[str, Any]:
        try:
            row = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise TraceError(self.path, line, f"is not JSON: {error}") from error
        missing = {"timestamp", "input_length", "output_length", "hash_ids"} - (
            set(row) if isinstance(row, dict) else set()
        )
        if missing:
            raise TraceError(self.path, line, f"expected an object with {', '.join(sorted(missing))}")
        return dict(row)
