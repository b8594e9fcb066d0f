"""Bytes in and out: a growing buffer that parsers read from, and the encodings of ClickHouse's native protocol."""

import socket
import struct
from typing import Protocol

from metering.embedded.clickhouse.errors import ClientGone, Code, ProtocolError

RECEIVE_BYTES = 1 << 18


class Source(Protocol):
    """What a parser reads from: `data[position:]` is unread, `fill()` appends at least one byte or raises.

    `data` never grows past `limit` by much, and nobody waits for bytes beyond it.
    """

    position: int
    limit: int

    @property
    def data(self) -> bytes | bytearray: ...

    def fill(self) -> None: ...


def ensure(source: Source, end: int) -> None:
    """Have `data[:end]`. `end` is an index into `source.data`, in bytes. ProtocolError 131 if it lies beyond the limit."""
    if end > source.limit:
        raise ProtocolError(
            Code.TOO_LARGE, f"a packet or block of {end} bytes or more; at most {source.limit} are taken"
        )
    while len(source.data) < end:
        source.fill()


def take(source: Source, size: int) -> bytes:
    start = source.position
    ensure(source, start + size)
    source.position = start + size
    return bytes(source.data[start : source.position])


def read_byte(source: Source) -> int:
    ensure(source, source.position + 1)
    value = source.data[source.position]
    source.position += 1
    return value


def read_varint(source: Source) -> int:
    """An unsigned LEB128 number of at most 64 bits."""
    value = 0
    for shift in range(0, 70, 7):
        byte = read_byte(source)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise ProtocolError(Code.INCORRECT_DATA, "a number in the packet is longer than 64 bits")


def read_uint64(source: Source) -> int:
    return int.from_bytes(take(source, 8), "little")


def read_text(source: Source, limit: int) -> str:
    """A length-prefixed UTF-8 string of at most `limit` bytes."""
    size = read_varint(source)
    if size > limit:
        raise ProtocolError(Code.TOO_LARGE, f"a string of {size} bytes in the packet; at most {limit} are taken")
    try:
        return take(source, size).decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(Code.INCORRECT_DATA, f"a text in the packet is not UTF-8: {error.reason}") from error


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(value: str) -> bytes:
    encoded = value.encode()
    return varint(len(encoded)) + encoded


def int32(value: int) -> bytes:
    return struct.pack("<i", value)


class SocketSource:
    """Unread bytes of one client's socket. `limit` bounds what one packet may hold."""

    def __init__(self, sock: socket.socket, limit: int) -> None:
        self.data = bytearray()
        self.position = 0
        self.limit = limit
        self._sock = sock

    def fill(self) -> None:
        try:
            received = self._sock.recv(RECEIVE_BYTES)
        except (TimeoutError, OSError) as error:
            raise ClientGone(str(error)) from error
        if not received:
            raise ClientGone("the client closed the connection")
        self.data += received

    def forget_read(self) -> None:
        """Drop what was read; called between packets, so the buffer never holds more than one."""
        del self.data[: self.position]
        self.position = 0

    @property
    def unread(self) -> int:
        return len(self.data) - self.position
