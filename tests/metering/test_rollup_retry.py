"""A group that is inserted again under its token is counted once in every rollup, whatever had become of the first try."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metering.clickhouse import client
from metering.ingest.sink import ONE_BLOCK

pytestmark = pytest.mark.usefixtures("clickhouse")

SUMS = "sum(ok + error + cancelled), sum(input_tokens), round(quantilesDDMerge(0.01, 0.5)(e2e_ms)[1])"
LENGTH = ", round(quantilesDDMerge(0.01, 0.5)(input_length)[1])"
GRAINS = ("minute", "hour", "day")
NOW = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(
    hours=1
)  # minutes of long ago are not in all rollups
# How each rollup is read for one tenant, or for the model that is that tenant's own.
ROLLUPS = {
    "tenants_minute": (SUMS, "tenant"),
    **{f"tenants_{grain}": (SUMS + LENGTH, "tenant") for grain in ("hour", "day")},
    **{f"service_{grain}": (SUMS + LENGTH, "model") for grain in GRAINS},
    **{f"cuts_{grain}": (SUMS + LENGTH, "cut = 'model' AND name") for grain in GRAINS},
    "tenant_day": (SUMS, "tenant"),
    "requests_minute": (SUMS.replace("ok + error + cancelled", "requests"), "tenant"),
    "requests_hour": (SUMS.replace("ok + error + cancelled", "requests"), "tenant"),
}
CASCADES = (
    "requests_to_minute",
    "requests_minute_to_hour",
    "requests_minute_to_service",
    "requests_to_service_lengths",
    "service_minute_to_cuts",
    "service_minute_to_hour",
    "service_hour_to_cuts",
    "cuts_hour_to_day",
    "requests_minute_to_tenants",
    "requests_hour_to_tenants",
    "requests_to_tenants_lengths",
    "requests_hour_to_tenant_day",
)


@pytest.fixture
def group(tenant_key: str) -> dict[str, list[Any]]:
    """A group of 20 requests in two minutes."""
    return {
        "id": [str(number) for number in range(20)],
        "row": list(range(20)),
        "tenant": [tenant_key] * 20,
        "model": [tenant_key] * 20,
        "time": [NOW + timedelta(minutes=number % 2) for number in range(20)],
        "ingested_at": [NOW] * 20,
        "batch": [uuid.uuid4()] * 20,
        "status": ["ok", "error"] * 10,
        "input_tokens": [100] * 20,
        "e2e_ms": [50.0] * 20,
    }


def insert(group: dict[str, list[Any]], token: str) -> None:
    settings = ONE_BLOCK | {"insert_deduplication_token": token}
    client.insert("test_group", "requests", list(group), list(group.values()), settings=settings)


def wrong(tenant: str) -> dict[str, Any]:
    """What is read where it is not as it should be."""
    expected = (20, 2000, 50.0, 100.0)
    found = {
        table: client.statement("test", f"SELECT {read} FROM {table} WHERE {named} = %(t)s", {"t": tenant})[0]
        for table, (read, named) in ROLLUPS.items()
    }
    return {table: row for table, row in found.items() if row != pytest.approx(expected[: len(row)], rel=0.02)}


def test_a_repetition_changes_nothing(group: dict[str, list[Any]], tenant_key: str) -> None:
    for _ in range(3):
        insert(group, tenant_key)
        assert wrong(tenant_key) == {}
    for table in ROLLUPS:
        client.statement("test_merge", f"OPTIMIZE TABLE {table} FINAL")
    assert wrong(tenant_key) == {}


@pytest.mark.parametrize("view", CASCADES)
def test_a_repetition_completes_what_was_cut_off(group: dict[str, list[Any]], tenant_key: str, view: str) -> None:
    """As if the server had died before this view had written."""
    client.statement("test", f"DETACH TABLE {view}")
    try:
        insert(group, tenant_key)
    finally:
        client.statement("test", f"ATTACH TABLE {view}")
    assert wrong(tenant_key) != {}
    insert(group, tenant_key)
    assert wrong(tenant_key) == {}


def test_another_group_that_is_alike_is_counted(group: dict[str, list[Any]], tenant_key: str) -> None:
    insert(group, tenant_key)
    insert(group, f"{tenant_key}-other")
    found = client.statement("test", "SELECT sum(ok) FROM tenants_day WHERE tenant = %(t)s", {"t": tenant_key})
    assert found == [(20,)]
