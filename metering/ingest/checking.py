"""From decoded events to canonical columns: every event is either checked and in, or out with a named reason.

One bad event never takes its batch with it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from metering import accounts
from metering.contracts import Credential, RejectReason
from metering.ingest import meter_checking
from metering.ingest.columns import Columnar
from metering.ingest.context import Context, Decoded
from metering.ingest.fields import FIELDS, REQUIRED, FieldError
from metering.ingest.schema import CANONICAL, LABEL, METER_EVENTS, QUARANTINE, STAMPED
from metering.ingest.vetting import settle

__all__ = ["Batch", "Context", "Decoded", "Reject", "check", "check_columns", "rejects_table"]

LONGEST_RAW = 64 * 1024
DECODED: tuple[str, ...] = tuple(name for name in CANONICAL.names if name not in STAMPED)


@dataclass(frozen=True)
class Reject:
    """Why one event was not taken; `index` is its position in the request."""

    index: int
    field: str
    reason: RejectReason
    message: str
    tenant: str = ""
    raw: bytes = b""

    def as_json(self) -> dict[str, Any]:
        return {"index": self.index, "field": self.field, "reason": self.reason.value, "message": self.message}


@dataclass
class Batch:
    """The outcome for one request: the events taken, and the rejects, each in the order of the request.

    `table` holds what came by the fast road and `columns` what was read one by one, with their `positions` in the request.
    """

    table: pa.Table | None = None
    table_positions: np.ndarray | None = None
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in DECODED})
    positions: list[int] = field(default_factory=list)
    meters: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        return len(self.positions) + len(self.meters) + (self.table.num_rows if self.table is not None else 0)

    @property
    def foreign(self) -> Reject | None:
        """The first event that names another tenant than the key's own, if any: the whole request is then refused."""
        return next((reject for reject in self.rejects if reject.reason is RejectReason.FOREIGN_TENANT), None)

    def events_table(self) -> pa.Table | None:
        """Canonical columns less the stamped ones, in the order of the request; None if no event was taken."""
        if not self.positions:
            return self.table if self.table is not None and self.table.num_rows else None
        slow = pa.table({name: _array(name, values) for name, values in self.columns.items()})
        if self.table is None or self.table_positions is None or not self.table.num_rows:
            return slow
        both = pa.concat_tables([self.table.select(DECODED), slow]).unify_dictionaries()
        return both.take(pa.array(np.argsort(np.concatenate([self.table_positions, self.positions]), kind="stable")))

    def meters_table(self) -> pa.Table | None:
        """The events of meters, in the columns of METER_EVENTS less the stamped ones; None if there are none."""
        if not self.meters:
            return None
        return pa.Table.from_pylist(
            self.meters, schema=pa.schema([METER_EVENTS.field(name) for name in self.meters[0]])
        )

    def tables(self) -> dict[str, pa.Table | None]:
        """What was taken, by kind of file."""
        return {"events": self.events_table(), "meters": self.meters_table()}


def rejects_table(rejects: Sequence[Reject], credential: Credential, decoder: str) -> pa.Table | None:
    """The columns of QUARANTINE less the stamped ones; None if nothing was refused."""
    if not rejects:
        return None
    rows = [
        {
            "row": reject.index,
            "tenant": credential.tenant or reject.tenant,  # never the name of a tenant that is not the sender's
            "api_key": credential.prefix,
            "decoder": decoder,
            "reason": reject.reason.value,
            "field": reject.field,
            "message": reject.message,
            "raw": reject.raw[:LONGEST_RAW],
        }
        for reject in rejects
    ]
    schema = pa.schema([QUARANTINE.field(name) for name in rows[0]])
    return pa.Table.from_pylist(rows, schema=schema)


def check_columns(found: Columnar, context: Context) -> Batch:
    """Check a table as a whole; only the rows that do not hold are looked at one by one, for the reason."""
    table, holds = settle(found, context)
    positions = np.arange(table.num_rows) if found.positions is None else np.asarray(found.positions, np.int64)
    doubtful = found.again(positions[~holds].tolist()) if not holds.all() else ()
    batch = check(sorted(chain(doubtful, found.rest), key=lambda decoded: decoded.index), context)
    batch.table = table if holds.all() else table.filter(pa.array(holds))
    batch.table_positions = positions[holds]
    return batch


