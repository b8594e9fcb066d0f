"""Rows of the table `requests`, put there directly: for tests of what comes after ingest."""

import uuid
from datetime import UTC, datetime
from typing import Any

from metering.clickhouse import client
from metering.contracts import SealInfo
from metering.models import IngestHost, Seal

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


def insert_requests(tenant: str, *rows: dict[str, Any]) -> None:
    """Each row: `id`, and any column of the table; `time` and `ingested_at` default to NOON."""
    defaults: dict[str, Any] = {
        "tenant": tenant,
        "source": "",
        "time": NOON,
        "time_given": True,
        "observed": False,
        "ingested_at": NOON,
        "model": "m",
        "operation": "chat",
        "tier": "standard",
        "status": "ok",
        "input_tokens": 100,
        "output_tokens": 10,
    }
    full = [defaults | {"batch": uuid.uuid4(), "row": 0} | row for row in rows]
    columns = sorted({name for row in full for name in row})
    client.insert("test_rows", "requests", columns, [[row[name] for row in full] for name in columns])


def empty_tables(*tables: str) -> None:
    """Those that hold any row, which is known at once; to truncate one takes a while even if it is empty."""
    _truncate(_full_tables() & set(tables))


def empty_every_table() -> None:
    """As on the first day: nothing was ever reported. The record of migrations stays."""
    _truncate(_full_tables() - {"clickhouse_migrations"})


def _full_tables() -> set[str]:
    full = "SELECT DISTINCT table FROM system.parts WHERE active AND database = currentDatabase()"
    return {str(table) for (table,) in client.statement("test_full", full)}


def _truncate(tables: set[str]) -> None:
    for table in tables:
        client.statement("test_truncate", f"TRUNCATE TABLE {client.identifier(table)}")


def request_key(tenant: str, identity: str, source: str = "") -> str:
    """The key of a request in addresses (metering.slow_requests): a hash that ClickHouse alone computes."""
    values = {"tenant": tenant, "source": source, "id": identity}
    found = client.statement("test_key", "SELECT toString(cityHash64(%(tenant)s, %(source)s, %(id)s))", values)
    return str(found[0][0])


def settled(until: datetime, name: str = "host-1") -> None:
    """Say that this host has inserted everything it stamped before `until`."""
    IngestHost.objects.update_or_create(
        name=name, defaults={"settled_before": until, "published_at": datetime.now(UTC)}
    )


def seal_row(watermark: datetime) -> SealInfo:
    """A completed seal that wrote nothing."""
    row = Seal.objects.create(
        watermark_from=datetime(1970, 1, 1, tzinfo=UTC),
        watermark=watermark,
        state=Seal.State.COMPLETED,
        completed_at=watermark,
    )
    return SealInfo(row.pk, watermark, watermark)
