"""Entries of quarantine as JSON, and their description for the OpenAPI document."""

import base64
from typing import Any

from rest_framework import serializers

from metering.moments import instant
from metering.quarantine.bulk import BulkOutcome
from metering.quarantine.conflicts import Conflict
from metering.quarantine.counting import EntryCounts
from metering.quarantine.entries import DecisionInfo, QuarantineEntry
from metering.quarantine.filters import State, cursor
from metering.quarantine.rendering import rendered


def listed(entry: QuarantineEntry, *, own: bool) -> dict[str, Any]:
    """One row of the list, without bytes. `own`: for a tenant, which need not know who of us decided, and why."""
    return {
        "batch": entry.batch,
        "row": entry.row,
        "reason": entry.reason,
        "ingested_at": instant(entry.ingested_at),
        "tenant": entry.tenant,
        "api_key": entry.api_key,
        "decoder": entry.decoder,
        "field": entry.field,
        "message": entry.message,
        "event_id": entry.event_id,
        "size_bytes": entry.size_bytes,
        "state": entry.state,
        "decision": entry.decision and decision(entry.decision, own=own),
    }


def decision(info: DecisionInfo, *, own: bool) -> dict[str, Any]:
    return {
        "action": info.action,
        "decided_at": instant(info.decided_at),
        "decided_by": None if own else info.decided_by,
        "note": None if own else info.note,
        "edited": info.edited,
        "replay_batch": info.replay_batch,
    }


def whole(entry: QuarantineEntry, compared: Conflict | None, *, own: bool) -> dict[str, Any]:
    raw = entry.raw or b""
    shown = rendered(raw)
    return listed(entry, own=own) | {
        "truncated": entry.truncated,
        "raw_base64": base64.b64encode(raw).decode(),
        "rendering": {"kind": shown.kind, "text": shown.text},
        "conflict": compared and conflict(compared),
    }


def conflict(found: Conflict) -> dict[str, Any]:
    return {
        "first": {"batch": found.first_batch, "row": found.first_row, "ingested_at": instant(found.first_at)},
        "fields": [
            {
                "name": one.name,
                "first": one.first,
                "other": one.other,
                "differs": one.differs,
                "billable": one.billable,
            }
            for one in found.fields
        ],
    }


def counted(found: EntryCounts) -> dict[str, Any]:
    return {
        "total": found.total,
        "complete": found.complete,
        "by_reason": found.by_reason,
        "by_decoder": found.by_decoder,
        "by_tenant": found.by_tenant,
    }


def bulk(action: str, outcome: BulkOutcome) -> dict[str, Any]:
    return {
        action: outcome.done,
        "refused": sum(outcome.failures.values()),
        "refused_by_reason": outcome.failures,
        "already_decided": outcome.lost,
        "stopped": outcome.stopped,
        "next": cursor(outcome.next) if outcome.next else None,
    }


class DecisionShape(serializers.Serializer[Any]):
    action = serializers.ChoiceField([State.REPLAYED.value, State.DISCARDED.value])
    decided_at = serializers.DateTimeField()
    decided_by = serializers.CharField(allow_null=True, help_text="null for a tenant's key")
    note = serializers.CharField(allow_null=True, help_text="null for a tenant's key")
    edited = serializers.BooleanField(help_text="replayed with other bytes than it came with")
    replay_batch = serializers.UUIDField(allow_null=True, help_text="the batch that it became")


class EntryShape(serializers.Serializer[Any]):
    """(batch, row, reason) names it."""

    batch = serializers.UUIDField()
    row = serializers.IntegerField(help_text="position in the request")
    reason = serializers.CharField()
    ingested_at = serializers.DateTimeField()
    tenant = serializers.CharField(allow_blank=True)
    api_key = serializers.CharField(allow_blank=True, help_text="prefix of the key that sent it; empty for a conflict")
    decoder = serializers.CharField()
    field = serializers.CharField(allow_blank=True)
    message = serializers.CharField()
    event_id = serializers.CharField(
        allow_blank=True, help_text="as far as its bytes are JSON with an id; of a sample, its node and GPU or engine"
    )
    size_bytes = serializers.IntegerField(help_text="of what was kept")
    state = serializers.ChoiceField([state.value for state in State if state is not State.ALL])
    decision = DecisionShape(allow_null=True)


class CountsShape(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    complete = serializers.BooleanField(help_text="false: there are more than a search counts")
    by_reason = serializers.DictField(child=serializers.IntegerField())
    by_decoder = serializers.DictField(child=serializers.IntegerField())
    by_tenant = serializers.DictField(child=serializers.IntegerField(), help_text="the most frequent ones")


class EntriesShape(serializers.Serializer[Any]):
    data = EntryShape(many=True)  # type: ignore[assignment]
    counts = CountsShape()
    next = serializers.CharField(
        allow_null=True, help_text="pass it as cursor; a page may be short and have a next one"
    )


class RenderingShape(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(["json", "text", "hex"])
    text = serializers.CharField()


class FirstShape(serializers.Serializer[Any]):
    batch = serializers.UUIDField()
    row = serializers.IntegerField()
    ingested_at = serializers.DateTimeField()


class ComparedShape(serializers.Serializer[Any]):
    name = serializers.CharField()
    first = serializers.CharField(allow_blank=True)
    other = serializers.CharField(allow_blank=True)
    differs = serializers.BooleanField()
    billable = serializers.BooleanField(help_text="part of the content: a difference here makes it a conflict")


class ConflictShape(serializers.Serializer[Any]):
    """The event that is billed, field by field beside the one that is not."""

    first = FirstShape()
    fields = ComparedShape(many=True)  # type: ignore[assignment]


class WholeEntryShape(EntryShape):
    truncated = serializers.BooleanField(help_text="only the first 64 KiB were kept")
    raw_base64 = serializers.CharField()
    rendering = RenderingShape()
    conflict = ConflictShape(allow_null=True)


class ReplayShape(serializers.Serializer[Any]):
    """Nothing: the bytes as they were kept. Else one of the two: the bytes to take instead."""

    raw = serializers.CharField(required=False)
    raw_base64 = serializers.CharField(required=False)


class ReplayedShape(serializers.Serializer[Any]):
    state = serializers.CharField()
    batch = serializers.UUIDField(help_text="the batch that it became")


class DiscardShape(serializers.Serializer[Any]):
    note = serializers.CharField(required=False, max_length=1000)


class DiscardedShape(serializers.Serializer[Any]):
    state = serializers.CharField()


class BulkShape(serializers.Serializer[Any]):
    """At least one filter, or `all`: true."""

    all = serializers.BooleanField(required=False)
    reason = serializers.CharField(required=False)
    tenant = serializers.CharField(required=False)
    decoder = serializers.CharField(required=False)
    api_key = serializers.CharField(required=False)
    text = serializers.CharField(required=False, help_text="part of the message or of the bytes")
    to = serializers.DateTimeField(required=False, help_text="arrived before; `from` likewise")
    note = serializers.CharField(required=False, max_length=1000, help_text="for discard")
    cursor = serializers.CharField(required=False, help_text="`next` of the step before")


class BulkOutcomeShape(serializers.Serializer[Any]):
    replayed = serializers.IntegerField(required=False)
    discarded = serializers.IntegerField(required=False)
    refused = serializers.IntegerField(help_text="still bad; they stay open")
    refused_by_reason = serializers.DictField(child=serializers.IntegerField())
    already_decided = serializers.IntegerField(help_text="somebody else was first")
    stopped = serializers.CharField(allow_blank=True, help_text="why it ended early")
    next = serializers.CharField(allow_null=True, help_text="there is more: pass it as cursor")
