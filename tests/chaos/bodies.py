"""Request bodies: one entry in FORMATS per protocol that the chaos run speaks."""

import gzip
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

Row = tuple[Any, ...]  # as Events.rows

# What makes an event invalid, by the reason for which it must be refused.
FAULTS: dict[str, dict[str, Any]] = {
    "out_of_range": {"input_tokens": -1},
    "wrong_type": {"output_tokens": "12"},
    "invariant": {"cached_input_tokens": 11},
    "unknown_field": {"imput_tokens": 1},
    "unknown_tenant": {"tenant": "chaos-nobody"},
    "in_future": {"time": 4_000_000_000_000},
}


@dataclass(frozen=True)
class Format:
    """`build` takes good rows and bad events (canonical fields); the bad come last. `invalid`: faults it can express."""

    content_type: str
    build: Callable[[list[Row], list[dict[str, Any]]], bytes]
    weight: float
    encoding: str = ""
    invalid: tuple[str, ...] = tuple(FAULTS)


def bad_event(identity: str, tenant: str, kind: str) -> dict[str, Any]:
    event = {"id": identity, "source": "gw-a", "tenant": tenant, "model": "m", "input_tokens": 10, "output_tokens": 2}
    return event | FAULTS[kind]


def ndjson(rows: list[Row], bad: list[dict[str, Any]]) -> bytes:
    lines = [
        f'{{"id":"{i}","source":"{s}","tenant":"{t}","model":"{m}",{_time(at)}"input_tokens":{a},'
        f'"cached_input_tokens":{c},"output_tokens":{o}}}'
        for i, s, t, m, at, a, c, o in rows
    ]
    return "\n".join(lines + [json.dumps(event) for event in bad]).encode()


def _time(at: int | None) -> str:
    return "" if at is None else f'"time":{at},'


def cloudevents(rows: list[Row], bad: list[dict[str, Any]]) -> bytes:
    items = [
        f'{{"specversion":"1.0","type":"tallywatt.request","id":"{i}","source":"{s}","subject":"{t}",{_time(at)}"data":'
        f'{{"model":"{m}","input_tokens":{a},"cached_input_tokens":{c},"output_tokens":{o}}}}}'
        for i, s, t, m, at, a, c, o in rows
    ]
    return ("[" + ",".join(items + [json.dumps(_enveloped(event)) for event in bad]) + "]").encode()


def _enveloped(event: dict[str, Any]) -> dict[str, Any]:
    envelope = {"specversion": "1.0", "type": "tallywatt.request", "subject": event["tenant"]}
    outer = {name: event[name] for name in ("id", "source", "time") if name in event}
    data = {name: value for name, value in event.items() if name not in {"id", "source", "time", "tenant"}}
    return envelope | outer | {"data": data}


ARROW = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("tenant", pa.string()),
        ("model", pa.string()),
        ("time", pa.timestamp("ms", "UTC")),
        ("input_tokens", pa.uint64()),
        ("cached_input_tokens", pa.uint64()),
        ("output_tokens", pa.uint64()),
    ]
)


def arrow(rows: list[Row], bad: list[dict[str, Any]]) -> bytes:
    defaults = {"time": None, "cached_input_tokens": 0}
    extra: Iterable[Row] = (tuple((defaults | event)[name] for name in ARROW.names) for event in bad)
    columns = zip(*(rows + list(extra)), strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, ARROW, strict=True)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, ARROW) as stream:
        stream.write_table(pa.Table.from_arrays(arrays, schema=ARROW), max_chunksize=1_000)
    return sink.getvalue().to_pybytes()


def gzipped(build: Callable[[list[Row], list[dict[str, Any]]], bytes]) -> Callable[..., bytes]:
    return lambda rows, bad: gzip.compress(build(rows, bad), 1)


FORMATS = {
    "ndjson": Format("application/x-ndjson", ndjson, 4),
    "ndjson-gzip": Format("application/x-ndjson", gzipped(ndjson), 1, "gzip"),
    "cloudevents": Format("application/cloudevents-batch+json", cloudevents, 2),
    "json": Format("application/json", cloudevents, 1),
    "arrow": Format(
        "application/vnd.apache.arrow.stream", arrow, 4, invalid=("invariant", "unknown_tenant", "in_future")
    ),
}
