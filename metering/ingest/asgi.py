"""The short way for events: ASGI requests to an ingest view do not pass through Django's middleware, which is for people.

Under ASGI every synchronous middleware costs several changes of thread; sessions, CSRF and security headers mean nothing to a
sender with an API key. The view is the same as Django would call. It runs in a small pool of threads of its own, so that a burst of
events takes neither the threads of pages nor, past a limit on bytes in memory, the machine's memory.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from metering.ingest import counters
from metering.ingest.limits import Application, Message, Receive, Send
from metering.problems import problem

logger = logging.getLogger(__name__)

View = Callable[[HttpRequest], HttpResponse]
THREADS = 4
MOST_BYTES = 256 * 2**20  # of bodies that are being received or decoded


class Disconnected(Exception):
    """The sender went away before its body was complete: there is nobody to answer."""


class ShortWay:
    """Wraps an ASGI application: requests to ingest views are answered here, all others go on to `application`."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ingest")
        self._held = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        view = _ingest_view(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if view is None:
            await self._application(scope, receive, send)
            return
        try:
            response = await self._answer(view, scope, receive)
        except Disconnected:
            return
        await _send(response, send)

    async def _answer(self, view: View, scope: Message, receive: Receive) -> HttpResponse:
        parts: list[bytes] = []
        taken, refused = 0, False
        try:
            async for part in _body(receive):
                # What is refused is still read to its end: a sender that has not finished writing does not read the answer.
                refused = refused or self._held + len(part) > MOST_BYTES
                if not refused:
                    taken += len(part)
                    self._held += len(part)
                    parts.append(part)
            if refused:
                await asyncio.to_thread(counters.refused, 429)
                return problem(429, "too many bodies are being received at once", headers={"Retry-After": "1"})
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            return await asyncio.get_running_loop().run_in_executor(self._threads, _call, view, scope, body)
        finally:
            self._held -= taken


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        more = bool(message.get("more_body"))
        yield message.get("body", b"")


def _call(view: View, scope: Message, body: bytes) -> HttpResponse:
    """In a thread. The connection to PostgreSQL goes back to the pool afterwards, as at the end of a request of Django's."""
    close_old_connections()
    try:
        return view(ASGIRequest(scope, BytesIO(body)))
    except Exception:
        logger.exception("an ingest view failed")
        return problem(
            500, "this should not have happened; nothing was acknowledged, and the server's log has the reason"
        )
    finally:
        close_old_connections()


async def _send(response: HttpResponse, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    headers.append((b"content-length", str(len(response.content)).encode()))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})


def _ingest_view(path: str) -> View | None:
    try:
        match = resolve(path)
    except Resolver404:
        return None
    return match.func if getattr(match.func, "takes_events", False) else None
