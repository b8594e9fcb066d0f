"""`application/x-ndjson`: one canonical event per line. Empty lines count as positions, and are skipped."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from metering.contracts import RejectReason
from metering.ingest.columns import Columnar, NotColumnar, table_of
from metering.ingest.context import Decoded
from metering.ingest.decoders.common import check_count, load, malformed
from metering.ingest.fields import FieldError
from metering.ingest.records import EVENTS, values_of_events

LONGEST_LINE = 2**20  # an event within its limits is far shorter, however it is written
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
T = TypeVar("T")


def decode(body: bytes, most: int) -> Iterator[Decoded]:
    """Each line by itself: a broken one, a truncated last one included, is refused alone."""
    lines = _lines(body, most)
    for index, line in enumerate(lines):
        if line.strip():
            yield decode_line(index, line)


def columns(body: bytes, most: int) -> Columnar | None:
    """The lines that hold a plain canonical event as columns, the others as `rest`. None if there is none, or they do not fit."""
    events, positions, rest = records(body, most, EVENTS)
    if not events:
        return None
    try:
        table, sure = table_of(values_of_events(events))
    except NotColumnar:
        return None

    def again(these: Sequence[int]) -> Iterator[Decoded]:
        lines = body.split(b"\n")
        return (decode_line(index, lines[index]) for index in these)

    return Columnar(table, again, positions, sure, rest)


def records(
    body: bytes, most: int, decoder: msgspec.json.Decoder[T]
) -> tuple[list[T], list[int] | None, list[Decoded]]:
    """The lines that hold what `decoder` takes, their positions (None: 0, 1, 2 ...), and the other lines as they are."""
    return _read_all(body, most, decoder) or _read_each(_lines(body, most), decoder)


def _read_all(
    body: bytes, most: int, decoder: msgspec.json.Decoder[T]
) -> tuple[list[T], list[int] | None, list[Decoded]] | None:
    """All lines in one go; None if any is not what is taken, or empty: then each has to be looked at."""
    lines = body.count(b"\n") + (not body.endswith(b"\n"))
    if lines > most:
        return None
    try:
        events = decoder.decode_lines(body)
    except UNREADABLE:
        return None
    return (events, None, []) if len(events) == lines else None


def _lines(body: bytes, most: int) -> list[bytes]:
    # Empty lines are counted first: a body of nothing else would become a list of that many.
    check_count(body.count(b"\n") // 2, most)
    lines = body.split(b"\n")
    check_count(sum(1 for line in lines if line and not line.isspace()), most)
    return lines


def _read_each(lines: list[bytes], decoder: msgspec.json.Decoder[T]) -> tuple[list[T], list[int] | None, list[Decoded]]:
    """One bad line does not slow the others down more than this."""
    events: list[T] = []
    positions: list[int] = []
    rest: list[Decoded] = []
    for index, line in enumerate(lines):
        if not line or line.isspace():
            continue
        try:
            events.append(decoder.decode(line))
            positions.append(index)
        except UNREADABLE:
            rest.append(decode_line(index, line))
    return events, positions, rest


def decode_line(index: int, line: bytes) -> Decoded:
    """A line that is not known to be anything yet."""
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
