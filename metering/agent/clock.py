"""Time as the agent sees it: a clock that it can be given, a schedule that does not drift, and how far off the server is."""

import logging
import math
import threading
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Protocol

from tallywatt.answers import Answer

logger = logging.getLogger("tallywatt.agent")

MOST_OFF_S = 5.0
HTTP_DATE_RESOLUTION_S = 1.0  # the header has whole seconds (RFC 9110, 5.6.7)


class Clock(Protocol):
    """What the loop needs of time."""

    def now_ms(self) -> int:
        """The time of day: milliseconds since 1970, UTC. It may be wrong, and it may jump."""

    def monotonic(self) -> float:
        """Seconds that only ever go forward."""

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Sleep, or less if `stop` is set meanwhile; whether it is."""


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        return stop.wait(max(0.0, seconds))


class Schedule:
    """Moments `interval_s` apart, counted from the first one, so that what each takes never adds up. A moment that was missed is left
    out, never made up for.
    """

    def __init__(self, first: float, interval_s: float) -> None:
        self.first = first
        self._interval_s = interval_s

    def after(self, now: float) -> float:
        """The next moment later than `now`."""
        return self.first + (math.floor((now - self.first) / self._interval_s) + 1) * self._interval_s

    def missed(self, due: float, now: float) -> int:
        """How many moments have passed between the one that was served, `due`, and `now`."""
        return max(0, math.floor((now - due) / self._interval_s))


class ServerClock:
    """Compares the server's `Date` with this machine's clock, at every answer. What is more than MOST_OFF_S off is logged once."""

    def __init__(self) -> None:
        self._off_s: float | None = None
        self._warned = False

    @property
    def off_s(self) -> float | None:
        """Seconds by which this machine is ahead of the server, at least; None as long as the server has told no time."""
        return self._off_s

    @property
    def problem(self) -> str | None:
        """In words, if it is too far off."""
        if self._off_s is None or abs(self._off_s) <= MOST_OFF_S:
            return None
        where = "ahead of" if self._off_s > 0 else "behind"
        return f"this machine's clock is {abs(self._off_s):.0f} s {where} the server's: set it (NTP), its samples stand at the wrong times"

    def seen(self, answer: Answer, took_s: float) -> None:
        """To be called when the answer has just come."""
        off_s = off(answer.headers, time.time(), took_s)
        if off_s is None:
            return
        self._off_s = off_s
        if self.problem and not self._warned:
            logger.warning("%s", self.problem)
        elif self._warned and not self.problem:
            logger.info("this machine's clock agrees with the server's again")
        self._warned = self.problem is not None


def off(headers: Mapping[str, str], now: float, took_s: float) -> float | None:
    """Seconds by which `now` is ahead of the server's clock, at least (0 if they may agree); None without a readable `Date`.

    The server wrote its date at some moment between the request and the answer, in whole seconds: so only a difference beyond that
    is one.
    """
    try:
        dated = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):
        return None
    server = dated.replace(tzinfo=dated.tzinfo or UTC).timestamp()
    most, least = now - server, now - took_s - server - HTTP_DATE_RESOLUTION_S
    if least > 0:
        return least
    return most if most < 0 else 0.0
