"""What every protocol keeps of one event can be read again, by the name that it is kept under, as the same event."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pytest

from metering.ingest.context import Decoded
from metering.ingest.decoders import arrow, cloudevents, cloudevents_binary, lago, ndjson, otlp_traces
from metering.ingest.replaying import BY_NAME
from tests.metering.ingest.edge import cloudevent, event

MOST = 100
SPAN = {
    "traceId": "0af7651916cd43dd8448eb211c80319c",
    "spanId": "b7ad6b7169203331",
    "name": "llm_request",
    "startTimeUnixNano": "1768478400000000000",
    "endTimeUnixNano": "1768478401000000000",
    "attributes": [
        {"key": "gen_ai.response.model", "value": {"stringValue": "m"}},
        {"key": "gen_ai.usage.prompt_tokens", "value": {"intValue": "100"}},
        {"key": "gen_ai.usage.completion_tokens", "value": {"intValue": "10"}},
    ],
}


def lago_event(identity: str) -> dict[str, Any]:
    counts = {"model": "m", "input_tokens": 100, "output_tokens": 10}
    sent = {"transaction_id": identity, "external_subscription_id": "acme", "timestamp": 1768478400}
    return sent | {"code": "tallywatt.request", "properties": counts}


def arrow_stream() -> bytes:
    table = pa.table({"id": ["a", "b"], "model": ["m", "m"], "input_tokens": [1, 2], "output_tokens": [3, 4]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def binary(body: bytes, most: int) -> Iterable[Decoded]:
    attributes = {"specversion": "1.0", "id": "a", "source": "gw", "type": "tallywatt.request"}
    return cloudevents_binary.decode(attributes, body, most)


SENT: dict[str, tuple[str, Callable[[bytes, int], Iterable[Decoded]], bytes]] = {
    "lines": ("ndjson", ndjson.decode, b"\n".join(json.dumps(event(name)).encode() for name in "ab")),
    "an Arrow stream": ("arrow", arrow.decode, arrow_stream()),
    "a CloudEvent": ("cloudevents", cloudevents.decode_one, json.dumps(cloudevent()).encode()),
    "CloudEvents": ("cloudevents", cloudevents.decode_many, json.dumps([cloudevent("a"), cloudevent("b")]).encode()),
    "a CloudEvent in headers": ("cloudevents", binary, json.dumps({"model": "m", "input_tokens": 1}).encode()),
    "a Lago event": ("lago", lago.decode_one, json.dumps({"event": lago_event("a")}).encode()),
    "Lago events": ("lago", lago.decode_many, json.dumps({"events": [lago_event("a"), lago_event("b")]}).encode()),
    "spans": (
        otlp_traces.NAME,
        otlp_traces.decode,
        json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [SPAN, SPAN]}]}]}).encode(),
    ),
}


@pytest.mark.django_db
@pytest.mark.usefixtures("clickhouse")
@pytest.mark.parametrize("sent", SENT)
def test_what_is_kept_of_an_event_is_read_as_the_same_event_again(sent: str) -> None:
    name, decode, body = SENT[sent]
    found = list(decode(body, MOST))
    assert found
    for one in found:
        assert one.event is not None, one.error
        (again,) = BY_NAME[name].decode(one.raw, MOST)
        assert again.event == one.event
        assert again.is_meter == one.is_meter


@pytest.mark.django_db
@pytest.mark.usefixtures("clickhouse")
def test_a_body_of_many_lago_events_is_read_whole() -> None:
    _, _, body = SENT["Lago events"]
    assert [one.index for one in BY_NAME["lago"].decode(body, MOST)] == [0, 1]


def test_an_object_may_stand_on_several_lines_and_several_objects_on_one_each() -> None:
    decode = BY_NAME["ndjson"].decode
    (one,) = decode(json.dumps(event(), indent=2).replace("\n", "\r\n").encode(), MOST)
    assert one.event == event()
    two = list(decode(b"\n".join(json.dumps(event(name)).encode() for name in "ab"), MOST))
    assert [one.event and one.event["id"] for one in two] == ["a", "b"]


@pytest.mark.parametrize("name", ["seal", "sink"])
def test_our_own_stamps_are_taken_off_and_a_senders_unknown_field_is_not(name: str) -> None:
    stamps = {"ingested_at": 1, "batch": "b", "row": 2, "time_given": True, "observed": False}
    given = event(time="2026-01-15 12:00:00.123", attributes=[["a", "b"]], colour="red")
    (one,) = BY_NAME[name].decode(json.dumps(given | stamps).encode(), MOST)
    assert one.event == event(time="2026-01-15T12:00:00.123Z", attributes={"a": "b"}, colour="red")
    (kept,) = BY_NAME["ndjson"].decode(json.dumps(event(row=2)).encode(), MOST)
    assert kept.event == event(row=2)
