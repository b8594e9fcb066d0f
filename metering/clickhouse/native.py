"""Arrow columns as ClickHouse's Native format has them: no Python object per value, dictionaries straight to LowCardinality.

For the types of the tables that ingest writes. The layout of a column is its state prefixes, then its data; nested types put all
prefixes first (ClickHouse: `src/DataTypes/Serializations`). A test inserts every type and compares what comes back.
"""

import uuid
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# LowCardinality: version of its prefix; and in the word before each block: the block brings its own dictionary, codes are UInt32.
LOW_CARDINALITY_VERSION = 1
OWN_DICTIONARY = 1 << 9
CODES_UINT32 = 2
NUMBERS = {
    "UInt8": "<u1",
    "UInt16": "<u2",
    "UInt32": "<u4",
    "UInt64": "<u8",
    "Float32": "<f4",
    "Float64": "<f8",
    "Int64": "<i8",
}


class NotNative(TypeError):
    """A ClickHouse type that is not written here."""


def column_bytes(kind: str, column: pa.ChunkedArray | pa.Array) -> bytes:
    """One column of one block, for the ClickHouse type `kind`. Raises NotNative."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return b"".join((*_prefixes(kind), *_data(kind, array)))


def _prefixes(kind: str) -> Iterator[bytes]:
    outer, inner = _opened(kind)
    if outer == "LowCardinality":
        yield np.uint64(LOW_CARDINALITY_VERSION).tobytes()
    elif outer in {"Array", "Nullable"}:
        yield from _prefixes(inner)
    elif outer == "Map":
        for part in inner.split(", ", 1):
            yield from _prefixes(part)


def _data(kind: str, array: pa.Array) -> Iterator[bytes]:
    outer, inner = _opened(kind)
    if outer == "LowCardinality":
        yield from _low_cardinality(array)
    elif outer == "Nullable":
        yield array.is_null().to_numpy(zero_copy_only=False).astype("u1").tobytes()
        yield from _data(inner, array.fill_null(pa.scalar(0, pa.int64()).cast(array.type)))
    elif outer == "Array":
        yield _offsets(array)
        yield from _data(inner, array.flatten())
    elif outer == "Map":
        yield _offsets(array)
        keys, values = inner.split(", ", 1)
        yield from _data(keys, _entries(array, array.keys))
        yield from _data(values, _entries(array, array.items))
    elif outer == "String":
        yield _strings(_plain(array))
    elif outer == "UUID":
        yield _uuids(array)
    elif outer == "Bool":
        yield array.to_numpy(zero_copy_only=False).astype("u1").tobytes()
    else:
        yield _numbers(outer, array)


def _opened(kind: str) -> tuple[str, str]:
    """`Array(UInt64)` -> Array, UInt64; a type without parameters, or with those of DateTime64, has no inner one."""
    outer, _, inner = kind.partition("(")
    return outer, inner[:-1]


def _numbers(kind: str, array: pa.Array) -> bytes:
    if kind == "DateTime64":  # the column's unit is the table's: schema.py says both
        return bytes(array.cast(pa.int64()).to_numpy().astype("<i8").tobytes())
    if kind == "DateTime":  # whole seconds
        array = array.cast(pa.timestamp("s", "UTC")).cast(pa.int64())
        return bytes(array.to_numpy(zero_copy_only=False).astype("<u4").tobytes())
    if kind not in NUMBERS:
        raise NotNative(f"columns of type {kind} are not written here")
    return bytes(array.to_numpy(zero_copy_only=False).astype(NUMBERS[kind]).tobytes())


def _low_cardinality(array: pa.Array) -> Iterator[bytes]:
    if not len(array):
        return
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    texts = encoded.dictionary
    yield np.uint64(OWN_DICTIONARY | CODES_UINT32).tobytes()
    yield np.uint64(len(texts)).tobytes()
    yield _strings(texts)
    yield np.uint64(len(array)).tobytes()
    yield encoded.indices.to_numpy().astype("<u4").tobytes()


def _plain(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _strings(array: pa.Array) -> bytes:
    """Each text as the length in bytes (LEB128) and the bytes: put in place for all texts at once."""
    if not len(array):
        return b""
    array = array.cast(pa.binary())
    ends = np.frombuffer(array.buffers()[1], "<i4")[array.offset : array.offset + len(array) + 1].astype(np.int64)
    data = np.frombuffer(array.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    lengths = np.diff(ends)
    widths = np.ones(len(lengths), np.int64)
    for bits in (7, 14, 21, 28):
        widths += lengths >= 1 << bits
    starts = np.concatenate(([0], np.cumsum(lengths + widths)))
    out = np.empty(starts[-1], np.uint8)
    is_text = np.ones(len(out), bool)
    for byte in range(int(widths.max())):
        here = widths > byte
        more = np.where(widths[here] > byte + 1, 128, 0)
        at = starts[:-1][here] + byte
        out[at] = (lengths[here] >> (7 * byte)) & 127 | more
        is_text[at] = False
    out[is_text] = data
    return out.tobytes()


def _uuids(array: pa.Array) -> bytes:
    """Two UInt64, the upper half first. There is one per batch, so few different ones."""
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    numbers = [uuid.UUID(text).int for text in encoded.dictionary.to_pylist()]
    halves = np.array([(number >> 64, number & (2**64 - 1)) for number in numbers], "<u8").reshape(-1, 2)
    return bytes(halves[encoded.indices.to_numpy()].tobytes())


def _offsets(array: pa.Array) -> bytes:
    """The end of each row's items, counted from the first row of the block."""
    return bytes(np.cumsum(pc.list_value_length(_as_list(array)).to_numpy()).astype("<u8").tobytes())


def _as_list(array: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(array.offsets, array.items) if pa.types.is_map(array.type) else array


def _entries(array: pa.Array, values: pa.Array) -> pa.Array:
    """The keys or values of a map's rows, one after the other."""
    return pa.ListArray.from_arrays(array.offsets, values).flatten()
