"""One simulated node as its agent sees it: sources of GPUs and engines, read at the fleet's present.

Only two things are not as on a node: GPUs and engines are read in this process instead of from a driver and a port (an engine's
answer is the text that it would serve, read by the agent's own parser), and time is the fleet's.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace

import httpx

from metering.agent.engines import EngineSource, EngineSpec
from metering.agent.gpus_seen import GpusSeen
from metering.agent.reading import Reader
from metering.agent.samples import EngineSample, Sample
from metering.agent.sources import Place, Source
from metering.simulator.exposition import metrics_text
from metering.simulator.fleet import Fleet
from metering.simulator.sources import SimulatedGpus

_FIRST_PORT = 8000  # of the fleet's engines, each of which has the next


class FleetClock:
    """The agent's clock, with the fleet's time. Nothing waits by it: who reads is told when."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def now_ms(self) -> int:
        return self._fleet.time_ms

    def monotonic(self) -> float:
        return self._fleet.time_ms / 1000

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        return stop.is_set()


class SimulatedNode:
    """`node` is its position in the plan."""

    def __init__(self, fleet: Fleet, node: int) -> None:
        setup = fleet.plan.nodes[node]
        place = Place(setup.name, setup.region, setup.cluster)
        self._fleet, self._node = fleet, node
        self._read: list[Sample] = []
        self._http = httpx.Client(transport=httpx.MockTransport(self._answer))
        specs = [_spec(fleet, index) for index, name in enumerate(fleet.engines.names) if name.node_index == node]
        gpus = SimulatedGpus(fleet, node, place)
        sources: list[Source] = [gpus, *(EngineSource(place, spec, self._http) for spec in specs)]
        self._readers = [Reader(source, self._read.extend, FleetClock(fleet)) for source in sources]
        self._gpus = GpusSeen(specs)

    def read(self) -> Sequence[Sample]:
        """One sample of every GPU and engine, stamped with the fleet's present. Nothing from a node that is off."""
        if not self._fleet.limits.node_up[self._node]:
            return []
        self._read.clear()
        for reader in self._readers:
            reader.read_once()
        return [_labelled(sample) for sample in self._gpus.complete(self._read)]

    def close(self) -> None:
        self._http.close()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        """Of the engine that its port names."""
        fleet, index = self._fleet, (request.url.port or _FIRST_PORT) - _FIRST_PORT
        if not fleet.limits.up[index]:
            raise httpx.ConnectError("connection refused", request=request)
        kv_tokens = float(fleet.limits.kv_tokens[index])
        text = metrics_text(fleet.engines.names[index], index, fleet.counters, fleet.gauges(), kv_tokens)
        return httpx.Response(200, stream=httpx.ByteStream(text.encode()))


def _spec(fleet: Fleet, index: int) -> EngineSpec:
    name = fleet.engines.names[index]
    url = f"http://simulated:{_FIRST_PORT + index}/metrics"
    return EngineSpec(name.setup.name, "vllm", url, name.setup.model.name, name.gpu_uuids)


def _labelled(sample: Sample) -> Sample:
    """What the parser of a real engine's text cannot know."""
    return replace(sample, simulated=True) if isinstance(sample, EngineSample) else sample
