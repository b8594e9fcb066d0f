"""fsync in the background, `fsync_ms` after an event was written: for those who need not wait for the disk on every event."""

import threading
from collections.abc import Callable

from tallywatt.errors import OutboxError
from tallywatt.store import Store


class PeriodicSync:
    """A thread that starts with the first event and sleeps while nothing is written. `tell` gets what went wrong."""

    def __init__(self, store: Store, interval_s: float, tell: Callable[[str], None]) -> None:
        self._store = store
        self._interval_s = interval_s
        self._tell = tell
        self._dirty = threading.Event()
        self._stopped = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def poke(self) -> None:
        """Something was written."""
        if self._thread is None:
            self._start()
        if not self._dirty.is_set():
            self._dirty.set()

    def stop(self) -> None:
        self._stopped.set()
        self._dirty.set()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tallywatt-fsync", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._dirty.wait()
            self._stopped.wait(self._interval_s)
            self._dirty.clear()
            try:
                self._store.sync(self._store.written)
            except OutboxError as error:
                self._tell(str(error))
