"""A small HTTP server on loopback that gives the answers of a list, and keeps what it was sent."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

HANG_UP = 0  # in place of a status: the connection is closed without an answer


@dataclass
class Answers:
    """`script`: (status, headers, document), taken in turn; when it is used up, everything is accepted."""

    script: list[tuple[int, dict[str, str], Any]] = field(default_factory=list)
    bodies: list[list[dict[str, Any]]] = field(default_factory=list)
    url: str = ""


@contextmanager
def answering(*script: tuple[int, dict[str, str], Any]) -> Iterator[Answers]:
    answers = Answers(list(script))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            events = [json.loads(line) for line in body.splitlines()]
            answers.bodies.append(events)
            accepted = (202, {}, {"batch": "b", "accepted": len(events), "rejected": []})
            status, headers, document = answers.script.pop(0) if answers.script else accepted
            if status == HANG_UP:
                self.connection.close()
                return
            self.send_response(status)
            content = json.dumps(document).encode()
            for name, value in (headers | {"Content-Length": str(len(content))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """The tests look at `bodies` instead."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        answers.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield answers
        finally:
            server.shutdown()
            thread.join()
