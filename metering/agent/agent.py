"""The running agent: readers, outboxes and the receiver, put together from a configuration."""

import logging
import random
import threading
import time
from collections.abc import Sequence

from metering.agent.aside import Aside
from metering.agent.building import Sources, sources_of
from metering.agent.clock import Clock, ServerClock, SystemClock
from metering.agent.config import Config, ReceiverConfig
from metering.agent.gpus_seen import GpusSeen
from metering.agent.listener import Listener
from metering.agent.reading import Reader
from metering.agent.receiver import Receiver
from metering.agent.relay import EVENTS_PATH, TRACES_PATH, Relay
from metering.agent.relay import options_of as relay_options
from metering.agent.samples import Sample
from metering.agent.stamp import Stamp, stamp
from metering.agent.telemetry import Telemetry, options_of

logger = logging.getLogger("tallywatt.agent")

FIRST_GPUS_S = 5.0  # how long engines wait for the first reading of the GPUs, which names theirs
CLOSING_S = 5.0
REPORT_EVERY_S = 600.0


class Stamps:
    """The stamp of each engine. GPUs become known, and change, while the agent runs."""

    def __init__(self, config: Config, gpus: GpusSeen) -> None:
        self._config = config
        self._gpus = gpus
        self._of = {engine.spec.name: dict(config.stamps) | dict(engine.stamps) for engine in config.engines}
        self._made: dict[str, tuple[tuple[str, ...], Stamp]] = {}

    def of(self, engine: str) -> Stamp:
        """'' is the only engine there is, or none that is known."""
        if not engine and len(self._of) == 1:
            engine = next(iter(self._of))
        gpus = self._gpus.of(engine)
        made = self._made.get(engine)
        if made is None or made[0] != gpus:
            defaults = self._of.get(engine, self._config.stamps)
            made = self._made[engine] = (gpus, stamp(self._config.place, defaults, engine, gpus))
        return made[1]


class Agent:
    """Raises OutboxError or OSError where it cannot begin. One for each data folder (folder.py)."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._server_clock = ServerClock()
        self._gpus = GpusSeen([engine.spec for engine in config.engines])
        self._telemetry = Telemetry(options_of(config))
        self._relays: tuple[Relay, ...] = ()
        self._listener: Listener | None = None
        if config.receiver is not None:
            self._listener = self._receiving(config.receiver)
        self._sources: Sources = sources_of(config)

    @property
    def address(self) -> str | None:
        """Where it listens."""
        return self._listener.address if self._listener is not None else None

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set, and some seconds longer to send what is there."""
        readers = [Reader(source, self._take, self._clock) for source in self._sources.all]
        threads = self._start(readers, stop)
        while not stop.wait(REPORT_EVERY_S):
            logger.info("%s", self.report())
        self._close(threads)

    def report(self) -> str:
        """What was done, in a line."""
        parts = [_said("samples", self._telemetry.stats.sent, self._telemetry.stats.pending)]
        parts += [_said(f"requests to {relay.path}", relay.stats.sent, relay.stats.pending) for relay in self._relays]
        return "; ".join(parts)

    def _receiving(self, receiver: ReceiverConfig) -> Listener:
        aside = Aside(self._config.data / "set-aside", receiver.set_aside_max_bytes)
        traces = Relay(relay_options(self._config, receiver, TRACES_PATH, "traces"), aside)
        events = Relay(relay_options(self._config, receiver, EVENTS_PATH, "events"), aside)
        self._relays = (traces, events)
        taking = Receiver(
            traces=traces,
            events=events,
            engines=frozenset(engine.spec.name for engine in self._config.engines),
            stamp_of=Stamps(self._config, self._gpus).of,
            max_body_bytes=receiver.max_body_bytes,
            token=receiver.token,
            gzip=receiver.gzip,
        )
        return Listener(receiver.host, receiver.port, taking)

    def _start(self, readers: Sequence[Reader], stop: threading.Event) -> list[threading.Thread]:
        self._telemetry.start(self._server_clock)
        for relay in self._relays:
            relay.start(self._server_clock)
        if self._listener is not None:
            self._listener.start()
            logger.info("listening on %s", self._listener.address)
        # Agents that were started together do not read, and hence send, together.
        wait_s = random.uniform(0, self._config.interval_s)  # noqa: S311 - not a secret
        threads: list[threading.Thread] = []
        for reader in readers:
            given = (stop, self._config.interval_s, wait_s)
            threads.append(threading.Thread(target=reader.run, args=given, name=reader.source.label, daemon=True))
            threads[-1].start()
            if reader.source is self._sources.gpus:
                reader.has_read.wait(wait_s + FIRST_GPUS_S)
                wait_s = 0.0
        return threads

    def _take(self, samples: Sequence[Sample]) -> None:
        self._telemetry.take(self._gpus.complete(samples))

    def _close(self, threads: Sequence[threading.Thread]) -> None:
        if self._listener is not None:
            self._listener.close()
        until = time.monotonic() + CLOSING_S
        for thread in threads:  # one that waits for an engine is left behind
            thread.join(max(0.0, until - CLOSING_S / 2 - time.monotonic()))
        self._telemetry.close(max(0.0, until - time.monotonic()))
        for relay in self._relays:
            relay.close(max(0.0, until - time.monotonic()))
        self._sources.close()
        logger.info("ended; %s", self.report())


def _said(what: str, sent: int, pending: int) -> str:
    return f"{what}: {sent} sent, {pending} waiting"
