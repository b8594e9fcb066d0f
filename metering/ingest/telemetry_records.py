"""Samples as msgspec reads them: JSON to checked records without Python code per field, and from records to columns.

What does not fit here is read again, field by field, for the reason: telemetry_checking.py.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

import msgspec
import numpy as np
import pyarrow as pa

from metering.agent.samples import ENGINE, GPU
from metering.ingest.columns import constant, labels, mostly_empty
from metering.ingest.context import Decoded
from metering.ingest.fields import REQUIRED
from metering.ingest.schema import ENGINE_SAMPLES, GPU_SAMPLES, LABEL
from metering.ingest.telemetry_fields import ENGINE_FIELDS, GPU_FIELDS, Field
from metering.moments import milliseconds

DECODER_NAME = "telemetry"  # what refused samples are kept under, whatever they came as
Record = Any  # of one of the types below: an attribute for each field


@dataclass(frozen=True)
class SampleKind:
    """`name` as in the field `kind`; `spooled`: the kind of its files (schema.KINDS); `record`: its type for msgspec."""

    name: str
    spooled: str
    fields: Mapping[str, Field]
    schema: pa.Schema
    record: Any


@dataclass(frozen=True)
class Samples:
    """What a body holds. `records` have kept the rules of their fields, at `positions` (None: 0, 1, 2 ...); `rest` was not read yet.

    `raw`: the bytes to keep of the sample at a position.
    """

    records: Sequence[Record]
    positions: Sequence[int] | None
    rest: Sequence[Decoded]
    raw: Callable[[int], bytes] = field(repr=False)


def _record(name: str, given: Mapping[str, Field]) -> Any:
    def described(field_name: str, rule: Field) -> tuple[Any, ...]:
        return (field_name, rule.record) if rule.default is REQUIRED else (field_name, rule.record, rule.default)

    return msgspec.defstruct(
        f"{name.title()}Record",
        [described(field_name, rule) for field_name, rule in given.items()],
        tag_field="kind",
        tag=name,
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )


KINDS = {
    kind.name: kind
    for kind in (
        SampleKind(GPU, "gpus", GPU_FIELDS, GPU_SAMPLES, _record(GPU, GPU_FIELDS)),
        SampleKind(ENGINE, "engines", ENGINE_FIELDS, ENGINE_SAMPLES, _record(ENGINE, ENGINE_FIELDS)),
    )
}
BY_RECORD = {kind.record: kind for kind in KINDS.values()}
BY_SPOOLED = {kind.spooled: kind for kind in KINDS.values()}
ANY_RECORD: Any = Union[tuple(BY_RECORD)]  # noqa: UP007 - of values, not of names
DECODER: msgspec.json.Decoder[Record] = msgspec.json.Decoder(ANY_RECORD)


def table_of(kind: SampleKind, records: Sequence[Record], api_key: str) -> pa.Table:
    """Checked records, their times in milliseconds, as the columns of the kind's schema less the stamped ones."""
    columns = {
        name: _column(kind.schema.field(name).type, rule, list(map(operator.attrgetter(name), records)))
        for name, rule in kind.fields.items()
    }
    columns["api_key"] = constant(api_key, len(records))
    if kind.name == GPU:
        columns["throttle_known"] = pa.array(np.array([record.throttle is not None for record in records]))
    return pa.table(columns)


def as_sent(kind: SampleKind, row: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object of a row as it lies in the spool, less the stamped columns."""
    found = {name: row[name] for name in kind.fields if row[name] is not None}
    if not row.get("throttle_known", True):
        del found["throttle"]
    return {"kind": kind.name, **found, "time": milliseconds(row["time"])}


def _column(kind: pa.DataType, rule: Field, values: list[Any]) -> pa.Array:
    if kind == LABEL:
        return labels(values, "" if rule.default is REQUIRED else rule.default)
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    if pa.types.is_list(kind):
        return mostly_empty(values, kind)
    if pa.types.is_boolean(kind):
        return pa.array(values, kind).fill_null(rule.default)
    return pa.array(values, kind)
