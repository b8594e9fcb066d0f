"""Bodies of any bytes in a file of the outbox: `<length><crc32><body>` each, so that one cut short by a crash is known as such."""

import struct
import zlib

_HEAD = struct.Struct(">II")


def frame(line: bytes) -> bytes:
    return _HEAD.pack(len(line), zlib.crc32(line)) + line


def parse(data: bytes) -> tuple[list[bytes], int]:
    """The whole bodies, and 1 if something is left: where one is cut short there is no telling where the next begins.

    Nothing that was acknowledged lies behind it: a body is acknowledged after an fsync of all that was written before.
    """
    found: list[bytes] = []
    at = 0
    while at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        body = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(body) != length or zlib.crc32(body) != checksum:
            return found, 1
        found.append(body)
        at += _HEAD.size + length
    return found, int(at < len(data))
