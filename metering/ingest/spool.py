"""The spool: where an accepted batch lies on disk, fsynced, before its sender hears of it, until its events are sealed.

    incoming/   being written; the writer holds a lock on the file, so that a dead writer's remains can be told from a live one's
    ready/      accepted, waiting for the drain
    groups/     manifests of groups that are being inserted (see drain.py)
    done/       inserted, kept until sealed
    clock       the last stamp given out on this host

A batch is one file per kind of its rows (schema.KINDS), each `<stamp in us>-<batch uuid>.<rows>[.<lane>].<kind>.arrow`; the lane says
who sent it, for fair draining. Stamps never decrease on a host, whatever its clock does: they are given under a lock, and the
file is created under the same lock, so that no stamp exists without a file that `oldest_pending` sees.
"""

import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from metering.ingest.capacity import Bounds, Capacity, SpoolFull
from metering.ingest.schema import KINDS, LABEL
from metering.moments import from_microseconds, microseconds

__all__ = ["Accepted", "Spool", "SpoolFull", "SpooledFile", "described", "stamped", "sync_folder"]

FOLDERS = ("incoming", "ready", "groups", "done")


@dataclass(frozen=True)
class Accepted:
    """A batch that is on disk."""

    batch: str
    ingested_at: datetime


@dataclass(frozen=True)
class SpooledFile:
    """One file of a batch, by what its name says."""

    path: Path
    stamp_us: int
    rows: int
    size: int

    @property
    def batch(self) -> str:
        return self.path.name.split("-", 1)[1].split(".", 1)[0]

    @property
    def kind(self) -> str:
        """One of schema.KINDS."""
        return self.path.name.rsplit(".", 2)[1]

    @property
    def lane(self) -> str:
        """Who sent it, as far as fair draining needs to know; '' if nobody said."""
        words = self.path.name.split("-", 1)[1].split(".")
        return words[2] if len(words) == 5 else ""


