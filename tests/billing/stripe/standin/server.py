"""The stand-in's HTTP side: who asks, in what form, under which idempotency key; and what goes wrong on the way when a test says so."""

import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.billing.stripe.standin import parameters, routes
from tests.billing.stripe.standin.account import Account
from tests.billing.stripe.standin.parameters import Refused

KEY_KEPT_S = 86_400
VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?\Z")


@dataclass
class Fault:
    """down: no answer and nothing done. drop: done, and the answer lost. error: 500, nothing done. limit: 429. slow: waits for `release`.

    down lasts until `recover`, the others `times` times.
    """

    kind: str
    path: str = ""
    method: str = "POST"
    times: int = 1
    release: threading.Event = field(default_factory=threading.Event)


@dataclass
class Kept:
    """An idempotency key: what it was used for, and the answer, once there is one."""

    fingerprint: tuple[str, str, str]
    at: float
    answer: tuple[int, bytes] | None = None


class StandIn:
    """Runs on a port of its own until `stop`. `forward(hours)` moves its clock."""

    KEY = "sk_test_standin"

    def __init__(self) -> None:
        self.offset_s = 0.0
        self.account = Account(self.now)
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, str]] = []  # every request, in order
        self.keys: dict[str, Kept] = {}
        self.lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def now(self) -> float:
        return time.time() + self.offset_s

    def forward(self, hours: float) -> None:
        self.offset_s += hours * 3600

    def fail(self, kind: str, path: str = "", *, times: int = 1, method: str = "POST") -> Fault:
        fault = Fault(kind, path, method, times)
        self.faults.append(fault)
        return fault

    def recover(self) -> None:
        self.faults.clear()

    def posts(self, path: str) -> int:
        return self.asked.count(("POST", path))

    # -- one request

    def fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and path.startswith(fault.path) and method.startswith(fault.method):
                    fault.times -= 1
                    return fault
        return None

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, bool]:
        """Status, body, whether it is the kept answer to an earlier request."""
        parts = urlsplit(target)
        try:
            _check_headers(method, headers, body)
            given = parameters.decoded(body.decode() if method == "POST" else parts.query)
            route, ids = routes.found(method, parts.path)
            arguments = route.arguments(given)
            if method == "POST":
                return self._once(
                    headers["idempotency-key"],
                    (method, parts.path, json.dumps(given, sort_keys=True)),
                    route,
                    ids,
                    arguments,
                )
            with self.lock:
                answer = getattr(self.account, route.does)(*ids, **arguments)
                return 200, _json(answer | {"url": parts.path} if answer["object"] == "list" else answer), False
        except Refused as refusal:
            return refusal.status, _json({"error": refusal.error}), False

    def _once(
        self, key: str, fingerprint: tuple[str, str, str], route: routes.Route, ids: tuple[str, ...], arguments: Any
    ) -> tuple[int, bytes, bool]:
        """Under an idempotency key: done once, answered alike for a day. What was refused unread is not kept."""
        with self.lock:
            known = self.keys.get(key)
            if known is not None and known.at > self.now() - KEY_KEPT_S:
                return self._again(known, fingerprint)
            self.keys[key] = Kept(fingerprint, self.now())
        status, body = self._done(fingerprint, route, ids, arguments)
        with self.lock:
            if status in {400, 404, 429}:
                del self.keys[key]
            else:
                self.keys[key].answer = (status, body)
        return status, body, False

    def _again(self, known: Kept, fingerprint: tuple[str, str, str]) -> tuple[int, bytes, bool]:
        if known.fingerprint != fingerprint:
            raise Refused(
                400, "Keys for idempotent requests can only be used with the same parameters.", kind="idempotency_error"
            )
        if known.answer is None:
            raise Refused(
                409, "Another request is using this key.", kind="idempotency_error", code="idempotency_key_in_use"
            )
        return *known.answer, True

    def _done(
        self, fingerprint: tuple[str, str, str], route: routes.Route, ids: tuple[str, ...], arguments: Any
    ) -> tuple[int, bytes]:
        fault = self.fault(*fingerprint[:2])
        if fault is not None and fault.kind == "slow":
            fault.release.wait(20)
        if fault is not None and fault.kind == "error":
            return 500, _json({"error": {"type": "api_error", "message": "Something went wrong on Stripe's end."}})
        if fault is not None and fault.kind == "limit":
            return 429, _json(
                {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many."}}
            )
        try:
            with self.lock:
                done = 200, _json(getattr(self.account, route.does)(*ids, **arguments))
        except Refused as refusal:
            done = refusal.status, _json({"error": refusal.error})
        if fault is not None and fault.kind == "drop":
            self._keep_dropped(fingerprint, done)
            raise ConnectionAbortedError
        return done

    def _keep_dropped(self, fingerprint: tuple[str, str, str], done: tuple[int, bytes]) -> None:
        with self.lock:
            for kept in self.keys.values():
                if kept.fingerprint == fingerprint and kept.answer is None:
                    kept.answer = done


def _check_headers(method: str, headers: dict[str, str], body: bytes) -> None:
    if headers.get("authorization") != f"Bearer {StandIn.KEY}":
        raise Refused(401, "Invalid API Key provided.")
    if not VERSION.match(headers.get("stripe-version", "")):
        raise Refused(400, "Invalid Stripe API version.")
    if method == "POST":
        if headers.get("content-type") != "application/x-www-form-urlencoded":
            raise Refused(400, "Invalid content type: a form is wanted.")
        if not 1 <= len(headers.get("idempotency-key", "")) <= 255:
            raise Refused(400, "An idempotency key of 1 to 255 characters is wanted.")
    elif body:
        raise Refused(400, f"A {method} has no body.")


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _handler(standin: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            path = urlsplit(self.path).path
            with standin.lock:
                standin.asked.append((self.command, path))
            down = [fault for fault in standin.faults if fault.kind == "down" and path.startswith(fault.path)]
            try:
                if down:
                    raise ConnectionAbortedError
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, answer, replayed = standin.answer(self.command, self.path, headers, body)
            except ConnectionAbortedError:  # the line is cut before a byte of the answer
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.send_header("Request-Id", "req_standin")
            if replayed:
                self.send_header("Idempotent-Replayed", "true")
            if status == 429:
                self.send_header("Retry-After", "7")
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = _serve

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the log of the tests is for what went wrong."""

    return Handler
