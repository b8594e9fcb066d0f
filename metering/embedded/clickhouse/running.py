"""Queries under way, and the watch over them: they end when cancelled, when their client is gone, or when they take too long."""

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum

from metering.embedded.clickhouse.errors import Code, NodeError
from metering.embedded.clickhouse.packets import Client

TICK_S = 0.05
KILL_AGAIN_S = 0.2  # a kill can come before the engine has registered the query


class End(Enum):
    CANCELLED = "the client sent Cancel"
    GONE = "the client closed its connection"
    TOO_LONG = "the node's own limit"
    STOPPING = "the node is stopping"


@dataclass
class Running:
    mark: str
    started: float = field(default_factory=time.monotonic)
    watched: socket.socket | None = None  # None: its bytes are data, not signals
    end: End | None = None
    killed_at: float = 0.0

    def error(self, limit_s: float) -> NodeError:
        """What the client is told instead of the engine's "Query was cancelled"."""
        elapsed_ms = (time.monotonic() - self.started) * 1000
        if self.end is End.TOO_LONG:
            return NodeError(
                Code.TIMEOUT, f"Timeout exceeded: elapsed {elapsed_ms:.0f} ms, maximum: {limit_s * 1000:.0f} ms"
            )
        if self.end is End.STOPPING:
            return NodeError(Code.ABORTED, "Server is shutting down")
        return NodeError(Code.QUERY_CANCELLED, "Query was cancelled")


class Watch:
    """One thread for all queries. `kill(mark)` must be safe to repeat."""

    def __init__(self, kill: Callable[[str], None], *, limit_s: float, most: int) -> None:
        self.limit_s = limit_s
        self._kill = kill
        self._most = most
        self._running: dict[str, Running] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="watch", daemon=True)
        self._thread.start()

    @contextmanager
    def over(self, mark: str, watched: socket.socket | None) -> Iterator[Running]:
        """Watch the query that runs inside the block. Raises NodeError 216 if one with this id already runs."""
        query = Running(mark, watched=watched)
        with self._changed:
            self._admit(mark)
            self._running[mark] = query
            self._changed.notify()
        try:
            yield query
        finally:
            with self._changed:
                del self._running[mark]

    def _admit(self, mark: str) -> None:
        if self._stopping:
            raise NodeError(Code.ABORTED, "Server is shutting down")
        if mark in self._running:
            raise NodeError(Code.SAME_QUERY_ID, f"Query with id = {mark} is already running.")
        if len(self._running) >= self._most:
            raise NodeError(Code.TOO_MANY_QUERIES, f"Too many simultaneous queries. Maximum: {self._most}")

    def stop(self) -> None:
        """End every query and admit no more; the watch keeps killing until they are gone."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._running:
                    self._changed.wait()
                running = list(self._running.values())
                stopping = self._stopping
            for query in running:
                self._look_at(query, stopping)
            time.sleep(TICK_S)

    def _look_at(self, query: Running, stopping: bool) -> None:
        now = time.monotonic()
        if query.end is None:
            if stopping:
                query.end = End.STOPPING
            elif now - query.started > self.limit_s:
                query.end = End.TOO_LONG
            elif query.watched is not None:
                query.end = _signal(query)
        if query.end is not None and now - query.killed_at > KILL_AGAIN_S:
            query.killed_at = now
            with suppress(NodeError):  # it is tried again
                self._kill(query.mark)


def _signal(query: Running) -> End | None:
    """What the client's socket says without taking anything from it."""
    sock = query.watched
    if sock is None or sock.fileno() < 0:
        return None
    try:
        poll = select.poll()
        poll.register(sock, select.POLLIN | select.POLLHUP)
        if not poll.poll(0):  # first: a Python socket with a timeout waits for data even if told not to
            return None
        peeked = sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except (OSError, ValueError):
        return End.GONE
    if not peeked:
        return End.GONE
    if peeked[0] == Client.CANCEL:
        return End.CANCELLED
    query.watched = None  # the next request, sent early: it waits its turn
    return None
