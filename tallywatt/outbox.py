"""The durable store: batches as files in this process's lane (see lanes.py), deleted once the server has them.

What each failure can lose, of that for which `record()` has returned:
- the process is killed: nothing; what was written is the kernel's.
- the machine loses power: nothing with fsync_ms=0, else the last `fsync_ms` milliseconds.
- the disk is lost: what the server does not have yet.
A crash between the server's answer and the deletion sends a batch again, with the same ids: the server counts it once.
"""

import contextlib
import logging
import os
import threading
import time
from bisect import insort
from dataclasses import dataclass, field
from pathlib import Path

from tallywatt import lanes, segments
from tallywatt.errors import OutboxError
from tallywatt.stats import Counters
from tallywatt.store import Batch, Limits, Store

logger = logging.getLogger("tallywatt")

LOOK_EVERY_S = 5.0


@dataclass
class _Unsynced:
    """Sealed files that are not on the disk yet, by name; and which tickets a failing disk has cost."""

    files: dict[str, int] = field(default_factory=dict)
    folder: bool = False
    upto: int = 0
    lost: range = range(0)


class Outbox(Store):
    """Raises OutboxError if `root` cannot be used. `any_key`: what was recorded under other API keys is adopted too."""

    def __init__(
        self,
        root: Path,
        key: str,
        limits: Limits,
        counters: Counters,
        *,
        any_key: bool = False,
        framing: segments.Framing = segments,
    ) -> None:
        super().__init__(limits, counters)
        self.root = root
        self._framing = framing
        self._label = None if any_key else lanes.label_of(key)
        self._lane = lanes.create(root, lanes.label_of(key))
        self._fd = -1
        self._unsynced = _Unsynced()
        self._sync_lock = threading.Lock()
        self._bytes_of_others = 0
        self._looked_at = float("-inf")

    @property
    def lane(self) -> Path:
        return self._lane.path

    def sync(self, ticket: int) -> None:
        """Callers that wait together share one fsync."""
        with self._sync_lock:
            if ticket in self._unsynced.lost:
                raise OutboxError("the disk failed to store this event: record it again")
            if ticket > self._unsynced.upto:
                self._sync_all()

    def look_around(self) -> None:
        """Adopt what dead processes left, and see how much room the living ones take. Does nothing most of the time."""
        if time.monotonic() < self._looked_at + LOOK_EVERY_S:
            return
        self._looked_at = time.monotonic()
        for path in lanes.adopt(self.root, self._lane, self._label):
            self._adopt(path)
        self._bytes_of_others = lanes.size_of_others(self.root, self._lane)

    def close(self) -> None:
        super().close()
        with contextlib.suppress(OutboxError):
            self.sync(self.written)
        with self._lock:
            if self._lane.lock >= 0:
                self._lane.release()
                self._lane = lanes.Lane(self._lane.path, -1)

    def abandon(self) -> None:
        """Closes the child's copies of the open files. The parent's lock lives on in the parent."""
        for opened in (self._fd, self._lane.lock, *self._unsynced.files.values()):
            with contextlib.suppress(OSError):
                os.close(opened)

    def _adopt(self, path: Path) -> None:
        lines, torn = self._framing.parse(path.read_bytes())
        self.counters.add("adopted", len(lines))
        self.counters.add("torn", torn)
        if torn:
            logger.warning("%d lines that a crash cut short are skipped in %s", torn, path.name)
        batch = Batch(path.name, len(lines), path.stat().st_size)
        with self._lock:
            insort(self._sealed, batch)
            self._pending += batch.events
            self._bytes += batch.bytes

    def _occupied(self) -> int:
        return self._bytes + self._bytes_of_others

    def _framed(self, line: bytes) -> bytes:
        return self._framing.frame(line)

    def _next_name(self) -> str:
        return f"{super()._next_name()}-{self._lane.suffix}"

    def _begin(self, name: str) -> Batch:
        try:
            self._fd = os.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except OSError as error:
            raise OutboxError(f"no new file in the outbox: {error}") from error
        self._unsynced.folder = True
        return Batch(name)

    def _write(self, batch: Batch, framed: bytes) -> None:
        try:
            written = os.write(self._fd, framed)
        except OSError as error:
            raise self._failed(batch, str(error)) from error
        if written != len(framed):  # the disk is full
            raise self._failed(batch, f"only {written} of {len(framed)} bytes were written")

    def _failed(self, batch: Batch, why: str) -> OutboxError:
        """A line cut short must not lie before good ones: cut it off, and go on in a new file."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, batch.bytes)
        self._seal()
        return OutboxError(f"the outbox cannot be written: {why}")

    def _end(self, batch: Batch) -> None:
        self._unsynced.files[batch.name] = self._fd
        self._fd = -1

    def _load(self, batch: Batch) -> list[bytes]:
        path = self._path(batch.name)
        try:
            return self._framing.parse(path.read_bytes())[0]
        except OSError as error:
            # One bad spot on a disk must not hold up everything behind it.
            logger.error("%d events cannot be read and are set aside as %s.unreadable: %s", batch.events, path, error)
            self.counters.add("torn", batch.events)
            with contextlib.suppress(OSError):
                path.rename(f"{path}.unreadable")
            return []

    def _remove(self, batch: Batch) -> None:
        opened = self._unsynced.files.pop(batch.name, None)
        if opened is not None:
            os.close(opened)  # no need to sync what the server has
        self._path(batch.name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._lane.path / name

    def _sync_all(self) -> None:
        """Everything written so far. The files are synced without the lock, so that others append meanwhile."""
        with self._lock:
            upto, files, self._unsynced.files = self.written, self._unsynced.files, {}
            folder, self._unsynced.folder = self._unsynced.folder, False
            opened = [*files.values(), *([os.dup(self._fd)] if self._fd >= 0 else [])]
        try:
            for each in opened:
                os.fsync(each)
            if folder:
                lanes.sync_folder(self._lane.path)
        except OSError as error:
            self._lose()
            raise OutboxError(f"the disk failed to store events: {error}") from error
        finally:
            for each in opened:
                os.close(each)
        self._unsynced.upto = upto

    def _lose(self) -> None:
        """After a failed fsync the kernel may drop the pages and report success next time: so these files are not asked again."""
        with self._lock:
            self._unsynced.lost = range(self._unsynced.upto + 1, self.written + 1)
            self._seal()
            for opened in self._unsynced.files.values():
                os.close(opened)
            self._unsynced.files = {}
            self._unsynced.upto = self.written
