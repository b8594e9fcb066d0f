"""The live feed of the operator's pages: server-sent events, readings shared by everybody who watches the same.

A feed lives as long as somebody listens. A listener that is slow misses readings rather than queueing them; so what is sent is
everything that may have changed since the reading that this listener got last.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import orjson

logger = logging.getLogger(__name__)

EVERY_S = 1.0
# A stream ends after this long and the browser asks again: so a session that has ended stops seeing figures.
STREAM_S = 300.0
READERS = 8
RECONNECT = b"retry: 1000\n\n"
UNSENDABLE = "The figures cannot be sent. The server's log has the reason."


@dataclass(frozen=True)
class Reading:
    """HTML by the id of its place, charts by theirs; or what stands in the way."""

    at: datetime
    html: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""


@dataclass(frozen=True)
class _Numbered:
    """A reading in its wire form: each part as JSON, with the number of the reading in which it last changed."""

    number: int
    head: bytes
    parts: Mapping[tuple[str, str], tuple[int, bytes]]
    trouble: bytes = b""

    def since(self, seen: int) -> bytes:
        """The event for a listener that has seen reading `seen`; 0 is none."""
        if self.trouble:
            return b"event: trouble\ndata: " + self.trouble + b"\n\n"
        return self._newest if seen == self.number - 1 else self._event(seen)

    @cached_property
    def _newest(self) -> bytes:
        """For all who keep up, and those are nearly all: put together once."""
        return self._event(self.number - 1)

    def _event(self, seen: int) -> bytes:
        body = b"".join(
            b"," + orjson.dumps(kind) + b":{" + self._changed(kind, seen) + b"}" for kind in ("html", "figures")
        )
        return b"event: reading\ndata: {" + self.head + body + b"}\n\n"

    def _changed(self, kind: str, seen: int) -> bytes:
        return b",".join(
            orjson.dumps(place) + b":" + text
            for (of, place), (number, text) in self.parts.items()
            if of == kind and number > seen
        )


@dataclass
class _Feed:
    next: asyncio.Future[_Numbered]
    latest: _Numbered | None = None
    listeners: int = 0
    task: asyncio.Task[None] | None = None


@dataclass
class FeedHub:
    """The feeds of each event loop are its own."""

    stream_s: float = STREAM_S
    # Threads of their own and few: each may hold a connection to PostgreSQL, and requests need some of those as well.
    _readers: Executor = field(default_factory=lambda: ThreadPoolExecutor(READERS, thread_name_prefix="feed"))
    _feeds: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Feed]] = field(
        default_factory=WeakKeyDictionary
    )

    async def events(
        self, key: Hashable, read: Callable[[], Reading], every_s: float = EVERY_S
    ) -> AsyncIterator[bytes]:
        """Event-stream chunks: the latest reading at once if there is one, then what changes. `read` may block: it runs in a thread."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.stream_s
        feed = self._join(loop, key, read, every_s)
        # What was sent, and the last of it that had figures: trouble has none, and what changed before it is still to be sent.
        sent: _Numbered | None = None
        seen = 0
        try:
            yield RECONNECT
            while loop.time() < until:
                if feed.latest is sent and not await _within(feed.next, until - loop.time()):
                    break
                sent = feed.latest
                if sent is not None:
                    yield sent.since(seen)
                    seen = seen if sent.trouble else sent.number
        finally:
            self._leave(loop, key, feed)

    def listeners(self, loop: asyncio.AbstractEventLoop) -> dict[Hashable, int]:
        return {key: feed.listeners for key, feed in self._feeds.get(loop, {}).items()}

    def _join(
        self, loop: asyncio.AbstractEventLoop, key: Hashable, read: Callable[[], Reading], every_s: float
    ) -> _Feed:
        feeds = self._feeds.setdefault(loop, {})
        if key not in feeds:
            feed = feeds[key] = _Feed(loop.create_future())
            feed.task = loop.create_task(self._keep_reading(loop, feed, read, every_s))
        feeds[key].listeners += 1
        return feeds[key]

    def _leave(self, loop: asyncio.AbstractEventLoop, key: Hashable, feed: _Feed) -> None:
        feed.listeners -= 1
        if feed.listeners == 0:
            self._feeds[loop].pop(key, None)
            if feed.task is not None:
                feed.task.cancel()

    async def _keep_reading(
        self, loop: asyncio.AbstractEventLoop, feed: _Feed, read: Callable[[], Reading], every_s: float
    ) -> None:
        """On a fixed beat: a reading that took long does not push the following ones back. One that takes longer than its beat
        is followed by a rest, so that a slow database is not asked without a pause."""
        beat = loop.time()
        while True:
            began = loop.time()
            feed.latest = await loop.run_in_executor(self._readers, _taken, read, feed.latest)
            done, feed.next = feed.next, loop.create_future()
            done.set_result(feed.latest)
            took = loop.time() - began
            beat = max(beat + every_s, loop.time() + (took / 2 if took > every_s else 0))
            await asyncio.sleep(beat - loop.time())


async def _within(reading: asyncio.Future[_Numbered], seconds: float) -> bool:
    """Whether there is a reading in time."""
    try:
        await asyncio.wait_for(asyncio.shield(reading), max(seconds, 0))
    except TimeoutError:
        return False
    return True


def _taken(read: Callable[[], Reading], before: _Numbered | None) -> _Numbered:
    """Whatever goes wrong, listeners hear of it and the feed goes on."""
    try:
        return _numbered(read(), before)
    except Exception:
        logger.exception("a reading cannot be sent")
        return _numbered(Reading(datetime.now(UTC), trouble=UNSENDABLE), before)


def wire(value: Any) -> bytes:
    """JSON. What is no number (NaN, infinity) is null, which a chart shows as a gap."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _numbered(found: Reading, before: _Numbered | None) -> _Numbered:
    number = before.number + 1 if before else 1
    head = b'"at":' + orjson.dumps(found.at)
    if found.trouble:
        known = before.parts if before else {}
        return _Numbered(number, head, known, orjson.dumps({"message": found.trouble}))
    parts = {}
    for kind, held in (("html", found.html), ("figures", found.figures)):
        for place, value in held.items():
            text = wire(value)
            old = before.parts.get((kind, place)) if before else None
            parts[kind, place] = old if old and old[1] == text else (number, text)
    return _Numbered(number, head, parts)
