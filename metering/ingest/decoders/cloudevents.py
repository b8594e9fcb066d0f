"""CloudEvents 1.0 in JSON: single, batch, and bare `application/json` (an object or an array), as the OpenMeter client sends them.

`tallywatt.request` carries the canonical fields in `data`. `id`, `source` and `time` are the envelope's and `subject` is the tenant;
`data` must not repeat them with other values. LiteLLM's `litellm_tokens` is decoded; other types need a meter.

Extension attributes of a request are kept among its `attributes`, as `ce-<name>`. Those of a meter's event are accepted and not
kept: a meter reads `data` alone.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

import orjson

from metering.contracts import RejectReason
from metering.ingest.context import Decoded
from metering.ingest.decoders import litellm
from metering.ingest.decoders.common import BadEvent, Undecodable, check_count, check_values, load

REQUEST = "tallywatt.request"
KNOWN = frozenset(("specversion", "type", "id", "source", "subject", "time", "datacontenttype", "data", "data_base64"))
ENVELOPE = {"id": "id", "source": "source", "time": "time", "subject": "tenant"}
LONGEST_EXTENSION = 1024  # characters: what an attribute may have
EXTENSION = re.compile(r"\A[a-z0-9]{1,20}\Z")
NO_OFFSET = re.compile(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?\Z")


def decode_one(body: bytes, most: int) -> Iterator[Decoded]:
    event = _loaded(body)
    if not isinstance(event, dict):
        raise Undecodable(
            "application/cloudevents+json holds one event, an object; a batch has a content type of its own"
        )
    yield decode_envelope(0, body, event)


def decode_many(body: bytes, most: int) -> Iterator[Decoded]:
    events = _loaded(body)
    if not isinstance(events, list):
        raise Undecodable("application/cloudevents-batch+json holds an array of events")
    check_count(len(events), most)
    for index, event in enumerate(events):
        yield decode_envelope(index, _bytes_of(event, body), event)


def _bytes_of(event: Any, body: bytes) -> bytes:
    """One event of a batch as JSON. The writer gives up at a depth that the reader takes: then the whole body stands for it."""
    try:
        return orjson.dumps(event)
    except orjson.JSONEncodeError:
        return body


def decode_any(body: bytes, most: int) -> Iterator[Decoded]:
    return decode_many(body, most) if body.lstrip()[:1] == b"[" else decode_one(body, most)


def _loaded(body: bytes) -> Any:
    check_values(body)
    try:
        return load(body)
    except ValueError as error:
        raise Undecodable(f"the body is not JSON: {error}") from None


def decode_envelope(index: int, raw: bytes, envelope: Any) -> Decoded:
    """One event, whichever way its attributes and its data came."""
    try:
        event = _event(envelope)
        return Decoded(index, raw, event, is_meter="type" in event)
    except BadEvent as bad:
        return Decoded(index, raw, None, bad.error, bad.field)


def _event(envelope: Any) -> dict[str, Any]:
    if not isinstance(envelope, dict):
        raise BadEvent("", RejectReason.WRONG_TYPE, "an event is an object")
    if envelope.get("specversion") != "1.0":
        raise BadEvent("specversion", RejectReason.OUT_OF_RANGE, "specversion must be '1.0'")
    extensions = _extensions(envelope)
    for name in ("id", "source", "type"):
        if not isinstance(envelope.get(name), str) or not envelope[name]:
            raise BadEvent(name, RejectReason.MISSING_FIELD, f"{name} is required, as text that is not empty")
    kind, data = envelope["type"], _data(envelope)
    if kind == litellm.EVENT_TYPE:
        return litellm.keep(_with_envelope(litellm.fields(data), _mended(envelope)), extensions)
    if kind == REQUEST:
        if "type" in data:
            raise BadEvent("data.type", RejectReason.UNKNOWN_FIELD, "there is no field 'type'")
        return litellm.keep(_with_envelope(dict(data), envelope), extensions)
    return _with_envelope({"type": kind, "data": data}, envelope)


def _extensions(envelope: dict[str, Any]) -> dict[str, str]:
    """Every attribute that CloudEvents itself does not define, as `ce-<name>` -> text."""
    found = {}
    for name in sorted(envelope.keys() - KNOWN):
        if not EXTENSION.match(name):
            message = f"{name[:128]!r} is no CloudEvents attribute: 1 to 20 lower-case letters and digits"
            raise BadEvent(name[:128], RejectReason.UNKNOWN_FIELD, message)
        if envelope[name] is not None:
            found[f"ce-{name}"] = _extension(name, envelope[name])
    return found


def _extension(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int):
        raise BadEvent(name, RejectReason.WRONG_TYPE, f"the extension {name} must be text, a whole number or a boolean")
    if len(str(value)) > LONGEST_EXTENSION:
        message = f"the extension {name} has {len(str(value))} characters, at most {LONGEST_EXTENSION} are taken"
        raise BadEvent(name, RejectReason.TOO_LONG, message)
    return str(value)


def _with_envelope(fields: dict[str, Any], envelope: dict[str, Any]) -> dict[str, Any]:
    for outer, inner in ENVELOPE.items():
        value = envelope.get(outer)
        if value is None:
            continue
        if fields.get(inner, value) != value:
            message = f"data.{inner} differs from the event's own {outer}"
            raise BadEvent(f"data.{inner}", RejectReason.INVARIANT, message)
        fields[inner] = value
    return fields


def _mended(envelope: dict[str, Any]) -> dict[str, Any]:
    """LiteLLM's envelope: a subject in a list of one (releases before 1.75), UTC without an offset (on Python before 3.11)."""
    subject, time = envelope.get("subject"), envelope.get("time")
    if isinstance(subject, list) and len(subject) == 1:
        envelope = envelope | {"subject": subject[0]}
    if isinstance(time, str) and NO_OFFSET.match(time):
        envelope = envelope | {"time": f"{time}Z"}
    return envelope


def _data(envelope: dict[str, Any]) -> dict[str, Any]:
    data, encoded = envelope.get("data"), envelope.get("data_base64")
    if data is not None and encoded is not None:
        raise BadEvent("data_base64", RejectReason.INVARIANT, "an event has data or data_base64, not both")
    if isinstance(encoded, str):
        try:
            data = load(base64.b64decode(encoded, validate=True))
        except (ValueError, binascii.Error):
            raise BadEvent("data_base64", RejectReason.MALFORMED, "data_base64 does not hold JSON") from None
    if data is None:
        raise BadEvent("data", RejectReason.MISSING_FIELD, "data is required")
    if not isinstance(data, dict):
        raise BadEvent("data", RejectReason.WRONG_TYPE, "data must be an object")
    return data
