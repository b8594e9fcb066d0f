"""OTLP in protobuf, spliced: attributes are added to every resource of a request without anything in it being parsed.

Of a request (`ExportTraceServiceRequest`) only the lengths of its `ResourceSpans` (field 1) are read. Each gets a further `resource` field
(1) before and after what it has: in protobuf, a message field that comes several times is merged, and repeated fields in it
(`Resource.attributes`) are put one after the other in the order of the bytes (protobuf.dev/programming-guides/encoding/#last-one-wins).
"""

from collections.abc import Iterator, Mapping, Sequence

_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
# Field numbers of OTLP's messages (opentelemetry-proto: trace_service, trace, resource, common).
_RESOURCE_SPANS = 1
_RESOURCE = 1
_ATTRIBUTES = 1
_KEY, _VALUE = 1, 2
_STRING_VALUE, _ARRAY_VALUE = 1, 5
_VALUES = 1
_PARTIAL_SUCCESS, _REJECTED, _ERROR_MESSAGE = 1, 1, 2

Attributes = Mapping[str, str | Sequence[str]]


class NotProtobuf(ValueError):
    """The bytes are not a protobuf message."""


def resource(attributes: Attributes) -> bytes:
    """A `resource` field of ResourceSpans with these attributes; empty if there are none."""
    if not attributes:
        return b""
    pairs = b"".join(
        _field(_ATTRIBUTES, _field(_KEY, name.encode()) + _field(_VALUE, _any(value)))
        for name, value in attributes.items()
    )
    return _field(_RESOURCE, pairs)


def stamped(request: bytes, before: bytes, after: bytes) -> bytes:
    """The request with `before` and `after`, fields of ResourceSpans, around the content of each. Raises NotProtobuf."""
    found: list[bytes | memoryview] = []
    view = memoryview(request)
    for number, kind, start, begin, end in _fields(request):
        if number == _RESOURCE_SPANS and kind == _LENGTH_DELIMITED:
            length = len(before) + (end - begin) + len(after)
            found += (_tag(number), _varint(length), before, view[begin:end], after)
        else:
            found.append(view[start:end])
    return b"".join(found)


def partial_success(response: bytes) -> str:
    """What an ExportTraceServiceResponse says of spans that were refused; empty if nothing was."""
    for number, kind, _, begin, end in _fields(response):
        if number == _PARTIAL_SUCCESS and kind == _LENGTH_DELIMITED and end > begin:
            return _said(response[begin:end])
    return ""


def _said(partial: bytes) -> str:
    count, message = 0, ""
    for number, kind, _, begin, end in _fields(partial):
        if number == _REJECTED and kind == _VARINT:
            count = _read_varint(partial, begin)[0]
        elif number == _ERROR_MESSAGE and kind == _LENGTH_DELIMITED:
            message = partial[begin:end].decode(errors="replace")
    return f"{count} spans were refused: {message}" if count else message


def _any(value: str | Sequence[str]) -> bytes:
    if isinstance(value, str):
        return _field(_STRING_VALUE, value.encode())
    return _field(_ARRAY_VALUE, b"".join(_field(_VALUES, _any(item)) for item in value))


def _field(number: int, content: bytes) -> bytes:
    return _tag(number) + _varint(len(content)) + content


def _tag(number: int) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _fields(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Number, wire type, and where each field, its content and the next field begin. Raises NotProtobuf."""
    at = 0
    while at < len(data):
        start = at
        tag, at = _read_varint(data, at)
        begin, at = _extent(data, at, tag & 7)
        if at > len(data) or tag >> 3 == 0:
            raise NotProtobuf("the body is not protobuf: a field is longer than the body, or has no number")
        yield tag >> 3, tag & 7, start, begin, at


def _extent(data: bytes, at: int, kind: int) -> tuple[int, int]:
    if kind == _LENGTH_DELIMITED:
        length, begin = _read_varint(data, at)
        return begin, begin + length
    if kind == _VARINT:
        return at, _read_varint(data, at)[1]
    if kind in {_FIXED64, _FIXED32}:
        return at, at + (8 if kind == _FIXED64 else 4)
    raise NotProtobuf(f"the body is not protobuf: there is no wire type {kind}")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where the next field begins."""
    value = 0
    for shift in range(_LONGEST_VARINT):
        if at + shift >= len(data):
            break
        byte = data[at + shift]
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, at + shift + 1
    raise NotProtobuf("the body is not protobuf: it ends inside a number, or a number is too long")
