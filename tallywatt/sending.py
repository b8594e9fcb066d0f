"""The sender's whole life as steps for a driver: wait for a batch, deliver it, remove it, look for what dead processes left."""

import logging
from collections.abc import Generator, Sequence
from typing import Any, Protocol

from tallywatt.deadletters import DeadLetters, Rejected
from tallywatt.delivery import Do, Idle, Step, Steps, Wait
from tallywatt.pace import Pace
from tallywatt.stats import Counters
from tallywatt.store import Batch, Store

logger = logging.getLogger("tallywatt")

LOOK_EVERY_S = 5.0
AFTER_DISK_ERROR_S = 5.0


class Delivers(Protocol):
    """Brings one batch to the server, whatever it takes; what it returns will never be taken."""

    def deliver(self, lines: Sequence[bytes]) -> Steps: ...


class Sending:
    """What the steps work on. One sender per store."""

    def __init__(
        self, store: Store, delivery: Delivers, letters: DeadLetters, counters: Counters, pace: Pace | None = None
    ) -> None:
        self.store = store
        self._delivery = delivery
        self._letters = letters
        self._counters = counters
        self._pace = pace or Pace()

    def forever(self) -> Generator[Step, Any, None]:
        if self._pace.first_wait_s:
            yield Wait(self._pace.before_first_s())
        while True:
            yield from self._one_round(wait=True)

    def until_empty(self) -> Generator[Step, Any, None]:
        """For a command or the end of a program: send what is there, then end."""
        self.store.mark()
        yield from self._one_round(wait=False)
        while self.store.pending:
            yield from self._one_round(wait=False)

    def _one_round(self, *, wait: bool) -> Generator[Step, Any, None]:
        try:
            yield Do(self.store.look_around)
        except OSError as error:  # what others left behind can wait, our own events go on
            logger.error("lanes of other processes cannot be read: %s", error)
        taken = yield Do(self.store.take)
        if taken is not None:
            yield from self._deliver(*taken)
            if self.store.due_in() == 0 and (pause_s := self._pace.between_s(taken[0].bytes)):
                yield Wait(pause_s)
        elif wait:
            due_in = self.store.due_in()
            yield Idle(LOOK_EVERY_S if due_in is None else min(due_in, LOOK_EVERY_S))

    def _deliver(self, batch: Batch, lines: list[bytes]) -> Generator[Step, Any, None]:
        rejected = yield from self._delivery.deliver(lines)
        yield from self._keep(rejected)
        self._counters.add("rejected", len(rejected))
        self._letters.tell(rejected)
        yield Do(lambda: self.store.done(batch))

    def _keep(self, rejected: list[Rejected]) -> Generator[Step, Any, None]:
        """Before the batch goes, so that a crash in between keeps a letter twice rather than not at all."""
        while True:
            try:
                yield Do(lambda: self._letters.keep(rejected))
                return
            except OSError as error:
                logger.error("rejected events cannot be written down: %s", error)
                yield Wait(AFTER_DISK_ERROR_S)
