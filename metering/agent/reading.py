"""Reading sources on a steady schedule, each in a thread of its own: an engine that answers late delays nobody but itself."""

import logging
import threading
from collections.abc import Callable, Sequence

from metering.agent.clock import Clock, Schedule
from metering.agent.samples import Sample
from metering.agent.sources import Source

logger = logging.getLogger("tallywatt.agent")

HandOver = Callable[[Sequence[Sample]], None]


class Problems:
    """What is wrong with one source, told when it begins and when it ends, not at every reading."""

    def __init__(self, label: str) -> None:
        self._label = label
        self.now: tuple[str, ...] = ()

    def are(self, found: Sequence[str]) -> None:
        for new in found:
            if new not in self.now:
                logger.warning("%s: %s", self._label, new)
        for gone in self.now:
            if gone not in found:
                logger.info("%s: no longer: %s", self._label, gone)
        self.now = tuple(found)


class Reader:
    """One source and whoever takes its samples. `read_once` is for those who have their own idea of when."""

    def __init__(self, source: Source, hand_over: HandOver, clock: Clock) -> None:
        self.source = source
        self.problems = Problems(source.label)
        self.has_read = threading.Event()
        self._hand_over = hand_over
        self._clock = clock

    def read_once(self) -> Sequence[Sample]:
        """Read, hand over, tell what is wrong. The time of the samples is that of the beginning. Never raises."""
        samples: Sequence[Sample] = ()
        try:
            samples = self.source.read(self._clock.now_ms())
            self._hand_over(samples)
            self.problems.are(self.source.problems())
        except Exception:
            logger.exception("%s: reading it failed, which is a fault of this agent; it goes on", self.source.label)
        self.has_read.set()
        return samples

    def run(self, stop: threading.Event, interval_s: float, wait_s: float = 0.0) -> None:
        """Until `stop`; the first time after `wait_s`, then every `interval_s` whatever a reading takes."""
        schedule = Schedule(self._clock.monotonic() + wait_s, interval_s)
        due = schedule.first
        while not self._clock.wait(stop, due - self._clock.monotonic()):
            self.read_once()
            now = self._clock.monotonic()
            if missed := schedule.missed(due, now):
                logger.warning("%s: took %.1f s; readings left out: %d", self.source.label, now - due, missed)
            due = schedule.after(now)
