"""How busy SMs, tensor cores and memory were between two readings: NVML's GPU performance monitoring, on Hopper and later.

A metric is computed from two samples of the GPU's counters, so the one of the reading before is kept; the first reading has none.
"""

import contextlib
from collections.abc import Hashable, Set
from dataclasses import dataclass
from typing import Any

from metering.agent.gpu.nvml_questions import Handle, Nvml

# nvml.h, nvmlGpmMetricId_t; all four are percentages.
METRICS = {"sm_active": 2, "sm_occupancy": 3, "tensor_active": 5, "dram_active": 10}
FIELDS = ", ".join(METRICS)


@dataclass(slots=True)
class _Pair:
    """Two buffers of the driver in turn: `old` is what `new` is compared with."""

    old: Any
    new: Any
    has_old: bool = False


class Gpm:
    """Keeps the last sample of each GPU, or MIG instance, under a key of the caller's."""

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._pairs: dict[Hashable, _Pair] = {}
        self._supported: dict[str, bool] = {}
        self._request = nvml.c_nvmlGpmMetricsGet_t()

    def supports(self, uuid: str, gpu: Handle) -> bool:
        """Asked once of each GPU. Raises NVMLError, from a driver that does not know GPM for one."""
        if uuid not in self._supported:
            self._supported[uuid] = bool(self._nvml.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice)
        return self._supported[uuid]

    def read(self, key: Hashable, gpu: Handle, instance: int | None = None) -> dict[str, float | None]:
        """Shares by field since the reading before; empty the first time. `instance`: of the GPU's MIG instances. Raises NVMLError."""
        pair = self._pairs.get(key) or self._add(key)
        had_old, pair.has_old = pair.has_old, False
        if instance is None:
            self._nvml.nvmlGpmSampleGet(gpu, pair.new)
        else:
            self._nvml.nvmlGpmMigSampleGet(gpu, instance, pair.new)
        pair.old, pair.new, pair.has_old = pair.new, pair.old, True
        return self._between(pair.new, pair.old) if had_old else {}

    def forget_all_but(self, keys: Set[Hashable]) -> None:
        for key in self._pairs.keys() - keys:
            self._free(self._pairs.pop(key))

    def close(self) -> None:
        self.forget_all_but(frozenset())

    def _add(self, key: Hashable) -> _Pair:
        pair = _Pair(self._nvml.nvmlGpmSampleAlloc(), self._nvml.nvmlGpmSampleAlloc())
        self._pairs[key] = pair
        return pair

    def _free(self, pair: _Pair) -> None:
        for sample in (pair.old, pair.new):
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlGpmSampleFree(sample)

    def _between(self, before: Any, after: Any) -> dict[str, float | None]:
        request = self._request
        request.version = self._nvml.NVML_GPM_METRICS_GET_VERSION
        request.numMetrics = len(METRICS)
        request.sample1, request.sample2 = before, after
        for place, metric in enumerate(METRICS.values()):
            request.metrics[place].metricId = metric
        self._nvml.nvmlGpmMetricsGet(request)
        return {name: self._share(request.metrics[place]) for place, name in enumerate(METRICS)}

    def _share(self, metric: Any) -> float | None:
        return metric.value / 100 if metric.nvmlReturn == self._nvml.NVML_SUCCESS else None
