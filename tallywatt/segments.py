"""The file format of a batch on disk: a line per event, `<crc32 in hex> <json>`, so that a line cut short by a crash is known as such."""

import zlib
from typing import Protocol


class Framing(Protocol):
    """How records lie in a file. This module is one: for records without line breaks."""

    def frame(self, line: bytes) -> bytes: ...

    def parse(self, data: bytes) -> tuple[list[bytes], int]: ...


def frame(line: bytes) -> bytes:
    return b"%08x %b\n" % (zlib.crc32(line), line)


def parse(data: bytes) -> tuple[list[bytes], int]:
    """The whole lines, and how many are not: cut short, or never written by a disk that lost power."""
    *ended, rest = data.split(b"\n")
    found = [framed[9:] for framed in ended if _is_whole(framed)]
    return found, len(ended) - len(found) + bool(rest)


def _is_whole(framed: bytes) -> bool:
    return len(framed) > 9 and framed[:9] == b"%08x " % zlib.crc32(framed[9:])
