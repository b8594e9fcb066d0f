"""Arrow IPC streams: good ones of every type that a column may have, bad ones of every type that it may not, and bombs."""

import struct
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

import pyarrow as pa

from tests.fuzz import bytesplay
from tests.fuzz.seeds import NOW_MS, sample

TEXT_FIELDS = ("id", "source", "model", "project", "status", "tier", "operation", "end_user", "region", "finish_reason")
COUNT_FIELDS = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")
LATENCY_FIELDS = ("ttft_ms", "e2e_ms", "tpot_ms", "queue_ms")
REQUIRED = ("id", "model", "input_tokens", "output_tokens")
GOOD_TEXT = {"status": "ok", "tier": "standard", "operation": "chat", "finish_reason": "stop"}
BOMB_ROWS = 2**23


def stream(random: Random) -> tuple[bytes, str]:
    """A body and a word on how it was made."""
    if random.random() < 0.04:
        return bomb(random)
    rows = random.choice((0, 1, 1, 2, 3, 10, 100, 3_000))
    names = [name for name in (*TEXT_FIELDS, *COUNT_FIELDS, *LATENCY_FIELDS, "time", "stream", "gpus", "attributes")
             if name in REQUIRED or random.random() < 0.4]  # fmt: skip
    columns: list[tuple[str, pa.Array]] = [(name, column(name, rows, random)) for name in names]
    note = f"{rows} rows"
    if random.random() < 0.35:
        note += " " + _twisted(columns, rows, random)
    body = _written(columns, random)
    if random.random() < 0.5:
        return bytesplay.damaged(body, random, first=random.choice((64, 1_000, 4_000))), note + " damaged"
    return body, note


def samples(random: Random) -> tuple[bytes, str]:
    """As `stream`, of a GPU's or an engine's samples."""
    if random.random() < 0.04:
        return bomb(random)
    rows = random.choice((1, 1, 2, 3, 10, 100, 3_000))
    given = sample(random)
    made = {name: [value] * rows for name, value in given.items() if name != "time"}
    columns = [
        (name, _text(values, random) if isinstance(values[0], str) else pa.array(values))
        for name, values in made.items()
    ]
    columns.append(("time", _time(rows, random)))
    note = f"{rows} rows"
    if random.random() < 0.4:
        note += " " + _twisted(columns, rows, random)
    body = _written(columns, random)
    if random.random() < 0.5:
        return bytesplay.damaged(body, random, first=random.choice((64, 1_000, 4_000))), note + " damaged"
    return body, note


def column(name: str, rows: int, random: Random) -> pa.Array:
    """Good values, in one of the types that the field may have."""
    if name in TEXT_FIELDS:
        return _text([GOOD_TEXT.get(name, f"{name[0]}{number % 7}") for number in range(rows)], random)
    if name in COUNT_FIELDS:
        kind = random.choice((pa.uint64(), pa.int64(), pa.uint32(), pa.int32(), pa.uint16(), pa.int8()))
        most = 100 if name in {"input_tokens", "output_tokens"} else 10
        return pa.array([random.randrange(most // 2, most) for _ in range(rows)], kind)
    if name in LATENCY_FIELDS:
        return pa.array([random.random() * 100 for _ in range(rows)], random.choice((pa.float32(), pa.float64())))
    others = {
        "time": lambda: _time(rows, random),
        "stream": lambda: pa.array([True] * rows),
        "gpus": lambda: pa.array([["g1", "g2"]] * rows, random.choice((pa.list_(pa.string()), pa.large_list(pa.string())))),
        "attributes": lambda: pa.array([[("a", "1"), ("b", "2")]] * rows, pa.map_(pa.string(), pa.string())),
    }  # fmt: skip
    return others[name]()


def _text(values: list[str], random: Random) -> pa.Array:
    plain = pa.array(values, random.choice((pa.string(), pa.large_string())))
    if random.random() < 0.5:
        return plain
    indices = random.choice((pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64()))
    encoded = plain.dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.cast(indices), encoded.dictionary)


def _time(rows: int, random: Random) -> pa.Array:
    unit = random.choice(("s", "ms", "us", "ns"))
    scale = {"s": 0.001, "ms": 1, "us": 1_000, "ns": 1_000_000}[unit]
    zone = random.choice(("UTC", "+05:30", "Europe/Berlin"))
    if random.random() < 0.2:
        return pa.array([NOW_MS] * rows, pa.int64())
    return pa.array([int(NOW_MS * scale)] * rows, pa.timestamp(unit, zone))


def _twisted(columns: list[tuple[str, pa.Array]], rows: int, random: Random) -> str:
    """Change one column, or add one, into something that must be refused or survived. Returns what was done."""
    place = random.randrange(len(columns))
    name = columns[place][0]
    choices: dict[str, Any] = {
        "another type": lambda: _odd(rows, random),
        "nulls": lambda: pa.nulls(rows, columns[place][1].type),
        "null type": lambda: pa.nulls(rows),
        "extreme numbers": lambda: _extreme(rows, random),
        "long text": lambda: pa.array(["x" * random.choice((128, 129, 100_000))] * min(rows, 100) + [""] * max(0, rows - 100)),
        "a null behind a code": lambda: pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int8()), pa.array([None, "a"])),
        "a text seen often": lambda: pa.DictionaryArray.from_arrays(
            pa.array([0] * rows, pa.int8()), pa.array(["y" * 1_000_000])
        ),
        "a list too long": lambda: pa.array([["g"] * 1_025] * min(rows, 10) + [[]] * max(0, rows - 10)),
    }  # fmt: skip
    what = random.choice((*choices, "there twice", "unknown"))
    if what == "there twice":
        columns.append(columns[place])
    elif what == "unknown":
        columns.append((random.choice(("", "extra", "ID", "tenant", "\u0000", "x" * 10_000)), pa.nulls(rows)))
    else:
        columns[place] = (name, choices[what]())
    return f"{name}: {what}"


