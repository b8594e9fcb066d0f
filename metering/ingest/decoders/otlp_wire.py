"""The parts of a protobuf message, cut apart without parsing what is inside them.

protobuf's own parser builds the whole tree at once: a body of empty messages becomes 28 times its size in memory (measured). So a
request is walked down to its spans or data points here, their number is limited on the way, and each is then parsed by itself.
"""

from collections.abc import Iterator

from metering.ingest.decoders.common import TooManyEvents, Undecodable

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5  # wire types; the groups of protobuf 2 are not in OTLP
LONGEST_VARINT = 10


class Budget:
    """How many fields may still be walked over in one request, whatever they are."""

    def __init__(self, most: int) -> None:
        self.most = self.left = most

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooManyEvents(f"the request has more than {self.most} parts")


def fields(data: memoryview, budget: Budget) -> Iterator[tuple[int, int, memoryview]]:
    """Number, wire type and bytes of every field: of a nested message its content, of anything else tag and value as they are.

    Raises Undecodable where the bytes are no protobuf message.
    """
    at, end = 0, len(data)
    while at < end:
        budget.spend()
        start = at
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise Undecodable("the body is not protobuf: a field has the number 0")
        begin, at = _extent(data, at, kind)
        if at > end:
            raise Undecodable("the body is not protobuf: a field is longer than what it lies in")
        yield number, kind, data[begin:at] if kind == LENGTH_DELIMITED else data[start:at]


def _extent(data: memoryview, at: int, kind: int) -> tuple[int, int]:
    """Where the content of a field begins and ends."""
    if kind == LENGTH_DELIMITED:
        length, begin = _varint(data, at)
        return begin, begin + length
    if kind == VARINT:
        return at, _varint(data, at)[1]
    if kind == FIXED64:
        return at, at + 8
    if kind == FIXED32:
        return at, at + 4
    raise Undecodable(f"the body is not protobuf: there is no wire type {kind}")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where the next field begins."""
    value = 0
    for shift in range(LONGEST_VARINT):
        if at + shift >= len(data):
            raise Undecodable("the body is not protobuf: it ends inside a number")
        byte = data[at + shift]
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, at + shift + 1
    raise Undecodable("the body is not protobuf: a number has more than ten bytes")
