"""Whole entries of quarantine, each with its bytes and with what was decided about it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from metering.clickhouse import client
from metering.clickhouse.queries.quarantine import Entries, Entry, Key, Subset
from metering.contracts import RejectReason
from metering.ingest.checking import LONGEST_RAW
from metering.models import QuarantineDecision
from metering.moments import from_microseconds
from metering.quarantine.filters import LAST_ROW, EntryFilter
from metering.quarantine.scanning import scan

OWN_DECODERS = frozenset(("seal", "sink"))  # what we wrote ourselves, whole


@dataclass(frozen=True)
class DecisionInfo:
    """What was done about an entry. `replay_batch`: the batch that it became."""

    action: str
    decided_by: str
    decided_at: datetime
    note: str
    edited: bool
    replay_batch: str | None


@dataclass(frozen=True)
class QuarantineEntry:
    """One event that was not taken. `raw`: at most 64 KiB of its bytes, None where a list left them out."""

    key: Key
    tenant: str
    api_key: str
    decoder: str
    field: str
    message: str
    event_id: str
    size_bytes: int
    raw: bytes | None
    decision: DecisionInfo | None

    @property
    def ingested_at(self) -> datetime:
        return from_microseconds(self.key.at_us)

    @property
    def batch(self) -> str:
        return self.key.batch

    @property
    def row(self) -> int:
        return self.key.row

    @property
    def reason(self) -> str:
        return self.key.reason

    @property
    def state(self) -> str:
        return self.decision.action if self.decision else "open"

    @property
    def is_conflict(self) -> bool:
        return self.reason == RejectReason.CONFLICT

    @property
    def truncated(self) -> bool:
        """Whether bytes are missing: they fill what is kept, and are not a whole document."""
        if self.size_bytes < LONGEST_RAW or self.decoder in OWN_DECODERS or self.raw is None:
            return False
        try:
            orjson.loads(self.raw)
        except ValueError:
            return True
        return False


@dataclass(frozen=True)
class EntryPage:
    """`next`: the position of the following page. A page may hold less than was asked for and still have a next one."""

    entries: list[QuarantineEntry]
    next: Key | None


def entries(asked: EntryFilter, *, limit: int = 50, after: Key | None = None) -> EntryPage:
    """Entries, the newest arrival first, without their bytes."""
    found = scan(asked, limit, after)
    return EntryPage(fetch(found.keys, with_raw=False), found.next)


def entry(batch: str, row: int, reason: str, within: EntryFilter | None = None) -> QuarantineEntry | None:
    """One entry with its bytes; None if there is none, or none `within` what the caller may see."""
    if not 0 <= row <= LAST_ROW:
        return None
    subset = within.subset() if within else Subset()
    rows = client.run(Entry(batch, row, reason, subset)).dicts()
    found = _with_decisions(rows, with_raw=True)
    return found[0] if found else None


def fetch(keys: Sequence[Key], *, with_raw: bool) -> list[QuarantineEntry]:
    """The entries of these keys, in their order; one that is gone is left out."""
    if not keys:
        return []
    rows = client.run(Entries(keys, Subset(), with_raw), timeout_s=30).dicts()
    found = {one.key: one for one in _with_decisions(rows, with_raw=with_raw)}
    return [found[key] for key in keys if key in found]


def _with_decisions(rows: Sequence[dict[str, Any]], *, with_raw: bool) -> list[QuarantineEntry]:
    keys = [Key(row["at_us"], row["batch_text"], row["row"], row["reason"]) for row in rows]
    decided = _decisions(keys)
    return [
        QuarantineEntry(
            key=key,
            tenant=row["tenant"],
            api_key=row["api_key"],
            decoder=row["decoder"],
            field=row["field_text"],
            message=row["message_text"],
            event_id=row["event_id"],
            size_bytes=row["size_bytes"],
            raw=base64.b64decode(row["raw_base64"]) if with_raw else None,
            decision=decided.get((key.batch, key.row, key.reason)),
        )
        for key, row in zip(keys, rows, strict=True)
    ]


def _decisions(keys: Sequence[Key]) -> dict[tuple[str, int, str], DecisionInfo]:
    if not keys:
        return {}
    rows = QuarantineDecision.objects.filter(
        batch__in={key.batch for key in keys},
        row__in={key.row for key in keys},
        reason__in={key.reason for key in keys},
    )
    return {(str(row.batch), row.row, row.reason): decision_info(row) for row in rows}


def decision_info(row: QuarantineDecision) -> DecisionInfo:
    return DecisionInfo(
        action=row.action,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        note=row.note,
        edited=row.edited,
        replay_batch=str(row.replay_batch) if row.replay_batch else None,
    )
