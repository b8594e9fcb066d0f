"""How large the buffers of an Arrow IPC stream become once they are decompressed, read from its metadata before anything is.

Arrow's reader decompresses a batch as a whole: 32,000 times the size was seen. The layout is that of Arrow's `Message.fbs` and
`Schema.fbs` (format version 5), as flatbuffers store tables: an offset to a table of field offsets, each 0 where a field is absent.
"""

import struct
from collections.abc import Iterator

import pyarrow as pa

RECORD_BATCH, DICTIONARY_BATCH = 3, 2  # tags of the union MessageHeader


class BrokenMessage(ValueError):
    """Offsets that point outside of the metadata, or a length that makes no sense."""


def inflated_bytes(body: bytes) -> int:
    """The sum over all messages of what their buffers claim to hold. Raises BrokenMessage or pa.ArrowInvalid.

    Also if something follows the end of the stream: it would be dropped without a word.
    """
    source = pa.BufferReader(body)
    reader = pa.ipc.MessageReader.open_stream(source)
    total = 0
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            if source.tell() != len(body):
                raise BrokenMessage("something follows the end of the stream") from None
            return total
        total += sum(_buffer_sizes(bytes(message.metadata), memoryview(message.body or b"")))


def _buffer_sizes(metadata: bytes, body: memoryview) -> Iterator[int]:
    header, kind = _header(metadata)
    if kind == DICTIONARY_BATCH:
        header = _pointer(metadata, _required(metadata, header, 1))
    elif kind != RECORD_BATCH:
        return
    compressed = _field(metadata, header, 3) is not None
    for offset, length in _buffers(metadata, header):
        if length < 0:
            raise BrokenMessage("a buffer has a negative length")
        yield _claimed(body, offset, length) if compressed and length else length


def _claimed(body: memoryview, offset: int, length: int) -> int:
    """A compressed buffer begins with its size as a signed 64-bit number; -1: it is stored as it is."""
    if length < 8 or offset < 0 or offset + length > len(body):
        raise BrokenMessage("a buffer lies outside of its message")
    (size,) = struct.unpack_from("<q", body, offset)
    if size < -1:
        raise BrokenMessage("a compressed buffer claims a negative size")
    return length if size == -1 else int(size)


def _header(metadata: bytes) -> tuple[int, int]:
    """Position of the message's header and its tag. Message: 0 version, 1 tag of the header, 2 header."""
    root = _u32(metadata, 0)
    tag = _field(metadata, root, 1)
    kind = metadata[tag] if tag is not None else 0
    return _pointer(metadata, _required(metadata, root, 2)), kind


def _buffers(metadata: bytes, batch: int) -> Iterator[tuple[int, int]]:
    """RecordBatch: 0 length, 1 nodes, 2 buffers, 3 compression. A buffer is a struct of two signed 64-bit numbers."""
    at = _field(metadata, batch, 2)
    if at is None:
        return
    start = _pointer(metadata, at)
    count = _u32(metadata, start)
    if start + 4 + 16 * count > len(metadata):
        raise BrokenMessage("the list of buffers lies outside of the metadata")
    yield from struct.iter_unpack("<qq", metadata[start + 4 : start + 4 + 16 * count])


def _required(metadata: bytes, table: int, number: int) -> int:
    at = _field(metadata, table, number)
    if at is None:
        raise BrokenMessage("a required part of the metadata is missing")
    return at


def _field(metadata: bytes, table: int, number: int) -> int | None:
    """Where field `number` of a table lies; None if it is absent."""
    vtable = table - _read(metadata, "<i", table)
    slot = 4 + 2 * number
    if slot + 2 > _read(metadata, "<H", vtable):
        return None
    offset = _read(metadata, "<H", vtable + slot)
    if offset and table + offset >= len(metadata):
        raise BrokenMessage("a field lies outside of the metadata")
    return table + offset if offset else None


def _pointer(metadata: bytes, at: int) -> int:
    return at + _u32(metadata, at)


def _u32(metadata: bytes, at: int) -> int:
    return _read(metadata, "<I", at)


def _read(metadata: bytes, form: str, at: int) -> int:
    if at < 0 or at + struct.calcsize(form) > len(metadata):
        raise BrokenMessage("an offset points outside of the metadata")
    return int(struct.unpack_from(form, metadata, at)[0])
