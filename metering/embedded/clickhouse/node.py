"""The listening side: accepts clients on loopback, gives each a thread, and stops in order."""

import socket
import threading
import time
from contextlib import suppress

from metering.embedded.clickhouse.conversation import Conversation, Shared
from metering.embedded.clickhouse.errors import Code, NodeError

HOST = "127.0.0.1"


class Node:
    """`most_clients` at once; a further one is told so (code 202) and closed."""

    def __init__(self, shared: Shared, *, port: int, most_clients: int) -> None:
        self._shared = shared
        self._most = most_clients
        self._clients: dict[threading.Thread, socket.socket] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._listener = socket.create_server((HOST, port), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="accept", daemon=True)

    def start(self) -> None:
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                if self._stopping:
                    return
                time.sleep(0.1)  # out of file descriptors: some client will leave
                continue
            self._welcome(sock)

    def _welcome(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        conversation = Conversation(sock, self._shared)
        thread = threading.Thread(target=self._converse, args=(conversation,), name="client", daemon=True)
        with self._lock:
            full = self._stopping or len(self._clients) >= self._most
            if not full:
                self._clients[thread] = sock
        if full:
            conversation.refuse(NodeError(Code.TOO_MANY_QUERIES, f"Too many connections. Maximum: {self._most}"))
        else:
            thread.start()

    def _converse(self, conversation: Conversation) -> None:
        try:
            conversation.run()
        finally:
            with self._lock:
                del self._clients[threading.current_thread()]

    def stop(self, patience_s: float) -> bool:
        """No new clients, no new queries, running ones killed. True if every client's thread ended in time."""
        self._stopping = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._shared.watch.stop()
        deadline = time.monotonic() + patience_s
        self._hang_up(socket.SHUT_RD)  # idle clients end at once; busy ones still get their exception
        if self._wait_for_clients(deadline - patience_s / 3):
            return True
        self._hang_up(socket.SHUT_RDWR)
        return self._wait_for_clients(deadline)

    def _hang_up(self, how: int) -> None:
        with self._lock:
            sockets = list(self._clients.values())
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(how)

    def _wait_for_clients(self, deadline: float) -> bool:
        while time.monotonic() < deadline:
            with self._lock:
                if not self._clients:
                    return True
            time.sleep(0.02)
        return False
