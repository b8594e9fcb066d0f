"""What local senders may post, and what becomes of it: OTLP traces are stamped, events pass as they are; both are relayed.

| path | takes |
|---|---|
| `/v1/traces`, `/engines/<name>/v1/traces` | OTLP/HTTP, protobuf or JSON; the name tells which engine of the configuration it is |
| `/api/v1/events` | NDJSON and CloudEvents, as the server does; not Arrow, whose rows cannot be counted here |

A 2xx means that the body is on this machine's disk. No sockets here: see listener.py.
"""

import gzip
import hmac
import json
import re
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from metering.agent.config import MIB
from metering.agent.messages import Message
from metering.agent.relay import EVENTS_PATH, TRACES_PATH, Relay
from metering.agent.stamp import JSON, PROTOBUF, Stamp, Unreadable
from tallywatt.errors import OutboxFull, TallywattError
from tallywatt.wire import NDJSON_TYPE

MOST_INFLATED = 64 * MIB
AT_ONCE = 2  # bodies that are inflated and stamped at the same time, whatever the number of senders
FULL_RETRY_S, DISK_RETRY_S = 10, 5
OTLP_TYPES = (PROTOBUF, JSON)
EVENT_TYPES = (NDJSON_TYPE, JSON, "application/cloudevents+json", "application/cloudevents-batch+json")
_ENGINE_PATH = re.compile(r"/engines/([^/]+)/v1/traces")
_EVENT_HEADER = "ce-"  # a CloudEvent in binary mode has its attributes in headers

StampOf = Callable[[str], Stamp]


class Refused(Exception):
    """The request is not taken; nothing of it is kept."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body. `headers`: names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_gzip(self) -> bool:
        return self.headers.get("content-encoding", "").strip().lower() in {"gzip", "x-gzip"}


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receiver:
    """`stamp_of('')`: of spans that do not say by their path which engine they are of."""

    traces: Relay
    events: Relay
    engines: frozenset[str]
    stamp_of: StampOf
    max_body_bytes: int
    token: str = ""
    gzip: bool = False
    working: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(AT_ONCE))

    def length(self, head: Head) -> int:
        """How long the body is, for one that would be taken. Raises Refused: then the body need not be read."""
        self._check(head)
        if "transfer-encoding" in head.headers or "content-length" not in head.headers:
            raise Refused(411, "a Content-Length is needed")
        given = head.headers["content-length"]
        if not (given.isascii() and given.isdigit()):
            raise Refused(400, "the Content-Length is no number")
        if int(given) > self.max_body_bytes:
            raise Refused(413, f"the body is longer than {self.max_body_bytes} bytes")
        return int(given)

    def receive(self, head: Head, body: bytes) -> Reply:
        """On the disk when this returns. Raises Refused."""
        try:
            with self.working:
                return self._take_events(head, body) if head.path == EVENTS_PATH else self._take_traces(head, body)
        except OutboxFull:
            raise later(
                head, "the server has not taken what waits here, and there is no more room", FULL_RETRY_S
            ) from None
        except TallywattError as error:
            raise Refused(503, str(error), Retry_After=str(DISK_RETRY_S)) from None

    def _check(self, head: Head) -> None:
        engine = _ENGINE_PATH.fullmatch(head.path)
        if engine is not None and engine[1] not in self.engines:
            raise Refused(
                404, f"no engine is named {engine[1]!r} here: {', '.join(sorted(self.engines)) or 'none is configured'}"
            )
        if engine is None and head.path not in {TRACES_PATH, EVENTS_PATH}:
            raise Refused(404, f"{TRACES_PATH}, /engines/<name>{TRACES_PATH} and {EVENTS_PATH} are taken here")
        if head.method != "POST":
            raise Refused(405, "POST only", Allow="POST")
        if self.token and not hmac.compare_digest(
            head.headers.get("authorization", "").encode(), f"Bearer {self.token}".encode()
        ):
            raise Refused(401, "the token of this agent is needed", WWW_Authenticate="Bearer")
        self._check_types(head, EVENT_TYPES if head.path == EVENTS_PATH else OTLP_TYPES)

    def _check_types(self, head: Head, taken: tuple[str, ...]) -> None:
        # In binary mode a CloudEvent's content type is that of its data, whatever that is.
        binary = head.path == EVENTS_PATH and "ce-specversion" in head.headers
        if not binary and head.content_type not in taken:
            raise Refused(415, f"Content-Type {head.content_type[:80]!r} is not taken here: {', '.join(taken)}")
        if head.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity", "gzip", "x-gzip"}:
            raise Refused(415, "only gzip, or no encoding, is taken here", Accept_Encoding="gzip")

    def _take_traces(self, head: Head, body: bytes) -> Reply:
        engine = _ENGINE_PATH.fullmatch(head.path)
        plain = inflated(body) if head.is_gzip else body
        try:
            stamped = self.stamp_of(engine[1] if engine else "").on(plain, head.content_type)
        except Unreadable as error:
            raise Refused(400, str(error)) from None
        self.traces.take(
            self._message({"Content-Type": head.content_type}, stamped, compress=head.is_gzip or self.gzip)
        )
        # An empty ExportTraceServiceResponse: everything was taken.
        return Reply(200, b"{}" if head.content_type == JSON else b"", head.content_type)

    def _take_events(self, head: Head, body: bytes) -> Reply:
        kept = {"Content-Type": head.headers.get("content-type", JSON)} | {
            name: value for name, value in head.headers.items() if name.startswith(_EVENT_HEADER)
        }
        plain = inflated(body) if head.is_gzip else body
        if head.is_gzip:
            self.events.take(Message(kept | {"Content-Encoding": "gzip"}, body))
        else:
            self.events.take(self._message(kept, body, compress=self.gzip))
        if head.content_type != NDJSON_TYPE:
            return Reply(204)
        # What is wrong with one of them is found by the server, and told in this agent's log.
        count = sum(1 for line in plain.splitlines() if line.strip())
        return Reply(202, b'{"batch":"","accepted":%d,"rejected":[]}' % count)

    def _message(self, headers: dict[str, str], plain: bytes, *, compress: bool) -> Message:
        if not compress:
            return Message(headers, plain)
        return Message(headers | {"Content-Encoding": "gzip"}, gzip.compress(plain, 1, mtime=0))


def inflated(body: bytes, most: int = MOST_INFLATED) -> bytes:
    """All members of a gzip body, never more than `most` bytes. Raises Refused."""
    found, rest = bytearray(), body
    while rest:
        stream = zlib.decompressobj(wbits=31)
        try:
            found += stream.decompress(rest, most + 1 - len(found))
        except zlib.error as error:
            raise Refused(400, f"the body is not valid gzip: {error}") from None
        if len(found) > most:
            raise Refused(413, f"the body is longer than {most} bytes once inflated")
        if not stream.eof:
            raise Refused(400, "the body is truncated gzip")
        rest = stream.unused_data
    return bytes(found)


def later(head: Head, why: str, seconds: int) -> Refused:
    """Not now. OpenTelemetry's exporter in Python, which vLLM and SGLang use, gives spans up on a 429 and sends them again on a 503
    (`_is_retryable` in opentelemetry-exporter-otlp-proto-http).
    """
    return Refused(429 if head.path == EVENTS_PATH else 503, why, Retry_After=str(seconds))


def problem(refused: Refused) -> Reply:
    """As the server says it, in RFC 9457."""
    document: dict[str, Any] = {"title": "not taken", "status": refused.status, "detail": str(refused)}
    return Reply(refused.status, json.dumps(document).encode(), "application/problem+json", refused.headers)
