"""The store on disk: batches, limits, lanes of the dead, and what a failing disk does."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tallywatt import lanes
from tallywatt import outbox as outbox_module
from tallywatt.errors import Closed, OutboxError, OutboxFull
from tallywatt.outbox import Outbox
from tallywatt.segments import frame
from tallywatt.stats import Counters
from tallywatt.store import Limits
from tests.tallywatt.server import KEY

Make = Callable[..., Outbox]


@pytest.fixture
def opened(outbox: Path) -> Iterator[Make]:
    made: list[Outbox] = []

    def make(key: str = KEY, *, any_key: bool = False, **limits: Any) -> Outbox:
        given: dict[str, Any] = {
            "batch_events": 10,
            "batch_bytes": 10_000,
            "batch_age_s": 60.0,
            "most_bytes": 100_000,
            "when_full": "raise",
        }
        made.append(Outbox(outbox, key, Limits(**given | limits), Counters(), any_key=any_key))
        return made[-1]

    yield make
    for each in made:
        each.close()


def lines_of(store: Outbox) -> list[bytes]:
    """Everything that waits, oldest first; it is removed."""
    store.mark()
    found: list[bytes] = []
    while taken := store.take():
        found += taken[1]
        store.done(taken[0])
    return found


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def die(store: Outbox) -> None:
    """What is left of a killed process: its files, and no lock."""
    store.abandon()
    store.close = lambda: None  # type: ignore[method-assign]


def test_events_come_back_in_order_and_their_files_go(opened: Make) -> None:
    store = opened()
    for number in range(25):
        store.append(b"%d" % number)
    assert store.pending == 25
    assert lines_of(store) == [b"%d" % number for number in range(25)]
    assert (store.pending, store.size_bytes) == (0, 0)
    assert list(lanes.segments(store.lane)) == []


def test_a_batch_is_due_when_it_is_full(opened: Make) -> None:
    store = opened(batch_events=3)
    news = [store.append(b"x").news for _ in range(3)]
    assert news == [True, False, True]
    assert store.due_in() == 0
    taken = store.take()
    assert taken is not None
    assert len(taken[1]) == 3


def test_a_batch_is_due_when_it_has_grown_to_its_size(opened: Make) -> None:
    store = opened(batch_bytes=100)
    store.append(b"x" * 50)
    assert store.take() is None
    store.append(b"x" * 50)
    assert store.take() is not None


def test_a_batch_is_due_when_it_is_old_enough(opened: Make) -> None:
    store = opened(batch_age_s=0.05)
    assert store.due_in() is None
    store.append(b"x")
    assert 0 < (store.due_in() or 0) <= 0.05
    time.sleep(0.06)
    assert store.take() is not None


def test_a_batch_stays_on_disk_until_it_is_done(opened: Make) -> None:
    store = opened()
    store.append(b"x")
    store.mark()
    first = store.take()
    assert first is not None
    assert store.take() == first
    assert len(list(lanes.segments(store.lane))) == 1
    store.done(first[0])
    assert list(lanes.segments(store.lane)) == []


def test_a_full_outbox_refuses_and_goes_on_once_there_is_room(opened: Make) -> None:
    store = opened(most_bytes=300, batch_bytes=100)
    for _ in range(5):
        store.append(b"x" * 50)  # 60 bytes with its checksum
    with pytest.raises(OutboxFull, match="300 of 300 bytes are taken by 5 events"):
        store.append(b"x")
    assert len(lines_of(store)) == 5
    store.append(b"x")


def test_a_full_outbox_may_drop_the_oldest_and_counts_them(opened: Make) -> None:
    store = opened(most_bytes=300, batch_bytes=100, when_full="drop_oldest")
    for number in range(100):
        store.append(b"%050d" % number)
        assert store.size_bytes <= 300
    dropped = store.counters.stats(pending=0, outbox_bytes=0).dropped
    assert dropped + store.pending == 100
    assert lines_of(store)[-1] == b"%050d" % 99


def test_a_batch_on_its_way_is_not_dropped(opened: Make) -> None:
    store = opened(most_bytes=130, batch_bytes=100, when_full="drop_oldest")
    store.append(b"x" * 100)
    taken = store.take()
    assert taken is not None
    with pytest.raises(OutboxFull):
        store.append(b"y" * 100)
    store.done(taken[0])
    store.append(b"y" * 100)


def test_the_lane_of_a_dead_process_is_adopted_oldest_first(opened: Make) -> None:
    dead = opened()
    dead.append(b"old")
    die(dead)
    store = opened()
    store.append(b"new")
    store.look_around()
    assert store.pending == 2
    assert lines_of(store) == [b"old", b"new"]
    assert not dead.lane.exists()
    assert store.counters.stats(pending=0, outbox_bytes=0).adopted == 1


def test_the_lane_of_a_living_process_is_left_alone(opened: Make) -> None:
    living = opened()
    living.append(b"mine")
    store = opened()
    store.look_around()
    assert store.pending == 0
    assert lines_of(living) == [b"mine"]


def test_a_lane_of_another_api_key_is_left_unless_asked_for(opened: Make) -> None:
    dead = opened("tw_another_key")
    dead.append(b"of another tenant")
    die(dead)
    store = opened()
    store.look_around()
    assert store.pending == 0
    anybody = opened(any_key=True)
    anybody.look_around()
    assert lines_of(anybody) == [b"of another tenant"]


def test_a_torn_last_line_of_a_dead_process_is_skipped_and_counted(opened: Make) -> None:
    dead = opened()
    dead.append(b"whole")
    dead.append(b"torn in the middle")
    (segment,) = lanes.segments(dead.lane)
    os.truncate(segment, segment.stat().st_size - 4)
    die(dead)
    store = opened()
    store.look_around()
    assert lines_of(store) == [b"whole"]
    assert store.counters.stats(pending=0, outbox_bytes=0).torn == 1


def test_what_others_keep_in_the_outbox_counts_towards_its_size(opened: Make) -> None:
    other = opened()
    other.append(b"x" * 200)
    store = opened(most_bytes=300)
    store.look_around()
    with pytest.raises(OutboxFull):
        store.append(b"x" * 200)


def test_a_closed_outbox_takes_nothing_and_an_empty_lane_disappears(opened: Make) -> None:
    empty, full = opened(), opened()
    full.append(b"x")
    empty.close()
    full.close()
    assert not empty.lane.exists()
    assert len(list(lanes.segments(full.lane))) == 1
    with pytest.raises(Closed):
        full.append(b"y")


def test_only_the_owner_may_read_it(opened: Make, outbox: Path) -> None:
    store = opened()
    store.append(b"x")
    (segment,) = lanes.segments(store.lane)
    assert [path.stat().st_mode & 0o077 for path in (outbox, store.lane, segment)] == [0, 0, 0]


def test_a_folder_that_cannot_be_used_is_told_at_once(opened: Make, outbox: Path) -> None:
    outbox.write_text("a file")
    with pytest.raises(OutboxError, match="cannot be used"):
        opened()


def test_a_line_that_the_disk_took_half_of_is_cut_off(opened: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store, write = opened(), os.write
    store.append(b"before")
    with monkeypatch.context() as patch:
        patch.setattr(outbox_module.os, "write", lambda opened, data: write(opened, data[: len(data) // 2]))
        with pytest.raises(OutboxError, match="bytes were written"):
            store.append(b"too much")
    store.append(b"after")
    written = b"".join(segment.read_bytes() for segment in lanes.segments(store.lane))
    assert written == frame(b"before") + frame(b"after")
    assert lines_of(store) == [b"before", b"after"]


def test_a_disk_that_fails_to_sync_is_told_to_everyone_whose_event_it_was(
    opened: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    first, second = store.append(b"1").ticket, store.append(b"2").ticket

    def broken(opened: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(outbox_module.os, "fsync", broken)
        with pytest.raises(OutboxError, match="Input/output error"):
            store.sync(second)
    # The kernel would now report success for pages that it has dropped.
    with pytest.raises(OutboxError, match="record it again"):
        store.sync(first)
    third = store.append(b"3").ticket
    store.sync(third)
    assert lines_of(store) == [b"1", b"2", b"3"]


def test_one_fsync_serves_all_that_wait_for_it(opened: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store, synced = opened(batch_events=100), []
    tickets = [store.append(b"x").ticket for _ in range(50)]
    fsync = os.fsync
    monkeypatch.setattr(outbox_module.os, "fsync", lambda opened: synced.append(opened) or fsync(opened))
    for ticket in reversed(tickets):
        store.sync(ticket)
    assert len(synced) == 2  # the file, and the folder that holds its name


def test_no_open_file_is_left_behind(opened: Make) -> None:
    before = open_files()
    store = opened(batch_events=2)
    for _ in range(3):
        for number in range(20):
            ticket = store.append(b"%d" % number).ticket
        store.sync(ticket)
        lines_of(store)
    store.close()
    assert open_files() == before


def test_a_batch_that_cannot_be_read_is_set_aside_and_the_next_one_goes(opened: Make) -> None:
    store = opened(batch_events=1)
    store.append(b"1")
    store.append(b"2")
    bad, _ = lanes.segments(store.lane)
    bad.unlink()
    bad.mkdir()
    assert lines_of(store) == [b"2"]
    assert [path.name for path in store.lane.glob("*.unreadable")] == [f"{bad.name}.unreadable"]
    assert store.counters.stats(pending=0, outbox_bytes=0).torn == 1
