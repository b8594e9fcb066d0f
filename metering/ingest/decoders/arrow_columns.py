"""From the columns of an Arrow stream, as a sender likes to have them, to the canonical ones.

Values that break the rule of their field are marked, not refused: checking.py finds the reason for each. What is put into the canonical
column in their place is never used.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metering.ingest.columns import GIVEN, TIME, constant, single
from metering.ingest.fields import (
    FIELDS,
    LONGEST_ATTRIBUTE,
    LONGEST_LATENCY_MS,
    MOST_ATTRIBUTES,
    MOST_GPUS,
    MOST_TOKENS,
    REQUIRED,
    TEXTS,
    Limits,
)
from metering.ingest.schema import CANONICAL, LABEL

Mask = npt.NDArray[np.bool_]
Found = tuple[pa.Array, Mask]  # a canonical column, and which of its values hold


class WrongColumn(ValueError):
    """A column that is no field, is there twice, is missing, or has a type that its field cannot have."""


REQUIRED_COLUMNS = tuple(name for name, (_, default) in FIELDS.items() if default is REQUIRED)


def check_types(schema: pa.Schema) -> None:
    """Whether a stream may hold events. Raises WrongColumn."""
    check_columns(schema, {name: CANONICAL.field(name).type for name in FIELDS}, REQUIRED_COLUMNS)


def check_columns(schema: pa.Schema, wanted: Mapping[str, pa.DataType], required: Iterable[str]) -> None:
    """Raises WrongColumn. Nothing of a stream is read before its types are known to be harmless."""
    for name in schema.names:
        if name not in wanted:
            raise WrongColumn(f"there is no field {name[:128]!r}")
        if schema.names.count(name) > 1:
            raise WrongColumn(f"the column {name} is there twice")
        kind = schema.field(name).type
        if not _type_fits(wanted[name], kind):
            raise WrongColumn(f"the column {name} has the type {kind}, expected {_expected(wanted[name])}")
    for name in required:
        if name not in schema.names:
            raise WrongColumn(f"the column {name} is required")


def normalised(given: pa.Table) -> tuple[pa.Table, pa.Array | None]:
    """The canonical columns, and which rows hold in every field by itself (None: all)."""
    rows = given.num_rows
    holds = np.ones(rows, bool)
    columns = {}
    for name in GIVEN:
        column = single(given[name]) if name in given.column_names else None
        if column is None or column.null_count == rows:
            columns[name] = _absent(name, rows)
            holds &= FIELDS[name][1] is not REQUIRED
        else:
            columns[name], fits = _normaliser(name)(name, column)
            holds &= fits
    return pa.table(columns), None if holds.all() else pa.array(holds)


def _absent(name: str, rows: int) -> pa.Array:
    kind, default = CANONICAL.field(name).type, FIELDS[name][1]
    if kind == LABEL:
        return constant(default if isinstance(default, str) else "", rows)
    if default is REQUIRED:  # these rows do not hold; the columns have no nulls all the same
        default = "" if pa.types.is_string(kind) else 0
    return pa.array([default], kind).take(pa.array(np.zeros(rows, np.int8)))


def _normaliser(name: str) -> Callable[[str, pa.Array], Found]:
    kind = CANONICAL.field(name).type
    if kind == LABEL:
        return _label
    if pa.types.is_string(kind):
        return _text
    if pa.types.is_integer(kind):
        return _count
    if pa.types.is_floating(kind):
        return _latency
    if pa.types.is_timestamp(kind):
        return _time
    return {"gpus": _gpus, "attributes": _attributes, "stream": _flag}[name]


def _label(name: str, column: pa.Array) -> Found:
    default = FIELDS[name][1]
    codes, texts, holds = _dictionary(name, column)
    if codes.null_count:
        if default is REQUIRED:
            holds &= codes.is_valid().to_numpy(zero_copy_only=False)
        texts = pa.concat_arrays([texts, pa.array([default if isinstance(default, str) else ""], texts.type)])
        codes = codes.fill_null(len(texts) - 1)
    return pa.DictionaryArray.from_arrays(codes, texts), holds


def _text(name: str, column: pa.Array) -> Found:
    if pa.types.is_dictionary(column.type):  # too long a text would be repeated as often as it is referred to
        codes, texts, holds = _dictionary(name, column)
        column = pc.if_else(_fits(texts, _limits(name)), texts, "").take(codes)
    else:
        column = column.cast(pa.string())
        holds = _fits(column, _limits(name)).fill_null(True).to_numpy(zero_copy_only=False)
    if column.null_count:
        if FIELDS[name][1] is REQUIRED:
            holds = holds & column.is_valid().to_numpy(zero_copy_only=False)
        column = column.fill_null("")
    return column, holds


def _dictionary(name: str, column: pa.Array) -> tuple[pa.Array, pa.Array, Mask]:
    """Codes (int32, null where the value is), texts, and per row whether its text is within the limits."""
    encoded = column if pa.types.is_dictionary(column.type) else column.cast(pa.string()).dictionary_encode()
    texts = encoded.dictionary.cast(pa.string())
    codes = encoded.indices.cast(pa.int32())
    if texts.null_count:  # a null may hide behind a code, too
        codes = pc.if_else(texts.is_valid().take(codes), codes, pa.scalar(None, pa.int32()))
        texts = texts.fill_null("")
    fits = _fits(texts, _limits(name)).to_numpy(zero_copy_only=False)
    if fits.all():
        return codes, texts, np.ones(len(codes), bool)
    there = codes.is_valid().to_numpy(zero_copy_only=False)
    return codes, texts, ~there | fits[codes.fill_null(0).to_numpy()]


def _limits(name: str) -> Limits:
    return TEXTS.get(name, Limits(least=1))  # tenant: its names are looked up later


def _fits(texts: pa.Array, limits: Limits) -> pa.Array:
    if limits.choices:
        return pc.is_in(texts, pa.array(limits.choices))
    length = pc.utf8_length(texts)
    return pc.and_(pc.less_equal(length, limits.longest), pc.greater_equal(length, limits.least))


def _count(name: str, column: pa.Array) -> Found:
    default = FIELDS[name][1]
    fits = pc.and_(pc.greater_equal(column, 0), pc.less_equal(column.cast(pa.uint64(), safe=False), MOST_TOKENS))
    holds = fits.fill_null(default is not REQUIRED).to_numpy(zero_copy_only=False)
    return column.cast(pa.uint64(), safe=False).fill_null(0), holds


def _latency(name: str, column: pa.Array) -> Found:
    wide = column.cast(pa.float64(), safe=False)
    fits = pc.and_(pc.greater_equal(wide, 0.0), pc.less_equal(wide, LONGEST_LATENCY_MS))  # false for NaN
    return wide.cast(pa.float32(), safe=False), fits.fill_null(True).to_numpy(zero_copy_only=False)


def _time(name: str, column: pa.Array) -> Found:
    """Rounded down to the millisecond. What int64 cannot hold in ms lies outside of every window, clipped or not."""
    count = column.cast(pa.int64())
    numbers, missing = count.fill_null(0).to_numpy(), count.is_null().to_numpy(zero_copy_only=False)
    unit = column.type.unit if pa.types.is_timestamp(column.type) else "ms"
    if unit == "s":
        numbers = np.clip(numbers, -(2**50), 2**50) * 1000
    elif unit != "ms":
        numbers = np.floor_divide(numbers, {"us": 1000, "ns": 1_000_000}[unit])
    return pa.array(numbers, pa.int64(), mask=missing).cast(TIME), np.ones(len(column), bool)


def _flag(name: str, column: pa.Array) -> Found:
    return column.fill_null(False), np.ones(len(column), bool)


def _gpus(name: str, column: pa.Array) -> Found:
    column = column.cast(CANONICAL.field(name).type)
    lengths = pc.list_value_length(column).fill_null(0)
    holds = pc.less_equal(lengths, MOST_GPUS).to_numpy(zero_copy_only=False)
    return _filled(column), holds & _items_fit(column, column.flatten(), 128)


def _attributes(name: str, column: pa.Array) -> Found:
    column = column.cast(CANONICAL.field(name).type)
    lengths = pc.list_value_length(_as_list(column, column.items)).fill_null(0)
    holds = pc.less_equal(lengths, MOST_ATTRIBUTES).to_numpy(zero_copy_only=False)
    return _filled(column), holds & _entries_fit(column) & _names_differ(_as_list(column, column.keys))


def _names_differ(keys: pa.Array) -> Mask:
    """Per row. Where a name is there twice the slow road takes the last, as JSON does."""
    codes = keys.flatten().dictionary_encode()
    rows = pc.list_parent_indices(keys).to_numpy()
    pairs = rows.astype(np.int64) * (len(codes.dictionary) + 1) + codes.indices.fill_null(0).to_numpy()
    distinct, first = np.unique(pairs, return_index=True)
    differ = np.ones(len(keys), bool)
    if len(distinct) < len(pairs):
        differ[np.delete(rows, first)] = False
    return differ


def _entries_fit(column: pa.Array) -> Mask:
    keys, items = _as_list(column, column.keys), _as_list(column, column.items)
    fits: Mask = _items_fit(keys, keys.flatten(), 128) & _items_fit(items, items.flatten(), LONGEST_ATTRIBUTE)
    return fits


def _as_list(column: pa.Array, values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(column.offsets, values)


def _items_fit(column: pa.Array, items: pa.Array, longest: int) -> Mask:
    """Per row: no item is null or too long."""
    fits = pc.less_equal(pc.utf8_length(items), longest).fill_null(False).to_numpy(zero_copy_only=False)
    holds = np.ones(len(column), bool)
    if not fits.all():
        holds[pc.list_parent_indices(column).to_numpy()[~fits]] = False
    return holds


def _filled(column: pa.Array) -> pa.Array:
    """Lists and maps are never null, only empty."""
    return column if not column.null_count else pa.array([value or [] for value in column.to_pylist()], column.type)


def _type_fits(wanted: pa.DataType, kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_null(kind) or kind == wanted:
        return True
    if wanted == LABEL or types.is_string(wanted):
        return _is_text(kind.value_type if types.is_dictionary(kind) else kind)
    if types.is_integer(wanted) or types.is_floating(wanted):
        return bool(types.is_integer(kind) or (types.is_floating(wanted) and (kind in {pa.float32(), pa.float64()})))
    if types.is_timestamp(wanted):
        return bool(types.is_int64(kind) or (types.is_timestamp(kind) and kind.tz))
    if types.is_list(wanted):
        return bool((types.is_list(kind) or types.is_large_list(kind)) and _is_text(kind.value_type))
    return bool(types.is_map(wanted) and types.is_map(kind) and _is_text(kind.key_type) and _is_text(kind.item_type))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _expected(wanted: pa.DataType) -> Any:
    if pa.types.is_timestamp(wanted):
        return "a timestamp with a time zone, or int64 milliseconds"
    return {LABEL: "string or dictionary of strings"}.get(wanted, wanted)
