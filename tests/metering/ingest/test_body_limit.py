"""The guard before Django: a body over the limit is refused while it arrives, whatever its sender declares, and never held."""

import asyncio
from collections.abc import Iterable
from typing import Any

import orjson

from metering.ingest.limits import limit_bodies

LIMIT = 1000


async def echo_length(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads the whole body and answers how long it was."""
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message["body"])
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})


def ask(chunks: Iterable[bytes], declared: int | None = None) -> tuple[int, bytes, int]:
    """The status and body of the answer, and how many bytes were taken from the sender before it."""
    waiting = list(chunks)
    sent: list[dict[str, Any]] = []
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        body = waiting.pop(0)
        taken += len(body)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [] if declared is None else [(b"content-length", str(declared).encode())]
    scope = {"type": "http", "headers": headers}
    asyncio.run(limit_bodies(echo_length, LIMIT)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"], taken


def test_a_body_of_exactly_the_limit_passes() -> None:
    assert ask([b"x" * 600, b"x" * 400], declared=LIMIT)[:2] == (200, b"1000")


def test_a_declared_length_over_the_limit_is_413_as_a_problem() -> None:
    status, body, _ = ask([b"x" * 1001], declared=1001)
    assert status == 413
    assert orjson.loads(body)["status"] == 413


def test_a_body_without_a_length_is_counted_as_it_arrives() -> None:
    assert ask([b"x" * 600, b"x" * 401])[0] == 413


def test_a_body_longer_than_it_declares_is_counted_as_it_arrives() -> None:
    assert ask([b"x" * 600, b"x" * 600], declared=10)[0] == 413


def test_the_rest_is_read_and_dropped_so_that_the_sender_gets_to_read_the_answer() -> None:
    status, _, taken = ask([b"x" * 500] * 20, declared=10_000)
    assert (status, taken) == (413, 10_000)


def test_an_endless_body_is_given_up() -> None:
    chunk = b"x" * 2**20
    status, _, taken = ask([chunk] * 400)
    assert status == 413
    assert taken < 300 * 2**20


def test_a_sender_that_goes_away_ends_the_reading() -> None:
    sent: list[Any] = []
    messages = [
        {"type": "http.request", "body": b"x" * 2000, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": []}
    asyncio.run(limit_bodies(echo_length, LIMIT)(scope, receive, send))
    assert not messages


def test_other_scopes_pass_untouched() -> None:
    seen = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(limit_bodies(application, LIMIT)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
