"""`POST /v1/traces`: the spans of a request, each inference span as one request event.

Spans that are no usage (agents, tools, HTTP clients, model calls without token counts) are neither taken nor refused: they count in no
answer. docs/otlp.md says which they are.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from django.http import HttpRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from metering.contracts import RejectReason
from metering.ingest.columns import Columnar, NotColumnar, table_of
from metering.ingest.context import Decoded
from metering.ingest.decoders.common import BadEvent, Decoder, check_count
from metering.ingest.decoders.otlp_common import (
    BrokenPart,
    Origin,
    Part,
    dumped,
    looks_like_json,
    origins,
    read_attributes,
    speaks_json,
    tree,
)
from metering.ingest.decoders.otlp_genai import READ, SpanFacts, event_of
from metering.ingest.records import Event, values_of_events

NAME = "otlp_traces"


@dataclass(frozen=True, slots=True)
class Received:
    """A span as it came; `index` counts all spans of the request."""

    index: int
    origin: Origin
    part: Part

    def event(self) -> dict[str, Any] | None:
        """None: no usage. Raises BadEvent."""
        try:
            span = self.part.message(Span)
        except BrokenPart as broken:
            raise BadEvent("", RejectReason.MALFORMED, f"the span cannot be read: {broken}") from None
        return event_of(_facts(span), self.origin)

    def decoded(self) -> Decoded | None:
        try:
            event = self.event()
        except BadEvent as bad:
            return Decoded(self.index, self.document(), None, bad.error, bad.field)
        return None if event is None else Decoded(self.index, self.document(), event)

    def document(self) -> bytes:
        """This span alone as an OTLP/JSON request, which can be sent again; its bare bytes if it cannot be read."""
        try:
            span = self.part.document(Span)
        except BrokenPart:
            return self.part.raw()
        scope = {"scope": self.origin.scope_part.document(InstrumentationScope), "spans": [span]}
        resource = self.origin.resource_part.document(Resource)
        return dumped({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]})


def decode(body: bytes, most: int, *, is_json: bool | None = None) -> Iterator[Decoded]:
    """Every span that is usage, good or bad. `is_json` None: found out from the body."""
    for received in _spans(body, most, is_json):
        decoded = received.decoded()
        if decoded is not None:
            yield decoded


def columns(body: bytes, most: int, *, is_json: bool | None = None) -> Columnar | None:
    """The spans that are good events as columns, the others as `rest`. None if there are none, or they do not fit."""
    events, taken, rest = _read(_spans(body, most, is_json))
    if not events:
        return None
    try:
        table, sure = table_of(values_of_events(events))
    except NotColumnar:
        return None

    def again(positions: Sequence[int]) -> Iterable[Decoded]:
        return (decoded for position in positions if (decoded := taken[position].decoded()) is not None)

    return Columnar(table, again, list(taken), sure, rest)


def for_traces(request: HttpRequest) -> Decoder:
    """By content type; raises UnknownContentType."""
    is_json = speaks_json(request)
    return Decoder(NAME, partial(decode, is_json=is_json), columns=partial(columns, is_json=is_json))


def _spans(body: bytes, most: int, is_json: bool | None) -> Iterator[Received]:
    root = tree(body, most, is_json=looks_like_json(body) if is_json is None else is_json)
    index = 0
    for origin, scope in origins(root, most, "resourceSpans", "scopeSpans"):
        for part in scope.children(2, "spans"):
            check_count(index + 1, most)
            yield Received(index, origin, part)
            index += 1


def _read(spans: Iterable[Received]) -> tuple[list[Event], dict[int, Received], list[Decoded]]:
    events: list[Event] = []
    taken: dict[int, Received] = {}
    rest: list[Decoded] = []
    for received in spans:
        try:
            event = received.event()
            if event is not None:
                events.append(msgspec.convert(event, Event))
                taken[received.index] = received
        except (BadEvent, msgspec.ValidationError):
            decoded = received.decoded()
            rest += [decoded] if decoded is not None else []
    return events, taken, rest


def _facts(span: Any) -> SpanFacts:
    return SpanFacts(
        name=span.name,
        trace_id=span.trace_id,
        span_id=span.span_id,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        attributes=read_attributes(span.attributes, READ),
    )
