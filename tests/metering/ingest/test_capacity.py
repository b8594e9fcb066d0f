"""Back-pressure: the spool refuses before its disk is full, and one sender cannot lock the others out or hold them up."""

import time
from pathlib import Path

import pytest

from metering.ingest import capacity, drain
from metering.ingest.capacity import SpoolFull
from metering.ingest.spool import Spool
from tests.metering.ingest.batches import ids, numbered


@pytest.fixture(autouse=True)
def counted_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "CHECKED_S", -1)


def accept(spool: Spool, first: int, lane: str, count: int = 10) -> None:
    spool.accept(numbered("t", first, count), lane=lane)


def test_one_sender_may_not_fill_the_last_tenth(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10**9)
    accept(spool, 0, "noisy")
    size = spool.pending_bytes()
    full = Spool(tmp_path, int(size * 1.05))
    with pytest.raises(SpoolFull, match="rest is for others"):
        accept(full, 10, "noisy")
    accept(full, 20, "quiet")
    with pytest.raises(SpoolFull, match="wait to be inserted, at most"):
        accept(full, 30, "third")


def test_a_batch_that_waits_too_long_stops_the_intake(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10**9, max_age_s=0.2)
    accept(spool, 0, "a")
    time.sleep(0.25)
    with pytest.raises(SpoolFull, match=r"waited for more than"):
        accept(spool, 10, "a")


def test_a_disk_that_is_nearly_full_stops_the_intake(tmp_path: Path) -> None:
    with pytest.raises(SpoolFull, match="bytes free, less than"):
        accept(Spool(tmp_path, 10**9, min_free_bytes=2**60), 0, "a")


def test_what_this_process_accepts_counts_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, 10**9)
    accept(spool, 0, "")
    spool = Spool(tmp_path, spool.pending_bytes() + 1)
    monkeypatch.setattr(capacity, "CHECKED_S", 3600)  # no listing from here on
    accept(spool, 10, "")  # the listing came before it, and is not repeated
    with pytest.raises(SpoolFull):
        accept(spool, 20, "")


def test_a_sender_with_little_waiting_is_in_the_next_group(
    clickhouse: None, spool: Path, tenant_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "GROUP_ROWS", 30)
    found = Spool(spool, 10**9)
    for number in range(20):
        found.accept(numbered(tenant_key, number * 10, 10), lane="noisy")
    found.accept(numbered(tenant_key, 1000, 10), lane="quiet")
    group = drain._next(found)
    assert group is not None
    assert (group.rows, sum("quiet" in name for name in group.names)) == (30, 1)
    drain.drain(found)
    assert len(ids(tenant_key)) == 210


def test_senders_share_a_group_by_rows_not_by_batches(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10**9)
    for number in range(4):
        accept(spool, number * 100, "large", 40)
    for number in range(12):
        accept(spool, 1000 + number * 10, "small", 10)
    chosen = drain._fitting(spool.pending()[:])
    assert len(chosen) == 16
    first = [file.lane for file in sorted(chosen, key=lambda file: file.stamp_us)]
    assert first.count("small") == 12
