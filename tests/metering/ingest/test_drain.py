"""The drain: whatever dies in the middle, every accepted event is in ClickHouse once; both roads give the same rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from metering.clickhouse import client
from metering.clickhouse.client import ClickHouseRefused, ClickHouseUnavailable
from metering.ingest import drain as drain_module
from metering.ingest import sink, tasks
from metering.ingest.drain import ManifestMismatch, RowsMissing, drain
from metering.ingest.schema import CANONICAL, QUARANTINE, STAMPED
from metering.ingest.spool import Spool
from tests.metering.ingest.batches import NOON, events, ids, names, numbered, rolled_up, spool_at

pytestmark = pytest.mark.usefixtures("clickhouse")


@pytest.fixture
def clickhouse(clickhouse_schema: None) -> None:
    """With the roll-ups, unlike beside it: what a drain repeats must not be in them twice either."""


class Killed(BaseException):
    """Stands for kill -9 between two steps: no handler of the code under test takes it."""


@pytest.fixture
def full(spool: Path, tenant_key: str) -> Spool:
    """Two batches of three events wait."""
    found = spool_at(spool)
    found.accept(numbered(tenant_key, 0, 3), None)
    found.accept(numbered(tenant_key, 3, 3), None)
    return found


@pytest.fixture(params=[True, False], ids=["by reference", "by value"])
def road(request: pytest.FixtureRequest, settings: Settings) -> bool:
    if request.param and not settings.CLICKHOUSE_READS_SPOOL:
        pytest.skip("this ClickHouse does not read the spool")
    settings.CLICKHOUSE_READS_SPOOL = request.param
    return bool(request.param)


SIX = [f"e-{number}" for number in range(6)]


def test_what_is_ready_is_inserted_as_one_group_and_moved_to_done(full: Spool, tenant_key: str, road: bool) -> None:
    assert drain(full) == 6
    assert ids(tenant_key) == SIX
    assert rolled_up(tenant_key) == (6, 60)
    assert names(full.ready) == names(full.groups) == []
    assert len(names(full.done)) == 2
    assert drain(full) == 0


def test_both_roads_give_the_same_rows(spool: Path, tenant_key: str, settings: Settings) -> None:
    if not settings.CLICKHOUSE_READS_SPOOL:
        pytest.skip("this ClickHouse does not read the spool")
    rich = {
        "source": "gw", "project": "p", "api_key_id": "k", "end_user": "ü 漢 \x00 '\\", "operation": "embedding",
        "tier": "flex", "status": "cancelled", "finish_reason": "stop", "input_tokens": 2**40, "cached_input_tokens": 7,
        "cache_write_tokens": 5, "output_tokens": 9, "reasoning_tokens": 4, "queue_ms": 0.25, "ttft_ms": 12.5,
        "tpot_ms": 0, "e2e_ms": 1e6, "region": "eu", "cluster": "c", "node": "n", "engine": "vllm", "gpus": ["H100", "H200"],
        "stream": True, "attributes": {"a": "1", "": "ß"}, "time": "2026-01-15T11:59:59.987Z",
    }  # fmt: skip
    given = [{"id": "bare"}, {"id": "rich"} | rich, {"id": "old", "time": "2017-03-01T00:00:00Z"}]
    columns = ", ".join(name for name in CANONICAL.names if name not in {"tenant", "ingested_at", "batch"})
    seen = []
    for reads in (True, False):
        settings.CLICKHOUSE_READS_SPOOL = reads
        tenant = f"{tenant_key}-{reads}"
        found = spool_at(spool)
        accepted = found.accept(events(tenant, *given), None)
        drain(found)
        where = "tenant = %(tenant)s ORDER BY id"
        seen.append(client.statement("test", f"SELECT {columns} FROM requests WHERE {where}", {"tenant": tenant}))
        sql = f"SELECT DISTINCT toString(batch), toUnixTimestamp64Micro(ingested_at) FROM requests WHERE tenant = '{tenant}'"
        stamp_us = (accepted.ingested_at - NOON) // timedelta(microseconds=1) + int(NOON.timestamp()) * 10**6
        assert client.statement("test", sql) == [(accepted.batch, stamp_us)]
    assert seen[0] == seen[1]
    assert len(seen[0]) == 3


def test_quarantine_is_inserted_too(spool: Path, tenant_key: str, road: bool) -> None:
    found = spool_at(spool)
    row = {"row": 4, "tenant": tenant_key, "api_key": "k", "decoder": "ndjson", "reason": "malformed", "field": "",
           "message": "not JSON", "raw": '{"a": "ü"'}  # fmt: skip
    schema = QUARANTINE.empty_table().select(list(row)).schema
    found.accept(None, drain_module.pa.Table.from_pylist([row], schema=schema))
    assert drain(found) == 1
    sql = "SELECT row, reason, raw FROM quarantine WHERE tenant = %(tenant)s"
    assert client.statement("test", sql, {"tenant": tenant_key}) == [(4, "malformed", '{"a": "ü"')]


@contextmanager
def killed_at(target: Any, name: str, *, after: bool, calls: int = 1) -> Iterator[None]:
    """Kill the drain before or after the `calls`-th call of a function."""
    real: Callable[..., Any] = getattr(target, name)
    count = 0

    def dying(*args: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == calls and not after:
            raise Killed
        result = real(*args, **options)
        if count == calls:
            raise Killed
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, name, dying)
        with pytest.raises(Killed):
            yield


@pytest.mark.parametrize(
    ("target", "name", "after", "calls"),
    [
        (Path, "rename", False, 1),  # the manifest is written and not yet in force
        (Path, "rename", True, 1),  # the manifest is in force
        (client, "statement", False, 1),  # about to insert, or to verify
        (drain_module, "_verify", False, 1),  # inserted, not verified
        (drain_module, "_verify", True, 1),
        (Path, "rename", True, 2),  # one of two files is in done/
        (Path, "rename", True, 3),  # both are, the manifest is still there
        (Path, "unlink", False, 1),
        (Path, "unlink", True, 1),
    ],
)
def test_a_drain_killed_between_two_steps_is_finished_by_the_next_without_loss_or_double(
    full: Spool, tenant_key: str, road: bool, target: Any, name: str, after: bool, calls: int
) -> None:
    with killed_at(target, name, after=after, calls=calls):
        drain(full)
    full.accept(numbered(tenant_key, 6, 2), None)  # what comes meanwhile must not change the unfinished group
    drain(full)
    assert ids(tenant_key) == [*SIX, "e-6", "e-7"]
    assert rolled_up(tenant_key) == (8, 80)
    assert names(full.ready) == names(full.groups) == []


def test_the_same_batch_sent_twice_is_two_rows_of_one_identity(full: Spool, tenant_key: str) -> None:
    full.accept(numbered(tenant_key, 0, 3), None)
    drain(full)
    sql = "SELECT count(), uniqExact(identity) FROM requests WHERE tenant = %(tenant)s"
    assert client.statement("test", sql, {"tenant": tenant_key}) == [(9, 6)]


def test_a_group_may_span_more_months_than_clickhouse_allows_by_default(
    spool: Path, tenant_key: str, road: bool
) -> None:
    found = spool_at(spool)
    months = [f"{year}-{month:02d}-15T00:00:00Z" for year in range(2016, 2026) for month in range(1, 13)][1:]
    found.accept(events(tenant_key, *({"id": time, "time": time} for time in months)), None)
    assert drain(found) == 119
    assert len(ids(tenant_key)) == 119


def test_groups_end_at_their_limit_of_rows(spool: Path, tenant_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "GROUP_ROWS", 4)
    found = spool_at(spool)
    for number in range(3):
        found.accept(numbered(tenant_key, number * 3, 3), None)
    tokens = []
    insert = sink.insert_by_value
    monkeypatch.setattr(drain_module.settings, "CLICKHOUSE_READS_SPOOL", False)
    monkeypatch.setattr(sink, "insert_by_value", lambda *args: (tokens.append(args[2]), insert(*args)))
    assert drain(found) == 9
    assert len(set(tokens)) == 3


def test_only_one_process_drains(full: Spool, tenant_key: str) -> None:
    with drain_module._alone(full) as alone:
        assert alone
        assert drain(full) == 0
    assert drain(full) == 6


def test_without_clickhouse_the_spool_only_grows(full: Spool, tenant_key: str, settings: Settings) -> None:
    url = settings.CLICKHOUSE_URL
    settings.CLICKHOUSE_URL = "clickhouse://nobody:x@127.0.0.1:1/nothing"
    with pytest.raises(ClickHouseUnavailable):
        drain(full)
    tasks.drain()  # the task leaves it to the sweeper
    assert len(names(full.ready)) == 2
    settings.CLICKHOUSE_URL = url
    drain(full)
    assert ids(tenant_key) == SIX


@contextmanager
def refusing(tenant: str, condition: str) -> Iterator[None]:
    """ClickHouse refuses rows of a tenant for which the condition does not hold."""
    sql = f"ALTER TABLE requests ADD CONSTRAINT for_a_test CHECK tenant != '{tenant}' OR {condition}"
    client.statement("test", sql)
    try:
        yield
    finally:
        client.statement("test", "ALTER TABLE requests DROP CONSTRAINT for_a_test")


def test_an_event_that_clickhouse_refuses_goes_to_quarantine_and_takes_nothing_along(
    full: Spool, tenant_key: str, road: bool
) -> None:
    with refusing(tenant_key, "id != 'e-4'"):
        drain(full)
    assert ids(tenant_key) == [each for each in SIX if each != "e-4"]
    assert rolled_up(tenant_key) == (5, 50)
    sql = "SELECT reason, JSONExtractString(raw, 'id') FROM quarantine WHERE tenant = %(tenant)s"
    assert client.statement("test", sql, {"tenant": tenant_key}) == [("refused_by_store", "e-4")]
    assert names(full.ready) == names(full.groups) == []


def test_a_bisection_that_is_killed_is_repeated_without_loss_or_double(full: Spool, tenant_key: str) -> None:
    with refusing(tenant_key, "id != 'e-4'"):
        with killed_at(sink, "insert_by_value", after=True, calls=1):
            drain(full)
        drain(full)
    assert ids(tenant_key) == [each for each in SIX if each != "e-4"]
    assert rolled_up(tenant_key) == (5, 50)


def test_a_passing_refusal_quarantines_nothing(full: Spool, tenant_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise ClickHouseRefused(241, "memory limit exceeded")

    with monkeypatch.context() as patch:
        patch.setattr(sink, "insert_by_reference", busy)
        patch.setattr(sink, "insert_by_value", busy)
        with pytest.raises(ClickHouseRefused):
            drain(full)
    drain(full)
    assert ids(tenant_key) == SIX


def test_rows_that_clickhouse_does_not_hold_keep_their_files_in_the_spool(
    full: Spool, tenant_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sink, "insert_by_reference", lambda *_: None)
        patch.setattr(sink, "insert_by_value", lambda *_: None)
        with pytest.raises(RowsMissing, match="has 6 rows, ClickHouse holds 0"):
            drain(full)
    assert len(names(full.ready)) == 2
    drain(full)
    assert ids(tenant_key) == SIX


def test_a_spooled_file_that_somebody_changed_is_not_inserted(full: Spool, tenant_key: str) -> None:
    with killed_at(Path, "rename", after=True, calls=1):
        drain(full)
    with full.pending()[0].path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(ManifestMismatch):
        drain(full)
    assert ids(tenant_key) == []


def test_stamps_are_what_the_spool_gave(full: Spool, tenant_key: str) -> None:
    assert set(STAMPED) == {"ingested_at", "batch", "row"}
    drain(full)
    sql = "SELECT groupArray(row) FROM (SELECT row FROM requests WHERE tenant = %(tenant)s ORDER BY ingested_at, row)"
    assert client.statement("test", sql, {"tenant": tenant_key}) == [([0, 1, 2, 0, 1, 2],)]


def test_a_group_of_many_files_is_one_block(clickhouse: None, spool: Path, tenant_key: str) -> None:
    found = spool_at(spool)
    for number in range(40):
        found.accept(numbered(tenant_key, number * 500, 500), None)
    drain(found)
    sql = "SELECT count(), uniqExact(_part) FROM requests WHERE tenant = %(tenant)s"
    assert client.statement("test", sql, {"tenant": tenant_key}) == [(20_000, 1)]
