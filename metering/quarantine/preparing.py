"""From the bytes of an entry back to events, as the edge would see them if they came now from the same sender."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson
from django.conf import settings

from metering.contracts import Credential
from metering.ingest import checking
from metering.ingest.context import Decoded
from metering.ingest.decoders.common import TooManyEvents, Undecodable
from metering.ingest.replaying import BY_NAME, Check, check_of
from metering.models import ApiKey
from metering.quarantine.entries import QuarantineEntry

LONGEST_EDITED = 2 * 2**20


class ReplayRefused(ValueError):
    """An entry cannot be replayed like this; nothing was recorded. `reason` is a RejectReason's value or a word of our own."""

    def __init__(self, reason: str, message: str, *, field: str = "", index: int = 0) -> None:
        super().__init__(message)
        self.reason, self.field, self.index = reason, field, index
        self.message = message


@dataclass(frozen=True)
class Prepared:
    """An entry with the events that its bytes hold, not checked yet, the rules to check them by, and whose they are."""

    entry: QuarantineEntry
    events: tuple[Decoded, ...]
    credential: Credential
    edited: bool
    check: Check


def senders(entries: Sequence[QuarantineEntry]) -> dict[str, Credential]:
    """The credential of each key that entries came by, as it is now. A revoked one too: an operator replays, not the sender."""
    rows = ApiKey.objects.select_related("tenant").filter(prefix__in={entry.api_key for entry in entries})
    return {
        row.prefix: Credential(row.prefix, row.tenant.key if row.tenant else None, frozenset(row.scopes), row.observing)
        for row in rows
    }


def prepare(entry: QuarantineEntry, edited: bytes | None, known: dict[str, Credential]) -> Prepared:
    """Raises ReplayRefused. `edited`: the bytes to take instead of the entry's own; `known`: from `senders`."""
    if edited is None and entry.truncated:
        raise ReplayRefused("truncated", "only the first 64 KiB of this event were kept: replay it with whole bytes")
    if edited is not None and len(edited) > LONGEST_EDITED:
        raise ReplayRefused("too_long", f"an edited event may have {LONGEST_EDITED} bytes")
    body = (entry.raw or b"") if edited is None else edited
    events = _decoded(entry.decoder, body)
    if entry.is_conflict:
        _check_new_identity(entry, events)
    rules = check_of(entry.decoder)
    if rules is checking.check:  # a sample has a time of its own, or none that is of use
        arrival = _rfc3339(entry.ingested_at)
        events = [_timed(one, arrival) for one in events]
    return Prepared(
        entry=entry,
        events=tuple(events),
        credential=_credential(entry, known),
        edited=edited is not None,
        check=rules,
    )


def _decoded(name: str, body: bytes) -> list[Decoded]:
    decoder = BY_NAME.get(name)
    if decoder is None:
        raise ReplayRefused("unknown_decoder", f"nothing here reads events of {name!r} again: discard it")
    try:
        events = list(decoder.decode(body, settings.INGEST_MAX_EVENTS))
    except (Undecodable, TooManyEvents) as error:
        raise ReplayRefused("malformed", str(error)) from None
    if not events:
        raise ReplayRefused("malformed", "the bytes hold no event")
    return events


def _check_new_identity(entry: QuarantineEntry, events: Sequence[Decoded]) -> None:
    """The first event of an identity is billed whatever comes later: the same again would only conflict again."""
    loser = _json(entry.raw)
    for one in events:
        if one.event is not None and _identity(one.event) == _identity(loser):
            message = (
                f"an event with the id {str(loser.get('id'))!r} is billed already: "
                "give this one an id of its own if both happened, or discard it"
            )
            raise ReplayRefused("conflict", message, field="id", index=one.index)


def _identity(event: dict[str, Any]) -> tuple[Any, Any]:
    return event.get("source") or "", event.get("id")


def _credential(entry: QuarantineEntry, known: dict[str, Credential]) -> Credential:
    """The sender's, so that its tenant is a wall still, and what an observing key sent is never billed."""
    if entry.api_key in known:
        return known[entry.api_key]
    if not entry.tenant:
        raise ReplayRefused("missing_field", "the entry names neither a known API key nor a tenant", field="tenant")
    observing = entry.decoder == "sink" and _json(entry.raw).get("observed") is True
    return Credential("", entry.tenant, frozenset(), observing)


def _timed(one: Decoded, arrival: str) -> Decoded:
    """An event without a time of its own happened when it arrived, and it arrived then, not now: else it would be billed in
    the wrong period. It also makes a second replay the same event with the same content."""
    if one.event is None or one.event.get("time") is not None:
        return one
    return replace(one, event=one.event | {"time": arrival})


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(raw: bytes | None) -> dict[str, Any]:
    try:
        found = orjson.loads(raw or b"")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
