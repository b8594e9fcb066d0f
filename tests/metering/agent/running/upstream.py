"""A server on 127.0.0.1 that takes what an agent sends, and answers as the test says. Faults of the agent gather in `faults`."""

import gzip
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "tw_0123456789ab_secret"
PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True)
class Request:
    """`body` is inflated."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def samples(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


Answering = Callable[[Request], Reply]


def taking(request: Request) -> Reply:
    """As the server answers what it takes."""
    if request.path == "/v1/traces":
        return Reply(200, b"", PROTOBUF)
    if request.headers["content-type"] == "application/x-ndjson":
        receipt = {"batch": "b", "accepted": request.body.count(b"\n"), "rejected": []}
        return Reply(202, json.dumps(receipt).encode())
    return Reply(204)


def problem(status: int, detail: str = "no", **headers: str) -> Answering:
    body = json.dumps({"title": "T", "status": status, "detail": detail}).encode()
    return lambda _: Reply(
        status, body, "application/problem+json", {name.replace("_", "-"): value for name, value in headers.items()}
    )


class Upstream:
    """`script`: the answers to the first requests; then `then`."""

    def __init__(self, port: int = 0) -> None:
        self.script: list[Answering] = []
        self.then: Answering = taking
        self.requests: list[Request] = []
        self.taken: list[Request] = []
        self.faults: list[str] = []
        self.date: str | None = None
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def to(self, path: str) -> list[Request]:
        """What was taken there."""
        with self._lock:
            return [request for request in self.taken if request.path == path]

    @property
    def samples(self) -> list[dict[str, Any]]:
        return [sample for request in self.to("/api/v1/telemetry") for sample in request.samples]

    def answer(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            reply = (self.script.pop(0) if self.script else self.then)(request)
            if reply.status in {200, 202, 204}:
                self.taken.append(request)
        return reply

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _handler(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            try:
                reply = upstream.answer(self._request())
            except Exception as error:
                upstream.faults.append(repr(error))
                reply = Reply(418)
            self.send_response_only(reply.status)
            self.send_header("Date", upstream.date or self.date_time_string())
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def _request(self) -> Request:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            assert headers["authorization"] == f"Bearer {KEY}"
            plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
            return Request(self.path, headers, plain, time.monotonic())

        def log_message(self, *words: Any) -> None:
            """Not on the terminal."""

    return Handler
