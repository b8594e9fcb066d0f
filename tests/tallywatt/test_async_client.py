"""The client for asyncio does the same, and never blocks the loop."""

import asyncio
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tallywatt import AsyncClient, Closed, InvalidEvent, Rejected, RequestEvent
from tallywatt import outbox as outbox_module
from tests.tallywatt.conftest import FAST
from tests.tallywatt.server import KEY, StrictServer, problem, receipt, refusing

TOKENS = {"model": "m", "input_tokens": 3, "output_tokens": 2}


def client(url: str, outbox: Path | None, **options: Any) -> AsyncClient:
    return AsyncClient(url, KEY, outbox=outbox, **FAST | options)


@pytest.mark.parametrize("in_memory", [False, True])
def test_what_is_recorded_arrives_once(server: StrictServer, outbox: Path, in_memory: bool) -> None:
    async def program() -> list[str]:
        async with client(server.url, None if in_memory else outbox) as sending:
            ids = [await sending.record(**TOKENS) for _ in range(50)]
            ids.append(await sending.record_event(RequestEvent(**TOKENS)))
            assert await sending.flush()
            assert sending.stats.sent == 51
            return ids

    ids = asyncio.run(program())
    assert server.taken == Counter(ids)


def test_it_arrives_by_itself(server: StrictServer, outbox: Path) -> None:
    async def program() -> None:
        async with client(server.url, outbox) as sending:
            await sending.record(**TOKENS, id="a")
            while not server.taken["a"]:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(program(), 10))


def test_it_retries_with_the_same_bytes_and_tells_what_was_rejected(server: StrictServer, outbox: Path) -> None:
    told: list[Rejected] = []
    server.script = [problem(503, "busy"), problem(429, "full"), refusing(0, reason="invariant")]

    async def program() -> None:
        async with client(server.url, outbox, on_rejected=told.append, batch_age_s=60) as sending:
            await sending.record(**TOKENS, id="a")
            await sending.record(**TOKENS, id="b")
            assert await sending.flush()
            assert (sending.stats.retried, sending.stats.sent, sending.stats.rejected) == (2, 1, 1)

    asyncio.run(program())
    assert len({request.body for request in server.requests}) == 1
    assert [one.event["id"] for one in told] == ["a"]


def test_a_wrong_field_is_refused_at_once(server: StrictServer) -> None:
    async def program() -> None:
        async with client(server.url, None) as sending:
            with pytest.raises(InvalidEvent):
                await sending.record(model="m", input_tokens=1.5, output_tokens=1)  # type: ignore[arg-type]

    asyncio.run(program())


def test_a_slow_disk_does_not_block_the_loop(
    server: StrictServer, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is done when the loop says so: which it can only say while it runs."""
    fsync, may_end, in_time = os.fsync, threading.Event(), []

    def slow(opened: int) -> None:
        in_time.append(may_end.wait(10))
        fsync(opened)

    async def program() -> None:
        async with client(server.url, outbox, fsync_ms=0) as sending:
            monkeypatch.setattr(outbox_module.os, "fsync", slow)
            recording = asyncio.gather(*(sending.record(**TOKENS) for _ in range(5)))
            await asyncio.sleep(0.1)
            assert not recording.done()
            may_end.set()
            await recording

    asyncio.run(program())
    assert in_time
    assert all(in_time)


def test_with_fsync_of_each_event_it_is_durable_when_record_returns(
    server: StrictServer, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fsync = os.fsync

    async def program() -> None:
        async with client(server.url, outbox, fsync_ms=0, batch_age_s=60) as sending:
            monkeypatch.setattr(outbox_module.os, "fsync", lambda opened: synced.append(opened) or fsync(opened))
            await sending.record(**TOKENS)
            assert synced

    asyncio.run(program())


def test_close_is_bounded_and_takes_nothing_more(server: StrictServer, outbox: Path) -> None:
    server.then = problem(503, "down")

    async def program() -> None:
        sending = client(server.url, outbox, retry_first_s=60, retry_longest_s=60)
        await sending.record(**TOKENS, id="a")
        began = time.monotonic()
        assert not await sending.close(timeout_s=0.3)
        assert time.monotonic() - began < 30
        with pytest.raises(Closed):
            await sending.record(**TOKENS)

    asyncio.run(program())
    server.then = receipt

    async def next_program() -> None:
        async with client(server.url, outbox) as sending:
            while not server.taken["a"]:
                await asyncio.sleep(0.01)
            assert sending.stats.adopted == 1

    asyncio.run(asyncio.wait_for(next_program(), 10))


def test_a_client_goes_on_in_another_loop(server: StrictServer, outbox: Path) -> None:
    sending = client(server.url, outbox, batch_age_s=60)
    asyncio.run(_record(sending, "a"))
    asyncio.run(_record(sending, "b"))

    async def flush() -> None:
        assert await sending.flush()
        assert await sending.close()

    asyncio.run(flush())
    assert server.taken == {"a": 1, "b": 1}


async def _record(sending: AsyncClient, name: str) -> None:
    await sending.record(**TOKENS, id=name)
