"""Reading a request's body under limits: on its size as sent, and on its size once inflated."""

import zlib

from django.http import HttpRequest

CHUNK = 256 * 1024


class BodyTooLarge(ValueError):
    """413: longer than the limit, as sent or once inflated."""


class UnknownEncoding(ValueError):
    """415: a Content-Encoding that is not spoken here."""


class BrokenEncoding(ValueError):
    """400: not the gzip data it claims to be."""


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
    raise UnknownEncoding(f"Content-Encoding {encoding[:40]!r} is not taken: gzip or none")


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
