"""An installation from before migration 0011 keeps its history, in every rollup that the migration makes."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from metering import live
from metering.clickhouse import client, migrate
from metering.live import LiveScope
from tests.metering.rows import NOON, insert_requests

BEFORE = 10
OLD = [
    {"id": f"old-{n}", "time": NOON + timedelta(hours=7 * n), "ingested_at": NOON, "status": status, "ttft_ms": 50.0}
    | {"cluster": "c", "region": "eu", "tier": "batch"}
    for n, status in enumerate(("ok", "error", "ok", "cancelled", "ok", "ok"))
]
SUMS = "sum(ok), sum(error), sum(cancelled), sum(input_tokens), sum(output_tokens)"
MADE = {
    **{f"service_{grain}": "1" for grain in ("minute", "hour", "day")},
    **{f"tenants_{grain}": "1" for grain in ("hour", "day")},
    **{f"cuts_{grain}": "cut = 'model,region' AND other = 'eu'" for grain in ("hour", "day")},
    "tenant_day": "tenant = 't'",
}


@pytest.fixture
def upgraded(
    clickhouse_schema: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[migrate.Migration]:
    """A database of its own with rows from before 0011, in which all later migrations have been applied since."""
    url = str(settings.CLICKHOUSE_URL)
    settings.CLICKHOUSE_URL = urlunsplit(urlsplit(url)._replace(path="/upgraded"))
    for migration in migrate.available()[:BEFORE]:
        shutil.copy(migrate.FOLDER / f"{migration.name}.sql", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "FOLDER", tmp_path)
        migrate.migrate()
    insert_requests("t", *OLD)
    insert_requests("t", OLD[0] | {"id": "watched", "observed": True})
    migrate.migrate()
    yield migrate.available()[BEFORE]
    client.statement("test_drop", "DROP DATABASE upgraded SYNC")
    client.disconnect_idle()


def found(table: str) -> tuple[int, ...]:
    return client.statement("test", f"SELECT {SUMS} FROM {table} WHERE {MADE[table]}")[0]


def test_the_history_is_in_every_rollup_and_new_rows_join_it(upgraded: migrate.Migration) -> None:
    kept = "SELECT sum(requests), sum(input_tokens), uniqExact(cluster), any(cluster), countIf(observed) FROM "
    for table in ("requests_minute", "requests_hour"):
        assert client.statement("test", kept + table) == [(7, 700, 1, "", 1)]
    assert {table: found(table) for table in MADE} == dict.fromkeys(MADE, (4, 1, 1, 600, 60))
    insert_requests("t", OLD[0] | {"id": "new"})
    assert {table: found(table) for table in MADE} == dict.fromkeys(MADE, (5, 1, 1, 700, 70))


def test_what_is_read_counts_old_rows_without_a_cluster_and_new_ones_with_it(upgraded: migrate.Migration) -> None:
    insert_requests("t", OLD[0] | {"id": "new"})
    start, end = NOON - timedelta(hours=12), NOON + timedelta(days=3)
    for scope in (LiveScope(), LiveScope(tenant="t", region="eu"), LiveScope(model="m", tier="batch", region="eu")):
        points = live.live_series(scope, start, timedelta(days=1), end)
        assert sum(point.counts.requests for point in points) == 7
        assert live.live_totals(scope, start, end).requests == 7
        assert points[0].ttft_ms is not None
        assert points[0].ttft_ms.p99 == pytest.approx(50, rel=0.02)
    by_cluster = live.live_breakdown(LiveScope(), start, timedelta(days=1), end, group="cluster", latency="ttft_ms")
    assert [(one.name, one.counts.requests) for one in by_cluster] == [("", 6), ("c", 1)]


def test_a_migration_that_was_cut_off_is_healed_by_another_run(upgraded: migrate.Migration) -> None:
    """Whichever statement was its last: history is neither lost nor doubled."""
    statements = upgraded.statements()
    for stop in (*range(0, len(statements), 13), len(statements)):
        for statement in [*statements[:stop], *statements]:
            for bounds in migrate.bounds_of(statement):
                client.statement("test_again", statement, bounds)
        assert {table: found(table) for table in MADE} == dict.fromkeys(MADE, (4, 1, 1, 600, 60)), stop
        assert client.statement("test", "SELECT sum(requests) FROM requests_hour") == [(7,)]
