"""CloudEvents 1.0 in JSON: single, batch, and bare `application/json` (an object or an array), as the OpenMeter client sends them.

`tallywatt.request` carries the canonical fields in `data`. `id`, `source` and `time` are the envelope's and `subject` is the tenant;
`data` must not repeat them with other values. LiteLLM's `litellm_tokens` is decoded; other types need a meter.
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Any

import orjson

from metering.contracts import RejectReason
from metering.ingest.checking import Decoded
from metering.ingest.decoders.common import Undecodable, check_count, load
from metering.ingest.fields import FieldError

REQUEST = "tallywatt.request"
LITELLM = "litellm_tokens"
# Attributes that say how an event travelled and nothing about usage; any other name is a slip that would lose data.
TRANSPORT = frozenset(("datacontenttype", "dataschema", "traceparent", "tracestate", "partitionkey"))
KNOWN = TRANSPORT | {"specversion", "type", "id", "source", "subject", "time", "data", "data_base64"}
ENVELOPE = {"id": "id", "source": "source", "time": "time", "subject": "tenant"}


def decode_one(body: bytes, most: int) -> Iterator[Decoded]:
    event = _loaded(body)
    if not isinstance(event, dict):
        raise Undecodable(
            "application/cloudevents+json holds one event, an object; a batch has a content type of its own"
        )
    yield _decode(0, body, event)


def decode_many(body: bytes, most: int) -> Iterator[Decoded]:
    events = _loaded(body)
    if not isinstance(events, list):
        raise Undecodable("application/cloudevents-batch+json holds an array of events")
    check_count(len(events), most)
    for index, event in enumerate(events):
        yield _decode(index, _bytes_of(event, body), event)


def _bytes_of(event: Any, body: bytes) -> bytes:
    """One event of a batch as JSON. The writer gives up at a depth that the reader takes: then the whole body stands for it."""
    try:
        return orjson.dumps(event)
    except orjson.JSONEncodeError:
        return body


def decode_any(body: bytes, most: int) -> Iterator[Decoded]:
    return decode_many(body, most) if body.lstrip()[:1] == b"[" else decode_one(body, most)


def _loaded(body: bytes) -> Any:
    try:
        return load(body)
    except ValueError as error:
        raise Undecodable(f"the body is not JSON: {error}") from None


def _decode(index: int, raw: bytes, envelope: Any) -> Decoded:
    try:
        return Decoded(index, raw, _event(envelope))
    except _Bad as bad:
        return Decoded(index, raw, None, bad.error, bad.field)


class _Bad(Exception):
    def __init__(self, field: str, reason: RejectReason, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.error = FieldError(reason, message)


def _event(envelope: Any) -> dict[str, Any]:
    if not isinstance(envelope, dict):
        raise _Bad("", RejectReason.WRONG_TYPE, "an event is an object")
    if envelope.get("specversion") != "1.0":
        raise _Bad("specversion", RejectReason.OUT_OF_RANGE, "specversion must be '1.0'")
    if not envelope.keys() <= KNOWN:
        name = min(envelope.keys() - KNOWN)[:128]
        raise _Bad(name, RejectReason.UNKNOWN_FIELD, f"there is no CloudEvents attribute {name!r} here")
    for name in ("id", "source", "type"):
        if not isinstance(envelope.get(name), str) or not envelope[name]:
            raise _Bad(name, RejectReason.MISSING_FIELD, f"{name} is required, as text that is not empty")
    data = _data(envelope)
    kind = envelope["type"]
    if kind == LITELLM:
        fields = _litellm(data)
    elif kind == REQUEST:
        fields = dict(data)
    else:
        raise _Bad("type", RejectReason.UNKNOWN_TYPE, f"no meter takes events of type {kind[:64]!r}")
    for outer, inner in ENVELOPE.items():
        value = envelope.get(outer)
        if value is None:
            continue
        if fields.get(inner, value) != value:
            raise _Bad(f"data.{inner}", RejectReason.INVARIANT, f"data.{inner} differs from the event's own {outer}")
        fields[inner] = value
    return fields


def _data(envelope: dict[str, Any]) -> dict[str, Any]:
    data = envelope.get("data")
    if data is None and isinstance(envelope.get("data_base64"), str):
        try:
            data = load(base64.b64decode(envelope["data_base64"], validate=True))
        except (ValueError, binascii.Error):
            raise _Bad("data_base64", RejectReason.MALFORMED, "data_base64 does not hold JSON") from None
    if data is None:
        raise _Bad("data", RejectReason.MISSING_FIELD, "data is required")
    if not isinstance(data, dict):
        raise _Bad("data", RejectReason.WRONG_TYPE, "data must be an object")
    return data


def _litellm(data: dict[str, Any]) -> dict[str, Any]:
    """LiteLLM's openmeter callback: `model`, `cost`, and an OpenAI usage block. Cached tokens lie inside the prompt's count."""
    prompt = data.get("prompt_tokens_details") or {}
    completion = data.get("completion_tokens_details") or {}
    if not isinstance(prompt, dict) or not isinstance(completion, dict):
        raise _Bad("data", RejectReason.WRONG_TYPE, "token details must be objects")
    return {
        "model": data.get("model"),
        "input_tokens": data.get("prompt_tokens"),
        "output_tokens": data.get("completion_tokens"),
        "cached_input_tokens": prompt.get("cached_tokens"),
        "reasoning_tokens": completion.get("reasoning_tokens"),
    }
