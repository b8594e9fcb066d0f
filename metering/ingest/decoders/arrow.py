"""`application/vnd.apache.arrow.stream`: an IPC stream whose columns are canonical fields. No Python object per event.

Columns may be left out, except the required ones. Text is string or dictionary-encoded, counts are any integer type, latencies any
number, `time` is a timestamp with a zone or int64 milliseconds; see arrow_columns.py. Buffers may be compressed (lz4, zstd).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from django.conf import settings

from metering.ingest.bodies import BodyTooLarge
from metering.ingest.columns import GIVEN, Columnar
from metering.ingest.context import Decoded
from metering.ingest.decoders.arrow_columns import WrongColumn, check_types, normalised
from metering.ingest.decoders.arrow_sizes import BrokenMessage, inflated_bytes
from metering.ingest.decoders.common import Undecodable, check_count

MS_PER = {"s": 1000, "ms": 1, "us": 1, "ns": 1}
PER_MS = {"s": 1, "ms": 1, "us": 1000, "ns": 1_000_000}
LONGEST_SHOWN = 300  # characters of a text that rows refer to; every field takes fewer
END = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # the end-of-stream mark


def columns(body: bytes, most: int) -> Columnar | None:
    """None for a stream without rows."""
    given = read(body, most, check_types)
    if not given.num_rows:
        return None
    try:
        table, sure = normalised(given)
    except pa.ArrowException:  # a value that no canonical type can hold: the slow road says which
        return None

    def again(these: Sequence[int]) -> Iterator[Decoded]:
        return _rows(given.take(these), these)

    return Columnar(table.select(GIVEN), again, sure=sure)


def decode(body: bytes, most: int) -> Iterator[Decoded]:
    """Event by event, as checking.py wants to see those that it must give a reason for."""
    given = read(body, most, check_types)
    return _rows(given, range(given.num_rows))


def read(body: bytes, most: int, check: Callable[[pa.Schema], None]) -> pa.Table:
    """The whole stream, fully validated; `check` raises WrongColumn. Raises Undecodable, BodyTooLarge or TooManyEvents."""
    if not body.endswith(END):
        raise Undecodable("the Arrow stream does not end with the end-of-stream mark: it may be truncated")
    try:
        if inflated_bytes(body) > settings.INGEST_MAX_INFLATED_BYTES:
            raise BodyTooLarge(f"the Arrow buffers hold more than {settings.INGEST_MAX_INFLATED_BYTES} bytes")
        with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
            check(reader.schema)
            batches = list(_batches(reader, most))
            table = pa.Table.from_batches(batches, reader.schema)
            table.validate(full=True)
            return table
    except WrongColumn as error:
        raise Undecodable(str(error)) from None
    except (pa.ArrowException, BrokenMessage, OSError, UnicodeDecodeError) as error:
        raise Undecodable(f"the body is not a sound Arrow IPC stream: {str(error)[:300]}") from None


def _batches(reader: pa.RecordBatchReader, most: int) -> Iterator[pa.RecordBatch]:
    rows = 0
    for batch in reader:
        rows += batch.num_rows
        check_count(rows, most)
        yield batch


def _rows(given: pa.Table, positions: Sequence[int]) -> Iterator[Decoded]:
    """As the slow road reads them; `positions` are theirs in the request."""
    for position, event in zip(positions, rows(given), strict=True):
        yield Decoded(position, json.dumps(event).encode(), event)


def rows(given: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows as JSON would have them, null fields left out."""
    columns = {name: _plain(given[name]) for name in given.column_names}
    for row in range(given.num_rows):
        yield {name: values[row] for name, values in columns.items() if values[row] is not None}


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Moments become milliseconds, rounded down; maps become objects."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        per = MS_PER[kind.unit], PER_MS[kind.unit]
        counts = column.cast(pa.int64()).to_pylist()
        return [None if count is None else count * per[0] // per[1] for count in counts]
    if pa.types.is_dictionary(kind):
        return [text for chunk in column.chunks for text in _referred(chunk)]
    values = column.to_pylist()
    return [None if value is None else dict(value) for value in values] if pa.types.is_map(kind) else list(values)


def _referred(column: pa.DictionaryArray) -> list[Any]:
    """One Python object per text, not per row, and none much longer than any field takes: a text may be referred to very often.

    None for a text that no row refers to: a dictionary may hold millions of them.
    """
    used = pc.unique(column.indices).drop_null()
    texts = pc.utf8_slice_codeunits(column.dictionary.take(used).cast(pa.string()), 0, LONGEST_SHOWN)
    by_code = dict(zip(used.to_pylist(), texts.to_pylist(), strict=True))
    return [by_code.get(code) for code in column.indices.to_pylist()]
