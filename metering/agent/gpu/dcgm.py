"""GPUs read from a dcgm-exporter: where the agent has no NVML, or the GPUs are older than Hopper and their activity is wanted."""

import httpx

from metering.agent.gpu.dcgm_text import WANTED, samples_of
from metering.agent.gpu.endpoint import EndpointSource, Exporter
from metering.agent.sources import Place

_EXPORTER = Exporter("dcgm", WANTED, samples_of)


class DcgmSource(EndpointSource):
    def __init__(self, place: Place, url: str, http: httpx.Client) -> None:
        super().__init__(_EXPORTER, place, url, http)
