"""Arrow tables inserted as native blocks come back as they were, for every type of the tables that ingest writes."""

import uuid
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.clickhouse import client
from metering.clickhouse.native import NotNative, column_bytes

TYPES: dict[str, tuple[str, pa.DataType, Any]] = {
    "text": (
        "String",
        pa.string(),
        st.text(st.characters(codec="utf-8"), max_size=5)
        | st.sampled_from(["x" * n for n in (127, 128, 16_383, 16_384)]),
    ),
    "raw": ("String", pa.binary(), st.binary(max_size=4)),
    "label": (
        "LowCardinality(String)",
        pa.dictionary(pa.int32(), pa.string()),
        st.sampled_from(["", "a", "ä", "z" * 300]),
    ),
    "count": ("UInt64", pa.uint64(), st.integers(0, 2**64 - 1)),
    "row": ("UInt32", pa.uint32(), st.integers(0, 2**32 - 1)),
    "flag": ("Bool", pa.bool_(), st.booleans()),
    "ms": ("Nullable(Float32)", pa.float32(), st.none() | st.floats(width=32, allow_nan=False)),
    "wide": ("Nullable(Float64)", pa.float64(), st.none() | st.floats(allow_nan=False)),
    "maybe": ("Nullable(UInt64)", pa.uint64(), st.none() | st.integers(0, 2**64 - 1)),
    "batch": ("UUID", pa.dictionary(pa.int32(), pa.string()), st.uuids().map(str)),
    "names": (
        "Array(LowCardinality(String))",
        pa.list_(pa.string()),
        st.lists(st.sampled_from(["a", "b", ""]), max_size=3),
    ),
    "edges": ("Array(Float64)", pa.list_(pa.float64()), st.lists(st.floats(allow_nan=False), max_size=3)),
    "kept": (
        "Map(LowCardinality(String), String)",
        pa.map_(pa.string(), pa.string()),
        st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text("xyz", max_size=3), max_size=3),
    ),
    "shares": (
        "Map(LowCardinality(String), Float32)",
        pa.map_(pa.string(), pa.float32()),
        st.dictionaries(st.sampled_from(["a", "b"]), st.floats(width=32, allow_nan=False), max_size=2),
    ),
    "minute": ("DateTime('UTC')", pa.timestamp("s", "UTC"), st.integers(0, 2**32 - 1)),
    "at": ("DateTime64(3, 'UTC')", pa.timestamp("ms", "UTC"), st.integers(-(10**12), 4 * 10**12)),
    "maybe_at": ("Nullable(DateTime64(6, 'UTC'))", pa.timestamp("us", "UTC"), st.none() | st.integers(0, 4 * 10**15)),
}
READ = {
    "minute": "toUnixTimestamp(minute)",
    "at": "toUnixTimestamp64Milli(at)",
    "maybe_at": "toUnixTimestamp64Micro(maybe_at)",
    "batch": "toString(batch)",
    "raw": "hex(raw)",
}


@pytest.fixture(scope="module")
def table(clickhouse_schema: None) -> Iterator[str]:
    name = f"native_{uuid.uuid4().hex[:8]}"
    columns = ", ".join(f"{column} {kind}" for column, (kind, _, _) in TYPES.items())
    client.statement("test", f"CREATE TABLE {name} (id UInt64, {columns}) ENGINE = MergeTree ORDER BY id")
    yield name
    client.statement("test", f"DROP TABLE {name}")


def arrow(name: str, values: list[Any]) -> pa.Array:
    kind = TYPES[name][1]
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode()
    if pa.types.is_map(kind):
        return pa.array([list(value.items()) for value in values], kind)
    return pa.array(values, kind)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_every_type_comes_back(table: str, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    rows = {name: data.draw(st.lists(values, min_size=count, max_size=count)) for name, (_, _, values) in TYPES.items()}
    skipped = data.draw(st.integers(0, count - 1))  # a slice, as bisecting makes them
    first = data.draw(st.integers(0, 2**60))
    ids = pa.array(range(first, first + count), pa.uint64())
    given_table = pa.table({"id": ids} | {name: arrow(name, values) for name, values in rows.items()}).slice(skipped)
    assert client.insert_columns("test", table, given_table) == count - skipped

    shown = ", ".join(READ.get(name, name) for name in TYPES)
    between = {"first": first, "last": first + count}
    found = client.statement(
        "test", f"SELECT {shown} FROM {table} WHERE id >= %(first)s AND id < %(last)s ORDER BY id", between
    )
    client.statement("test", f"TRUNCATE TABLE {table}")
    expected = [tuple(_read(name, rows[name][row]) for name in TYPES) for row in range(skipped, count)]
    assert [tuple(row) for row in found] == expected


def _read(name: str, value: Any) -> Any:
    return value.hex().upper() if name == "raw" else value


def test_a_type_that_is_not_known_is_refused_and_the_connection_still_works(table: str) -> None:
    with pytest.raises(NotNative):
        column_bytes("Decimal(38, 9)", pa.array([1]))
    assert client.statement("test", "SELECT 1") == [(1,)]


def test_a_refusal_of_the_server_is_told_with_its_code(table: str) -> None:
    with pytest.raises(client.ClickHouseRefused):
        client.insert_columns("test", table, pa.table({"no_such_column": [1]}))
    assert client.statement("test", "SELECT 1") == [(1,)]
