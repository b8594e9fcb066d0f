"""Races and remains that the spool, the drain and the sweeper must survive."""

import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from metering.ingest import drain as drain_module
from metering.ingest import hosts, sink, tasks
from metering.ingest import spool as spool_module
from metering.ingest.drain import drain
from metering.models import IngestHost
from metering.moments import from_microseconds
from tests.metering.ingest.batches import ids, numbered, spool_at
from tests.metering.ingest.test_drain import SIX, full, killed_at  # noqa: F401 - full is a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]
NAME = f"{1:016d}-00000000-0000-0000-0000-000000000000.1.events.arrow"


def test_a_file_of_an_unfinished_group_is_kept_even_if_it_is_sealed(full: Any, tenant_key: str) -> None:  # noqa: F811
    with killed_at(Path, "rename", after=True, calls=2):
        drain(full)
    full.remove_sealed(full.settled_before())
    full.accept(numbered(tenant_key, 6, 1), None)
    tasks.sweep()
    assert ids(tenant_key) == [*SIX, "e-6"]


def test_a_group_that_waits_for_an_operator_does_not_hold_up_the_others(full: Any, tenant_key: str) -> None:  # noqa: F811
    with killed_at(drain_module, "_verify", after=False):
        drain(full)
    manifest = next(full.groups.glob("*.json"))
    found = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(found | {"sizes": [found["sizes"][0] + 1, *found["sizes"][1:]]}))
    stamp = full.pending()[0].stamp_us
    full.accept(numbered(tenant_key, 6, 1), None)
    tasks.sweep()
    assert "e-6" in ids(tenant_key)
    assert full.settled_before() == from_microseconds(stamp)  # and still holds the seal


def test_a_file_that_is_gone_is_reported_and_the_host_still_publishes(full: Any, settings: Settings) -> None:  # noqa: F811
    with killed_at(drain_module, "_verify", after=False):
        drain(full)
    full.pending()[0].path.unlink()
    settings.HOST_NAME = "host-with-a-gap"
    tasks.sweep()
    assert IngestHost.objects.filter(name="host-with-a-gap").exists()


def test_names_are_durable_before_the_insert_and_before_the_manifest_goes(
    full: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[str] = []
    sync, unlink = os.fsync, Path.unlink
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append(Path(f"/proc/self/fd/{fd}").readlink().name), sync(fd)))
    monkeypatch.setattr(Path, "unlink", lambda self, **options: (steps.append("unlink"), unlink(self, **options)))
    for name in ("insert_by_reference", "insert_by_value"):
        real = getattr(sink, name)
        monkeypatch.setattr(sink, name, lambda *args, real=real: (steps.append("insert"), real(*args)))
    drain(full)
    assert steps[1:] == ["groups", "insert", "done", "ready", "unlink"]  # the first is the manifest itself


def test_an_orphan_that_its_writer_moves_on_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spool_at(tmp_path / "spool")
    (spool.incoming / NAME).write_bytes(b"x")
    listed = spool_module._listed

    def then_gone(folder: Path) -> Any:
        found = listed(folder)
        (spool.incoming / NAME).unlink(missing_ok=True)
        return found

    monkeypatch.setattr(spool_module, "_listed", then_gone)
    assert spool.remove_orphans() == 0


def test_a_file_between_its_creation_and_its_lock_is_no_orphan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = spool_at(tmp_path / "spool")
    create = spool_module._Incoming.__init__
    sweeper = threading.Thread(target=spool.remove_orphans)

    def swept_meanwhile(self: Any, path: Path) -> None:
        sweeper.start()
        sweeper.join(0.3)  # it waits for the stamp's lock, which this writer holds
        assert sweeper.is_alive()
        create(self, path)

    monkeypatch.setattr(spool_module._Incoming, "__init__", swept_meanwhile)
    spool.accept(numbered("t", 0, 1), None)
    sweeper.join(5)
    assert len(spool.pending()) == 1


@pytest.mark.parametrize("recorded", [b"\0" * 16, b"", b"12ab"])
def test_an_unreadable_clock_goes_on_after_the_newest_file(tmp_path: Path, recorded: bytes) -> None:
    spool = spool_at(tmp_path / "spool")
    ahead = 4_000_000_000_000_000  # far ahead of this machine's clock
    (spool.done / f"{ahead}{NAME[16:]}").write_bytes(b"")
    (spool.root / "clock").write_bytes(recorded)
    assert spool.accept(numbered("t", 0, 1), None).ingested_at > from_microseconds(ahead)


def test_machines_that_share_a_spool_are_one_host(
    spool: Path, tenant_key: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HOST_NAME = ""
    spool_at(spool).accept(numbered(tenant_key, 0, 1), None)
    monkeypatch.setattr(socket, "gethostname", lambda: f"web-{tenant_key}")
    hosts.publish_if_used()
    monkeypatch.setattr(socket, "gethostname", lambda: f"worker-{tenant_key}")
    tasks.sweep()
    names = IngestHost.objects.filter(name__endswith=tenant_key).values_list("name", flat=True)
    assert list(names) == [f"web-{tenant_key}"]
