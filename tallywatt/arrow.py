"""Lines -> an Arrow IPC stream in the canonical columns. The one module that imports pyarrow; it is loaded if Arrow was asked for."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

LABEL = pa.dictionary(pa.int32(), pa.string())
TOKENS = pa.uint64()
LATENCY = pa.float32()

COLUMNS: dict[str, Any] = {
    "tenant": LABEL,
    "time": pa.timestamp("ms", "UTC"),
    "id": pa.string(),
    "source": LABEL,
    "project": LABEL,
    "api_key_id": LABEL,
    "end_user": pa.string(),
    "model": LABEL,
    "operation": LABEL,
    "tier": LABEL,
    "status": LABEL,
    "finish_reason": LABEL,
    "input_tokens": TOKENS,
    "cached_input_tokens": TOKENS,
    "cache_write_tokens": TOKENS,
    "output_tokens": TOKENS,
    "reasoning_tokens": TOKENS,
    "queue_ms": LATENCY,
    "ttft_ms": LATENCY,
    "tpot_ms": LATENCY,
    "e2e_ms": LATENCY,
    "region": LABEL,
    "cluster": LABEL,
    "node": LABEL,
    "engine": LABEL,
    "gpus": pa.list_(pa.string()),
    "stream": pa.bool_(),
    "attributes": pa.map_(pa.string(), pa.string()),
}
# What stands for a field that an event of the batch left out, where another event gave it. Elsewhere a null does.
_LEFT_OUT: dict[str, Any] = {
    "operation": "chat",
    "tier": "standard",
    "status": "ok",
    "gpus": [],
    "stream": False,
    "attributes": {},
}


def encode(lines: Sequence[bytes]) -> bytes:
    """A field that no event gives has no column."""
    events = [json.loads(line) for line in lines]
    given = set().union(*events)
    arrays = {name: _column(name, kind, events) for name, kind in COLUMNS.items() if name in given}
    table = pa.table(arrays)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _column(name: str, kind: Any, events: list[dict[str, Any]]) -> Any:
    left_out = _left_out(name, kind)
    values = [event.get(name, left_out) for event in events]
    if name == "time":
        values = [datetime.fromisoformat(value) for value in values]
    if name == "attributes":
        values = [list(value.items()) for value in values]
    return pa.array(values, pa.string()).dictionary_encode() if kind == LABEL else pa.array(values, kind)


def _left_out(name: str, kind: Any) -> Any:
    if name in _LEFT_OUT:
        return _LEFT_OUT[name]
    if kind == TOKENS:
        return 0
    # A tenant that is not given is the key's own, and a latency that is not given was not measured: neither is an empty value.
    return "" if name != "tenant" and kind in {LABEL, pa.string()} else None
