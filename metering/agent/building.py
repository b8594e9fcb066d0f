"""From a configuration to the sources that it names."""

from dataclasses import dataclass

import httpx

from metering.agent import gpu
from metering.agent.config import Config
from metering.agent.engines import EngineSource
from metering.agent.sources import Source

LONGEST_ANSWER_S = 4.0


@dataclass(frozen=True, slots=True)
class Sources:
    """`gpus` is None where none are wanted. Each source that asks by HTTP has a client of its own among `clients`."""

    gpus: Source | None
    engines: tuple[Source, ...]
    clients: tuple[httpx.Client, ...] = ()

    @property
    def all(self) -> tuple[Source, ...]:
        """That of the GPUs first: engines are told by them."""
        return ((self.gpus,) if self.gpus is not None else ()) + self.engines

    def close(self) -> None:
        for source in self.all:
            source.close()
        for client in self.clients:
            client.close()


def sources_of(config: Config) -> Sources:
    clients = tuple(_http(config.interval_s) for _ in range(1 + len(config.engines)))
    gpus = gpu.choose(config.place, config.gpu.source, config.gpu.url, clients[0])
    engines = tuple(
        EngineSource(config.place, engine.spec, http) for engine, http in zip(config.engines, clients[1:], strict=True)
    )
    return Sources(gpus, engines, clients)


def _http(interval_s: float) -> httpx.Client:
    """What is asked stands on this node, so no proxy is; and it has less time to answer than there is between two readings."""
    return httpx.Client(timeout=min(LONGEST_ANSWER_S, 0.8 * interval_s), trust_env=False)
