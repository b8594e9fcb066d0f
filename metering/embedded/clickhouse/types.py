"""How far a column reaches in ClickHouse's native bulk format: one skipper per type, so that blocks pass undecoded.

Supported: integers, floats, Bool, String, FixedString, UUID, IPv4/6, Date, Date32, DateTime, DateTime64, Time, Enum,
Decimal, Interval, Nullable, Array, Map, Tuple, Nested, LowCardinality, SimpleAggregateFunction, geometry. Not supported, and
refused with code 48: AggregateFunction states, JSON, Variant, Dynamic and whatever is not listed.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from metering.embedded.clickhouse.errors import Code, NodeError, ProtocolError
from metering.embedded.clickhouse.wire import Source, ensure, read_uint64

Skip = Callable[[Source, int], None]
MAX_DEPTH = 30

_WIDTHS = {
    **{f"{sign}Int{bits}": bits // 8 for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)},
    "Bool": 1, "Enum8": 1, "Enum16": 2, "Float32": 4, "Float64": 8, "BFloat16": 2, "Nothing": 1,
    "Date": 2, "Date32": 4, "DateTime": 4, "DateTime64": 8, "Time": 4, "Time64": 8,
    "UUID": 16, "IPv4": 4, "IPv6": 16, "Decimal32": 4, "Decimal64": 8, "Decimal128": 16, "Decimal256": 32,
}  # fmt: skip
_GEOMETRY = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "MultiLineString": "Array(LineString)",
    "Polygon": "Array(Ring)",
    "MultiPolygon": "Array(Polygon)",
}
_NAMED = re.compile(r"^(?:`(?:[^`\\]|\\.)*`|[A-Za-z_][\w.]*)\s+(?=[A-Z])")


class Column:
    """`prefix` reads what precedes the data of a column, `data` the data of so many rows."""

    def __init__(self, data: Skip, prefix: Callable[[Source], None] | None = None) -> None:
        self.data = data
        self.prefix = prefix or (lambda _source: None)


@lru_cache(maxsize=4096)
def column(type_name: str) -> Column:
    """The skipper of a type as ClickHouse writes it, such as `Map(LowCardinality(String), String)`. NodeError 48 if unknown."""
    return _column(type_name.strip(), 0)


def _column(name: str, depth: int) -> Column:
    if depth > MAX_DEPTH:
        raise NodeError(Code.NOT_IMPLEMENTED, "a type nested too deeply for the embedded ClickHouse")
    family, arguments = _split(name)
    if family in _WIDTHS:
        return _fixed(_WIDTHS[family])
    if family in _GEOMETRY:
        return _column(_GEOMETRY[family], depth + 1)
    if family.startswith("Interval"):
        return _fixed(8)
    builder = _BUILDERS.get(family)
    found = builder(arguments, depth + 1) if builder is not None else None
    if found is None:
        raise NodeError(Code.NOT_IMPLEMENTED, f"the embedded ClickHouse takes no values of type {name} over the wire")
    return found


def _split(name: str) -> tuple[str, list[str]]:
    """`Map(String, Array(UInt8))` -> ("Map", ["String", "Array(UInt8)"])."""
    if not name.endswith(")"):
        return name, []
    family, _, rest = name.partition("(")
    return family.strip(), _arguments(rest[:-1])


def _arguments(inside: str) -> list[str]:
    parts, depth, start, quote, position = [], 0, 0, "", 0
    while position < len(inside):
        char = inside[position]
        if quote:
            if char == "\\":
                position += 1
            elif char == quote:
                quote = ""
        elif char in "'`":
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "," and depth == 0:
            parts.append(inside[start:position].strip())
            start = position + 1
        position += 1
    return [*parts, inside[start:].strip()]


def _unnamed(part: str) -> str:
    """An element of a Tuple may have a name before its type: `amount Decimal(18, 6)`."""
    return _NAMED.sub("", part, count=1)


def _without_nullable(of: str) -> str:
    family, arguments = _split(of)
    return arguments[0] if family == "Nullable" and len(arguments) == 1 else of


def _decimal_width(precision: int) -> int:
    return next((width for digits, width in ((9, 4), (18, 8), (38, 16)) if precision <= digits), 32)


def _fixed(width: int) -> Column:
    return Column(lambda source, rows: _advance(source, width * rows))


def _advance(source: Source, size: int) -> None:
    ensure(source, source.position + size)
    source.position += size


def skip_strings(source: Source, rows: int) -> None:
    """Pass over `rows` length-prefixed strings. The loop is the hot spot of an insert: it stays flat on purpose."""
    data, position, left = source.data, source.position, rows
    while left:
        try:
            while left:
                size = data[position]
                position = position + 1 + size if size < 0x80 else _after_long_string(data, position)
                left -= 1
        except IndexError:
            source.fill()
            ensure(source, position + 1)
    ensure(source, position)
    source.position = position


def _after_long_string(data: bytes | bytearray, position: int) -> int:
    size, shift = 0, 0
    while True:
        byte = data[position]
        position += 1
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return position + size
        shift += 7
        if shift > 63:
            raise ProtocolError(Code.INCORRECT_DATA, "the length of a string is longer than 64 bits")


def _nullable(inner: Column) -> Column:
    def data(source: Source, rows: int) -> None:
        _advance(source, rows)
        inner.data(source, rows)

    return Column(data, inner.prefix)


def _array(inner: list[Column]) -> Column:
    def data(source: Source, rows: int) -> None:
        _advance(source, 8 * rows)
        total = int.from_bytes(source.data[source.position - 8 : source.position], "little") if rows else 0
        for part in inner:
            part.data(source, total)

    return Column(data, _prefixes(inner))


def _tuple(inner: list[Column]) -> Column:
    def data(source: Source, rows: int) -> None:
        for part in inner:
            part.data(source, rows)

    return Column(data, _prefixes(inner))


def _prefixes(inner: list[Column]) -> Callable[[Source], None]:
    def prefix(source: Source) -> None:
        for part in inner:
            part.prefix(source)

    return prefix


_KEY_WIDTH, _GLOBAL_DICTIONARY, _ADDITIONAL_KEYS = 0xFF, 1 << 8, 1 << 9


def _low_cardinality(dictionary: Column) -> Column:
    def prefix(source: Source) -> None:
        if read_uint64(source) != 1:
            raise ProtocolError(Code.INCORRECT_DATA, "unknown version of a LowCardinality column")

    def data(source: Source, rows: int) -> None:
        if rows == 0:
            return
        flags = read_uint64(source)
        width = flags & _KEY_WIDTH
        if width > 3 or flags & _GLOBAL_DICTIONARY or not flags & _ADDITIONAL_KEYS:
            raise ProtocolError(Code.INCORRECT_DATA, f"unsupported layout {flags:#x} of a LowCardinality column")
        dictionary.data(source, read_uint64(source))
        if read_uint64(source) != rows:
            raise ProtocolError(
                Code.INCORRECT_DATA, "a LowCardinality column with another number of rows than its block"
            )
        _advance(source, rows << width)

    return Column(data, prefix)


def _from_width(width: Callable[[int], int]) -> "Builder":
    return lambda arguments, _: _fixed(width(int(arguments[0]))) if arguments and arguments[0].isdecimal() else None


def _from_one(build: Callable[[Column], Column], strip: Callable[[str], str] = str) -> "Builder":
    return lambda arguments, depth: build(_column(strip(arguments[0]), depth)) if len(arguments) == 1 else None


def _from_parts(build: Callable[[list[Column]], Column]) -> "Builder":
    return lambda arguments, depth: build([_column(_unnamed(part), depth) for part in arguments]) if arguments else None


Builder = Callable[[list[str], int], Column | None]  # arguments, depth -> None for arguments that do not fit
_BUILDERS: dict[str, Builder] = {
    "String": lambda arguments, _: None if arguments else Column(skip_strings),
    "FixedString": _from_width(int),
    "Decimal": _from_width(_decimal_width),
    "Nullable": _from_one(_nullable),
    "Array": _from_one(lambda of: _array([of])),
    "LowCardinality": _from_one(_low_cardinality, _without_nullable),
    "Map": _from_parts(_array),
    "Nested": _from_parts(_array),
    "Tuple": _from_parts(_tuple),
    "SimpleAggregateFunction": lambda arguments, depth: _column(arguments[1], depth) if len(arguments) == 2 else None,
}
