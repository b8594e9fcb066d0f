"""What the fleet emits, through the agent that real nodes run: one for each simulated node, with its outbox, relay and delivery."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from metering.agent.aside import Aside
from metering.agent.clock import ServerClock
from metering.agent.messages import Message
from metering.agent.relay import EVENTS_PATH, Relay
from metering.agent.telemetry import BATCH_SAMPLES, PATH, Telemetry
from metering.simulator.events import Events
from metering.simulator.fleet import Finished, Fleet
from metering.simulator.nodes import SimulatedNode
from tallywatt.options import Options
from tallywatt.wire import NDJSON_TYPE

MOST_PENDING_SAMPLES = 50_000  # of a node: then the simulation waits for the server
MOST_PENDING_REQUESTS = 200
MIB = 2**20
_LOOK_EVERY_S = 0.02


class NotDelivered(RuntimeError):
    """The server did not take everything in time. What is left lies in the outbox, and goes with the next run."""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """`folder` holds an outbox for each node; `give_up_after_s` is how long nothing may move."""

    url: str
    key: str
    folder: Path
    interval_s: int = 10  # between two readings
    events_every_s: int = 10  # a multiple of it
    give_up_after_s: float = 120.0


@dataclass(frozen=True)
class Sent:
    samples: int
    events: int


class SimulatedAgent:
    """One node's agent: the node's samples into its outbox, events into its relay, both sent as they are on real nodes."""

    def __init__(self, fleet: Fleet, node: int, destination: Destination) -> None:
        folder = destination.folder / fleet.plan.nodes[node].name
        self._node = SimulatedNode(fleet, node)
        self._telemetry = Telemetry(_options(destination, PATH, folder / "telemetry", BATCH_SAMPLES))
        aside = Aside(folder / "set-aside", 256 * MIB)
        self._events = Relay(_options(destination, EVENTS_PATH, folder / "events", 100), aside)
        for outlet in (self._telemetry, self._events):
            outlet.start(ServerClock())

    def read(self) -> int:
        """A reading of the node, at the fleet's present; how many samples it gave."""
        samples = self._node.read()
        self._telemetry.take(samples)
        return len(samples)

    def take_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        """As its receiver takes them from a gateway on the node."""
        body = b"".join(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events)
        self._events.take(Message({"Content-Type": NDJSON_TYPE}, body))

    @property
    def pending(self) -> tuple[int, int]:
        """Samples, and requests with events."""
        return self._telemetry.stats.pending, self._events.stats.pending

    @property
    def trouble(self) -> str | None:
        return self._telemetry.trouble or self._events.trouble

    @property
    def refused(self) -> int:
        """Samples and requests that the server will never take; they are in the folder of the node."""
        return self._telemetry.stats.rejected + self._events.stats.rejected

    def close(self) -> None:
        for outlet in (self._telemetry, self._events):
            outlet.close(0.1)
        self._node.close()


class AgentPath:
    """A fleet and its agents. Use as a context manager; leaving it sends nothing any more: `flush()` does."""

    def __init__(self, fleet: Fleet, destination: Destination) -> None:
        self.fleet, self._destination = fleet, destination
        self._events = Events(fleet)
        self._names = [node.name for node in fleet.plan.nodes]
        self._agents = [SimulatedAgent(fleet, node, destination) for node in range(len(self._names))]
        self._waiting: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self._samples = self._sent_events = 0

    def __enter__(self) -> "AgentPath":
        return self

    def __exit__(self, *error: object) -> None:
        for agent in self._agents:
            agent.close()

    def run(self, until_ms: int, *, wait_until: Callable[[int], None] | None = None) -> Sent:
        """To `until_ms`, reading at every interval; the first reading is of the start of the run.

        `wait_until` is called with every time before the fleet goes there: it returns when that time has come. Raises NotDelivered.
        """
        if self.fleet.time_ms == self.fleet.plan.start_ms:
            self._read()
        while (target_ms := self.fleet.time_ms + self._destination.interval_s * 1000) <= until_ms:
            if wait_until is not None:
                wait_until(target_ms)
            self._sort(self.fleet.step(target_ms))
            self._read()
            if target_ms % (self._destination.events_every_s * 1000) == 0:
                self._hand_over()
            self._hold_back(MOST_PENDING_SAMPLES, MOST_PENDING_REQUESTS)
        self._hand_over()
        return Sent(self._samples, self._sent_events)

    def sends(self, event: Mapping[str, Any]) -> bool:
        """Whether the event is sent at all. A test withholds some."""
        return True

    def flush(self) -> None:
        """Returns when the server has everything. Raises NotDelivered."""
        self._hand_over()
        self._hold_back(0, 0)
        if refused := sum(agent.refused for agent in self._agents):
            raise NotDelivered(
                f"the server refused {refused} samples or requests for good: see {self._destination.folder}"
            )

    def _sort(self, finished: Finished) -> None:
        for event in self._events.of(finished):
            # What reached no engine was refused by a gateway, which stands on the first node.
            if self.sends(event):
                self._waiting[event.get("node", self._names[0])].append(event)

    def _read(self) -> None:
        self._samples += sum(agent.read() for agent in self._agents)

    def _hand_over(self) -> None:
        for name, agent in zip(self._names, self._agents, strict=True):
            if events := self._waiting.pop(name, None):
                agent.take_events(events)
                self._sent_events += len(events)

    def _hold_back(self, most_samples: int, most_requests: int) -> None:
        """Until no agent has more to send than that."""
        before, moved_at = self._pending(), time.monotonic()
        while any(samples > most_samples or requests > most_requests for samples, requests in self._pending()):
            time.sleep(_LOOK_EVERY_S)
            if (now := self._pending()) != before:
                before, moved_at = now, time.monotonic()
            elif time.monotonic() - moved_at > self._destination.give_up_after_s:
                troubles = {agent.trouble for agent in self._agents} - {None}
                raise NotDelivered("; ".join(sorted(map(str, troubles))) or "nothing was sent for too long")

    def _pending(self) -> list[tuple[int, int]]:
        return [agent.pending for agent in self._agents]


def _options(destination: Destination, path: str, folder: Path, batch: int) -> Options:
    """No pace: nobody else waits for this server."""
    return Options(
        url=destination.url,
        key=destination.key,
        outbox=folder,
        path=path,
        gzip=True,
        batch_events=batch,
        batch_age_s=0.2,
        retry_longest_s=5.0,
        when_full="raise",
    )
