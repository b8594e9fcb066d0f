"""`POST /api/v1/telemetry`: samples of GPUs and engines as NDJSON, one a line, or as an Arrow stream of one kind.

What is read at once are records that keep the rules of their fields; the rest is left to telemetry_checking.py, which has the reasons.
"""

import json
from collections.abc import Callable
from functools import cached_property
from itertools import chain

import msgspec
import pyarrow as pa
from django.http import HttpRequest

from metering.ingest.context import Decoded
from metering.ingest.decoders import arrow, ndjson
from metering.ingest.decoders.arrow_columns import WrongColumn, check_columns
from metering.ingest.decoders.common import Undecodable, UnknownContentType
from metering.ingest.fields import REQUIRED
from metering.ingest.schema import LABEL
from metering.ingest.telemetry_records import ANY_RECORD, DECODER, KINDS, Record, Samples

ROWS = 5_000  # of a stream that are Python objects at once

Read = Callable[[bytes, int], Samples]
# Every column that a stream may have; its type is the same in both kinds.
COLUMNS = {"kind": LABEL} | {name: kind.schema.field(name).type for kind in KINDS.values() for name in kind.fields}


def for_telemetry(request: HttpRequest) -> Read:
    """How to read a request's body, by its content type. Raises UnknownContentType."""
    kind = (request.content_type or "").lower()
    read = BY_CONTENT_TYPE.get(kind)
    if read is None:
        raise UnknownContentType(f"Content-Type {kind[:80]!r} is not taken: one of {', '.join(BY_CONTENT_TYPE)}")
    return read


class _Lines:
    """The lines of a body, cut apart when one is asked for."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    @cached_property
    def _lines(self) -> list[bytes]:
        return self._body.split(b"\n")

    def __call__(self, position: int) -> bytes:
        return self._lines[position]


def read_lines(body: bytes, most: int) -> Samples:
    """Empty lines count as positions, and are skipped. Raises TooManyEvents."""
    records, positions, rest = ndjson.records(body, most, DECODER)
    return Samples(records, positions, rest, _Lines(body))


def read_arrow(body: bytes, most: int) -> Samples:
    """A stream whose columns are `kind`, the same in every row, and fields of it. Raises Undecodable, BodyTooLarge or TooManyEvents."""
    given = arrow.read(body, most, _check_columns)
    records: list[Record] = []
    positions: list[int] = []
    rest: list[Decoded] = []
    if given.num_rows:
        _check_kind(given)
    slices = (arrow.rows(given.slice(start, ROWS)) for start in range(0, given.num_rows, ROWS))
    for position, event in enumerate(chain.from_iterable(slices)):
        try:
            records.append(msgspec.convert(event, ANY_RECORD))
            positions.append(position)
        except msgspec.ValidationError:
            rest.append(Decoded(position, json.dumps(event).encode(), event))
    return Samples(records, positions, rest, lambda position: _json(given, position))


def _json(given: pa.Table, position: int) -> bytes:
    return next(json.dumps(event).encode() for event in arrow.rows(given.slice(position, 1)))


def _check_columns(schema: pa.Schema) -> None:
    check_columns(schema, COLUMNS, ("kind",))


def _check_kind(given: pa.Table) -> None:
    """Whether all rows are samples of one kind, and all columns fields of it. Raises Undecodable."""
    kinds = {row.get("kind", "") for row in arrow.rows(given.select(["kind"]))}
    kind = KINDS.get(kinds.pop()) if len(kinds) == 1 else None
    if kind is None:
        raise Undecodable(f"the column kind must say {' or '.join(KINDS)}, the same in every row of a stream")
    types = {"kind": LABEL} | {name: COLUMNS[name] for name in kind.fields}
    required = (name for name, rule in kind.fields.items() if rule.default is REQUIRED)
    try:
        check_columns(given.schema, types, required)
    except WrongColumn as error:
        raise Undecodable(f"samples of kind {kind.name}: {error}") from None


BY_CONTENT_TYPE: dict[str, Read] = {
    "application/x-ndjson": read_lines,
    "application/vnd.apache.arrow.stream": read_arrow,
}
