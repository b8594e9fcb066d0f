"""What a client has done since its process began (counted anew after a fork)."""

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Stats:
    """Counts of events, unless the name says otherwise.

    `sent`: acknowledged and taken by the server. `retried`: posts that were repeated. `dropped`: given up for want of room (when_full=
    "drop_oldest"). `torn`: lines on disk that a crash left incomplete; `record()` had not returned for them, unless power failed
    within fsync_ms. `adopted`: found in the lanes of dead processes. `pending`: recorded and not yet acknowledged.
    """

    recorded: int = 0
    sent: int = 0
    rejected: int = 0
    retried: int = 0
    dropped: int = 0
    torn: int = 0
    adopted: int = 0
    pending: int = 0
    outbox_bytes: int = 0


class Counters:
    """The growing part of Stats; every thread may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def add(self, name: str, count: int = 1) -> None:
        if count:
            with self._lock:
                self._counts[name] = self._counts.get(name, 0) + count

    def stats(self, *, pending: int, outbox_bytes: int) -> Stats:
        with self._lock:
            return Stats(**self._counts, pending=pending, outbox_bytes=outbox_bytes)
