"""What traces and metrics of OTLP share: the tree of a request in either encoding, read part by part, and attribute values.

A request is a tree of resources, scopes, and spans or metrics. Both encodings are walked by the same code: protobuf, and OTLP/JSON, which
is protobuf's JSON with ids in hex, names in lowerCamelCase and 64-bit numbers as text. Unknown fields are ignored in both, as
the specification demands of a receiver.
"""

import base64
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import orjson
from django.http import HttpRequest, HttpResponse
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from metering.ingest.bodies import BodyTooLarge
from metering.ingest.decoders.common import TooManyEvents, Undecodable, UnknownContentType
from metering.ingest.decoders.otlp_wire import LENGTH_DELIMITED, Budget, fields

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
SOURCE_LIMIT = 8 * 2**20  # bytes of one resource, scope, span or data point: it may be 28 times as large once parsed
# JSON becomes Python objects as a whole, at worst 20 times its size, so less of it is taken at once than of protobuf.
LONGEST_JSON = 64 * 2**20
MOST_JSON_PARTS = 2_000_000  # objects and lists; a span of 20 attributes has about 45
PARTS_PER_EVENT = 16  # fields walked over in protobuf; a metric with a single point takes about 12
IDS = ("traceId", "spanId", "parentSpanId")
UNREAD = frozenset(("events", "links", "exemplars"))  # large, and nothing here is taken from them


class BrokenPart(ValueError):
    """One span or data point cannot be read; its neighbours can."""


class Part(Protocol):
    """A message somewhere in the tree. A child is named by its number in protobuf and by its name in JSON."""

    def children(self, number: int, name: str) -> Iterator["Part"]:
        """The messages of a repeated field. Raises Undecodable if there is no reading on from here."""

    def child(self, number: int, name: str) -> "Part":
        """The message of a single field; an empty one if it is not there."""

    def among(self, names: Mapping[int, str]) -> Iterator[tuple[int, "Part"]]:
        """Those of some single fields that are there, with their numbers."""

    def message(self, kind: type[Message], leaving_out: Mapping[int, str] | None = None) -> Any:
        """Parsed, perhaps without some fields. Raises BrokenPart."""

    def document(self, kind: type[Message]) -> Any:
        """As OTLP/JSON has it. Raises BrokenPart."""

    def raw(self) -> bytes:
        """The bytes of this part alone."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A part of a protobuf body."""

    data: memoryview
    budget: Budget

    def children(self, number: int, name: str) -> Iterator[Part]:
        for found, kind, value in fields(self.data, self.budget):
            if found == number and kind == LENGTH_DELIMITED:
                yield Packed(value, self.budget)

    def child(self, number: int, name: str) -> Part:
        # One that is given twice is merged, which in protobuf is what the bytes one after the other mean.
        parts = [
            value
            for found, kind, value in fields(self.data, self.budget)
            if found == number and kind == LENGTH_DELIMITED
        ]
        return Packed(parts[0] if len(parts) == 1 else memoryview(b"".join(parts)), self.budget)

    def among(self, names: Mapping[int, str]) -> Iterator[tuple[int, Part]]:
        for found, kind, value in fields(self.data, self.budget):
            if found in names and kind == LENGTH_DELIMITED:
                yield found, Packed(value, self.budget)

    def message(self, kind: type[Message], leaving_out: Mapping[int, str] | None = None) -> Any:
        data = self.data if leaving_out is None else self._without(leaving_out)
        if len(data) > SOURCE_LIMIT:
            raise BrokenPart(f"it has {len(data)} bytes, at most {SOURCE_LIMIT} are taken")
        try:
            return kind.FromString(data)
        except DecodeError:
            raise BrokenPart("it is not the protobuf message that stands here in OTLP") from None

    def document(self, kind: type[Message]) -> Any:
        found = json_format.MessageToDict(self.message(kind), use_integers_for_enums=True)
        return _with_ids(found, lambda value: base64.b64decode(value).hex())

    def raw(self) -> bytes:
        return bytes(self.data)

    def _without(self, leaving_out: Mapping[int, str]) -> memoryview:
        kept = bytearray()
        for number, kind, value in fields(self.data, self.budget):
            if number not in leaving_out:
                kept += _tagged(number, value) if kind == LENGTH_DELIMITED else value
        return memoryview(bytes(kept))


def _tagged(number: int, value: memoryview) -> bytes:
    return _as_varint(number << 3 | LENGTH_DELIMITED) + _as_varint(len(value)) + bytes(value)


