"""What both clients share: how they are made, how an event is recorded, what they tell about themselves."""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from tallywatt import lifecycle
from tallywatt.deadletters import DeadLetters
from tallywatt.delivery import Delivery, Trouble
from tallywatt.errors import Closed
from tallywatt.events import line_of
from tallywatt.memory import MemoryQueue
from tallywatt.options import Options, OptionWords
from tallywatt.outbox import Outbox
from tallywatt.sending import Sending
from tallywatt.stats import Counters, Stats
from tallywatt.store import Appended, Store
from tallywatt.syncing import PeriodicSync
from tallywatt.wire import Encoder


class Running:
    """Everything of a client that belongs to one process: a fork makes another one."""

    def __init__(self, options: Options) -> None:
        self.pid = os.getpid()
        self.counters = Counters()
        self.trouble = Trouble()
        encoder = Encoder(options.format, compress=options.gzip)
        self.store = self._store(options)
        delivery = Delivery(encoder, options.backoff, self.counters, self.trouble)
        letters = DeadLetters(options.outbox, options.on_rejected)
        self.sending = Sending(self.store, delivery, letters, self.counters, options.pace)
        self._waits_for_disk = options.outbox is not None and options.fsync_ms == 0
        self._periodic: PeriodicSync | None = None
        if options.outbox is not None and options.fsync_ms > 0:
            self._periodic = PeriodicSync(self.store, options.fsync_ms / 1000, self.trouble.begins)

    def _store(self, options: Options) -> Store:
        if options.outbox is None:
            return MemoryQueue(options.limits, self.counters)
        return Outbox(options.outbox, options.key, options.limits, self.counters)

    def append(self, line: bytes) -> Appended:
        appended = self.store.append(line)
        if self._periodic is not None:
            self._periodic.poke()
        return appended

    @property
    def waits_for_disk(self) -> bool:
        """`record()` returns after `store.sync()` only."""
        return self._waits_for_disk

    def refuse(self) -> None:
        """Take nothing more, and bring to the disk what was taken."""
        self.store.refuse()
        if self._periodic is not None:
            self._periodic.stop()
        self.store.sync(self.store.written)


class BaseClient(ABC):
    """`outbox`: a folder for what waits, or None to keep it in memory, where it dies with the process. The other words are in
    docs/client.md. Raises ValueError for one that makes no sense, OutboxError for a folder that cannot be used.
    """

    def __init__(self, url: str, key: str, *, outbox: str | Path | None, **options: Unpack[OptionWords]) -> None:
        folder = None if outbox is None else Path(outbox).absolute()
        self._options = Options(url=url, key=key, outbox=folder, **options)
        self._http = self._options.http  # loads certificates, which the first event need not wait for
        self._guard = threading.Lock()
        self._closed = False
        self._running: Running | None = Running(self._options)
        lifecycle.began(self)

    @property
    def stats(self) -> Stats:
        """What was done so far."""
        running = self._running
        if running is None:
            return Stats()
        size = running.store.size_bytes if self._options.outbox is not None else 0
        return running.counters.stats(pending=running.store.pending, outbox_bytes=size)

    @property
    def last_error(self) -> str | None:
        """What holds up the sending at this moment; None if nothing does."""
        return self._running.trouble.now if self._running is not None else None

    @property
    def exit_timeout_s(self) -> float:
        """How long the end of the program may be put off to send what waits."""
        return self._options.exit_timeout_s

    @abstractmethod
    def at_exit(self, timeout_s: float) -> None: ...

    def after_fork(self) -> None:
        """The parent sends what is the parent's; the child begins with nothing, at its first event."""
        running, self._running = self._running, None
        self._guard = threading.Lock()
        if running is not None:
            running.store.abandon()

    def _current(self) -> Running:
        running = self._running
        if running is not None and running.pid == os.getpid():
            return running
        if self._closed:
            raise Closed("this client is closed")
        if running is not None:  # a fork that Python was not told about
            self.after_fork()
        with self._guard:
            if self._running is None:
                self._running = Running(self._options)
            return self._running

    def _append(self, given: Mapping[str, Any]) -> tuple[str, Appended, Running]:
        """Check and store one event; its id."""
        name, line = line_of({**self._options.defaults, **given})
        running = self._current()
        return name, running.append(line), running

    def _end(self) -> bool:
        """Take nothing more; False if it had ended before."""
        with self._guard:
            before, self._closed = self._closed, True
        lifecycle.ended(self)
        return not before
