"""Blocks of the native protocol: found in a byte stream without decoding their values, and framed for a client."""

from dataclasses import dataclass

from metering.embedded.clickhouse import compression, types
from metering.embedded.clickhouse.errors import Code, ProtocolError
from metering.embedded.clickhouse.wire import SocketSource, Source, read_text, read_varint, take, text, varint

MAX_BLOCK_BYTES = 512 << 20
MAX_ROWS = 20_000_000
MAX_COLUMNS = 4_096
MAX_NAME_BYTES = 65_536
# Block info: no overflow row, bucket -1. ClickHouse puts it before every block on the wire, and not in files.
INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"


@dataclass(frozen=True)
class Block:
    """`body` is the block in the Native format, as the engine reads it."""

    columns: tuple[tuple[str, str], ...]  # name, type
    rows: int
    body: bytes


def read_block(source: SocketSource, *, compressed: bool) -> Block:
    """The next block of a Data packet. NodeError 48 names a type that cannot be followed (the stream is lost then)."""
    if not compressed:
        return _parse(source)
    inflated = compression.FrameSource(source, MAX_BLOCK_BYTES)
    block = _parse(inflated)
    if inflated.position != len(inflated.data):
        raise ProtocolError(Code.INCORRECT_DATA, "bytes are left over after a block")
    return block


def _parse(source: Source) -> Block:
    _skip_info(source)
    start = source.position
    width, rows = read_varint(source), read_varint(source)
    if width > MAX_COLUMNS or rows > MAX_ROWS:
        raise ProtocolError(
            Code.TOO_LARGE, f"a block of {width} columns, {rows} rows; at most {MAX_COLUMNS}, {MAX_ROWS}"
        )
    columns = tuple(_skip_column(source, rows) for _ in range(width))
    return Block(columns, rows, bytes(source.data[start : source.position]))


def _skip_info(source: Source) -> None:
    while field := read_varint(source):
        if field > 2:
            raise ProtocolError(Code.INCORRECT_DATA, f"unknown field {field} of a block's info")
        take(source, 1 if field == 1 else 4)


def _skip_column(source: Source, rows: int) -> tuple[str, str]:
    name, type_name = read_text(source, MAX_NAME_BYTES), read_text(source, MAX_NAME_BYTES)
    _skip_data(source, type_name, rows)
    return name, type_name


def _skip_data(source: Source, type_name: str, rows: int) -> None:
    column = types.column(type_name)
    if rows:
        column.prefix(source)
        column.data(source, rows)


def header(columns: list[tuple[str, str]]) -> bytes:
    """A block without rows: the names and types of what follows, or of what an INSERT awaits."""
    return varint(len(columns)) + b"\x00" + b"".join(text(name) + text(type_name) for name, type_name in columns)


def parse_strings(body: bytes, wanted: int) -> list[list[str]]:
    """The first `wanted` columns, all String, of one block the engine itself wrote (DESCRIBE); column by column."""
    source = _Whole(body)
    width, rows = read_varint(source), read_varint(source)
    columns = []
    for _ in range(min(width, wanted)):
        read_text(source, MAX_NAME_BYTES)
        read_text(source, MAX_NAME_BYTES)
        columns.append([read_text(source, MAX_BLOCK_BYTES) for _ in range(rows)])
    return columns


def columns_of(body: bytes) -> list[tuple[str, str]]:
    """Names and types of a block's columns, as written in it. NodeError 48 if a column cannot be followed."""
    return [(name, type_name) for name, type_name, _, _ in _type_places(body)]


def retyped(body: bytes, type_names: list[str]) -> bytes:
    """The same block with other names for its columns' types, in order."""
    parts, copied = [], 0
    for (_, _, start, end), type_name in zip(_type_places(body), type_names, strict=True):
        parts += [body[copied:start], text(type_name)]
        copied = end
    return b"".join([*parts, body[copied:]])


def _type_places(body: bytes) -> list[tuple[str, str, int, int]]:
    """Name and type, and from where to where it is written (its length included), of each column."""
    source = _Whole(body)
    width, rows = read_varint(source), read_varint(source)
    places = []
    for _ in range(width):
        name = read_text(source, MAX_NAME_BYTES)
        start = source.position
        type_name = read_text(source, MAX_NAME_BYTES)
        places.append((name, type_name, start, source.position))
        _skip_data(source, type_name, rows)
    return places


@dataclass
class _Whole:
    data: bytes | bytearray
    position: int = 0
    limit: int = MAX_BLOCK_BYTES * 2

    def fill(self) -> None:
        raise ProtocolError(Code.INCORRECT_DATA, "a block ends early")
