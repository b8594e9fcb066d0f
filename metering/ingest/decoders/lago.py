"""Lago's events: `{"event": {...}}` and `{"events": [...]}`, as lago-python-client and LiteLLM's `lago` callback send them.

`transaction_id` is the id, the subscription (or customer) is the tenant, the source is always `lago`. What an event is follows from
its `code`: `tallywatt.request` and LiteLLM's `litellm_tokens` are requests; a code that a meter reads is that meter's; under any other
code, properties with a model and its token counts are a request, in canonical names or in LiteLLM's.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson

from metering import meters
from metering.contracts import RejectReason
from metering.ingest.context import Decoded
from metering.ingest.decoders import litellm
from metering.ingest.decoders.cloudevents import REQUEST
from metering.ingest.decoders.common import BadEvent, Decoder, Undecodable, check_count, check_values, load, malformed

SOURCE = "lago"
TENANT_NAMES = ("external_subscription_id", "external_customer_id")
AMOUNT = "precise_total_amount_cents"
KNOWN = frozenset(("transaction_id", *TENANT_NAMES, "code", "timestamp", "properties", AMOUNT))
SECONDS = re.compile(r"\A[0-9]{1,12}(\.[0-9]{1,9})?\Z")
END_OF_TIME_S = 253_402_300_800  # the year 10000
COUNTS = ({"prompt_tokens", "completion_tokens"}, {"input_tokens", "output_tokens"})


def decode_one(body: bytes, most: int) -> Iterator[Decoded]:
    yield _decode(0, _inside(body, "event"), body)


def decode_many(body: bytes, most: int) -> Iterator[Decoded]:
    events = _inside(body, "events")
    if not isinstance(events, list):
        raise Undecodable('"events" must be an array')
    check_count(len(events), most)
    for index, event in enumerate(events):
        yield _decode(index, event, body)


SINGLE = Decoder("lago", decode_one)
BATCH = Decoder("lago", decode_many)


def _inside(body: bytes, name: str) -> Any:
    check_values(body)
    try:
        found = load(body)
    except ValueError as error:
        raise Undecodable(f"the body is not JSON: {error}") from None
    if not isinstance(found, dict) or found.keys() != {name}:
        raise Undecodable(f'the body must be an object with "{name}" alone')
    return found[name]


def _decode(index: int, sent: Any, body: bytes) -> Decoded:
    """What is kept of a refused event can be sent again as a single one."""
    raw = body
    try:
        raw = orjson.dumps({"event": sent})
        event = read(sent)
        return Decoded(index, raw, event, is_meter="type" in event)
    except orjson.JSONEncodeError:
        return malformed(index, raw, "properties are nested too deeply", "properties")
    except BadEvent as bad:
        return Decoded(index, raw, None, bad.error, bad.field)


def read(sent: Any) -> dict[str, Any]:
    """Canonical fields, or those of a meter's event. `time` is in ms since 1970. Raises BadEvent."""
    if not isinstance(sent, dict):
        raise BadEvent("", RejectReason.WRONG_TYPE, "an event is an object")
    if unknown := sent.keys() - KNOWN:
        name = min(unknown)[:128]
        raise BadEvent(name, RejectReason.UNKNOWN_FIELD, f"Lago's events have no field {name!r}")
    for name in ("transaction_id", "code"):
        if not isinstance(sent.get(name), str) or not sent[name]:
            raise BadEvent(name, RejectReason.MISSING_FIELD, f"{name} is required, as text that is not empty")
    properties = sent.get("properties") or {}
    if not isinstance(properties, dict):
        raise BadEvent("properties", RejectReason.WRONG_TYPE, "properties must be an object")
    return _with_envelope(_usage(sent["code"], properties, _amount(sent)), sent)


def _usage(code: str, properties: dict[str, Any], amount: dict[str, str]) -> dict[str, Any]:
    """The fields of a request, or `type` and `data` for a meter. An amount of money is kept beside the usage and never billed."""
    reserved = code in {REQUEST, litellm.EVENT_TYPE}
    if not reserved and meters.reading(code):
        return {"type": code, "data": amount | properties}
    if not reserved and not ("model" in properties and any(counts <= properties.keys() for counts in COUNTS)):
        message = f"no meter reads the code {code[:64]!r}, and properties hold no model with token counts"
        raise BadEvent("code", RejectReason.UNKNOWN_TYPE, message)
    if "type" in properties:
        raise BadEvent("properties.type", RejectReason.UNKNOWN_FIELD, "there is no field 'type'")
    return litellm.keep(litellm.fields(properties, "properties"), amount, "properties.attributes")


def _with_envelope(fields: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    envelope = {"id": sent["transaction_id"], "source": SOURCE, "tenant": _tenant(sent), "time": _time_ms(sent)}
    for name, value in envelope.items():
        if value is None:
            continue
        if fields.get(name, value) != value:
            message = f"properties.{name} differs from what the event itself says"
            raise BadEvent(f"properties.{name}", RejectReason.INVARIANT, message)
        fields[name] = value
    return fields


def _tenant(sent: dict[str, Any]) -> Any:
    """The one name, or the other; its rule is checked with all others."""
    subscription, customer = (sent.get(name) for name in TENANT_NAMES)
    if subscription is not None and customer is not None and subscription != customer:
        message = "external_subscription_id and external_customer_id name different tenants"
        raise BadEvent("external_customer_id", RejectReason.INVARIANT, message)
    return customer if subscription is None else subscription


def _time_ms(sent: dict[str, Any]) -> int | None:
    """Unix seconds with decimals, exactly, rounded down to the millisecond. None: the event's time is its arrival."""
    given = sent.get("timestamp")
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise BadEvent("timestamp", RejectReason.WRONG_TYPE, "timestamp must be Unix seconds, a number or text")
    if isinstance(given, str) and not SECONDS.match(given):
        message = f"timestamp is {given[:40]!r}, expected Unix seconds such as '1767225600.123'"
        raise BadEvent("timestamp", RejectReason.MALFORMED, message)
    seconds = Decimal(str(given))  # a float's shortest text is what the sender wrote
    if not 0 <= seconds < END_OF_TIME_S:
        message = f"timestamp is {str(given)[:40]}, expected Unix seconds, 0 to {END_OF_TIME_S - 1}"
        raise BadEvent("timestamp", RejectReason.OUT_OF_RANGE, message)
    return int(seconds * 1000)


def _amount(sent: dict[str, Any]) -> dict[str, str]:
    value = sent.get(AMOUNT)
    if value is None:
        return {}
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadEvent(AMOUNT, RejectReason.WRONG_TYPE, f"{AMOUNT} must be a number or text")
    return {AMOUNT: str(value)}
