"""Where events wait until the server has them. Batches are made here: what is sent together lies together, and goes together.

An open batch takes events until it is full, old enough or asked for; then it is sealed and never changes. One sender takes sealed
batches, oldest first, and removes each once all of it is acknowledged.
"""

import logging
import threading
import time
from abc import ABC, abstractmethod
from bisect import insort
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tallywatt.errors import Closed, OutboxFull
from tallywatt.stats import Counters

logger = logging.getLogger("tallywatt")

WhenFull = Literal["raise", "drop_oldest"]


@dataclass(frozen=True)
class Limits:
    """When a batch is full, and when there is no more room. `most_bytes` counts everything that waits."""

    batch_events: int
    batch_bytes: int
    batch_age_s: float
    most_bytes: int
    when_full: WhenFull


@dataclass(order=True)
class Batch:
    """`name` grows with age: batches sort by it, oldest first."""

    name: str
    events: int = field(default=0, compare=False)
    bytes: int = field(default=0, compare=False)
    opened_at: float = field(default_factory=time.monotonic, compare=False)


class Appended(NamedTuple):
    """`ticket`: what `sync()` takes. `news`: the sender should look at what is due now."""

    ticket: int
    news: bool


class Store(ABC):
    """Thread-safe. What differs between disk and memory is abstract."""

    def __init__(self, limits: Limits, counters: Counters) -> None:
        self.limits = limits
        self.counters = counters
        self._lock = threading.RLock()
        self._open: Batch | None = None
        self._sealed: list[Batch] = []
        self._taken: Batch | None = None
        self._last_name_ns = 0
        self._pending = 0
        self._bytes = 0
        self._written = 0
        self._closed = False

    @property
    def pending(self) -> int:
        return self._pending

    @property
    def size_bytes(self) -> int:
        return self._bytes

    @property
    def written(self) -> int:
        """How many events were appended: the ticket of the latest."""
        return self._written

    def append(self, line: bytes) -> Appended:
        """Store one event. Raises OutboxFull, OutboxError or Closed: then nothing is stored."""
        framed = self._framed(line)
        with self._lock:
            if self._closed:
                raise Closed("this client is closed")
            self._make_room(len(framed))
            first = self._open is None
            batch = self._open = self._open or self._begin(self._next_name())
            self._write(batch, framed)
            batch.events += 1
            batch.bytes += len(framed)
            self._pending += 1
            self._bytes += len(framed)
            self._written += 1
            ticket = self._written
            full = batch.events >= self.limits.batch_events or batch.bytes >= self.limits.batch_bytes
            if full:
                self._seal()
        self.counters.add("recorded")
        return Appended(ticket, first or full)

    def due_in(self) -> float | None:
        """Seconds until there is a batch to send; None if nothing waits."""
        with self._lock:
            if self._sealed:
                return 0.0
            if self._open is None:
                return None
            return max(0.0, self._open.opened_at + self.limits.batch_age_s - time.monotonic())

    def take(self) -> tuple[Batch, list[bytes]] | None:
        """The oldest batch that is due and its lines; it stays until `done()`."""
        with self._lock:
            if not self._sealed and self.due_in() == 0:
                self._seal()
            if not self._sealed:
                return None
            batch = self._taken = self._sealed[0]
        return batch, self._load(batch)

    def done(self, batch: Batch) -> None:
        """All of it is acknowledged or among the dead letters."""
        with self._lock:
            self._taken = None
            self._forget(batch)
            self._remove(batch)

    def mark(self) -> str:
        """Seal what is open; the name of the youngest batch, for `passed()`."""
        with self._lock:
            self._seal()
            return self._sealed[-1].name if self._sealed else ""

    def passed(self, mark: str) -> bool:
        """Nothing that was recorded before the mark waits any more."""
        with self._lock:
            return not self._sealed or self._sealed[0].name > mark

    @abstractmethod
    def sync(self, ticket: int) -> None:
        """Make durable what was appended up to `ticket`. Raises OutboxError if the disk did not."""

    @abstractmethod
    def look_around(self) -> None:
        """Adopt what dead processes left. Called now and then by the sender."""

    def refuse(self) -> None:
        """Take nothing more."""
        with self._lock:
            self._closed = True

    def close(self) -> None:
        """Let go of everything. What waits on disk stays there for the next process."""
        with self._lock:
            self._closed = True
            self._seal()

    @abstractmethod
    def abandon(self) -> None:
        """After a fork, in the child: let go of what is the parent's, without touching it."""

    def _next_name(self) -> str:
        self._last_name_ns = max(time.time_ns(), self._last_name_ns + 1)
        return f"{self._last_name_ns:020d}"

    def _seal(self) -> None:
        if self._open is not None:
            insort(self._sealed, self._open)
            self._end(self._open)
            self._open = None

    def _forget(self, batch: Batch) -> None:
        self._sealed.remove(batch)
        self._pending -= batch.events
        self._bytes -= batch.bytes

    def _occupied(self) -> int:
        return self._bytes

    def _make_room(self, size: int) -> None:
        while (occupied := self._occupied()) + size > self.limits.most_bytes:
            if self.limits.when_full == "raise" or not self._drop_oldest():
                raise OutboxFull(
                    f"{occupied} of {self.limits.most_bytes} bytes are taken by {self.pending} events that the server does not have yet"
                )

    def _drop_oldest(self) -> bool:
        """Give up the oldest batch that is not on its way; False if there is none."""
        if not any(batch is not self._taken for batch in self._sealed):
            self._seal()
        batch = next((batch for batch in self._sealed if batch is not self._taken), None)
        if batch is None:
            return False
        self._forget(batch)
        self._remove(batch)
        self.counters.add("dropped", batch.events)
        logger.error("no room: %d events that were never sent are dropped", batch.events)
        return True

    def _framed(self, line: bytes) -> bytes:
        return line

    @abstractmethod
    def _begin(self, name: str) -> Batch: ...

    @abstractmethod
    def _write(self, batch: Batch, framed: bytes) -> None: ...

    @abstractmethod
    def _end(self, batch: Batch) -> None: ...

    @abstractmethod
    def _load(self, batch: Batch) -> list[bytes]: ...

    @abstractmethod
    def _remove(self, batch: Batch) -> None: ...
