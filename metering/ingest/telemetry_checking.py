"""From samples as they came to rows: each is either checked and in, or out with a named reason. One never takes another along.

The rules of single fields are in telemetry_fields.py. Here are those that look at a sample as a whole: its time, and readings that
contradict each other.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pyarrow as pa

from metering.agent.samples import ENGINE, GPU
from metering.contracts import RAW_TELEMETRY_DAYS, RejectReason
from metering.ingest.checking import Reject
from metering.ingest.context import Context, Decoded
from metering.ingest.decoders.common import BadEvent
from metering.ingest.fields import REQUIRED, FieldError
from metering.ingest.telemetry_fields import is_blank, stands_for_nothing
from metering.ingest.telemetry_records import BY_RECORD, KINDS, Record, SampleKind, Samples, table_of
from metering.moments import milliseconds

# Readings of a whole GPU, which none of its MIG instances has.
OF_WHOLE_GPUS = ("power_w", "power_limit_w", "energy_j")
# Their ranges hold the four 32-bit numbers that stand for "no value".
MAY_BE_BLANK = ("energy_j", "memory_used_bytes", "memory_total_bytes")
# A count of which another one includes all. (Not of aborted requests: SGLang counts them beside those that finished.)
PARTS_OF: Mapping[str, tuple[tuple[str, str], ...]] = {
    GPU: (("memory_used_bytes", "memory_total_bytes"),),
    ENGINE: (
        ("cached_prompt_tokens", "prompt_tokens"),
        ("prefix_cache_hits", "prefix_cache_queries"),
    ),
}
# What an engine that does not answer cannot have told.
READ_FROM_ENGINES = tuple(
    name for name, rule in KINDS[ENGINE].fields.items() if rule.default is None and name != "gpus"
)


@dataclass(frozen=True, slots=True)
class Window:
    """The times that are taken, in milliseconds since 1970, both ends included."""

    oldest_ms: int
    latest_ms: int
    future_s: int

    @classmethod
    def of(cls, context: Context) -> "Window":
        return cls(
            oldest_ms=milliseconds(context.now - timedelta(days=RAW_TELEMETRY_DAYS)),
            latest_ms=milliseconds(context.now + context.max_future),
            future_s=int(context.max_future.total_seconds()),
        )

    def check(self, time_ms: int) -> None:
        if time_ms < self.oldest_ms:
            message = f"time is older than {RAW_TELEMETRY_DAYS} days, which is how long samples are kept"
            raise BadEvent("time", RejectReason.TOO_OLD, message)
        if time_ms > self.latest_ms:
            raise BadEvent("time", RejectReason.IN_FUTURE, f"time lies more than {self.future_s} s in the future")


@dataclass
class SampleBatch:
    """The outcome for one request: the samples taken, each with its position, and the rejects, in the order of the request."""

    api_key: str
    raw: Callable[[int], bytes]
    taken: list[tuple[int, Record]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        return len(self.taken)

    def take(self, position: int, record: Record, window: Window) -> None:
        """Take what has kept the rules of its fields, if it keeps the others too."""
        try:
            check_whole(record, window)
        except BadEvent as bad:
            self.refuse(position, bad)
        else:
            self.taken.append((position, record))

    def refuse(self, position: int, bad: BadEvent) -> None:
        self.rejects.append(Reject(position, bad.field, bad.error.reason, bad.error.message, raw=self.raw(position)))

    def tables(self) -> dict[str, pa.Table | None]:
        """By kind of file, without the stamped columns; None where nothing was taken."""
        by_kind: dict[str, list[Record]] = {name: [] for name in KINDS}
        for _, record in self.taken:
            by_kind[BY_RECORD[type(record)].name].append(record)
        return {
            KINDS[name].spooled: table_of(KINDS[name], records, self.api_key) if records else None
            for name, records in by_kind.items()
        }


def check(given: Samples, context: Context) -> SampleBatch:
    """Check every sample. What was not read as a record is read field by field, for the reason."""
    window = Window.of(context)
    batch = SampleBatch(context.credential.prefix, given.raw)
    for position, record in zip(given.positions or range(len(given.records)), given.records, strict=True):
        batch.take(position, record, window)
    for decoded in given.rest:
        try:
            record = record_of(decoded)
        except BadEvent as bad:
            batch.refuse(decoded.index, bad)
        else:
            batch.take(decoded.index, record, window)
    batch.taken.sort(key=lambda pair: pair[0])
    batch.rejects.sort(key=lambda reject: reject.index)
    return batch


def check_each(received: Iterable[Decoded], context: Context) -> SampleBatch:
    """The same for samples that were read one by one."""
    rest = list(received)
    return check(Samples([], None, rest, {decoded.index: decoded.raw for decoded in rest}.__getitem__), context)


def record_of(decoded: Decoded) -> Record:
    """The fields of one sample by their rules. Raises BadEvent with the first fault."""
    if decoded.event is None:
        error = decoded.error or FieldError(RejectReason.MALFORMED, "cannot be read")
        raise BadEvent(decoded.error_field, error.reason, error.message)
    kind = _kind_of(decoded.event)
    for name in decoded.event:
        if name not in kind.fields and name != "kind":
            shown = str(name)[:128]
            raise BadEvent(shown, RejectReason.UNKNOWN_FIELD, f"a sample of kind {kind.name} has no field {shown!r}")
    return kind.record(**{name: _value(name, kind, decoded.event.get(name)) for name in kind.fields})


def _kind_of(event: Mapping[str, Any]) -> SampleKind:
    given = event.get("kind")
    if given is None:
        raise BadEvent("kind", RejectReason.MISSING_FIELD, f"kind is required: {' or '.join(KINDS)}")
    if not isinstance(given, str) or given not in KINDS:
        raise BadEvent("kind", RejectReason.OUT_OF_RANGE, f"kind is {str(given)[:40]!r}, expected {' or '.join(KINDS)}")
    return KINDS[given]


def _value(name: str, kind: SampleKind, value: Any) -> Any:
    rule = kind.fields[name]
    if value is None:
        if rule.default is REQUIRED:
            raise BadEvent(name, RejectReason.MISSING_FIELD, f"{name} is required")
        return rule.default
    try:
        return rule.rule(value)
    except FieldError as error:
        raise BadEvent(name, error.reason, f"{name} {error.message}") from None


def check_whole(record: Record, window: Window) -> None:
    """The rules for a sample as a whole; its time becomes milliseconds. Raises BadEvent."""
    if not isinstance(record.time, int):
        record.time = _value("time", BY_RECORD[type(record)], record.time)
    window.check(record.time)
    kind = BY_RECORD[type(record)].name
    for part, whole in PARTS_OF[kind]:
        _check_part(record, part, whole)
    if kind == GPU:
        _check_gpu(record)
    else:
        _check_engine(record)


def _check_part(record: Record, part: str, whole: str) -> None:
    inner, outer = getattr(record, part), getattr(record, whole)
    if inner is not None and outer is not None and inner > outer:
        raise BadEvent(part, RejectReason.INVARIANT, f"{part} exceeds {whole}, which includes it")


def _check_gpu(record: Record) -> None:
    for name in MAY_BE_BLANK:
        value = getattr(record, name)
        if value is not None and is_blank(value):
            error = stands_for_nothing(value)
            raise BadEvent(name, error.reason, f"{name} {error.message}")
    if record.mig:
        for name in OF_WHOLE_GPUS:
            if getattr(record, name) is not None:
                message = f"{name} belongs to a whole GPU: a MIG instance has none of its own"
                raise BadEvent(name, RejectReason.INVARIANT, message)


def _check_engine(record: Record) -> None:
    gpus = record.gpus
    if gpus and len(set(gpus)) < len(gpus):
        raise BadEvent("gpus", RejectReason.INVARIANT, "gpus names a GPU twice")
    if record.up is False:
        for name in READ_FROM_ENGINES:
            if getattr(record, name) is not None:
                message = f"{name} was read, and up is false: an engine that does not answer has no readings"
                raise BadEvent(name, RejectReason.INVARIANT, message)
