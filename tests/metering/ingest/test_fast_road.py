"""The fast road gives what the slow road gives, for any body: the same rows, the same refusals, in the same order."""

import io
import json
from datetime import timedelta
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metering.contracts import Credential
from metering.ingest.checking import Batch, Context, check, check_columns
from metering.ingest.decoders import BY_CONTENT_TYPE
from metering.ingest.decoders.common import Undecodable
from metering.ingest.fields import FIELDS, FINISH_REASONS, MOST_TOKENS
from tests.metering.ingest.edge import CLOUDEVENT, CLOUDEVENTS, NDJSON, cloudevent, event
from tests.metering.rows import NOON

pytestmark = pytest.mark.django_db  # an unknown type of CloudEvent is looked up among the meters

ARROW = "application/vnd.apache.arrow.stream"
OWN = Context(Credential("0" * 12, "acme", frozenset(), True), NOON, timedelta(days=3653), timedelta(minutes=10))
MOST = 1000

odd_text = st.sampled_from(
    ["", "x", "x" * 128, "x" * 129, "x" * 1025, "ä" * 128, "\x00", "chat", "batch", "stop", "ok"]
)
odd_number = st.sampled_from([0, 1, -1, 5.0, 0.5, 1e300, MOST_TOKENS, MOST_TOKENS + 1, 2**63, 2**64, -0.0, True])
odd_time = st.sampled_from(
    [
        "2026-01-15T11:00:00Z",
        "2026-01-15T11:00:00.123456789Z",
        "2026-01-15T11:00:00.9999Z",
        "2026-01-15t11:00:00z",
        "2026-01-15 11:00:00+02:00",
        "2026-01-15T11:00Z",
        "2026-01-15T11:00:00+0200",
        "2026-01-15T11:00:00",
        "2026-02-30T11:00:00Z",
        "2026-01-15T24:00:00Z",
        "1969-12-31T23:59:59.9995Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        1768474800123,
        -1,
        2**53,
        2**70,
        1.5,
    ]
)
anything = (
    st.none()
    | odd_text
    | odd_number
    | odd_time
    | st.lists(odd_text, max_size=2)
    | st.just({"a": "b"})
    | st.just({"a": 1})
)
FITTING: dict[str, Any] = {
    "time": odd_time,
    "tenant": st.sampled_from(["acme", "other", "", 5]),
    "attributes": st.dictionaries(st.sampled_from(["a", "b", "", "k" * 129]), odd_text, max_size=3),
    "gpus": st.lists(odd_text, max_size=3),
    "stream": st.booleans(),
    "finish_reason": st.sampled_from(FINISH_REASONS),
}