def _as_varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A part of an OTLP/JSON body."""

    value: Any

    def children(self, number: int, name: str) -> Iterator[Part]:
        found = self._get(name)
        if found is None:
            return
        if not isinstance(found, list):
            raise Undecodable(f"{name} must be an array")
        for item in found:
            yield Loaded(item)

    def child(self, number: int, name: str) -> Part:
        found = self._get(name)
        return Loaded({} if found is None else found)

    def among(self, names: Mapping[int, str]) -> Iterator[tuple[int, Part]]:
        for number, name in names.items():
            found = self._get(name)
            if found is not None:
                yield number, Loaded(found)

    def message(self, kind: type[Message], leaving_out: Mapping[int, str] | None = None) -> Any:
        if not isinstance(self.value, dict):
            raise BrokenPart("an object must stand here in OTLP")
        unread = UNREAD if leaving_out is None else UNREAD | set(leaving_out.values())
        given = {name: value for name, value in self.value.items() if name not in unread}
        try:
            given = _with_ids(given, lambda value: base64.b64encode(bytes.fromhex(value)).decode())
            return json_format.ParseDict(given, kind(), ignore_unknown_fields=True)
        except (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise BrokenPart(f"it is not what stands here in OTLP: {str(error)[:200]}") from None

    def document(self, kind: type[Message]) -> Any:
        return self.value

    def raw(self) -> bytes:
        return dumped(self.value)

    def _get(self, name: str) -> Any:
        if not isinstance(self.value, dict):
            raise Undecodable(f"{name} must stand in an object")
        return self.value.get(name)


def _with_ids(message: dict[str, Any], convert: Callable[[str], str]) -> dict[str, Any]:
    """Ids are hex in OTLP/JSON and base64 in protobuf's own JSON."""
    found = {name: convert(message[name]) for name in IDS if message.get(name) is not None}
    nested = {
        name: [_with_ids(item, convert) for item in message[name]] for name in ("links", "exemplars") if name in message
    }
    return message | found | nested


def dumped(document: Any) -> bytes:
    """JSON; empty if it is nested some thousand levels deep. (orjson reads deeper than it writes.)"""
    try:
        return msgspec.json.encode(document)
    except RecursionError:
        return b""


def tree(body: bytes, most: int, *, is_json: bool) -> Part:
    """The root of a request. Raises Undecodable, BodyTooLarge or TooManyEvents."""
    if not is_json:
        return Packed(memoryview(body), Budget(PARTS_PER_EVENT * most))
    if len(body) > LONGEST_JSON:
        raise BodyTooLarge(f"an OTLP/JSON body may have {LONGEST_JSON} bytes, send more as protobuf")
    if body.count(b"{") + body.count(b"[") > MOST_JSON_PARTS:
        raise TooManyEvents(f"an OTLP/JSON body may have {MOST_JSON_PARTS} objects and lists, send more as protobuf")
    try:
        found = orjson.loads(body)
    except ValueError as error:
        raise Undecodable(f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Undecodable("the body is not an object")
    return Loaded(found)


def looks_like_json(body: bytes) -> bool:
    """For what is replayed without its content type. A protobuf request begins with byte 10, which is white space in JSON."""
    return body[:1] == b"{"


def speaks_json(request: HttpRequest) -> bool:
    """The encoding of the request, which is also that of the answer. Raises UnknownContentType."""
    kind = (request.content_type or "").lower()
    if kind not in {PROTOBUF, JSON}:
        raise UnknownContentType(f"Content-Type {kind[:80]!r} is not taken: {PROTOBUF} or {JSON}")
    return kind == JSON


def answer(message: Message, *, is_json: bool) -> HttpResponse:
    """200 with an OTLP response in the encoding of the request."""
    if is_json:
        return HttpResponse(orjson.dumps(json_format.MessageToDict(message)), content_type=JSON)
    return HttpResponse(message.SerializeToString(), content_type=PROTOBUF)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where spans or metrics come from: the attributes of their resource, and the name of their instrumentation scope."""

    resource: Mapping[str, Any]
    scope: str
    resource_part: Part
    scope_part: Part

    @property
    def node(self) -> str:
        """The machine: what the resource says first of host.name, k8s.node.name and service.instance.id."""
        return next((str(found) for name in NODE if (found := self.resource.get(name))), "")


NODE = ("host.name", "k8s.node.name", "service.instance.id")


def origins(root: Part, most: int, resources: str, scopes: str) -> Iterator[tuple[Origin, Part]]:
    """Every scope of every resource, and the part that holds its spans or metrics. Raises Undecodable or TooManyEvents."""
    found = 0
    for resource in root.children(1, resources):
        resource_part = resource.child(1, "resource")
        attributes = read_attributes(whole(resource_part, Resource).attributes)
        for scope in resource.children(2, scopes):
            found += 1
            if found > most:
                raise TooManyEvents(f"the request has more than {most} scopes")
            scope_part = scope.child(1, "scope")
            yield Origin(attributes, whole(scope_part, InstrumentationScope).name, resource_part, scope_part), scope


def whole(part: Part, kind: type[Message], leaving_out: Mapping[int, str] | None = None) -> Any:
    """A part that everything below it depends on: if it is broken, so is the request. Raises Undecodable."""
    try:
        return part.message(kind, leaving_out)
    except BrokenPart as broken:
        raise Undecodable(f"a {kind.DESCRIPTOR.name} cannot be read: {broken}") from None


def read_attributes(pairs: Iterable[Any], names: Collection[str] | None = None) -> dict[str, Any]:
    """KeyValue messages as a dictionary, of the given names or all. An attribute without a value is not there."""
    return {
        pair.key: value
        for pair in pairs
        if (names is None or pair.key in names) and (value := plain(pair.value)) is not None
    }


def plain(value: Any) -> Any:
    """An AnyValue as text, bool, int, float, bytes, list or dict; None if it is empty."""
    kind = value.WhichOneof("value")
    if kind is None or kind == "string_value_strindex":  # the latter points into a table that only profiles have
        return None
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind)


def as_text(value: Any) -> str:
    """An attribute's value as a label: text as it is, bool as true or false, numbers plain, all else as compact JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if math.isfinite(value) and value.is_integer() and abs(value) < 2**53 else repr(value)
    return dumped(_encodable(value)).decode()


def _encodable(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return {name: _encodable(item) for name, item in value.items()} if isinstance(value, dict) else value
