"""The spool: stamps that never decrease, files that are durable before they are acknowledged, remains that are told from work."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from metering.ingest import sink
from metering.ingest import spool as spool_module
from metering.ingest.spool import Spool, SpoolFull, _Incoming
from metering.moments import from_microseconds
from tests.metering.ingest.batches import names, numbered, spool_at


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def accept(spool: Spool, first: int = 0, count: int = 1) -> None:
    spool.accept(numbered("t", first, count), None)


def test_an_accepted_batch_carries_one_stamp_and_its_rows_in_order(root: Path) -> None:
    spool = spool_at(root)
    accepted = spool.accept(numbered("t", 0, 3), None)
    (file,) = spool.pending()
    rows = sink.read([file.path]).to_pylist()
    assert {row["ingested_at"] for row in rows} == {accepted.ingested_at}
    assert {row["batch"] for row in rows} == {accepted.batch} == {file.batch}
    assert [(row["row"], row["id"]) for row in rows] == [(0, "e-0"), (1, "e-1"), (2, "e-2")]
    assert (file.rows, file.kind) == (3, "events")


def test_stamps_increase_when_the_clock_steps_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = spool_at(root)
    first = spool.accept(numbered("t", 0, 1), None).ingested_at
    an_hour_ago = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr(spool_module.time, "time_ns", lambda: an_hour_ago)
    assert spool_at(root).accept(numbered("t", 1, 1), None).ingested_at > first


def test_batches_accepted_at_once_have_different_stamps(root: Path) -> None:
    spool = spool_at(root)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: spool.accept(numbered("t", n, 1), None).ingested_at, range(60)))
    assert len(set(found)) == 60
    assert len(spool.pending()) == 60


def test_the_file_is_synced_before_it_is_moved_and_the_folder_after(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spool_at(root)
    steps: list[str] = []
    sync, rename = os.fsync, Path.rename

    def fsync(descriptor: int) -> None:
        steps.append(f"sync {'folder' if os.path.isdir(f'/proc/self/fd/{descriptor}') else 'file'}")  # noqa: PTH112
        sync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        steps.append("move")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", renamed)
    accept(spool)
    assert steps == ["sync file", "move", "sync folder"]


def test_a_failed_write_leaves_nothing_behind(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = spool_at(root)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        accept(spool)
    assert names(spool.incoming) == names(spool.ready) == []


def test_a_full_spool_refuses_and_keeps_what_it_has(root: Path) -> None:
    spool = spool_at(root, max_bytes=10)
    accept(spool)
    with pytest.raises(SpoolFull):
        accept(spool, 1)
    assert len(spool.pending()) == 1


def test_what_a_killed_writer_left_is_removed_and_a_live_writers_file_is_not(root: Path) -> None:
    spool = spool_at(root)
    name = f"{1:016d}-00000000-0000-0000-0000-000000000000.1.events.arrow"
    (spool.incoming / name).write_bytes(b"half")
    alive = _Incoming(spool.incoming / name.replace("0001-", "0002-"))
    try:
        assert spool.remove_orphans() == 1
        assert names(spool.incoming) == [alive.path.name]
    finally:
        alive.close()


def test_nothing_before_a_waiting_batch_is_settled(root: Path) -> None:
    spool = spool_at(root)
    stamp = spool.accept(numbered("t", 0, 1), None).ingested_at
    accept(spool, 1)
    assert spool.settled_before() == stamp


def test_nothing_before_a_batch_that_is_being_written_is_settled(root: Path) -> None:
    spool = spool_at(root)
    name = f"{1_000_000:016d}-00000000-0000-0000-0000-000000000000.1.events.arrow"
    writer = _Incoming(spool.incoming / name)
    try:
        assert spool.settled_before() == from_microseconds(1_000_000)
    finally:
        writer.close()


def test_no_later_batch_is_stamped_before_what_was_settled(root: Path) -> None:
    spool = spool_at(root)
    settled = spool.settled_before()
    assert spool.accept(numbered("t", 0, 1), None).ingested_at > settled


def test_done_files_are_removed_once_their_stamp_is_sealed(root: Path) -> None:
    spool = spool_at(root)
    first = spool.accept(numbered("t", 0, 1), None).ingested_at
    accept(spool, 1)
    for file in spool.pending():
        file.path.rename(spool.done / file.path.name)
    assert spool.remove_sealed(first) == 0  # a seal covers what is before its watermark
    assert spool.remove_sealed(first + timedelta(microseconds=1)) == 1
    assert len(names(spool.done)) == 1


def test_a_machine_that_never_accepted_anything_does_not_use_a_spool(root: Path) -> None:
    assert not Spool(root, 1).in_use
    spool = spool_at(root)
    accept(spool)
    assert spool.in_use


WRITER = """
import sys
from pathlib import Path
from metering.ingest.spool import Spool
from tests.metering.ingest.batches import numbered
spool = Spool(Path(sys.argv[1]), 2**30)
for number in range(100_000):
    print(spool.accept(numbered("t", number, 5), None).batch, flush=True)
"""


@pytest.mark.parametrize("after_s", [0.05, 0.11, 0.23])
def test_a_writer_killed_at_any_moment_loses_nothing_that_it_acknowledged(root: Path, after_s: float) -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", "import django; django.setup()\n" + WRITER, str(root)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline().strip()]
    time.sleep(after_s)
    writer.send_signal(signal.SIGKILL)
    acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
    writer.stdout.close()
    writer.wait(10)

    spool = spool_at(root)
    found = {file.batch: sink.read([file.path]).num_rows for file in spool.pending()}
    assert set(acknowledged) <= found.keys()
    assert set(found.values()) == {5}  # whole, the one whose acknowledgement got lost included
    spool.remove_orphans()
    assert names(spool.incoming) == []
