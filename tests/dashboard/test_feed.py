"""The shared feed, with a reading of the test's own."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dashboard.operator import feed
from dashboard.operator.feed import RECONNECT, FeedHub, Reading, wire

AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@dataclass
class Source:
    """Counts how often it is read. `parts` are in every reading, beside the count."""

    parts: dict[str, str] = field(default_factory=dict)
    trouble: str = ""
    count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> Reading:
        with self.lock:
            self.count += 1
            return Reading(AT, {"count": str(self.count), **self.parts}, trouble=self.trouble)


def data(chunk: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(chunk.split(b"data: ", 1)[1])
    return found


async def take(events: AsyncIterator[bytes], wanted: int) -> list[bytes]:
    found: list[bytes] = []
    async for chunk in events:
        if chunk != RECONNECT:
            found.append(chunk)
        if len(found) == wanted:
            break
    await events.aclose()  # type: ignore[attr-defined]
    return found


async def next_of(events: AsyncIterator[bytes]) -> bytes:
    return await asyncio.wait_for(anext(events), timeout=10)


def test_listeners_of_the_same_key_share_one_reading() -> None:
    source, hub = Source(), FeedHub()

    async def scene() -> list[list[bytes]]:
        return await asyncio.gather(*(take(hub.events("a", source, 0.05), 3) for _ in range(20)))

    found = asyncio.run(scene())
    assert source.count <= 5
    assert all(chunks == found[0] for chunks in found)


def test_another_key_is_read_for_itself() -> None:
    hub = FeedHub()

    async def scene() -> list[list[bytes]]:
        sources = [Source({"name": name}) for name in ("15m", "6h")]
        return await asyncio.gather(*(take(hub.events(one.parts["name"], one, 0.02), 1) for one in sources))

    assert {data(chunk)["html"]["name"] for [chunk] in asyncio.run(scene())} == {"15m", "6h"}


def test_a_feed_ends_with_its_last_listener() -> None:
    source, hub = Source(), FeedHub()

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        events = hub.events("a", source, 0.02)
        await anext(events)
        assert hub.listeners(loop) == {"a": 1}
        await events.aclose()  # type: ignore[attr-defined]
        assert hub.listeners(loop) == {}
        seen = source.count
        await asyncio.sleep(0.15)
        assert source.count <= seen + 1

    asyncio.run(scene())


def test_a_later_listener_gets_the_latest_reading_at_once_and_whole() -> None:
    source, hub = Source({"steady": "x"}), FeedHub()

    async def scene() -> bytes:
        first = hub.events("a", source, 30)
        await anext(first)
        await anext(first)
        [late] = await asyncio.wait_for(take(hub.events("a", source, 30), 1), timeout=5)
        await first.aclose()  # type: ignore[attr-defined]
        return late

    assert data(asyncio.run(scene()))["html"] == {"count": "1", "steady": "x"}


def test_only_what_has_changed_is_sent() -> None:
    source, hub = Source({"steady": "x"}), FeedHub()
    first, second = asyncio.run(take_two(hub, source))
    assert data(first) == {"at": "2026-03-10T12:00:00+00:00", "html": {"count": "1", "steady": "x"}, "figures": {}}
    assert data(second)["html"] == {"count": "2"}


async def take_two(hub: FeedHub, source: Source) -> list[bytes]:
    return await take(hub.events("a", source, 0.02), 2)


def test_a_stream_ends_after_its_time_so_that_the_browser_shows_its_session_again() -> None:
    hub = FeedHub(stream_s=0.2)

    async def scene(every_s: float) -> int:
        return len([chunk async for chunk in hub.events("a", Source(), every_s)])

    assert asyncio.run(asyncio.wait_for(scene(0.02), timeout=10)) > 2
    assert asyncio.run(asyncio.wait_for(scene(60), timeout=10)) == 2, "however long it is to the next reading"


def test_a_slow_listener_misses_readings_and_no_change() -> None:
    source, hub = Source({"name": "before"}), FeedHub()

    async def scene() -> bytes:
        events = hub.events("a", source, 0.02)
        await anext(events)
        await anext(events)
        source.parts["name"] = "after"
        await asyncio.sleep(0.3)
        found = await next_of(events)
        await events.aclose()  # type: ignore[attr-defined]
        return found

    found = data(asyncio.run(scene()))["html"]
    assert found["name"] == "after"
    assert int(found["count"]) >= source.count - 2 > 3


def test_who_comes_during_trouble_hears_of_it_and_then_gets_everything() -> None:
    source, hub = Source({"steady": "x"}), FeedHub()

    async def scene() -> list[bytes]:
        first = hub.events("a", source, 0.02)
        await next_of(first)
        await next_of(first)
        source.trouble = "down"
        while b"trouble" not in await next_of(first):
            pass
        late = hub.events("a", source, 0.02)
        await next_of(late)
        heard = [await next_of(late)]
        source.trouble = ""
        while b"trouble" in (chunk := await next_of(late)):
            pass
        heard.append(chunk)
        await first.aclose()  # type: ignore[attr-defined]
        await late.aclose()  # type: ignore[attr-defined]
        return heard

    trouble, after = asyncio.run(scene())
    assert trouble == b'event: trouble\ndata: {"message":"down"}\n\n'
    assert data(after)["html"]["steady"] == "x"


def test_what_changed_before_trouble_is_sent_after_it_and_nothing_else() -> None:
    source, hub = Source({"steady": "x"}), FeedHub()

    async def scene() -> bytes:
        events = hub.events("a", source, 0.02)
        await next_of(events)
        await next_of(events)
        source.trouble = "down"
        while b"trouble" not in await next_of(events):
            pass
        source.trouble = ""
        while b"trouble" in (chunk := await next_of(events)):
            pass
        await events.aclose()  # type: ignore[attr-defined]
        return chunk

    assert set(data(asyncio.run(scene()))["html"]) == {"count"}


def test_a_reading_that_cannot_be_written_is_told_and_the_feed_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    readings = iter([Reading(AT, figures={"chart": object()})])
    hub = FeedHub()

    async def scene() -> list[bytes]:
        return await asyncio.wait_for(take(hub.events("a", lambda: next(readings, Reading(AT)), 0.02), 2), timeout=10)

    first, second = asyncio.run(scene())
    assert feed.UNSENDABLE.encode() in first
    assert b"event: reading" in second
    assert "a reading cannot be sent" in caplog.text


def test_what_is_no_number_is_a_gap() -> None:
    assert wire([float("nan"), float("inf"), Decimal("1.5")]) == b"[null,null,1.5]"
