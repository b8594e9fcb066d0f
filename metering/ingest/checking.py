"""From decoded events to canonical columns: every event is either checked and in, or out with a named reason.

One bad event never takes its batch with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from metering.contracts import Credential, RejectReason
from metering.ingest.fields import FIELDS, REQUIRED, FieldError
from metering.ingest.schema import CANONICAL, LABEL, QUARANTINE, STAMPED

LONGEST_RAW = 64 * 1024
DECODED: tuple[str, ...] = tuple(name for name in CANONICAL.names if name not in STAMPED)


@dataclass(frozen=True)
class Decoded:
    """One event as a decoder read it. `event` None: it could not be read, `error` says why."""

    index: int
    raw: bytes
    event: dict[str, Any] | None = None
    error: FieldError | None = None
    error_field: str = ""


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


@dataclass(frozen=True)
class Context:
    """What an event is checked against: who sends it, which tenants exist, and which times are taken."""

    credential: Credential
    tenants: frozenset[str]
    now: datetime
    max_age: timedelta
    max_future: timedelta


@dataclass
class Batch:
    """The outcome for one request: columns of the events taken, and the rejects, in the order of the request."""

    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in DECODED})
    rejects: list[Reject] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        return len(self.columns["id"])

    @property
    def foreign(self) -> Reject | None:
        """The first event that names another tenant than the key's own, if any: the whole request is then refused."""
        return next((reject for reject in self.rejects if reject.reason is RejectReason.FOREIGN_TENANT), None)

    def events_table(self) -> pa.Table | None:
        """Canonical columns less the stamped ones; None if no event was taken."""
        if not self.accepted:
            return None
        return pa.table({name: _array(name, values) for name, values in self.columns.items()})

    def rejects_table(self, credential: Credential, decoder: str) -> pa.Table | None:
        if not self.rejects:
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
                "raw": reject.raw[:LONGEST_RAW].decode(errors="replace"),
            }
            for reject in self.rejects
        ]
        schema = pa.schema([QUARANTINE.field(name) for name in rows[0]])
        return pa.Table.from_pylist(rows, schema=schema)


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
    row = _fields(decoded.event)
    for step in (_own_tenant, _known_time, _invariants):
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


def _own_tenant(row: dict[str, Any], context: Context) -> None:
    """The tenant comes from the credential, unless the key may write for several."""
    own, named = context.credential.tenant, row["tenant"]
    if own is None:
        if named is None:
            raise _Refused("tenant", RejectReason.MISSING_FIELD, "tenant is required with an operator's key")
        if named not in context.tenants:
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
