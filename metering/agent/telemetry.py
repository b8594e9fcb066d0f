"""Samples on their way to the server: a line of JSON each, in an outbox on disk, sent in the order in which they were read.

When the outbox is full the oldest samples are dropped, with a warning: the newest tell what the node does now.
"""

import json
import logging
from collections.abc import Iterable, Sequence

from metering.agent.clock import ServerClock
from metering.agent.config import Config
from metering.agent.outlet import Outlet, Parts, parts
from metering.agent.samples import Sample, wire
from tallywatt.delivery import Delivery
from tallywatt.errors import TallywattError
from tallywatt.options import Options
from tallywatt.pace import Pace
from tallywatt.stats import Stats
from tallywatt.wire import Encoder

logger = logging.getLogger("tallywatt.agent")

PATH = "/api/v1/telemetry"
BATCH_SAMPLES = 1000  # the server lists at most so many rejects in an answer
# Sources that are read at the same moment answer within this time, and then go as one batch.
BATCH_AGE_S = 1.0
RETRY_LONGEST_S = 30.0


def options_of(config: Config) -> Options:
    return Options(
        url=config.url,
        key=config.key,
        outbox=config.data / "telemetry",
        path=PATH,
        gzip=True,
        batch_events=BATCH_SAMPLES,
        batch_age_s=BATCH_AGE_S,
        outbox_max_bytes=config.outbox.max_bytes,
        when_full="drop_oldest",
        retry_longest_s=RETRY_LONGEST_S,
        # Agents that were started together, by a deployment or by power that came back, do not call together.
        pace=Pace(first_wait_s=config.interval_s, pause_s=1 / config.outbox.catch_up_per_s),
    )


class Telemetry:
    """Takes samples from any thread. Raises OutboxError if its folder cannot be used."""

    def __init__(self, options: Options) -> None:
        if options.outbox is None:
            raise ValueError("telemetry needs an outbox on disk")
        shared = parts(options, options.outbox, "telemetry")
        self._outlet = Outlet(shared, _delivery(shared), letters=options.outbox)
        self._failing = False

    @property
    def stats(self) -> Stats:
        return self._outlet.stats

    @property
    def trouble(self) -> str | None:
        return self._outlet.trouble

    def start(self, server_clock: ServerClock) -> None:
        self._outlet.start(server_clock)

    def take(self, samples: Iterable[Sample]) -> None:
        """On the disk when this returns. Never raises: what the disk does not take is lost, and logged."""
        try:
            ticket = 0
            for line in lines_of(samples):
                ticket = self._outlet.append(line)
            if ticket:
                self._outlet.sync(ticket)
        except TallywattError as error:
            self._tell(str(error))
        else:
            self._tell(None)

    def send_all(self, timeout_s: float) -> bool:
        """Without `start()`: True once the server has everything."""
        return self._outlet.send_all(timeout_s)

    def close(self, timeout_s: float) -> None:
        self._outlet.close(timeout_s)

    def _tell(self, fault: str | None) -> None:
        if fault and not self._failing:
            logger.error("samples are lost: %s", fault)
        elif self._failing and not fault:
            logger.info("samples are kept again")
        self._failing = fault is not None


def lines_of(samples: Iterable[Sample]) -> Sequence[bytes]:
    """Their lines on the wire. A sample that is no JSON (a number that is not finite) is left out, and logged."""
    found = []
    for sample in samples:
        try:
            found.append(json.dumps(wire(sample), separators=(",", ":"), allow_nan=False).encode())
        except ValueError as error:
            logger.error("a sample cannot be sent: %s: %r", error, sample)
    return found


def _delivery(shared: Parts) -> Delivery:
    encoder = Encoder("ndjson", compress=shared.options.gzip)
    return Delivery(encoder, shared.options.backoff, shared.counters, shared.trouble)
