"""Columns of a batch, put together without Python code per event."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metering.ingest.context import Decoded
from metering.ingest.fields import FIELDS
from metering.ingest.records import Values
from metering.ingest.schema import CANONICAL, LABEL, STAMPED

TIME = pa.timestamp("ms", "UTC")
# fields.RFC3339 in RE2's spelling, upper case only: Arrow's parser is laxer in some ways and does not take `t` and `z`.
RFC3339 = r"\A\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\z"
# What a decoder gives; the rest follows from the request as a whole.
GIVEN: tuple[str, ...] = tuple(
    name for name in CANONICAL.names if name not in STAMPED and name not in {"time_given", "observed"}
)


class NotColumnar(Exception):
    """These events do not fit into columns without looking at each: the slow road reads them."""


@dataclass(frozen=True)
class Columnar:
    """What the fast road of a decoder made of a body.

    `table`: the columns GIVEN, canonical in type and in each field's own rule. `positions`: of its rows in the request (None: 0, 1, 2
    ...). `sure`: rows that need no second look (None: all). `again`: the events at some positions as the slow road reads them.
    `rest`: events that are not in the table.
    """

    table: pa.Table
    again: Callable[[Sequence[int]], Iterable[Decoded]]
    positions: Sequence[int] | None = None
    sure: pa.Array | None = None
    rest: Iterable[Decoded] = field(default_factory=tuple)


def table_of(values: Values) -> tuple[pa.Table, pa.Array | None]:
    """The columns GIVEN of records that msgspec has checked, and which rows are sure. Raises NotColumnar."""
    time, sure = _time(values["time"])
    columns = {name: time if name == "time" else _column(name, values[name]) for name in GIVEN}
    return pa.table(columns), sure


def _column(name: str, values: list[Any]) -> pa.Array:
    kind = CANONICAL.field(name).type
    default = FIELDS[name][1]
    if kind == LABEL:
        return labels(values, default if isinstance(default, str) else "")
    if pa.types.is_map(kind):
        return mostly_empty([list(value.items()) if value else None for value in values], kind)
    if pa.types.is_list(kind):
        return mostly_empty(values, kind)
    array = pa.array(values, kind)
    return array if pa.types.is_floating(kind) or not array.null_count else array.fill_null(default)


def labels(values: list[Any], default: str) -> pa.Array:
    """Texts, most of which are there often; None is the default."""
    first = values[0]
    if values.count(first) == len(values):
        return constant(default if first is None else first, len(values))
    return pa.array(values, pa.string()).fill_null(default).dictionary_encode()


def mostly_empty(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Lists and maps, with [] for null: null is no value of these columns."""
    if not any(values):
        offsets = pa.array(np.zeros(len(values) + 1, np.int32))
        empty = pa.nulls(0, pa.string())
        return (
            pa.MapArray.from_arrays(offsets, empty, empty)
            if pa.types.is_map(kind)
            else pa.ListArray.from_arrays(offsets, empty)
        )
    return pa.array([value or [] for value in values], kind)


def constant(text: str, rows: int) -> pa.Array:
    """A label that is the same in every row."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text], pa.string()))


def _time(values: list[Any]) -> tuple[pa.Array, pa.Array | None]:
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values), TIME), None
    try:
        if kinds == {int}:
            return pa.array(values, pa.int64()).cast(TIME), None
        if kinds == {str}:
            return _parsed(pa.array(values, pa.string()))
    except (pa.ArrowInvalid, OverflowError) as error:
        raise NotColumnar from error
    raise NotColumnar


def _parsed(texts: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Rounded down to the millisecond. What has another form than the rule's is not sure."""
    fits = pc.match_substring_regex(texts, RFC3339).fill_null(True)
    sure = None if pc.all(fits).as_py() else fits
    moments = texts.cast(pa.timestamp("ns", "UTC"))
    whole = np.floor_divide(moments.cast(pa.int64()).fill_null(0).to_numpy(), 1_000_000)
    found = pa.array(whole, pa.int64(), mask=moments.is_null().to_numpy(zero_copy_only=False))
    return found.cast(TIME), sure


def single(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """One array, whatever the number of chunks."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
