"""Sending events as a customer's client does: NDJSON over HTTP, again and again until it is acknowledged.

A batch that failed on the way may have been taken all the same. Sending it again is safe, because an event's identity is its
(tenant, source, id): so whatever may pass is retried, and only a refusal that will stay one is raised.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx
import orjson

logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request would drown what a command says
RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0


class SendFailed(RuntimeError):
    """Not acknowledged: refused for good, or still failing after `retry_for_s`. Sending it again later is safe."""


@dataclass(frozen=True)
class Receipt:
    """What the server said it has on disk. `rejected`: objects with index, field, reason, message."""

    accepted: int
    rejected: list[dict[str, Any]]


def ndjson(events: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events)


class Sender:
    """One connection to `<url>/api/v1/events`; an outage of `retry_for_s` is outlasted (`inf`: any).

    `tell` gets a line when sending is held up, and one when it goes on.
    """

    def __init__(self, url: str, key: str, *, retry_for_s: float, tell: Callable[[str], None]) -> None:
        self._url = url.rstrip("/") + "/api/v1/events"
        self._retry_for_s = retry_for_s
        self._tell = tell
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"},
            timeout=httpx.Timeout(60, connect=5),
        )

    def __enter__(self) -> "Sender":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def send(self, body: bytes) -> Receipt:
        """Returns once the batch is acknowledged. Raises SendFailed."""
        give_up_at = time.monotonic() + self._retry_for_s
        pause_s = FIRST_PAUSE_S
        held_up = False
        while True:
            obstacle, asked_s = "", 0.0
            try:
                response = self._client.post(self._url, content=body)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise SendFailed(f"{self._url}: {error}") from error
            except httpx.TransportError as error:
                obstacle = f"{type(error).__name__}: {error}"
            else:
                if response.status_code not in RETRIED_STATUSES:
                    if held_up:
                        self._tell("the server answers again")
                    return _receipt(response)
                obstacle, asked_s = _described(response), _retry_after_s(response)
            # Jitter, so that several clients do not come back in step after an outage.
            wait_s = max(asked_s, pause_s * random.uniform(0.5, 1))  # noqa: S311 - not a secret
            if time.monotonic() + wait_s > give_up_at:
                raise SendFailed(f"{self._url}: still failing after {self._retry_for_s:g} s: {obstacle}")
            if not held_up:
                self._tell(f"held up, trying again: {obstacle}")
                held_up = True
            time.sleep(wait_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


def _receipt(response: httpx.Response) -> Receipt:
    if response.status_code != httpx.codes.ACCEPTED:
        raise SendFailed(f"{response.request.url}: {_described(response)}")
    try:
        answer = response.json()
        return Receipt(int(answer["accepted"]), list(answer["rejected"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SendFailed(f"{response.request.url}: the answer is not a receipt: {response.text[:200]!r}") from error


def _described(response: httpx.Response) -> str:
    """Status and, from a problem document, what the server says about it."""
    try:
        problem = response.json()
        said = ": ".join(str(problem[name]) for name in ("title", "detail") if problem.get(name))
    except (ValueError, AttributeError):
        said = response.text[:200].strip()
    return f"HTTP {response.status_code} {said}".strip()


def _retry_after_s(response: httpx.Response) -> float:
    """The header's seconds; 0 where there is none. (Its other form, a date, is not what our server sends.)"""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0
