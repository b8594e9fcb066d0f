"""Reading a request's body under limits: on its size as sent, and on its size once inflated."""

import zlib

import pyarrow as pa
from django.http import HttpRequest

CHUNK = 256 * 1024


class BodyTooLarge(ValueError):
    """413: longer than the limit, as sent or once inflated."""


class UnknownEncoding(ValueError):
    """415: a Content-Encoding that is not spoken here."""


class BrokenEncoding(ValueError):
    """400: not the gzip or zstd data it claims to be."""


def read(request: HttpRequest, max_bytes: int, max_inflated: int) -> bytes:
    """The body, inflated. The first bytes over a limit end the reading."""
    sent = request.read(max_bytes + 1)
    if len(sent) > max_bytes:
        raise BodyTooLarge(f"the body is longer than {max_bytes} bytes")
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        return bytes(sent)
    if encoding in {"gzip", "x-gzip"}:
        return gunzip(sent, max_inflated)
    if encoding == "zstd":
        return unzstd(sent, max_inflated)
    raise UnknownEncoding(f"Content-Encoding {encoding[:40]!r} is not taken: gzip, zstd or none")


def unzstd(data: bytes, most: int) -> bytes:
    """All frames of a zstd stream, never more than `most` bytes (and a window of at most 128 MiB) in memory."""
    inflated = bytearray()
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            while part := memoryview(stream.read_buffer(CHUNK)):  # read() leaks its bytes when it raises
                inflated += part
                if len(inflated) > most:
                    raise BodyTooLarge(f"the body is longer than {most} bytes once inflated")
    except OSError as error:
        raise BrokenEncoding(f"the body is not valid zstd: {error}") from None
    return bytes(inflated)


def gunzip(data: bytes, most: int) -> bytes:
    """All members of a gzip stream, never more than `most` bytes in memory."""
    inflated = bytearray()
    rest = data
    while rest:
        stream = zlib.decompressobj(wbits=31)
        while not stream.eof:
            try:
                part = stream.decompress(rest, CHUNK)
            except zlib.error as error:
                raise BrokenEncoding(f"the body is not valid gzip: {error}") from None
            inflated += part
            if len(inflated) > most:
                raise BodyTooLarge(f"the body is longer than {most} bytes once inflated")
            rest = stream.unconsumed_tail
            if not part and not rest and not stream.eof:
                raise BrokenEncoding("the body is truncated gzip")
        rest = stream.unused_data
    return bytes(inflated)
