"""GPUs read over HTTP from something that exports them: a dcgm-exporter, or Triton."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

import httpx

from metering.agent.exposition import Exposition, Unreadable, fetch, parse
from metering.agent.faults import Faults
from metering.agent.gpu.taking import Taking
from metering.agent.samples import GpuSample
from metering.agent.sources import Place


@dataclass(frozen=True, slots=True)
class Exporter:
    """`source`: of GPU_SOURCES. `wanted`: the names of its series that `samples_of` reads."""

    source: str
    wanted: Set[str]
    samples_of: Callable[[Exposition, Taking], Sequence[GpuSample]]


class EndpointSource:
    """Reads one URL. The client `http` belongs to the caller, who gives it a timeout and closes it."""

    def __init__(self, exporter: Exporter, place: Place, url: str, http: httpx.Client) -> None:
        self.label = f"{exporter.source} {url}"
        self._exporter = exporter
        self._place = place
        self._url = url
        self._http = http
        self._faults = Faults()

    def read(self, at_ms: int) -> Sequence[GpuSample]:
        taking = Taking(self._place, at_ms, self._exporter.source)
        self._faults = taking.faults
        try:
            exposition = parse(fetch(self._http, self._url), self._exporter.wanted)
        except Unreadable as error:
            self._faults.add(str(error))
            return ()
        if exposition.malformed:
            self._faults.add("some lines are malformed and left out")
        if not exposition.series:
            self._faults.add("it exports no GPU")
            return ()
        return self._exporter.samples_of(exposition, taking)

    def problems(self) -> Sequence[str]:
        return self._faults.texts

    def close(self) -> None:
        """Nothing is held."""
