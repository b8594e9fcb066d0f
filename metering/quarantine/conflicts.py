"""A conflict: two events of one identity with different content. The one that is billed, beside the one that is not."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from metering.clickhouse import client
from metering.clickhouse.queries.quarantine import EVENT, Arrivals
from metering.clickhouse.queries.usage import SAME_EVENT_MS
from metering.moments import EPOCH, from_microseconds, milliseconds
from metering.quarantine.entries import QuarantineEntry

FIRST = re.compile(r"row (\d+) of batch ([0-9a-f-]{36})")  # as QuarantineConflicts words it
# What makes two arrivals of one identity different; see CONTENT of the ledger's queries.
BILLABLE = frozenset(("project", "api_key_id", "model", "operation", "tier", "region", "status", "time")) | {
    name for name in EVENT if name.endswith("_tokens")
}


@dataclass(frozen=True)
class ComparedField:
    """`billable`: a difference here is what makes it a conflict; elsewhere it is only worth knowing."""

    name: str
    first: str
    other: str
    billable: bool

    @property
    def differs(self) -> bool:
        return self.first != self.other


@dataclass(frozen=True)
class Conflict:
    """`first` is billed. Arrivals and batches name the two; `fields` are those that either of them has, differing ones first."""

    first_at: datetime
    first_batch: str
    first_row: int
    other_at: datetime
    fields: tuple[ComparedField, ...]


def conflict(entry: QuarantineEntry) -> Conflict | None:
    """None if the entry is no conflict, or if ClickHouse no longer holds the two arrivals."""
    first, other = FIRST.search(entry.message), _identity(entry)
    if not entry.is_conflict or first is None or other is None:
        return None
    rows = {(row["e_batch"], row["e_row"]): row for row in client.run(_arrivals(entry, first, *other)).dicts()}
    won, lost = rows.get((first[2], int(first[1]))), rows.get((entry.batch, entry.row))
    if won is None or lost is None:
        return None
    return Conflict(
        first_at=from_microseconds(won["e_ingested_at"]),
        first_batch=first[2],
        first_row=int(first[1]),
        other_at=entry.ingested_at,
        fields=_compared(won, lost),
    )


def _identity(entry: QuarantineEntry) -> tuple[str, str, datetime] | None:
    """Source, id and time of the losing event, from the JSON that the seal wrote."""
    try:
        event = orjson.loads(entry.raw or b"")
        time = datetime.fromisoformat(event["time"])
        return str(event["source"]), str(event["id"]), time if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, KeyError, TypeError):
        return None


def _arrivals(entry: QuarantineEntry, first: re.Match[str], source: str, identity: str, time: datetime) -> Arrivals:
    return Arrivals(
        tenant=entry.tenant,
        source=source,
        identity=identity,
        from_ms=milliseconds(time) - SAME_EVENT_MS,
        until_ms=milliseconds(time) + SAME_EVENT_MS,
        pairs=((first[2], int(first[1])), (entry.batch, entry.row)),
    )


def _compared(won: dict[str, Any], lost: dict[str, Any]) -> tuple[ComparedField, ...]:
    shown = [
        ComparedField(name, _shown(name, won[f"e_{name}"]), _shown(name, lost[f"e_{name}"]), name in BILLABLE)
        for name in EVENT
    ]
    return tuple(sorted((one for one in shown if one.first or one.other), key=lambda one: not one.differs))


def _shown(name: str, value: Any) -> str:
    """'' for what an event does not have."""
    if value is None or value in ("", [], {}):
        return ""
    if name == "time":
        return f"{(EPOCH + timedelta(milliseconds=value)).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return orjson.dumps(value).decode() if isinstance(value, list | dict) else str(value)
