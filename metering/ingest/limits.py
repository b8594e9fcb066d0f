"""An ASGI guard before Django: a body over the limit is refused while it arrives, and never held.

Django's own handler would first write the whole body to a temporary file.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from metering.ingest import counters

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

# A sender that has not finished writing does not read the answer. So that it gets one, this much more is read and dropped.
DRAINED_BYTES = 256 * 2**20


class TooLarge(Exception):
    """The body went over the limit while it was being read."""


def limit_bodies(application: Application, max_bytes: int) -> Application:
    """Wrap an ASGI application: 413 for a body over `max_bytes`, by its declared length or as it is counted."""

    async def limited(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        if _declared_length(scope) > max_bytes:
            await _refuse(receive, send, max_bytes, more=True)
            return
        taken = 0
        more = True

        async def counted() -> Message:
            nonlocal taken, more
            message = await receive()
            taken += len(message.get("body", b""))
            more = bool(message.get("more_body"))
            if taken > max_bytes:
                raise TooLarge
            return message

        try:
            await application(scope, counted, send)
        except TooLarge:
            await _refuse(receive, send, max_bytes, more=more)

    return limited


def _declared_length(scope: MutableMapping[str, Any]) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def _refuse(receive: Receive, send: Send, max_bytes: int, *, more: bool) -> None:
    """`more`: the body goes on. After its last part, asking for another would wait until the sender goes away."""
    dropped = 0
    while more and dropped < DRAINED_BYTES:
        message = await receive()
        dropped += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    detail = f"the body is longer than {max_bytes} bytes"
    body = orjson.dumps({"type": "about:blank", "title": "Content Too Large", "status": 413, "detail": detail})
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    await asyncio.to_thread(counters.refused, 413)
