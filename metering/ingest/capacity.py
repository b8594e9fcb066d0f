"""Whether the spool may take another batch: bytes, age, the free space of its disk, and a fair share for each sender.

Past a limit the sender hears 429 while the disk still has room. What is counted may be CHECKED_S old: listing thousands of files for
every request would cost more than the request.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

CHECKED_S = 0.25
# One sender may fill this much; the rest is for those who have little waiting, so that one cannot lock all others out.
SHARE_OF_ONE = 0.9


class SpoolFull(RuntimeError):
    """No room for another batch: 429. The sender tries again later."""


class Waiting(Protocol):
    """A file that waits to be inserted."""

    @property
    def lane(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def stamp_us(self) -> int: ...


@dataclass(frozen=True)
class Bounds:
    """What a spool may hold. `max_age_s` and `min_free_bytes` 0: not bounded."""

    max_bytes: int
    max_age_s: float = 0
    min_free_bytes: int = 0


@dataclass
class _Count:
    at: float = -1.0
    bytes_by_lane: Counter[str] = field(default_factory=Counter)
    oldest_us: int = 0
    free_bytes: int = 0


class Capacity:
    """The count of one spool, shared by all threads of a process."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._count = _Count()

    def check(self, bounds: Bounds, lane: str, waiting: "WaitingFiles") -> None:
        """Raises SpoolFull, saying which bound was reached."""
        with self._lock:
            if time.monotonic() - self._count.at > CHECKED_S:
                self._count = self._counted(waiting())
            count = self._count
        total = count.bytes_by_lane.total()
        if total >= bounds.max_bytes:
            raise SpoolFull(f"{total} bytes wait to be inserted, at most {bounds.max_bytes} may")
        if lane and total and count.bytes_by_lane[lane] >= SHARE_OF_ONE * bounds.max_bytes:
            raise SpoolFull(
                f"{count.bytes_by_lane[lane]} bytes of this sender wait to be inserted; the rest is for others"
            )
        if bounds.max_age_s and count.oldest_us and time.time() - count.oldest_us / 1e6 > bounds.max_age_s:
            raise SpoolFull(f"a batch has waited for more than {bounds.max_age_s:.0f} s to be inserted")
        if count.free_bytes < bounds.min_free_bytes:
            raise SpoolFull(f"the spool's disk has {count.free_bytes} bytes free, less than {bounds.min_free_bytes}")

    def add(self, lane: str, size: int) -> None:
        """Count what this process has just accepted, until the next listing sees it."""
        with self._lock:
            self._count.bytes_by_lane[lane] += size
            self._count.free_bytes -= size

    def _counted(self, files: Iterable[Waiting]) -> _Count:
        count = _Count(time.monotonic())
        for file in files:
            count.bytes_by_lane[file.lane] += file.size
            count.oldest_us = min(count.oldest_us or file.stamp_us, file.stamp_us)
        disk = os.statvfs(self._root)
        count.free_bytes = disk.f_bavail * disk.f_frsize
        return count


class WaitingFiles(Protocol):
    def __call__(self) -> Iterable[Waiting]: ...
