"""Readings that several visitors share: each is taken once for as long as it may be shown, however many ask."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")
KEPT_S = 120.0
TIDIED_EVERY_S = 10.0


@dataclass
class _Place:
    lock: threading.Lock = field(default_factory=threading.Lock)
    asked_at: float = 0.0
    read_at: float = float("-inf")
    value: Any = None
    failed_at: float = float("-inf")
    failure: Exception | None = None


class Shelf:
    """Safe to use from several threads. A reading that fails is taken anew by the next who asks; who waited for it meanwhile
    gets its failure, so that a server that does not answer is not asked by one after another.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[Hashable, _Place] = {}
        self._tidied_at = time.monotonic()

    def kept(self, key: Hashable, fresh_s: float, read: Callable[[], T]) -> T:
        """What `read` gave at most `fresh_s` ago; a second who asks meanwhile waits for the same reading."""
        place = self._place(key)
        asked = time.monotonic()
        with place.lock:
            if place.failure is not None and place.failed_at >= asked:
                raise place.failure.with_traceback(None)
            if time.monotonic() - place.read_at > fresh_s:
                self._read(place, read)
            return place.value  # type: ignore[no-any-return]

    def asked(self, key: Hashable, fresh_s: float, ask: Callable[[], Callable[[], T]]) -> Callable[[], T]:
        """As `kept`, for a reading in two: `ask` asks PostgreSQL, in this thread, for what it gives to read ClickHouse in whatever thread.
        Nothing is asked where the answer is at hand."""

        def both() -> T:
            return ask()()

        if self.at_hand(key, fresh_s):
            found = self.kept(key, fresh_s, both)
            return lambda: found
        return partial(self.kept, key, fresh_s, ask())

    @staticmethod
    def _read(place: _Place, read: Callable[[], Any]) -> None:
        started = time.monotonic()
        try:
            place.value = read()
        except Exception as error:
            place.failure, place.failed_at = error, time.monotonic()
            raise
        place.read_at, place.failure = started, None

    def at_hand(self, key: Hashable, fresh_s: float) -> bool:
        """Whether `kept` would answer without reading."""
        with self._lock:
            place = self._places.get(key)
        return place is not None and time.monotonic() - place.read_at <= fresh_s

    def clear(self) -> None:
        with self._lock:
            self._places = {}

    def __len__(self) -> int:
        return len(self._places)

    def _place(self, key: Hashable) -> _Place:
        """One for each key; those that nobody has asked for in a while are let go."""
        asked = time.monotonic()
        with self._lock:
            if asked - self._tidied_at > min(TIDIED_EVERY_S, KEPT_S):
                self._places = {name: held for name, held in self._places.items() if held.asked_at > asked - KEPT_S}
                self._tidied_at = asked
            place = self._places.setdefault(key, _Place())
            place.asked_at = asked
            return place


# Of all pages of this process; a test clears it.
SHELF = Shelf()