def _odd(rows: int, random: Random) -> pa.Array:
    """A type that is no field's."""
    return random.choice(
        (
            lambda: pa.array([b"\xff\xfe"] * rows, pa.binary()),
            lambda: pa.array([b"ab"] * rows, pa.binary(2)),
            lambda: pa.array(["v"] * rows, pa.string_view()),
            lambda: pa.array([Decimal("1.5")] * rows, pa.decimal128(10, 2)),
            lambda: pa.array([1.5] * rows, pa.float16()),
            lambda: pa.array([0] * rows, pa.timestamp("ms")),
            lambda: pa.array([0] * rows, pa.timestamp("ms", "No/Where")),
            lambda: pa.array([1] * rows, pa.duration("ns")),
            lambda: pa.array([1] * rows, pa.date32()),
            lambda: pa.array([{"a": 1}] * rows, pa.struct([("a", pa.int64())])),
            lambda: pa.array([[["a"]]] * rows, pa.list_(pa.list_(pa.string()))),
            lambda: pa.array([["a", "b"]] * rows, pa.list_(pa.string(), 2)),
            lambda: pa.array([[("a", 1)]] * rows, pa.map_(pa.string(), pa.int64())),
            lambda: pa.array([[(1, "a")]] * rows, pa.map_(pa.int64(), pa.string())),
            lambda: pa.RunEndEncodedArray.from_arrays(pa.array([rows or 1], pa.int32()), pa.array(["r"]))[:rows],
            lambda: pa.array([True] * rows),
        )
    )()


def _extreme(rows: int, random: Random) -> pa.Array:
    kind, value = random.choice(
        (
            (pa.uint64(), 2**64 - 1),
            (pa.int64(), -(2**63)),
            (pa.int64(), 2**63 - 1),
            (pa.float64(), float("nan")),
            (pa.float64(), float("inf")),
            (pa.float64(), -1e300),
            (pa.timestamp("s", "UTC"), 2**63 - 1),
            (pa.timestamp("ns", "UTC"), -(2**63) + 1),
        )
    )
    return pa.array([value] * rows, kind)


def _written(columns: list[tuple[str, pa.Array]], random: Random) -> bytes:
    schema = pa.schema([(name, array.type) for name, array in columns])
    if random.random() < 0.1:
        schema = schema.with_metadata({"k": "v" * random.choice((1, 10_000))})
    batch = pa.RecordBatch.from_arrays([array for _, array in columns], schema=schema)
    options = pa.ipc.IpcWriteOptions(
        compression=random.choice((None, None, "zstd", "lz4")),
        emit_dictionary_deltas=random.random() < 0.3,
        unify_dictionaries=random.random() < 0.3,
        allow_64bit=True,
    )
    sink = pa.BufferOutputStream()
    opened = pa.ipc.new_file if random.random() < 0.03 else pa.ipc.new_stream
    with opened(sink, schema, options=options) as writer:
        for _ in range(random.choice((1, 1, 1, 0, 2, 5))):
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def bomb(random: Random) -> tuple[bytes, str]:
    """A few kilobytes that become hundreds of megabytes, or claim to."""
    what = random.choice(sorted(BOMBS))
    return BOMBS[what](), f"bomb: {what}"


