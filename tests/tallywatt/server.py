"""A strict HTTP server on 127.0.0.1 that answers as the test says. It takes what Tallywatt's endpoint would take, and nothing else."""

import gzip
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa

KEY = "tw_0123456789ab_secret"
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Request:
    """What arrived. `lines` are the events as the server reads them."""

    content_type: str
    encoding: str
    body: bytes
    events: list[dict[str, Any]]


@dataclass(frozen=True)
class Reply:
    status: int
    document: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


Answering = Callable[[Request], Reply]


def receipt(request: Request, rejected: list[dict[str, Any]] | None = None) -> Reply:
    refused = rejected or []
    return Reply(202, {"batch": "b", "accepted": len(request.events) - len(refused), "rejected": refused})


def problem(status: int, detail: str, **headers: str) -> Answering:
    return lambda request: Reply(
        status, {"title": "T", "status": status, "detail": detail}, headers, content_type=PROBLEM
    )


def refusing(index: int, **reject: str) -> Answering:
    return lambda request: receipt(request, [{"index": index, "field": "", "reason": "", "message": ""} | reject])


class StrictServer:
    """`script`: the answers to the first requests; then everything is taken. Faults of the client gather in `faults`."""

    def __init__(self) -> None:
        self.script: list[Answering] = []
        self.then: Answering = receipt
        self.requests: list[Request] = []
        self.faults: list[str] = []
        self._taken: list[str] = []
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def taken(self) -> "Counter[str]":
        """How often each id was acknowledged."""
        with self._lock:
            return Counter(self._taken)

    def answer(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            answering = self.script.pop(0) if self.script else self.then
            reply = answering(request)
            if reply.status == 202 and reply.document["accepted"] <= len(request.events):
                refused = {reject["index"] for reject in reply.document["rejected"]}
                self._taken += [each["id"] for index, each in enumerate(request.events) if index not in refused]
        return reply

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _handler(server: StrictServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:  # killed while it sent: that is no fault of a client, and nobody waits for an answer
                self.close_connection = True
                return
            try:
                reply = server.answer(self._checked(body))
            except Exception as error:
                server.faults.append(repr(error))
                reply = Reply(418)
            content = b"" if reply.document is None else json.dumps(reply.document).encode()
            self.send_response(reply.status)
            for name, value in {
                "Content-Length": str(len(content)),
                "Content-Type": reply.content_type,
                **{name.replace("_", "-"): value for name, value in reply.headers.items()},
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _checked(self, body: bytes) -> Request:
            assert self.path == "/api/v1/events", self.path
            assert self.headers["Authorization"] == f"Bearer {KEY}"
            kind, encoding = self.headers["Content-Type"], self.headers.get("Content-Encoding", "")
            assert encoding in {"", "gzip"}
            plain = gzip.decompress(body) if encoding else body
            return Request(kind, encoding, body, _events(kind, plain))

        def log_message(self, *words: Any) -> None:
            """Not on the terminal."""

    return Handler


def _events(kind: str, plain: bytes) -> list[dict[str, Any]]:
    if kind == "application/x-ndjson":
        assert plain.endswith(b"\n")
        return [json.loads(line) for line in plain.splitlines()]
    assert kind == "application/vnd.apache.arrow.stream", kind
    with pa.ipc.open_stream(plain) as stream:
        table = stream.read_all()
    table.validate(full=True)
    found: list[dict[str, Any]] = table.to_pylist(maps_as_pydicts="strict")
    return found