def check(events: Iterable[Decoded], context: Context) -> Batch:
    """Check every event; the order of the request is kept on both sides."""
    batch = Batch()
    for decoded in events:
        try:
            row = _row(decoded, context)
        except _Refused as refused:
            tenant = (decoded.event or {}).get("tenant")
            batch.rejects.append(
                Reject(
                    decoded.index,
                    refused.field,
                    refused.reason,
                    str(refused),
                    tenant if isinstance(tenant, str) and len(tenant) <= 64 else "",
                    decoded.raw,
                )
            )
            continue
        if decoded.is_meter:
            batch.meters.append(row)
            continue
        batch.positions.append(decoded.index)
        for name in DECODED:
            batch.columns[name].append(row[name])
    return batch


class _Refused(Exception):
    def __init__(self, field_name: str, reason: RejectReason, message: str) -> None:
        super().__init__(message)
        self.field = field_name
        self.reason = reason


def _row(decoded: Decoded, context: Context) -> dict[str, Any]:
    """The steps that every event passes, in this order."""
    if decoded.event is None:
        error = decoded.error or FieldError(RejectReason.MALFORMED, "cannot be read")
        raise _Refused(decoded.error_field, error.reason, error.message)
    _not_foreign(decoded.event, context)  # before all else: no other fault of an event may hide it
    row = _meter_row(decoded.event) if decoded.is_meter else _fields(decoded.event)
    for step in (_own_tenant, _known_time) if decoded.is_meter else (_own_tenant, _known_time, _invariants):
        step(row, context)
    row["observed"] = context.credential.observing
    return row


def _fields(event: dict[str, Any]) -> dict[str, Any]:
    for name in event:
        if name not in FIELDS:
            raise _Refused(str(name)[:128], RejectReason.UNKNOWN_FIELD, f"there is no field {str(name)[:128]!r}")
    row = {}
    for name, (rule, default) in FIELDS.items():
        value = event.get(name)
        if value is None:
            if default is REQUIRED:
                raise _Refused(name, RejectReason.MISSING_FIELD, f"{name} is required")
            row[name] = default
            continue
        try:
            row[name] = rule(value)
        except FieldError as error:
            raise _Refused(name, error.reason, f"{name} {error.message}") from None
    return row


def _meter_row(event: dict[str, Any]) -> dict[str, Any]:
    try:
        return meter_checking.row(event)
    except meter_checking.MeterRefused as refused:
        raise _Refused(refused.field, refused.reason, str(refused)) from None


def _own_tenant(row: dict[str, Any], context: Context) -> None:
    """The tenant comes from the credential, unless the key may write for several."""
    own, named = context.credential.tenant, row["tenant"]
    if own is None:
        if named is None:
            raise _Refused("tenant", RejectReason.MISSING_FIELD, "tenant is required with an operator's key")
        if named not in accounts.existing({named}):
            raise _Refused("tenant", RejectReason.UNKNOWN_TENANT, f"there is no tenant {named!r}")
        return
    row["tenant"] = own


def _not_foreign(event: dict[str, Any], context: Context) -> None:
    own, named = context.credential.tenant, event.get("tenant")
    if own is not None and isinstance(named, str) and named != own:
        message = f"this API key may not write for the tenant {named[:64]!r}"
        raise _Refused("tenant", RejectReason.FOREIGN_TENANT, message)


def _known_time(row: dict[str, Any], context: Context) -> None:
    time = row["time"]
    row["time_given"] = time is not None
    if time is None:
        return
    if time < context.now - context.max_age:
        raise _Refused("time", RejectReason.TOO_OLD, f"time is older than {context.max_age.days} days")
    if time > context.now + context.max_future:
        limit = int(context.max_future.total_seconds())
        raise _Refused("time", RejectReason.IN_FUTURE, f"time lies more than {limit} s in the future")


def _invariants(row: dict[str, Any], context: Context) -> None:
    if row["cached_input_tokens"] + row["cache_write_tokens"] > row["input_tokens"]:
        message = "cached_input_tokens + cache_write_tokens exceed input_tokens, which includes them"
        raise _Refused("cached_input_tokens", RejectReason.INVARIANT, message)
    if row["reasoning_tokens"] > row["output_tokens"]:
        message = "reasoning_tokens exceed output_tokens, which include them"
        raise _Refused("reasoning_tokens", RejectReason.INVARIANT, message)


def _array(name: str, values: list[Any]) -> pa.Array:
    kind = CANONICAL.field(name).type
    if kind == LABEL:
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, kind)
