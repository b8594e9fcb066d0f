"""The canonical event as msgspec reads it: JSON to checked records without Python code per field.

These types hold the same rules as fields.py, which gives the reasons; a differential test compares the two on any input. Whatever
does not fit here is read again by the slow road, so being stricter than fields.py costs time, and being laxer would be a fault.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from metering.ingest.fields import (
    LONGEST_ATTRIBUTE,
    LONGEST_LATENCY_MS,
    MOST_ATTRIBUTES,
    MOST_GPUS,
    MOST_TOKENS,
    FinishReason,
    Status,
    Tier,
)

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=128)]
Tokens = Annotated[int, Meta(ge=0, le=MOST_TOKENS)]
Latency = Annotated[float, Meta(ge=0, le=LONGEST_LATENCY_MS)]


class Usage(Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """What a request used and where it ran: the canonical fields less those that a CloudEvent has in its envelope."""

    model: Name
    input_tokens: Tokens
    output_tokens: Tokens
    cached_input_tokens: Tokens | None = 0
    cache_write_tokens: Tokens | None = 0
    reasoning_tokens: Tokens | None = 0
    project: Text | None = ""
    api_key_id: Text | None = ""
    end_user: Annotated[str, Meta(max_length=256)] | None = ""
    operation: Annotated[str, Meta(min_length=1, max_length=64)] | None = "chat"
    tier: Tier | None = "standard"
    status: Status | None = "ok"
    finish_reason: FinishReason | None = ""
    queue_ms: Latency | None = None
    ttft_ms: Latency | None = None
    tpot_ms: Latency | None = None
    e2e_ms: Latency | None = None
    region: Text | None = ""
    cluster: Text | None = ""
    node: Text | None = ""
    engine: Text | None = ""
    gpus: Annotated[list[Text], Meta(max_length=MOST_GPUS)] | None = None
    stream: bool | None = False
    attributes: (
        Annotated[dict[Text, Annotated[str, Meta(max_length=LONGEST_ATTRIBUTE)]], Meta(max_length=MOST_ATTRIBUTES)]
        | None
    ) = None


class Event(Usage, forbid_unknown_fields=True, gc=False, kw_only=True):
    """The canonical event, as NDJSON has it."""

    id: Name
    source: Text | None = ""
    time: str | int | None = None
    tenant: Name | None = None


class CloudEvent(Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A CloudEvent of type `tallywatt.request` whose data repeats nothing of the envelope, and without extensions."""

    specversion: Literal["1.0"]
    type: Literal["tallywatt.request"]
    id: Name
    source: Name
    data: Usage
    subject: Name | None = None
    time: str | None = None
    datacontenttype: Literal["application/json"] | None = None


EVENTS = msgspec.json.Decoder(Event)
CLOUD_EVENT = msgspec.json.Decoder(CloudEvent)
CLOUD_EVENTS = msgspec.json.Decoder(list[CloudEvent])
RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])

Values = dict[str, list[Any]]


def values_of_events(events: Sequence[Event]) -> Values:
    """A list of values for each canonical field. Spelled out: a comprehension per field is twice as fast as any loop over names."""
    values: Values = {
        "tenant": [event.tenant for event in events],
        "time": [event.time for event in events],
        "id": [event.id for event in events],
        "source": [event.source for event in events],
    }
    return values | _values_of_usage(events)


def values_of_cloudevents(events: Sequence[CloudEvent]) -> Values:
    """As values_of_events; the envelope's subject is the tenant."""
    values: Values = {
        "tenant": [event.subject for event in events],
        "time": [event.time for event in events],
        "id": [event.id for event in events],
        "source": [event.source for event in events],
    }
    return values | _values_of_usage([event.data for event in events])


def _values_of_usage(events: Sequence[Usage]) -> Values:
    return {
        "project": [event.project for event in events],
        "api_key_id": [event.api_key_id for event in events],
        "end_user": [event.end_user for event in events],
        "model": [event.model for event in events],
        "operation": [event.operation for event in events],
        "tier": [event.tier for event in events],
        "status": [event.status for event in events],
        "finish_reason": [event.finish_reason for event in events],
        "input_tokens": [event.input_tokens for event in events],
        "cached_input_tokens": [event.cached_input_tokens for event in events],
        "cache_write_tokens": [event.cache_write_tokens for event in events],
        "output_tokens": [event.output_tokens for event in events],
        "reasoning_tokens": [event.reasoning_tokens for event in events],
        "queue_ms": [event.queue_ms for event in events],
        "ttft_ms": [event.ttft_ms for event in events],
        "tpot_ms": [event.tpot_ms for event in events],
        "e2e_ms": [event.e2e_ms for event in events],
        "region": [event.region for event in events],
        "cluster": [event.cluster for event in events],
        "node": [event.node for event in events],
        "engine": [event.engine for event in events],
        "gpus": [event.gpus for event in events],
        "stream": [event.stream for event in events],
        "attributes": [event.attributes for event in events],
    }
