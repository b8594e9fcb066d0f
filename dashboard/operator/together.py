"""Several readings of ClickHouse at once. A page waits for the slowest of them, not for all in turn."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# Readings of all pages of this process; more at once would only wait for ClickHouse's cores.
AT_ONCE = 4
_pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="reading")


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
