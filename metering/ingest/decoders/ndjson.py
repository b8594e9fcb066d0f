"""`application/x-ndjson`: one canonical event per line. Empty lines count as positions, and are skipped."""

from collections.abc import Iterator

from metering.contracts import RejectReason
from metering.ingest.checking import Decoded
from metering.ingest.decoders.common import check_count, load, malformed
from metering.ingest.fields import FieldError


def decode(body: bytes, most: int) -> Iterator[Decoded]:
    """Each line by itself: a broken one, a truncated last one included, is refused alone."""
    lines = body.split(b"\n")
    check_count(sum(1 for line in lines if line.strip()), most)
    for index, line in enumerate(lines):
        if line.strip():
            yield _decode_line(index, line)


def _decode_line(index: int, line: bytes) -> Decoded:
    try:
        event = load(line)
    except ValueError as error:
        return malformed(index, line, f"line {index + 1} is not JSON: {error}")
    if not isinstance(event, dict):
        return Decoded(index, line, None, FieldError(RejectReason.WRONG_TYPE, f"line {index + 1} is not an object"))
    return Decoded(index, line, event)
