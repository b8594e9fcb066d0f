"""Several readings of ClickHouse at once. A page waits for the slowest of them, not for all in turn; its first HTML, not even for that."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any

# How long the first HTML of a page waits for a part of it. What takes longer comes by the page's stream, and the page says so.
GLANCE_S = 0.04
# Readings of all pages of this process; more at once would only wait for ClickHouse's cores.
AT_ONCE = 4
_pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="reading")
# In the order in which they are asked for, so that what a page asks for first is there first.
_glances = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="glance")
Gather = Callable[..., list[Any]]


def together(first: Callable[[], Any], *others: Callable[[], Any]) -> list[Any]:
    """What each gives, in order. `first` runs in this thread, and may ask PostgreSQL; the others must not: in another thread they would
    hold a connection that no request gives back. Raises what the first of them raises, once all have ended."""
    waiting = [_pool.submit(read) for read in others]
    try:
        found = [first()]
    finally:
        for one in waiting:
            one.exception()
    return found + [one.result() for one in waiting]


class InTime:
    """Called as `together`, but of `others` it gives those alone that are there GLANCE_S after it was made; None for the rest.

    What has begun goes on, so `others` keep what they read on the shelf: there the page's stream finds it, or waits for the same reading.
    What has not begun is let go.
    """

    def __init__(self) -> None:
        self._until = time.monotonic() + GLANCE_S

    def __call__(self, first: Callable[[], Any], *others: Callable[[], Any]) -> list[Any]:
        if time.monotonic() >= self._until:
            return [first(), *(None for _ in others)]
        waiting = [_glances.submit(read) for read in others]
        try:
            found = [first()]
        finally:
            self._wait(waiting)
        return found + [one.result() if one.done() and not one.cancelled() else None for one in waiting]

    def _wait(self, waiting: Sequence["Future[Any]"]) -> None:
        wait_for(waiting, max(self._until - time.monotonic(), 0))
        for one in waiting:
            one.cancel()


def nothing() -> None:
    """For those who have nothing to read in their own thread."""
