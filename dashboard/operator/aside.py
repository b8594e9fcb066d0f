"""Readings that take longer than a live page's tick may: taken aside, by a thread, and shown once they are there."""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import connections

T = TypeVar("T")
KEPT_S = 120.0  # of a reading that nobody has asked for
# A page asks every few seconds. What waits its turn longer than this, with nobody asking, belongs to a visitor who has gone on.
WANTED_S = 10.0
AT_ONCE = 2


@dataclass
class _Place:
    asked_at: float = 0.0
    read_at: float = float("-inf")
    value: Any = None
    error: Exception | None = None
    running: "Future[None] | None" = None


class Aside:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[Hashable, _Place] = {}
        self._pool: Executor = ThreadPoolExecutor(AT_ONCE, "aside")

    def latest(self, key: Hashable, fresh_s: float, true_s: float, read: Callable[[], T]) -> T | None:
        """What `read` gave last, if that is at most `true_s` old; None before. Has it taken anew once it is older than `fresh_s`.

        Raises what the last reading raised, once.
        """
        now = time.monotonic()
        with self._lock:
            self._places = {
                name: one for name, one in self._places.items() if one.running or one.asked_at > now - KEPT_S
            }
            place = self._places.setdefault(key, _Place())
            place.asked_at = now
            if place.running is None and now - place.read_at > fresh_s:
                place.running = self._pool.submit(self._take, place, read)
            error, place.error = place.error, None
            if error is not None:
                raise error
            return place.value if now - place.read_at <= true_s else None

    def settle(self) -> None:
        """Returns when nothing is being read. For tests."""
        with self._lock:
            running = [one.running for one in self._places.values() if one.running is not None]
        wait(running)

    def clear(self) -> None:
        self.settle()
        with self._lock:
            self._places = {}

    def _take(self, place: _Place, read: Callable[[], Any]) -> None:
        started = time.monotonic()
        with self._lock:
            if started - place.asked_at > WANTED_S:
                place.running = None
                return
        try:
            value, error = read(), None
        except Exception as failed:
            value, error = None, failed
        finally:
            connections.close_all()  # this thread belongs to a pool and no request would ever close it
        with self._lock:
            place.running, place.error = None, error
            if error is None:
                place.value, place.read_at = value, started


# Of all pages of this process; a test clears it.
ASIDE = Aside()
