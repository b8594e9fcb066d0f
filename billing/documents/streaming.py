"""Answers that are sent while they are made."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse


def streamed(request: HttpRequest, pieces: Iterator[bytes], *, name: str, media_type: str) -> StreamingHttpResponse:
    """A download of this name. The first piece is made before the answer begins, so that its errors are still told as such.

    Under ASGI Django would collect what a plain iterator gives before it sends the first byte, so there it gets an asynchronous one.
    """
    first = next(pieces, b"")
    asynchronous = isinstance(getattr(request, "_request", request), ASGIRequest)  # REST framework wraps Django's
    content = _without_blocking(first, pieces) if asynchronous else _all(first, pieces)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(content, content_type=media_type, headers=headers)


def _all(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


async def _without_blocking(first: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Pieces are made in the request's own thread, where its database connections are."""
    yield first
    while (piece := await sync_to_async(_following)(pieces)) is not None:
        yield piece


def _following(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)
