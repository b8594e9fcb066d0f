"""The live feed of the overview: server-sent events, one reading a second shared by everybody with the same filters.

A feed lives as long as somebody listens. A listener that is slow misses readings rather than queueing them.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from dashboard.operator.filters import Filters

logger = logging.getLogger(__name__)

EVERY_S = 1.0
# A stream ends after this long and the browser asks again: so a session that has ended stops seeing figures.
STREAM_S = 300.0
RECONNECT = b"retry: 1000\n\n"

Read = Callable[[Filters], bytes]


@dataclass
class _Feed:
    next: asyncio.Future[bytes]
    latest: bytes | None = None
    listeners: int = 0
    task: asyncio.Task[None] | None = None


@dataclass
class FeedHub:
    """`read` gives the event for some filters; it may block, and runs in a thread. The feeds of each event loop are its own."""

    read: Read
    every_s: float = EVERY_S
    stream_s: float = STREAM_S
    _feeds: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Filters, _Feed]] = field(
        default_factory=WeakKeyDictionary
    )

    async def events(self, filters: Filters) -> AsyncIterator[bytes]:
        """Event-stream chunks: the latest reading at once if there is one, then each new one."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.stream_s
        feed = self._join(loop, filters)
        try:
            yield RECONNECT
            if feed.latest is not None:
                yield feed.latest
            while loop.time() < until:
                yield await asyncio.shield(feed.next)
        finally:
            self._leave(loop, filters, feed)

    def listeners(self, loop: asyncio.AbstractEventLoop) -> dict[Filters, int]:
        return {filters: feed.listeners for filters, feed in self._feeds.get(loop, {}).items()}

    def _join(self, loop: asyncio.AbstractEventLoop, filters: Filters) -> _Feed:
        feeds = self._feeds.setdefault(loop, {})
        if filters not in feeds:
            feed = feeds[filters] = _Feed(loop.create_future())
            feed.task = loop.create_task(self._keep_reading(loop, filters, feed))
        feeds[filters].listeners += 1
        return feeds[filters]

    def _leave(self, loop: asyncio.AbstractEventLoop, filters: Filters, feed: _Feed) -> None:
        feed.listeners -= 1
        if feed.listeners == 0:
            self._feeds[loop].pop(filters, None)
            if feed.task is not None:
                feed.task.cancel()

    async def _keep_reading(self, loop: asyncio.AbstractEventLoop, filters: Filters, feed: _Feed) -> None:
        """On a fixed beat: a reading that took long does not push the following ones back."""
        beat = loop.time()
        while True:
            feed.latest = await asyncio.to_thread(self.read, filters)
            done, feed.next = feed.next, loop.create_future()
            done.set_result(feed.latest)
            beat = max(beat + self.every_s, loop.time())
            await asyncio.sleep(beat - loop.time())
