"""Samples on their way from the spool into ClickHouse: beside a flood of events, and where ClickHouse refuses one."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metering.clickhouse import client
from metering.ingest import drain as drain_module
from metering.ingest import local, sink, telemetry_limits
from metering.ingest.drain import drain
from metering.ingest.schema import KINDS, TABLES
from metering.ingest.telemetry_records import KINDS as SAMPLE_KINDS
from metering.quarantine.decisions import replay
from metering.quarantine.entries import entries
from metering.quarantine.filters import EntryFilter
from tests.metering.ingest.batches import numbered
from tests.metering.ingest.samples import COUNTERS, READINGS, Node
from tests.metering.quarantined import found


@pytest.fixture
def node(db: None, clickhouse: None, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(telemetry_limits._Pause, "until", 0.0)
    return Node.new()


def test_every_kind_of_file_has_a_table_with_its_columns(clickhouse: None) -> None:
    assert set(KINDS) == set(TABLES)
    for kind in SAMPLE_KINDS.values():
        sql = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = %(table)s"
        columns = {name for (name,) in client.statement("test", sql, {"table": TABLES[kind.spooled]})}
        assert columns == set(kind.schema.names)


def test_events_that_never_end_do_not_hold_up_samples(
    node: Node, tenant_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one group is inserted, the next events arrive: every other kind still gets its turn."""
    monkeypatch.setattr(drain_module, "PACE_S", 0.0)
    order: list[str] = []
    arrivals = iter(range(3, 30, 3))

    def arriving(kind: str) -> None:
        order.append(kind)
        if kind == "events" and (first := next(arrivals, None)) is not None:
            local.spool().accept(numbered(tenant_key, first, 3), None)

    def by_reference(kind: str, files: Sequence[Path], token: str) -> None:
        arriving(kind)
        real_reference(kind, files, token)

    def by_value(kind: str, rows: pa.Table, token: str) -> None:
        arriving(kind)
        real_value(kind, rows, token)

    real_reference, real_value = sink.insert_by_reference, sink.insert_by_value
    monkeypatch.setattr(sink, "insert_by_reference", by_reference)
    monkeypatch.setattr(sink, "insert_by_value", by_value)
    local.spool().accept(numbered(tenant_key, 0, 3), None)
    node.post([node.gpu(), node.engine()])
    drain(local.spool())
    assert order[:4] == ["events", "gpus", "engines", "events"]
    assert order.count("events") == 10
    assert node.stored("gpu_samples", "gpu") == [("GPU-0",)]


@contextmanager
def refusing(table: str, condition: str) -> Iterator[None]:
    """ClickHouse refuses rows for which the condition does not hold."""
    client.statement("test", f"ALTER TABLE {table} ADD CONSTRAINT for_a_test CHECK {condition}")
    try:
        yield
    finally:
        client.statement("test", f"ALTER TABLE {table} DROP CONSTRAINT for_a_test")


@pytest.mark.parametrize(
    ("table", "kind", "fields"),
    [
        ("gpu_samples", "gpu", READINGS | {"gpu": "GPU-1"}),
        ("gpu_samples", "gpu", {"gpu": "GPU-1", "mig": "2/0"}),
        ("engine_samples", "engine", COUNTERS | {"engine": "vllm-1"}),
    ],
)
def test_a_sample_that_clickhouse_refuses_is_kept_as_it_was_sent_and_can_be_replayed(
    node: Node, table: str, kind: str, fields: dict[str, Any]
) -> None:
    make = node.gpu if kind == "gpu" else node.engine
    name = fields[kind]
    with refusing(table, f"node != '{node.name}' OR {kind} != '{name}'"):
        node.post([make(), make(**fields)])
        assert node.stored(table, kind) == [(make()[kind],)]
    (entry,) = entries(EntryFilter(api_key=node.prefix)).entries
    assert (entry.decoder, entry.reason) == ("telemetry", "refused_by_store")
    whole = found((entry.batch, entry.row, entry.reason))
    sent = {name: value for name, value in json.loads(whole.raw or b"").items() if value not in ("", False)}
    expected = make(**fields) | ({"up": True} if kind == "engine" else {})
    assert {name: value for name, value in sent.items() if value != []} == {
        name: pa.scalar(value, pa.float32()).as_py()
        if isinstance(value, float) and not name.endswith(("_j", "_s"))
        else value
        for name, value in expected.items()
    }
    replay(whole, None, "ann")
    assert node.stored(table, kind, kind) == sorted([(make()[kind],), (name,)])
