"""Bodies of made events in each format. Only ids differ between two requests: a marker in them is replaced by a number as long."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

MARK = b"@@@@@@@@@@@@"
TENANTS = tuple(f"bench-{number:02d}" for number in range(40))
CONTENT_TYPES = {
    "arrow": "application/vnd.apache.arrow.stream",
    "ndjson": "application/x-ndjson",
    "cloudevents": "application/cloudevents-batch+json",
}


def template(kind: str, run: str, events: int) -> bytes:
    """A body of `events` events, spread over TENANTS, finished now."""
    rows = [_event(run, index) for index in range(events)]
    return {"arrow": _arrow, "ndjson": _ndjson, "cloudevents": _cloudevents}[kind](rows)


def _event(run: str, index: int) -> dict[str, Any]:
    return {
        "id": f"{run}-{MARK.decode()}-{index}",
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "tenant": TENANTS[index % len(TENANTS)],
        "model": f"model-{index % 4}",
        "operation": "chat",
        "tier": "standard",
        "input_tokens": 500 + index % 1000,
        "cached_input_tokens": index % 300,
        "output_tokens": 50 + index % 450,
        "ttft_ms": 20 + index % 80,
        "e2e_ms": 900 + index % 4000,
        "region": "eu-west",
        "node": f"node-{index % 16}",
    }


def _ndjson(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def _cloudevents(rows: list[dict[str, Any]]) -> bytes:
    events = []
    for row in rows:
        envelope = {"specversion": "1.0", "type": "tallywatt.request", "source": "bench", "id": row.pop("id")}
        envelope |= {"time": row.pop("time"), "subject": row.pop("tenant")}
        events.append(envelope | {"data": row})
    return json.dumps(events).encode()


def _arrow(rows: list[dict[str, Any]]) -> bytes:
    """As a sender that cares for speed would: labels dictionary-encoded, no compression on a local network."""
    table = pa.Table.from_pylist(rows)
    table = table.set_column(1, "time", table["time"].cast(pa.timestamp("ms", "UTC")))
    for name in ("tenant", "model", "operation", "tier", "region", "node"):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].dictionary_encode())
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return sink.getvalue()
