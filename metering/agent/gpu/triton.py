"""GPUs as Triton exports them (`nv_gpu_*`, docs/user_guide/metrics.md of Triton): where nothing else on the node tells of them.

Its energy counter begins when Triton does.
"""

from collections.abc import Mapping

import httpx

from metering.agent.exposition import Exposition
from metering.agent.gpu.endpoint import EndpointSource, Exporter
from metering.agent.gpu.exported import Metric, by_key, names_of, tell_missing
from metering.agent.gpu.taking import Entity, Taking
from metering.agent.samples import GpuSample
from metering.agent.sources import Place

_METRICS: Mapping[str, Metric] = {
    "gpu_utilization": Metric(("nv_gpu_utilization",)),
    "memory_used_bytes": Metric(("nv_gpu_memory_used_bytes",)),
    "memory_total_bytes": Metric(("nv_gpu_memory_total_bytes",)),
    "power_w": Metric(("nv_gpu_power_usage",)),
    "power_limit_w": Metric(("nv_gpu_power_limit",)),
    "energy_j": Metric(("nv_energy_consumption",)),
}


def samples_of(exposition: Exposition, taking: Taking) -> list[GpuSample]:
    tell_missing(exposition, _METRICS, taking.faults)
    samples = []
    for key, exported in by_key(exposition, ("gpu_uuid",), "", taking.faults).items():
        found = {name: exported.first(metric) for name, metric in _METRICS.items()}
        samples.append(taking.sample(Entity(key.uuid), found))
    return [sample for sample in samples if sample is not None]


_EXPORTER = Exporter("triton", names_of(_METRICS), samples_of)


class TritonGpuSource(EndpointSource):
    def __init__(self, place: Place, url: str, http: httpx.Client) -> None:
        super().__init__(_EXPORTER, place, url, http)
