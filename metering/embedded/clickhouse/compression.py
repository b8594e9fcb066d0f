"""Compressed frames of the native protocol: CityHash128 checksum, method, two sizes, payload. LZ4 and none."""

from collections.abc import Iterator

from clickhouse_cityhash.cityhash import CityHash128
from lz4 import block as lz4_block

from metering.embedded.clickhouse.errors import Code, ProtocolError
from metering.embedded.clickhouse.wire import Source, take

METHOD_NONE = 0x02
METHOD_LZ4 = 0x82
HEADER_BYTES = 9  # method, compressed size with this header, size when inflated
FRAME_BYTES = 1 << 20


def read_frame(source: Source, limit: int) -> bytes:
    """The inflated payload of the next frame, at most `limit` bytes. Raises ProtocolError for a frame that lies."""
    checksum = take(source, 16)
    header = take(source, HEADER_BYTES)
    size = int.from_bytes(header[1:5], "little") - HEADER_BYTES
    inflated = int.from_bytes(header[5:9], "little")
    if size < 0 or max(size, inflated) > limit:
        raise ProtocolError(Code.TOO_LARGE, f"a compressed frame of {size} bytes, {inflated} inflated; at most {limit}")
    payload = take(source, size)
    if _checksum(header + payload) != checksum:
        raise ProtocolError(Code.CHECKSUM_MISMATCH, "Checksum doesn't match: corrupted data")
    return _inflate(header[0], payload, inflated)


def _inflate(method: int, payload: bytes, size: int) -> bytes:
    if method == METHOD_NONE and len(payload) == size:
        return payload
    if method != METHOD_LZ4:
        raise ProtocolError(Code.UNKNOWN_COMPRESSION, f"compression method {method:#x}: only LZ4 is supported")
    try:
        data: bytes = lz4_block.decompress(payload, uncompressed_size=size)
    except lz4_block.LZ4BlockError as error:
        raise ProtocolError(Code.INCORRECT_DATA, f"Cannot decompress: {error}") from error
    if len(data) != size:
        raise ProtocolError(Code.INCORRECT_DATA, f"a frame inflates to {len(data)} bytes; it says {size}")
    return data


def frames(data: bytes) -> Iterator[bytes]:
    """`data` as LZ4 frames of at most FRAME_BYTES each."""
    return (_frame(data[start : start + FRAME_BYTES]) for start in range(0, len(data), FRAME_BYTES))


def _frame(data: bytes) -> bytes:
    payload: bytes = lz4_block.compress(data, store_size=False)
    sizes = (len(payload) + HEADER_BYTES).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    body = bytes([METHOD_LZ4]) + sizes + payload
    return _checksum(body) + body


def _checksum(data: bytes) -> bytes:
    """The two halves in the order in which ClickHouse writes them, each little-endian."""
    both: int = CityHash128(data)
    return (both >> 64).to_bytes(8, "little") + (both & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "little")


class FrameSource:
    """One block's bytes, inflated from the frames that hold it. `limit` bounds the block, in bytes."""

    def __init__(self, frames_in: Source, limit: int) -> None:
        self.data = bytearray()
        self.position = 0
        self._frames = frames_in
        self.limit = limit

    def fill(self) -> None:
        inflated = read_frame(self._frames, self.limit)
        if not inflated:
            raise ProtocolError(Code.INCORRECT_DATA, "an empty compressed frame")
        self.data += inflated
