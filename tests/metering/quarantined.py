"""Entries of quarantine, put there directly or by an event that is refused, and their way back."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from metering.clickhouse import client
from metering.ingest import local
from metering.ingest.drain import drain
from metering.moments import from_microseconds
from metering.quarantine.entries import QuarantineEntry, entries, entry
from metering.quarantine.filters import EntryFilter

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
COLUMNS = ("ingested_at", "batch", "row", "tenant", "api_key", "decoder", "reason", "field", "message", "raw")


def put(tenant: str, *rows: dict[str, Any]) -> list[tuple[str, int, str]]:
    """Rows of the table; each arrived a second after the one before. Returns their names."""
    full = [
        {
            "ingested_at": NOON + timedelta(seconds=n),
            "batch": str(uuid.uuid4()),
            "row": n,
            "tenant": tenant,
            "api_key": "",
            "decoder": "ndjson",
            "reason": "missing_field",
            "field": "model",
            "message": "model is required",
            "raw": json.dumps({"id": f"e{n}", "input_tokens": 1, "output_tokens": 1}).encode(),
        }
        | row
        for n, row in enumerate(rows)
    ]
    client.insert("test_quarantine", "quarantine", COLUMNS, [[row[name] for row in full] for name in COLUMNS])
    return [(row["batch"], row["row"], row["reason"]) for row in full]


def found(name: tuple[str, int, str]) -> QuarantineEntry:
    one = entry(*name)
    assert one is not None
    return one


def ids(tenant: str, **asked: Any) -> list[str]:
    """The ids of the events of the entries that match, in the order of the list."""
    return [one.event_id for one in entries(EntryFilter(tenant=tenant, **asked)).entries]


def only_entry(tenant: str, **asked: Any) -> QuarantineEntry:
    """The one entry of a tenant, with its bytes."""
    drain(local.spool())
    (one,) = entries(EntryFilter(tenant=tenant, **asked)).entries
    return found((one.batch, one.row, one.reason))


def stored(tenant: str, columns: str = "id", order: str = "id") -> list[tuple[Any, ...]]:
    """What `requests` holds of the tenant, once the spool is drained."""
    drain(local.spool())
    sql = f"SELECT {columns} FROM requests WHERE tenant = %(tenant)s ORDER BY {order}"
    return client.statement("test_stored", sql, {"tenant": tenant})


def arrival_of(entry: QuarantineEntry) -> datetime:
    """To the millisecond, as `time` keeps it."""
    return from_microseconds(entry.key.at_us // 1000 * 1000)
