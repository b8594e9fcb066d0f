"""Bringing one batch to the server, whatever it takes. No I/O here: a generator says what to do next, and a driver does it
(client.py with threads, aio.py with tasks), so that both behave alike.
"""

import json
import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from tallywatt.answers import Answer, Verdict, foreign_index, judge, receipt
from tallywatt.backoff import Backoff, retry_after_s
from tallywatt.deadletters import Rejected
from tallywatt.stats import Counters
from tallywatt.wire import Body, Encoder

logger = logging.getLogger("tallywatt")


@dataclass(frozen=True)
class Post:
    """Send this; the answer is an Answer."""

    body: Body


@dataclass(frozen=True)
class Wait:
    """Do nothing for so long, unless the client is stopped."""

    seconds: float


@dataclass(frozen=True)
class Idle:
    """Wait for news; look again after `seconds` in any case."""

    seconds: float


@dataclass(frozen=True)
class Do:
    """Call this where it may block (the disk); the answer is what it returns, and what it raises is raised here."""

    call: Callable[[], Any]


Step = Post | Wait | Idle | Do
Steps = Generator[Step, Any, list[Rejected]]


@dataclass
class Trouble:
    """What holds up the sending at this moment, in words. It is logged when it begins and when it ends, not on every attempt.

    `of`: what is sent, where a process has several senders.
    """

    now: str | None = None
    of: str = ""

    def begins(self, what: str) -> None:
        if self.now is None:
            logger.warning("%sheld up, trying again: %s", self._prefix, what)
        self.now = what

    def ends(self) -> None:
        if self.now is not None:
            logger.info("%sthe server answers again", self._prefix)
        self.now = None

    @property
    def _prefix(self) -> str:
        return f"{self.of}: " if self.of else ""


class Delivery:
    """Delivers batch after batch; returns the events that will never be taken."""

    def __init__(self, encoder: Encoder, backoff: Backoff, counters: Counters, trouble: Trouble) -> None:
        self._encoder = encoder
        self._backoff = backoff
        self._counters = counters
        self._trouble = trouble

    def deliver(self, lines: Sequence[bytes]) -> Steps:
        if not lines:
            return []
        body = self._encoder.encode(lines)
        while True:
            answer: Answer = yield Post(body)
            verdict = judge(answer, len(lines))
            if verdict is Verdict.TAKEN:
                return self._taken(lines, answer)
            if verdict is Verdict.SPLIT:
                return (yield from self._split(lines, answer))
            if verdict is Verdict.FOREIGN and (tenant := _tenant_at(lines, answer)):
                return (yield from self._without(tenant, lines, answer))
            if verdict is Verdict.PLAIN and self._encoder.fall_back():
                logger.warning("the server does not take this format, going on as plain NDJSON: %s", answer)
                body = self._encoder.encode(lines)
                continue
            yield self._pause(answer, verdict)

    def _taken(self, lines: Sequence[bytes], answer: Answer) -> list[Rejected]:
        self._backoff.succeeded()
        self._trouble.ends()
        found = receipt(answer, len(lines))
        rejected = found.rejected if found else []
        self._counters.add("sent", len(lines) - len(rejected))
        return [
            Rejected(json.loads(lines[index]), field, reason, message) for index, field, reason, message in rejected
        ]

    def _split(self, lines: Sequence[bytes], answer: Answer) -> Steps:
        """Halves, until what is too large or unreadable stands alone."""
        if len(lines) == 1:
            reason = "too_large" if answer.status == 413 else "refused"
            return [Rejected(json.loads(lines[0]), "", reason, str(answer))]
        middle = len(lines) // 2
        first = yield from self.deliver(lines[:middle])
        return first + (yield from self.deliver(lines[middle:]))

    def _without(self, tenant: str, lines: Sequence[bytes], answer: Answer) -> Steps:
        """A key of one tenant cannot write for another: those events can never go, the rest can."""
        events = [json.loads(line) for line in lines]
        foreign = [event.get("tenant") == tenant for event in events]
        refused = [
            Rejected(event, "tenant", "foreign_tenant", str(answer))
            for event, is_foreign in zip(events, foreign, strict=True)
            if is_foreign
        ]
        rest = [line for line, is_foreign in zip(lines, foreign, strict=True) if not is_foreign]
        return refused + (yield from self.deliver(rest))

    def _pause(self, answer: Answer, verdict: Verdict) -> Wait:
        self._counters.add("retried")
        slow = verdict is not Verdict.AGAIN
        self._trouble.begins(f"{answer} (check the URL and the API key)" if slow else str(answer))
        asked_s = retry_after_s(answer.headers.get("retry-after"))
        return Wait(self._backoff.wait_s(retry_after_s=asked_s, slow=slow))


def _tenant_at(lines: Sequence[bytes], answer: Answer) -> str | None:
    """The tenant of the event that the answer names."""
    index = foreign_index(answer, len(lines))
    return None if index is None else json.loads(lines[index]).get("tenant")