class Spool:
    """The spool of this host at `root`. Safe for any number of processes at once."""

    def __init__(self, root: Path, max_bytes: int, *, max_age_s: float = 0, min_free_bytes: int = 0) -> None:
        self.root = root
        self.max_bytes = max_bytes
        self.bounds = Bounds(max_bytes, max_age_s, min_free_bytes)
        self.incoming, self.ready, self.groups, self.done = (root / name for name in FOLDERS)

    def create(self) -> None:
        for name in FOLDERS:
            (self.root / name).mkdir(parents=True, exist_ok=True)

    @property
    def in_use(self) -> bool:
        """Whether this machine has ever accepted anything here."""
        return (self.root / "clock").exists()

    def accept(self, events: pa.Table | None = None, rejects: pa.Table | None = None, *, lane: str = "") -> Accepted:
        """As accept_all, for a batch of request events."""
        return self.accept_all({"rejects": rejects, "events": events}, lane=lane)

    def accept_all(self, tables: Mapping[str, pa.Table | None], *, lane: str = "") -> Accepted:
        """Put a batch on disk: a table for each of its kinds, without the stamped columns. All is durable when this returns.

        Raises SpoolFull, or OSError if the disk fails; then nothing was accepted.
        """
        self.create()
        capacity = _capacity(self.root)
        capacity.check(self.bounds, lane, self.waiting)
        batch = str(uuid.uuid4())
        parts = [(kind, table) for kind in KINDS if (table := tables.get(kind)) is not None and table.num_rows]
        with self._stamp() as stamp_us:
            writing = [
                (_Incoming(self.incoming / _file_name(stamp_us, batch, table.num_rows, lane, kind)), table, KINDS[kind])
                for kind, table in parts
            ]
        try:
            for file, table, schema in writing:
                file.write(stamped(table, schema, stamp_us, batch))
            for (
                file,
                _,
                _,
            ) in writing:  # rejects first, as KINDS has them: what was refused is kept whenever what was taken is
                file.move_to(self.ready)
            sync_folder(self.ready)
            capacity.add(lane, sum(file.path.stat().st_size for file, _, _ in writing))
        finally:
            for file, _, _ in writing:
                file.close()
        return Accepted(batch, from_microseconds(stamp_us))

    def pending(self) -> list[SpooledFile]:
        """What waits in ready/, oldest first."""
        return _listed(self.ready)

    def pending_bytes(self) -> int:
        return sum(file.size for file in self.waiting())

    def waiting(self) -> list[SpooledFile]:
        """What waits in ready/, and what is being written."""
        return [file for folder in (self.incoming, self.ready) for file in _listed(folder)]

    def settled_before(self) -> datetime:
        """Every stamp this host gave out before the answer is inserted, and it will never give out an earlier one."""
        self.create()
        with self._stamp() as stamp_us:
            held = [file.stamp_us for file in self.waiting()]
            return from_microseconds(min([stamp_us, *held]))

    def remove_orphans(self) -> int:
        """Delete what a killed writer left in incoming/: it was never acknowledged. Returns how many files."""
        with self._stamp():  # a writer creates and locks its file under this lock: none is seen between the two
            return sum(_removed_if_dead(file.path) for file in _listed(self.incoming))

    def remove_sealed(self, watermark: datetime) -> int:
        """Delete what is inserted and sealed. Returns how many files."""
        until = microseconds(watermark)
        claimed = self.claimed()  # an unfinished group is repeated from all of its files
        sealed = [file for file in _listed(self.done) if file.stamp_us < until and file.path.name not in claimed]
        for file in sealed:
            file.path.unlink(missing_ok=True)
        return len(sealed)

    def trim_kept(self) -> int:
        """Delete the oldest of what is inserted and verified, but not sealed, where all together exceed the bound. Returns how many.

        These files are a second copy: ClickHouse holds their rows. Without this a held seal would fill the disk.
        """
        claimed = self.claimed()
        kept = [file for file in _listed(self.done) if file.path.name not in claimed]
        excess = sum(file.size for file in kept) + self.pending_bytes() - self.max_bytes
        removed = 0
        while excess > 0 and removed < len(kept):
            kept[removed].path.unlink(missing_ok=True)
            excess -= kept[removed].size
            removed += 1
        return removed

    def claimed(self) -> set[str]:
        """Names of files that unfinished groups hold."""
        return {name for path in self.groups.glob("*.json") for name in _manifest_names(path)}

    @contextmanager
    def _stamp(self) -> Iterator[int]:
        """The next stamp, in microseconds; the host-wide lock is held inside the block."""
        descriptor = os.open(self.root / "clock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            last = self._last_stamp(os.pread(descriptor, 16, 0))
            stamp_us = max(time.time_ns() // 1000, last + 1)
            os.pwrite(descriptor, b"%016d" % stamp_us, 0)  # always 16 bytes: a crash leaves the old number or the new
            yield stamp_us
        finally:
            os.close(descriptor)

    def _last_stamp(self, recorded: bytes) -> int:
        """What the clock file says; if a power cut left it unreadable, the newest stamp of any file."""
        if recorded.isdigit():
            return int(recorded)
        folders = (self.incoming, self.ready, self.done)
        return max((file.stamp_us for folder in folders for file in _listed(folder)), default=0)


@cache
def _capacity(root: Path) -> Capacity:
    """One count per spool and process."""
    return Capacity(root)


class _Incoming:
    """A file in incoming/, locked for as long as its writer lives."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("xb")  # closed by close(), which accept() always calls
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def write(self, table: pa.Table) -> None:
        with pa.ipc.new_stream(self._file, table.schema) as stream:
            stream.write_table(table.combine_chunks())
        self._file.flush()
        os.fsync(self._file.fileno())

    def move_to(self, folder: Path) -> None:
        self.path = self.path.rename(folder / self.path.name)

    def close(self) -> None:
        if self.path.parent.name == "incoming":
            self.path.unlink(missing_ok=True)
        self._file.close()


def stamped(table: pa.Table, schema: pa.Schema, stamp_us: int, batch: str) -> pa.Table:
    """`table` with `ingested_at`, `batch` and, for events, `row` and the time of those that gave none, in the order of `schema`."""
    rows = table.num_rows
    columns = {name: table[name] for name in table.column_names}
    columns["ingested_at"] = pa.repeat(pa.scalar(stamp_us, pa.int64()), rows).cast(pa.timestamp("us", "UTC"))
    if schema.field("batch").type == LABEL:
        columns["batch"] = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([batch]))
    else:
        columns["batch"] = pa.repeat(pa.scalar(batch), rows)
    if "row" not in columns:
        columns["row"] = pa.array(np.arange(rows, dtype=np.uint32))
    if "time" in columns:
        columns["time"] = columns["time"].fill_null(
            pa.scalar(stamp_us // 1000, pa.int64()).cast(pa.timestamp("ms", "UTC"))
        )
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _file_name(stamp_us: int, batch: str, rows: int, lane: str, kind: str) -> str:
    return ".".join((f"{stamp_us:016d}-{batch}", str(rows), *([lane] if lane else []), kind, "arrow"))


def _listed(folder: Path) -> list[SpooledFile]:
    """The batches in a folder, oldest first; a file that is moved away meanwhile is left out."""
    found = []
    for path in sorted(folder.glob("*.arrow")) if folder.exists() else ():
        try:
            found.append(described(path))
        except FileNotFoundError:
            continue
    return found


def described(path: Path) -> SpooledFile:
    """What the name and the size of a batch's file say. Raises FileNotFoundError if it is gone."""
    stamp, rest = path.name.split("-", 1)
    return SpooledFile(path, int(stamp), int(rest.split(".")[1]), path.stat().st_size)


def _removed_if_dead(path: Path) -> bool:
    """Delete a file in incoming/ unless its writer lives, or has just moved it on."""
    try:
        handle = path.open("rb")
    except FileNotFoundError:
        return False
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        path.unlink(missing_ok=True)
        return True


def _manifest_names(path: Path) -> list[str]:
    try:
        return list(json.loads(path.read_text())["names"])
    except FileNotFoundError:  # finished meanwhile
        return []


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
