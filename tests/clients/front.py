"""A front between a client and the stack: it can lose the first answer, and send again all that came by."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

KEPT = ("content-type", "retry-after", "www-authenticate")
OWN = ("host", "content-length", "connection", "transfer-encoding")


@dataclass(frozen=True)
class Passed:
    """One request that came by, and what the stack answered."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int


class Front:
    """Passes requests on. `lose`: the status that the client gets for its first request, which the stack had taken."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.lose: int | None = None
        self.passed: list[Passed] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def statuses(self) -> list[int]:
        return [each.status for each in self.passed]

    def repeat(self) -> list[int]:
        """Send everything again, byte for byte."""
        return [self._send(each.path, each.headers, each.body).status_code for each in list(self.passed)]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _send(self, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        return httpx.post(self.upstream + path, content=body, headers=headers, timeout=30)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name: value for name, value in self.headers.items() if name.lower() not in OWN}
                answer = front._send(self.path, headers, body)
                front.passed.append(Passed(self.path, headers, body, answer.status_code))
                if front.lose and len(front.passed) == 1:
                    lost = {"Retry-After": "1", "Content-Type": "application/json"}
                    answer = httpx.Response(front.lose, content=b"{}", headers=lost)
                self._answer(answer)

            def _answer(self, answer: httpx.Response) -> None:
                self.send_response(answer.status_code)
                for name in KEPT:
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                if answer.status_code != 204:
                    self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *words: object) -> None:
                """Nothing: the test says what it expects."""

        return Handler
