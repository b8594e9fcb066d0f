"""Arrow streams over HTTP: what is taken, what is refused by name, and what never gets as far as memory."""

import gzip
import io
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from django.test import override_settings

from metering import accounts, keys
from tests.fuzz.arrowbodies import BOMBS
from tests.metering.ingest.edge import Edge

ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture
def edge(db: None, clickhouse: None, spool: Path, tenant_key: str) -> Edge:
    accounts.create_tenant(tenant_key)
    return Edge(tenant_key, keys.issue_key(tenant_key, ["ingest"]))


def columns(rows: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "id": [f"e{row}" for row in range(rows)],
        "model": pa.array(["m"] * rows).dictionary_encode(),
        "input_tokens": pa.array([100] * rows, pa.uint32()),
        "output_tokens": pa.array([10] * rows, pa.int64()),
    } | more


def stream(table: pa.Table | dict[str, Any], **options: Any) -> bytes:
    table = table if isinstance(table, pa.Table) else pa.table(table)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def test_a_stream_is_taken_and_answered_with_a_receipt(edge: Edge) -> None:
    answer = edge.post(stream(columns()), ARROW)
    assert (answer.status_code, answer.json()["accepted"], answer.json()["rejected"]) == (202, 2, [])
    assert edge.stored("id, model, input_tokens, output_tokens, tier, time_given") == [
        ("e0", "m", 100, 10, "standard", False),
        ("e1", "m", 100, 10, "standard", False),
    ]


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_buffers_are_taken(edge: Edge, compression: str) -> None:
    assert edge.post(stream(columns(500), compression=compression), ARROW).json()["accepted"] == 500


def test_one_bad_row_does_not_take_the_others_along(edge: Edge) -> None:
    answer = edge.post(stream(columns(3, cached_input_tokens=[0, 101, 5], ttft_ms=[1.0, 2.0, -1.0])), ARROW).json()
    assert answer["accepted"] == 1
    assert [(each["index"], each["field"], each["reason"]) for each in answer["rejected"]] == [
        (1, "cached_input_tokens", "invariant"),
        (2, "ttft_ms", "out_of_range"),
    ]
    assert edge.stored() == [("e0",)]
    ((raw, decoder),) = edge.quarantined("raw, decoder")[:1]
    assert '"cached_input_tokens": 101' in raw
    assert decoder == "arrow"


def test_another_tenants_name_refuses_the_whole_request(edge: Edge) -> None:
    answer = edge.post(stream(columns(2, tenant=[edge.tenant, "somebody-else"])), ARROW)
    assert answer.status_code == 403
    assert edge.stored() == []
    assert len(edge.quarantined()) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"typo": [1, 2]}, "there is no field 'typo'"),
        ({"input_tokens": ["1", "2"]}, "input_tokens has the type string"),
        ({"input_tokens": [1.0, 2.0]}, "input_tokens has the type double"),
        ({"time": ["2026-01-01T00:00:00Z"] * 2}, "time has the type string"),
        ({"time": pa.array([1, 2], pa.timestamp("ms"))}, "time has the type timestamp[ms]"),
        ({"gpus": pa.array([[["x"]], []], pa.list_(pa.list_(pa.string())))}, "gpus has the type"),
        ({"ingested_at": [1, 2]}, "there is no field 'ingested_at'"),
        ({"observed": [True, False]}, "there is no field 'observed'"),
    ],
)
def test_columns_that_fit_no_field_are_refused_by_name(edge: Edge, change: dict[str, Any], said: str) -> None:
    answer = edge.post(stream(columns() | change), ARROW)
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert edge.quarantined("reason") == [("malformed",)]


def test_a_missing_required_column_is_refused_by_name(edge: Edge) -> None:
    given = columns()
    del given["model"]
    assert "model is required" in edge.post(stream(given), ARROW).json()["detail"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body[:-8],
        lambda body: body[: len(body) // 2],
        lambda body: body + body,
        lambda body: body + b"x",
        lambda body: b"\xff" * 64,
        lambda body: body[:60] + b"\xff\xff\xff\x7f" + body[64:],
    ],
)
def test_a_damaged_stream_is_400_and_nothing_of_it_is_taken(edge: Edge, damage: Any) -> None:
    assert edge.post(damage(stream(columns(50))), ARROW).status_code == 400
    assert edge.stored() == []


def test_a_stream_that_inflates_past_the_limit_is_413_before_it_is_inflated(edge: Edge) -> None:
    body = stream(columns(1000, end_user=["u" * 250] * 1000), compression="zstd")
    assert len(body) < 20_000
    with override_settings(INGEST_MAX_INFLATED_BYTES=200_000):
        assert edge.post(body, ARROW).status_code == 413


def test_a_compressed_buffer_that_lies_about_its_size_is_400(edge: Edge) -> None:
    body = bytearray(stream(columns(1000), compression="zstd"))
    at = bytes(body).index(struct.pack("<q", 4000))  # the counts of one column: 1000 numbers of 32 bits
    body[at : at + 8] = struct.pack("<q", 40)
    assert edge.post(bytes(body), ARROW).status_code == 400
    body[at : at + 8] = struct.pack("<q", -7)
    assert edge.post(bytes(body), ARROW).status_code == 400


def test_a_dictionary_does_not_multiply_a_long_text(edge: Edge) -> None:
    rows = 20_000
    long = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["u" * 100_000]))
    body = stream(columns(rows, end_user=long))
    tracemalloc.start()
    answer = edge.post(body, ARROW).json()  # 2 GB if it were written out
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer["accepted"], answer["rejected"][0]["reason"]) == (0, "too_long")
    assert peak < 200 * 2**20


def test_too_many_rows_are_422(edge: Edge) -> None:
    with override_settings(INGEST_MAX_EVENTS=3):
        assert edge.post(stream(columns(4)), ARROW).status_code == 422


def test_a_stream_without_rows_is_400(edge: Edge) -> None:
    assert edge.post(stream(pa.table(columns(1)).slice(0, 0)), ARROW).status_code == 400


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_the_body_may_be_compressed_as_a_whole(edge: Edge, encoding: str) -> None:
    plain = stream(columns())
    body = gzip.compress(plain) if encoding == "gzip" else pa.compress(plain, "zstd", asbytes=True)
    assert edge.post(body, ARROW, **{"Content-Encoding": encoding}).json()["accepted"] == 2


def test_a_negative_length_does_not_hide_what_the_others_inflate_to(edge: Edge) -> None:
    body = BOMBS["zeros behind a negative length"]()
    with override_settings(INGEST_MAX_INFLATED_BYTES=8 * 2**20):
        assert edge.post(body, ARROW).status_code in {400, 413}


def test_a_null_in_a_dictionary_is_no_value(edge: Edge) -> None:
    parts = []
    for row, tokens in enumerate([5, -1]):
        project = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.array([None, "a"]))
        schema = {"id": [f"e{row}"], "model": ["m"], "input_tokens": [tokens], "output_tokens": [1], "project": project}
        parts.append(pa.table(schema))
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, parts[0].schema) as writer:
        for part in parts:
            writer.write_table(part)
    answer = edge.post(sink.getvalue(), ARROW).json()
    assert (answer["accepted"], answer["rejected"][0]["field"]) == (1, "input_tokens")
    assert edge.stored("id, project") == [("e0", "")]
