"""Batches made by hand, for tests of the spool and of what comes after it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from metering.clickhouse import client
from metering.contracts import Credential
from metering.ingest.checking import Context, Decoded, check
from metering.ingest.spool import Spool

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


def events(tenant: str, *given: dict[str, Any]) -> pa.Table:
    """Checked events as the HTTP edge makes them: canonical columns less the stamps. Every one must be valid."""
    context = Context(
        Credential("0" * 12, tenant, frozenset(), False), NOON, timedelta(days=3653), timedelta(minutes=10)
    )
    minimal = {"model": "m", "input_tokens": 10, "output_tokens": 2, "time": NOON.isoformat()}
    batch = check((Decoded(index, b"", minimal | event) for index, event in enumerate(given)), context)
    assert not batch.rejects, batch.rejects
    table = batch.events_table()
    assert table is not None
    return table


def numbered(tenant: str, first: int, count: int) -> pa.Table:
    return events(tenant, *({"id": f"e-{number}"} for number in range(first, first + count)))


def ids(tenant: str) -> list[str]:
    """What ClickHouse holds of a tenant, every row, in order of the id."""
    rows = client.statement("test", "SELECT id FROM requests WHERE tenant = %(tenant)s ORDER BY id", {"tenant": tenant})
    return [row[0] for row in rows]


def rolled_up(tenant: str) -> tuple[int, int]:
    """Requests and input tokens in the live rollup."""
    sql = "SELECT sum(requests), sum(input_tokens) FROM requests_minute WHERE tenant = %(tenant)s"
    return tuple(client.statement("test", sql, {"tenant": tenant})[0])


def spool_at(root: Path, max_bytes: int = 2**30) -> Spool:
    found = Spool(root, max_bytes)
    found.create()
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix in {".arrow", ".json"})