def value_of(name: str) -> st.SearchStrategy[Any]:
    if name in FITTING:
        return FITTING[name] | anything
    return odd_number | anything if name.endswith(("_tokens", "_ms")) else odd_text | anything


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly good, with some fields odd, missing, or unknown."""
    found = event(draw(st.sampled_from(["a", "b", "c"])))
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=3)):
        found[name] = draw(value_of(name))
    for name in draw(st.lists(st.sampled_from(["model", "id", "input_tokens", "typo"]), max_size=1)):
        found[name] = 1 if name == "typo" else found.pop(name)
        if draw(st.booleans()):
            del found[name]
    return found


def outcome(batch: Batch) -> tuple[list[dict[str, Any]], list[tuple[Any, ...]]]:
    table = batch.events_table()
    rows = table.to_pylist() if table is not None else []
    return rows, [
        (reject.index, reject.field, reject.reason, reject.message, reject.tenant) for reject in batch.rejects
    ]


def both(body: bytes, content_type: str) -> tuple[Any, Any]:
    decoder = BY_CONTENT_TYPE[content_type]
    assert decoder.columns is not None
    try:
        slow: Any = outcome(check(decoder.decode(body, MOST), OWN))
    except Undecodable as error:
        slow = str(error)
    try:
        found = decoder.columns(body, MOST)
        fast: Any = outcome(check_columns(found, OWN)) if found is not None else slow
    except Undecodable as error:
        fast = str(error)
    return fast, slow


@settings(deadline=None, max_examples=400)
@given(st.lists(events(), min_size=1, max_size=6))
@example([event("a", time="2026-01-15T11:00Z"), event("b", time=5)])
def test_lines_of_json(given_events: list[dict[str, Any]]) -> None:
    body = b"\n".join(json.dumps(each).encode() for each in given_events)
    fast, slow = both(body, NDJSON)
    assert fast == slow


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.sampled_from(
            ["{}", "", " ", "[1]", '{"id":"a",', "x" * 5, json.dumps(event("a")), json.dumps(event("b")) + "\r"]
        )
    )
)
def test_broken_lines_between_good_ones(lines: list[str]) -> None:
    fast, slow = both("\n".join(lines).encode(), NDJSON)
    assert fast == slow


@settings(deadline=None, max_examples=200)
@given(
    st.binary(max_size=60), st.integers(0, 400), st.sampled_from([NDJSON, CLOUDEVENT, CLOUDEVENTS, "application/json"])
)
def test_bytes_put_anywhere_into_a_good_body(noise: bytes, at: int, content_type: str) -> None:
    good = [orjson.dumps(event("a")), orjson.dumps(event("b"))]
    body = b"\n".join(good) if content_type == NDJSON else orjson.dumps([cloudevent("a"), cloudevent("b")])
    fast, slow = both(body[:at] + noise + body[at:], content_type)
    assert fast == slow


@settings(deadline=None, max_examples=400)
@given(
    st.lists(
        st.tuples(
            events(),
            st.dictionaries(
                st.sampled_from(
                    ["subject", "time", "source", "type", "specversion", "traceparent", "Bad-Name", "datacontenttype"]
                ),
                odd_text | odd_time | st.sampled_from(["acme", "1.0", "tallywatt.request", "application/json"]),
                max_size=2,
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_cloudevents(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    batch = []
    for data, envelope in pairs:
        inner = {name: value for name, value in data.items() if name not in {"id", "source", "time", "tenant"}}
        batch.append(cloudevent(str(data.get("id", "x")), data=inner) | envelope)
    fast, slow = both(json.dumps(batch).encode(), CLOUDEVENTS)
    assert fast == slow


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


ARROW_COLUMNS: dict[str, tuple[pa.DataType, Any]] = {
    "id": (pa.string(), st.none() | odd_text),
    "model": (pa.dictionary(pa.int8(), pa.string()), st.none() | odd_text),
    "tier": (pa.large_string(), st.none() | odd_text),
    "tenant": (pa.dictionary(pa.int32(), pa.large_string()), st.sampled_from([None, "acme", "other"])),
    "end_user": (pa.dictionary(pa.int16(), pa.string()), st.none() | st.sampled_from(["", "u", "u" * 257])),
    "input_tokens": (pa.int64(), st.none() | st.sampled_from([0, 5, -1, 2**40, 2**40 + 1, 2**62])),
    "output_tokens": (pa.uint64(), st.sampled_from([0, 5, 2**40 + 1, 2**64 - 1])),
    "cached_input_tokens": (pa.uint8(), st.none() | st.integers(0, 255)),
    "reasoning_tokens": (pa.int16(), st.none() | st.integers(-5, 20)),
    "ttft_ms": (pa.float64(), st.none() | st.sampled_from([0.0, -1.0, float("inf"), float("nan"), 1e12, 12.5])),
    "e2e_ms": (pa.int32(), st.none() | st.integers(-1, 100)),
    "time": (pa.timestamp("ns", "Europe/Berlin"), st.none() | st.integers(-(2**62), 2**62)),
    "stream": (pa.bool_(), st.none() | st.booleans()),
    "gpus": (pa.list_(pa.string()), st.none() | st.lists(st.none() | odd_text, max_size=3)),
    "attributes": (
        pa.map_(pa.string(), pa.string()),
        st.none() | st.lists(st.tuples(st.sampled_from(["a", "b"]), st.none() | odd_text), max_size=3),
    ),
}


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_arrow_streams(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 5))
    columns = {}
    for name, (kind, values) in ARROW_COLUMNS.items():
        if name in {"id", "model", "input_tokens", "output_tokens"} or data.draw(st.booleans()):
            columns[name] = pa.array(data.draw(st.lists(values, min_size=rows, max_size=rows)), kind)
    table = pa.table(columns)
    chunks = pa.concat_tables([table.slice(0, rows // 2), table.slice(rows // 2)])
    fast, slow = both(stream(chunks, compression=data.draw(st.sampled_from([None, "lz4", "zstd"]))), ARROW)
    assert fast == slow


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("count", [0, 1_768_474_800, -1, 2**62, -(2**62)])
def test_moments_of_every_unit(unit: str, count: int) -> None:
    columns = {"id": ["a"], "model": ["m"], "input_tokens": [1], "output_tokens": [1]}
    time = pa.array([count], pa.int64()).cast(pa.timestamp(unit, "UTC"))
    fast, slow = both(stream(pa.table(columns | {"time": time})), ARROW)
    assert fast == slow
