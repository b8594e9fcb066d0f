"""A durable outbox and the thread that empties it into the server: the client's machinery (`tallywatt`) for other endpoints."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from metering.agent.clock import ServerClock
from tallywatt import segments
from tallywatt.deadletters import DeadLetters
from tallywatt.delivery import Trouble
from tallywatt.errors import OutboxError
from tallywatt.options import Options
from tallywatt.outbox import Outbox
from tallywatt.sending import Delivers, Sending
from tallywatt.stats import Counters, Stats
from tallywatt.threads import Sender, send_all

GRACE_S = 2.0  # for the sender's thread to end, once it is told to


@dataclass(frozen=True, slots=True)
class Parts:
    """What an outlet's store and its delivery share."""

    options: Options
    folder: Path
    counters: Counters
    trouble: Trouble


def parts(options: Options, folder: Path, what: str) -> Parts:
    return Parts(options, folder, Counters(), Trouble(of=what))


class Outlet:
    """Raises OutboxError if its folder cannot be used. Everything that an earlier agent left there goes first, whatever key it had."""

    def __init__(
        self, shared: Parts, delivery: Delivers, *, letters: Path | None = None, framing: segments.Framing = segments
    ) -> None:
        options = shared.options
        self._shared = shared
        self.store = Outbox(shared.folder, options.key, options.limits, shared.counters, any_key=True, framing=framing)
        self._sending = Sending(self.store, delivery, DeadLetters(letters, None), shared.counters, options.pace)
        self._sender: Sender | None = None

    @property
    def stats(self) -> Stats:
        return self._shared.counters.stats(pending=self.store.pending, outbox_bytes=self.store.size_bytes)

    @property
    def trouble(self) -> str | None:
        """What holds up the sending at this moment."""
        return self._shared.trouble.now

    def start(self, server_clock: ServerClock) -> None:
        """Begin to send."""
        self._sender = Sender(self._sending, self._shared.options, server_clock.seen)

    def append(self, record: bytes) -> int:
        """Keep it; the ticket to `sync()`. Raises OutboxFull, OutboxError or Closed: then nothing is kept."""
        appended = self.store.append(record)
        if appended.news and self._sender is not None:
            self._sender.wake()
        return appended.ticket

    def sync(self, ticket: int) -> None:
        """On the disk when this returns; callers that wait together share one fsync. Raises OutboxError."""
        self.store.sync(ticket)

    def send_all(self, timeout_s: float) -> bool:
        """Without `start()`: send in this thread until nothing is left; False if the time was too short."""
        return send_all(self._sending, self._shared.options, timeout_s)

    def close(self, timeout_s: float) -> None:
        """Send for so long what is there, then end. What is left stays on disk for the next agent."""
        with contextlib.suppress(OutboxError):
            self.store.sync(self.store.written)
        if self._sender is not None:
            mark = self.store.mark()
            self._sender.wake()
            self._sender.wait_passed(mark, timeout_s)
            self._sender.stop(GRACE_S)
        else:
            self.store.close()
