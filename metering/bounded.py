"""Reading from a server that may not answer, without waiting for it longer than a page or a scrape can."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Bounded(Generic[T]):
    """Reads in a thread of its own. One reading at a time: whoever asks while it runs gets its result, or the time-out, too."""

    def __init__(self, read: Callable[[], T], limit_s: float) -> None:
        self._read = read
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._running: Future[T] | None = None

    def get(self) -> T:
        """Raises what the reading raises, or TimeoutError after `limit_s`; the reading then goes on by itself."""
        with self._lock:
            if self._running is None or self._running.done():
                self._running = Future()
                # A daemon: a server that never answers must not keep this process from ending.
                threading.Thread(target=self._fill, args=[self._running], name="bounded", daemon=True).start()
            running = self._running
        return running.result(timeout=self._limit_s)

    def _fill(self, future: "Future[T]") -> None:
        try:
            future.set_result(self._read())
        except BaseException as error:  # it is raised again where the result is waited for
            future.set_exception(error)
