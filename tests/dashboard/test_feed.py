"""The shared feed, with a reading of the test's own."""

import asyncio
import threading
from collections.abc import AsyncIterator

from dashboard.operator.feed import RECONNECT, FeedHub
from dashboard.operator.filters import Filters


class Reading:
    """Counts how often it is read."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0

    def __call__(self, filters: Filters) -> bytes:
        with self.lock:
            self.count += 1
            return f"{filters.range}-{self.count}".encode()


async def take(events: AsyncIterator[bytes], wanted: int) -> list[bytes]:
    found: list[bytes] = []
    async for chunk in events:
        if chunk != RECONNECT:
            found.append(chunk)
        if len(found) == wanted:
            break
    await events.aclose()  # type: ignore[attr-defined]
    return found


def test_listeners_of_the_same_filters_share_one_reading() -> None:
    reading = Reading()
    hub = FeedHub(reading, every_s=0.05)

    async def scene() -> list[list[bytes]]:
        return await asyncio.gather(*(take(hub.events(Filters()), 3) for _ in range(20)))

    found = asyncio.run(scene())
    assert reading.count <= 5
    assert all(chunks == found[0] for chunks in found)


def test_other_filters_are_read_for_themselves() -> None:
    hub = FeedHub(Reading(), every_s=0.02)

    async def scene() -> list[list[bytes]]:
        return await asyncio.gather(*(take(hub.events(Filters(name)), 1) for name in ("15m", "6h")))

    assert {chunk.split(b"-")[0] for [chunk] in asyncio.run(scene())} == {b"15m", b"6h"}


def test_a_feed_ends_with_its_last_listener() -> None:
    reading = Reading()
    hub = FeedHub(reading, every_s=0.02)

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        events = hub.events(Filters())
        await anext(events)
        assert hub.listeners(loop) == {Filters(): 1}
        await events.aclose()  # type: ignore[attr-defined]
        assert hub.listeners(loop) == {}
        seen = reading.count
        await asyncio.sleep(0.15)
        assert reading.count <= seen + 1

    asyncio.run(scene())


def test_a_later_listener_gets_the_latest_reading_at_once() -> None:
    hub = FeedHub(Reading(), every_s=30)

    async def scene() -> list[bytes]:
        first = hub.events(Filters())
        await anext(first)
        await anext(first)
        late = await asyncio.wait_for(take(hub.events(Filters()), 1), timeout=5)
        await first.aclose()  # type: ignore[attr-defined]
        return late

    assert asyncio.run(scene()) == [b"1h-1"]


def test_a_stream_ends_after_its_time_so_that_the_browser_shows_its_session_again() -> None:
    hub = FeedHub(Reading(), every_s=0.02, stream_s=0.2)

    async def scene() -> int:
        return len([chunk async for chunk in hub.events(Filters())])

    assert asyncio.run(asyncio.wait_for(scene(), timeout=10)) > 2


def test_a_slow_listener_misses_readings_instead_of_queueing_them() -> None:
    reading = Reading()
    hub = FeedHub(reading, every_s=0.02)

    async def scene() -> tuple[bytes, int]:
        events = hub.events(Filters())
        await anext(events)
        await anext(events)
        await asyncio.sleep(0.3)
        found = await anext(events)
        await events.aclose()  # type: ignore[attr-defined]
        return found, reading.count

    found, count = asyncio.run(scene())
    assert count > 5
    assert int(found.split(b"-")[1]) >= count - 2
