"""The client for programs with threads."""

import contextlib
import time as clock
from datetime import datetime
from types import TracebackType
from typing import Any, Self, Unpack

from tallywatt.base import BaseClient, Running
from tallywatt.errors import OutboxError
from tallywatt.events import OptionalFields, RequestEvent
from tallywatt.threads import Sender


class Client(BaseClient):
    """Records usage and sends it in the background. Thread-safe; one per process is enough. See BaseClient for what it takes.

    Its thread starts with the first event, `flush()` or `with`: so a server may make the client before it forks its workers.
    """

    _sender: Sender | None = None

    def record(
        self,
        *,
        model: str,
        input_tokens: int,
        output_tokens: int,
        id: str | None = None,
        time: datetime | int | None = None,
        **fields: Unpack[OptionalFields],
    ) -> str:
        """Store one request, to be sent soon; returns its id. Give an id of your own if you may record the same request twice.

        Raises InvalidEvent, OutboxFull, OutboxError or Closed. Never waits for the network.
        """
        return self._record(
            {
                "model": model,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
                "id": id,
                "time": time,
                **fields,
            }
        )

    def record_event(self, event: RequestEvent) -> str:
        """As `record()`, for those who keep events as objects."""
        return self._record(event.as_dict())

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Send now what was recorded before; True once the server has it all (or refused it for good), False if time ran out."""
        if self._running is None:
            return True
        running = self._current()
        mark, sender = running.store.mark(), self._sender_of(running)
        sender.wake()
        return sender.wait_passed(mark, timeout_s)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Take nothing more, send what waits, and end the thread. False: something still waits; on disk it stays for the next process."""
        running, give_up_at = self._running, clock.monotonic() + timeout_s
        if not self._end() or running is None:
            return True
        with contextlib.suppress(OutboxError):  # it is told by last_error, and the server may have it in a moment
            running.refuse()
        sender = self._sender
        if sender is None:  # nothing was ever recorded, and at the end of a program no thread can be started
            running.store.close()
            return True
        flushed = self.flush(timeout_s)
        sender.stop(max(0.1, give_up_at - clock.monotonic()))
        return flushed

    def at_exit(self, timeout_s: float) -> None:
        self.close(timeout_s)

    def after_fork(self) -> None:
        super().after_fork()
        self._sender = None

    def __enter__(self) -> Self:
        self._sender_of(self._current())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _record(self, given: dict[str, Any]) -> str:
        name, appended, running = self._append(given)
        if appended.news:
            self._sender_of(running).wake()
        if running.waits_for_disk:
            running.store.sync(appended.ticket)
        return name

    def _sender_of(self, running: Running) -> Sender:
        with self._guard:
            if self._sender is None:
                self._sender = Sender(running.sending, self._options)
            return self._sender
