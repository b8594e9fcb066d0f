"""From local senders to one endpoint of the server, in order: durable first, then sent until it is taken or refused for good."""

import logging
from collections.abc import Generator, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Any

from metering.agent import frames, otlp_protobuf
from metering.agent.aside import Aside
from metering.agent.clock import ServerClock
from metering.agent.config import MIB, Config, ReceiverConfig
from metering.agent.messages import Message
from metering.agent.outlet import Outlet, Parts, parts
from metering.agent.stamp import JSON, PROTOBUF
from tallywatt.answers import Answer, foreign_index
from tallywatt.backoff import retry_after_s
from tallywatt.deadletters import Rejected
from tallywatt.delivery import Do, Post, Step, Steps, Wait
from tallywatt.options import Options
from tallywatt.pace import Pace
from tallywatt.stats import Stats
from tallywatt.wire import Body

logger = logging.getLogger("tallywatt.agent")

TRACES_PATH, EVENTS_PATH = "/v1/traces", "/api/v1/events"
_TRANSIENT = frozenset((408, 425, 429))
FILE_BYTES = MIB  # bodies that lie together in a file; after a crash they are sent again together
FILE_AGE_S = 0.2
AFTER_DISK_ERROR_S = 5.0


class Outcome(Enum):
    """What an answer means for one request."""

    TAKEN = auto()
    NEVER = auto()  # it will not pass, however often it is sent
    AGAIN = auto()  # it will pass
    MEND = auto()  # a person has to mend it: the key, the URL, a proxy


def outcome(path: str, answer: Answer) -> Outcome:
    """Pure. `path`: TRACES_PATH or EVENTS_PATH."""
    status = answer.status
    if _is_taken(path, answer):
        return Outcome.TAKEN
    if status == 0 or status in _TRANSIENT or status >= 500:
        return Outcome.AGAIN
    # A 400 of a proxy (a wrong host, TLS on the wrong port) does not speak about the body: it is no problem document of ours.
    if status == 413 or (status in {400, 415, 422} and answer.is_problem) or _is_foreign(answer):
        return Outcome.NEVER
    return Outcome.MEND


def _is_taken(path: str, answer: Answer) -> bool:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if path == TRACES_PATH:
        return answer.status == 200 and kind in {PROTOBUF, JSON}
    return answer.status == 204 or (answer.status == 202 and type(answer.document.get("accepted")) is int)


def _is_foreign(answer: Answer) -> bool:
    """One event names another tenant than the key's: the whole request was refused. (A missing scope names no event.)"""
    return answer.status == 403 and foreign_index(answer, 2**31) is not None


def refused_in_part(answer: Answer) -> str:
    """What the server did not take of a request that it took; it has that in quarantine. Empty if it took everything."""
    if rejected := answer.document.get("rejected"):
        return f"{len(rejected)} events were refused; the first: {str(rejected[0])[:500]}"
    if partial := answer.document.get("partialSuccess"):
        return str(partial)[:1000]
    if answer.headers.get("content-type", "").startswith(PROTOBUF):
        try:
            return otlp_protobuf.partial_success(answer.body)[:1000]
        except otlp_protobuf.NotProtobuf:
            return ""
    return ""


class RelayDelivery:
    """Brings the bodies of one batch to the server, one request each."""

    def __init__(self, shared: Parts, aside: Aside) -> None:
        self._shared = shared
        self._aside = aside
        self._backoff = shared.options.backoff

    def deliver(self, lines: Sequence[bytes]) -> Steps:
        for line in lines:
            yield from self._bring(Message.unpacked(line))
        return list[Rejected]()

    def _bring(self, message: Message) -> Generator[Step, Any, None]:
        body = Body(message.body, dict(message.headers))
        while True:
            answer: Answer = yield Post(body)
            found = outcome(self._shared.options.path, answer)
            if found in {Outcome.TAKEN, Outcome.NEVER}:
                break
            yield self._pause(answer, slow=found is Outcome.MEND)
        self._backoff.succeeded()
        self._shared.trouble.ends()
        if found is Outcome.NEVER:
            yield from self._set_aside(message, answer)
            return
        self._shared.counters.add("sent")
        if refused := refused_in_part(answer):
            logger.warning("%s: %s; the server keeps it in quarantine", self._shared.options.path, refused)

    def _pause(self, answer: Answer, *, slow: bool) -> Wait:
        self._shared.counters.add("retried")
        self._shared.trouble.begins(f"{answer} (check the URL and the API key)" if slow else str(answer))
        asked_s = retry_after_s(answer.headers.get("retry-after"))
        return Wait(self._backoff.wait_s(retry_after_s=asked_s, slow=slow))

    def _set_aside(self, message: Message, answer: Answer) -> Generator[Step, Any, None]:
        """Before the request is forgotten, so that a crash in between keeps it twice rather than not at all."""
        path = self._shared.options.path
        while True:
            try:
                kept: Path = yield Do(lambda: self._aside.keep(path, message, answer))
            except OSError as error:
                logger.error("%s: a refused request cannot be set aside: %s", path, error)
                yield Wait(AFTER_DISK_ERROR_S)
                continue
            self._shared.counters.add("rejected")
            logger.error("%s: a request will never be taken and is set aside as %s: %s", path, kept, answer)
            return


def options_of(config: Config, receiver: ReceiverConfig, path: str, folder: str) -> Options:
    return Options(
        url=config.url,
        key=config.key,
        outbox=config.data / folder,
        path=path,
        batch_bytes=FILE_BYTES,
        batch_age_s=FILE_AGE_S,
        outbox_max_bytes=receiver.max_bytes,
        when_full="raise",
        pace=Pace(first_wait_s=config.interval_s, most_bytes_per_s=receiver.catch_up_mib_per_s * MIB),
    )


class Relay:
    """Takes requests from any thread. Raises OutboxError if its folder cannot be used."""

    def __init__(self, options: Options, aside: Aside) -> None:
        if options.outbox is None:
            raise ValueError("a relay needs a folder")
        self.path = options.path
        shared = parts(options, options.outbox, options.path)
        self._outlet = Outlet(shared, RelayDelivery(shared, aside), framing=frames)

    @property
    def stats(self) -> Stats:
        """Of requests, not of what is in them."""
        return self._outlet.stats

    @property
    def trouble(self) -> str | None:
        return self._outlet.trouble

    def start(self, server_clock: ServerClock) -> None:
        self._outlet.start(server_clock)

    def take(self, message: Message) -> None:
        """On the disk when this returns. Raises OutboxFull, or OutboxError: then the sender still has it."""
        self._outlet.sync(self._outlet.append(message.packed()))

    def close(self, timeout_s: float) -> None:
        self._outlet.close(timeout_s)