def _good(rows: int) -> list[tuple[str, pa.Array]]:
    return [
        ("id", pa.array(["i"] * rows)),
        ("model", pa.array(["m"] * rows)),
        ("input_tokens", pa.array([1] * rows, pa.uint64())),
        ("output_tokens", pa.array([1] * rows, pa.uint64())),
    ]


def _ipc(batches: list[list[tuple[str, pa.Array]]], compression: str | None = None) -> bytes:
    schema = pa.schema([(name, array.type) for name, array in batches[0]])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        for columns in batches:
            writer.write_batch(pa.RecordBatch.from_arrays([array for _, array in columns], schema=schema))
    return sink.getvalue().to_pybytes()


@cache
def _zeros(compression: str) -> bytes:
    """Eight million rows of zeros: some kilobytes compressed, a quarter of a gigabyte not."""
    nothing = pa.py_buffer(bytes(8 * BOMB_ROWS))
    zeros = pa.Array.from_buffers(pa.uint64(), BOMB_ROWS, [None, nothing])
    columns = [("input_tokens", zeros), ("output_tokens", zeros), ("cached_input_tokens", zeros), ("reasoning_tokens", zeros)]  # fmt: skip
    texts = pa.DictionaryArray.from_arrays(
        pa.Array.from_buffers(pa.int8(), BOMB_ROWS, [None, nothing]), pa.array(["a"])
    )
    return _ipc([[("id", texts), ("model", texts), *columns]], compression)


@cache
def _zeros_behind_a_negative_length(compression: str) -> bytes:
    """As above, and then a batch that is not compressed and whose buffers claim a negative length: sums go wrong."""
    body = _zeros(compression)
    plain = _ipc([_seven_rows()])
    rest = plain[len(_schema_message(plain)) :]
    return body[:-8] + rest.replace(struct.pack("<q", 7 * 8), struct.pack("<q", -(2**40)))


def _seven_rows() -> list[tuple[str, pa.Array]]:
    """In the schema of `_zeros`. A buffer of counts is 56 bytes long, and nothing else is."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 7, pa.int8()), pa.array(["a"]))
    counts = pa.array([1] * 7, pa.uint64())
    names = ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")
    return [("id", texts), ("model", texts), *((name, counts) for name in names)]


def _schema_message(body: bytes) -> bytes:
    (length,) = struct.unpack_from("<i", body, 4)
    return body[: 8 + length]


@cache
def _long_text() -> bytes:
    """3,000 rows that all refer to one text of a megabyte."""
    codes = pa.array([0] * 3_000, pa.int8())
    texts = pa.DictionaryArray.from_arrays(codes, pa.array(["z" * 1_000_000]))
    rest = [(name, array) for name, array in _good(3_000) if name != "id"]
    return _ipc([[("id", texts), *rest]])


@cache
def _null_rows() -> bytes:
    """A batch of columns without buffers that claims 2^40 rows: written with a few, then patched."""
    body = bytearray(_ipc([[(name, pa.nulls(12_345)) for name in REQUIRED]]))
    for place in range(len(body) - 8):
        if body[place : place + 8] == struct.pack("<q", 12_345):
            struct.pack_into("<q", body, place, 2**40)
    return bytes(body)


@cache
def _many_batches() -> bytes:
    """Ten thousand batches without rows."""
    return _ipc([_good(0)] * 10_000)


@cache
def _deep_type() -> bytes:
    kind = pa.string()
    for _ in range(60):
        kind = pa.list_(kind)
    return _ipc([[*_good(1), ("gpus", pa.nulls(1, kind))]])


@cache
def _dictionary_deltas() -> bytes:
    """A dictionary that is replaced with every batch."""
    batches = []
    for number in range(300):
        texts = pa.array([f"{number}-{'t' * 1_000}"] * 3).dictionary_encode()
        batches.append([("id", texts), *_good(3)[1:]])
    return _ipc(batches)


BOMBS: dict[str, Any] = {
    "zeros zstd": lambda: _zeros("zstd"),
    "zeros lz4": lambda: _zeros("lz4"),
    "zeros behind a negative length": lambda: _zeros_behind_a_negative_length("zstd"),
    "one long text": _long_text,
    "rows of nulls": _null_rows,
    "many empty batches": _many_batches,
    "a deep type": _deep_type,
    "dictionaries replaced": _dictionary_deltas,
}
