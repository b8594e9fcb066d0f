"""A text that is served over HTTP, without a socket."""

from collections.abc import Callable

import httpx


class Served:
    """`http` gets `text` with `status`, whatever it asks for; `asked` are the requests."""

    def __init__(self, text: str = "", status: int = 200) -> None:
        self.text = text
        self.status = status
        self.body: bytes | None = None  # instead of `text`
        self.headers: dict[str, str] = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        self.error: Callable[[httpx.Request], Exception] | None = None
        self.asked: list[httpx.Request] = []
        self.http = httpx.Client(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.error is not None:
            raise self.error(request)
        return httpx.Response(
            self.status, headers=self.headers, stream=httpx.ByteStream(self.body or self.text.encode())
        )
