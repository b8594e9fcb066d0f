"""The client for asyncio: a task sends, and what may block (fsync, reading a batch) runs in a thread."""

import asyncio
import contextlib
import logging
import time as clock
from collections.abc import Callable, Generator
from datetime import datetime
from types import TracebackType
from typing import Any, Self, Unpack

import httpx

from tallywatt.answers import Answer
from tallywatt.base import BaseClient, Running
from tallywatt.delivery import Do, Idle, Post, Step, Wait
from tallywatt.errors import OutboxError
from tallywatt.events import OptionalFields, RequestEvent
from tallywatt.threads import AFTER_OUR_OWN_FAULT_S, no_answer, send_all
from tallywatt.wire import Body

logger = logging.getLogger("tallywatt")


class AsyncClient(BaseClient):
    """Records usage and sends it by a task of the running event loop. For one loop at a time. See BaseClient for what it takes."""

    _sender: "_Sender | None" = None

    async def record(
        self,
        *,
        model: str,
        input_tokens: int,
        output_tokens: int,
        id: str | None = None,
        time: datetime | int | None = None,
        **fields: Unpack[OptionalFields],
    ) -> str:
        """Store one request, to be sent soon; returns its id. Give an id of your own if you may record the same request twice.

        Raises InvalidEvent, OutboxFull, OutboxError or Closed. Never waits for the network. The event is stored before anything is
        awaited, so that a request that is cancelled at this point is metered all the same.
        """
        return await self._record(
            {
                "model": model,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
                "id": id,
                "time": time,
                **fields,
            }
        )

    async def record_event(self, event: RequestEvent) -> str:
        """As `record()`, for those who keep events as objects."""
        return await self._record(event.as_dict())

    async def flush(self, timeout_s: float = 30.0) -> bool:
        """Send now what was recorded before; True once the server has it all (or refused it for good), False if time ran out."""
        if self._running is None:
            return True
        running = self._current()
        mark, sender = running.store.mark(), self._sender_of(running)
        sender.wake()
        return await sender.wait_passed(mark, timeout_s)

    async def close(self, timeout_s: float = 5.0) -> bool:
        """Take nothing more, send what waits, and end the task. False: something still waits; on disk it stays for the next process."""
        running, give_up_at = self._running, clock.monotonic() + timeout_s
        if not self._end() or running is None:
            return True
        with contextlib.suppress(OutboxError):
            await asyncio.to_thread(running.refuse)
        flushed = await self.flush(timeout_s)
        await self._sender_of(running).stop(max(0.1, give_up_at - clock.monotonic()))
        await asyncio.to_thread(running.store.close)
        return flushed

    def at_exit(self, timeout_s: float) -> None:
        """The loop is gone by now, and with it the task: send what is left without one."""
        running = self._running
        self._end()
        if running is None:
            return
        with contextlib.suppress(OutboxError):
            running.refuse()
        if running.store.pending and not send_all(running.sending, self._options, timeout_s):
            logger.warning("%d events were not sent before the program ended", running.store.pending)
        running.store.close()

    def after_fork(self) -> None:
        super().after_fork()
        self._sender = None

    async def __aenter__(self) -> Self:
        self._sender_of(self._current())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _record(self, given: dict[str, Any]) -> str:
        name, appended, running = self._append(given)
        sender = self._sender_of(running)
        if appended.news:
            sender.wake()
        if running.waits_for_disk:
            await asyncio.to_thread(running.store.sync, appended.ticket)
        return name

    def _sender_of(self, running: Running) -> "_Sender":
        loop = asyncio.get_running_loop()
        if self._sender is None or self._sender.loop is not loop:
            self._sender = _Sender(loop, running, self._options.endpoint, self._http)
        return self._sender


class _Sender:
    """The task of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, running: Running, url: str, http: dict[str, Any]) -> None:
        self.loop = loop
        self._running = running
        self._url = url
        self._http = http
        self._stop, self._wake, self._progress = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._task = loop.create_task(self._run(), name="tallywatt-send")

    def wake(self) -> None:
        self._wake.set()

    async def wait_passed(self, mark: str, timeout_s: float) -> bool:
        give_up_at = clock.monotonic() + timeout_s
        while not self._running.store.passed(mark):
            left = give_up_at - clock.monotonic()
            if left <= 0:
                return False
            self._progress.clear()
            await _set_within(self._progress, left)
        return True

    async def stop(self, timeout_s: float) -> None:
        self._stop.set()
        self._wake.set()
        await asyncio.wait([self._task], timeout=timeout_s)
        self._task.cancel()
        await asyncio.wait([self._task], timeout=1.0)

    async def _run(self) -> None:
        async with httpx.AsyncClient(**self._http) as http:
            while not self._stop.is_set():
                try:
                    await self._drive(self._running.sending.forever(), http)
                except Exception:
                    logger.exception("the sender failed, which is a fault of this client; it goes on")
                    await _set_within(self._stop, AFTER_OUR_OWN_FAULT_S)

    async def _drive(self, steps: Generator[Step, Any, None], http: httpx.AsyncClient) -> None:
        """As `threads.drive`, without blocking the loop."""
        proceed: Callable[[Any], Step] = steps.send
        result: Any = None
        while True:
            step = proceed(result)
            proceed, result = steps.send, None
            if isinstance(step, Do):
                try:
                    result = await asyncio.to_thread(step.call)
                except Exception as error:  # the steps decide what it means
                    proceed, result = steps.throw, error
                self._progress.set()
            elif self._stop.is_set() or (isinstance(step, Wait) and await _set_within(self._stop, step.seconds)):
                steps.close()
                return
            elif isinstance(step, Post):
                result = await self._post(http, step.body)
            elif isinstance(step, Idle):
                await _set_within(self._wake, step.seconds)
                self._wake.clear()

    async def _post(self, http: httpx.AsyncClient, body: Body) -> Answer:
        try:
            response = await http.post(self._url, content=body.content, headers=body.headers)
        except (httpx.HTTPError, OSError) as error:
            return no_answer(error)
        return Answer(response.status_code, response.content, response.headers)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
