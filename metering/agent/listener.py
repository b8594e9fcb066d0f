"""The sockets of the receiver: a small HTTP/1.1 server with a thread for each connection, and bounds on everything.

Connections, their silence, and the bytes of bodies under way are limited, so that a local program that goes astray costs this node
neither memory nor threads. What may be posted is decided in receiver.py.
"""

import logging
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from metering.agent.config import MIB
from metering.agent.receiver import Head, Receiver, Refused, Reply, later, problem

logger = logging.getLogger("tallywatt.agent")

MOST_CONNECTIONS = 128
MOST_BYTES_UNDER_WAY = 64 * MIB
BUSY_RETRY_S = 1
STOP_WITHIN_S = 0.1
SILENCE_S = 60.0  # between requests of a connection, and between the bytes of one


class Room:
    """How many bytes of bodies may be read at the same time."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Whether there was room; then it is to be given back."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        with self._lock:
            self._left += size


class Listener:
    """Listens from `start()` until `close()`. Raises OSError if the address cannot be had."""

    def __init__(self, host: str, port: int, receiver: Receiver) -> None:
        self._http = _Server((host, port), receiver)
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(STOP_WITHIN_S,), name="tallywatt-listen", daemon=True
        )

    @property
    def address(self) -> str:
        host, port = self._http.server_address[:2]
        return f"{host!s}:{port}"

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Requests under way are not broken off, but not waited for either: without an answer their sender has them still."""
        self._http.shutdown()
        self._http.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], receiver: Receiver) -> None:
        self.receiver = receiver
        self.room = Room(MOST_BYTES_UNDER_WAY)
        self._connections = threading.BoundedSemaphore(MOST_CONNECTIONS)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke off is its sender's affair."""
        logger.debug("a local sender's connection broke off", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "tallywatt-agent", ""
    timeout = SILENCE_S
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of an answer in one packet

    def do_POST(self) -> None:
        head = Head(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
        try:
            self._send(self._received(head))
        except Refused as refused:
            self.close_connection = True  # its body may still be on the way
            self._send(problem(refused))

    do_GET = do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_POST

    def _received(self, head: Head) -> Reply:
        length = self.server.receiver.length(head)
        if not self.server.room.take(length):
            raise later(head, "too much is being sent at once", BUSY_RETRY_S)
        try:
            body = self.rfile.read(length)
            if len(body) != length:
                raise Refused(400, "the body is shorter than its Content-Length")
            return self.server.receiver.receive(head, body)
        finally:
            self.server.room.give_back(length)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Not every request on stderr."""
