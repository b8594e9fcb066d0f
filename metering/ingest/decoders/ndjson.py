"""`application/x-ndjson`: one canonical event per line. Empty lines count as positions, and are skipped."""

from collections.abc import Iterator, Sequence

import msgspec

from metering.contracts import RejectReason
from metering.ingest.columns import Columnar, NotColumnar, table_of
from metering.ingest.context import Decoded
from metering.ingest.decoders.common import check_count, load, malformed
from metering.ingest.fields import FieldError
from metering.ingest.records import EVENTS, Event, values_of_events

LONGEST_LINE = 2**20  # an event within its limits is far shorter, however it is written
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(body: bytes, most: int) -> Iterator[Decoded]:
    """Each line by itself: a broken one, a truncated last one included, is refused alone."""
    lines = _lines(body, most)
    for index, line in enumerate(lines):
        if line.strip():
            yield _decode_line(index, line)


def columns(body: bytes, most: int) -> Columnar | None:
    """The lines that hold a plain canonical event as columns, the others as `rest`. None if there is none, or they do not fit."""
    events, positions, rest = _read_all(body, most) or _read_each(_lines(body, most))
    if not events:
        return None
    try:
        table, sure = table_of(values_of_events(events))
    except NotColumnar:
        return None

    def again(these: Sequence[int]) -> Iterator[Decoded]:
        lines = body.split(b"\n")
        return (_decode_line(index, lines[index]) for index in these)

    return Columnar(table, again, positions, sure, rest)


Read = tuple[list[Event], list[int] | None, list[Decoded]]


def _read_all(body: bytes, most: int) -> Read | None:
    """All lines in one go; None if any is not a plain event, or empty: then each has to be looked at."""
    lines = body.count(b"\n") + (not body.endswith(b"\n"))
    if lines > most:
        return None
    try:
        events = EVENTS.decode_lines(body)
    except UNREADABLE:
        return None
    return (events, None, []) if len(events) == lines else None


def _lines(body: bytes, most: int) -> list[bytes]:
    # Empty lines are counted first: a body of nothing else would become a list of that many.
    check_count(body.count(b"\n") // 2, most)
    lines = body.split(b"\n")
    check_count(sum(1 for line in lines if line and not line.isspace()), most)
    return lines


def _read_each(lines: list[bytes]) -> Read:
    """One bad line does not slow the others down more than this."""
    events, positions, rest = [], [], []
    for index, line in enumerate(lines):
        if not line or line.isspace():
            continue
        try:
            events.append(EVENTS.decode(line))
            positions.append(index)
        except UNREADABLE:
            rest.append(_decode_line(index, line))
    return events, positions, rest


def _decode_line(index: int, line: bytes) -> Decoded:
    if len(line) > LONGEST_LINE:
        return Decoded(
            index,
            line,
            None,
            FieldError(RejectReason.TOO_LONG, f"line {index + 1} is longer than {LONGEST_LINE} bytes"),
        )
    try:
        event = load(line)
    except ValueError as error:
        return malformed(index, line, f"line {index + 1} is not JSON: {error}")
    if not isinstance(event, dict):
        return Decoded(index, line, None, FieldError(RejectReason.WRONG_TYPE, f"line {index + 1} is not an object"))
    return Decoded(index, line, event)
