"""NVML without a GPU: the functions of `pynvml` that the agent uses, on GPUs made up by a test, with pynvml's own types and errors.

It is strict. A function that it does not know fails the test, as do a handle that nobody gave out, a call before `nvmlInit`, and a buffer
that is freed twice. As the real one it sees GPUs that come or go only when it is opened again.
"""

import ctypes
import inspect
from dataclasses import dataclass, field
from typing import Any

import pynvml


@dataclass
class FakeInstance:
    gpu_instance: int
    compute_instance: int = 0
    name: str = "NVIDIA H100 80GB HBM3 MIG 3g.40gb"
    memory_used: int = 1 << 30
    memory_total: int = 40 << 30


@dataclass
class FakeGpu:
    """`refused`: by function, the error code that it ends with. `lost`: every function does."""

    uuid: str
    name: str = "NVIDIA H100 80GB HBM3"
    utilization: tuple[int, int] = (97, 41)
    memory_used: int = 60 << 30
    memory_total: int = 80 << 30
    power_mw: int = 512_345
    limit_mw: int = 700_000
    energy_mj: int = 123_456_789
    sm_clock: int = 1980
    memory_clock: int = 2619
    temperature: int = 61
    memory_temperature: int = 72
    throttle: int = 0
    activity: dict[int, float] = field(default_factory=lambda: {2: 80.0, 3: 25.0, 5: 40.0, 10: 55.0})
    has_gpm: bool = True
    instances: list[FakeInstance | None] | None = None  # None: MIG is off; an item None: an empty place
    refused: dict[str, int] = field(default_factory=dict)
    lost: bool = False
    samples_taken: int = 0


class FakeNvml:
    """Stands where the module `pynvml` does."""

    def __init__(self, *gpus: FakeGpu) -> None:
        self.gpus = list(gpus)
        self.refused: dict[str, int] = {}  # of functions that are about no GPU
        self.events: list[tuple[FakeGpu, int]] = []  # XIDs that wait to be told: (GPU, code)
        self.opened = 0
        self.open_now = False
        self.live_samples: dict[int, tuple[int, int | None, int] | None] = {}
        self.live_event_sets: dict[int, list[FakeGpu]] = {}
        self._shown: list[FakeGpu] = []
        self._handles: dict[int, FakeGpu | tuple[FakeGpu, FakeInstance]] = {}
        self._next = 0x1000

    def __getattr__(self, name: str) -> Any:
        """Constants, types and errors are pynvml's own; a function that is not written below is none that the agent may call."""
        found = getattr(pynvml, name)
        if inspect.isfunction(found):
            raise AssertionError(f"the fake of NVML does not know {name}")
        return found

    def nvmlInit(self) -> None:
        self._check(None, "nvmlInit")
        self.opened += 1
        self.open_now = True
        self._shown = list(self.gpus)
        self._handles = {}

    def nvmlShutdown(self) -> None:
        self._check(None, "nvmlShutdown")
        assert self.live_samples == {}, "GPM samples were not freed"
        assert self.live_event_sets == {}, "an event set was not freed"
        self.open_now = False

    def nvmlDeviceGetCount(self) -> int:
        self._check(None, "nvmlDeviceGetCount")
        return len(self._shown)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:
        self._check(self._shown[index], "nvmlDeviceGetHandleByIndex")
        return self._handle(self._shown[index])

    def nvmlDeviceGetUUID(self, handle: Any) -> str:
        return self._gpu(handle, "nvmlDeviceGetUUID").uuid

    def nvmlDeviceGetName(self, handle: Any) -> str:
        return self._either(handle, "nvmlDeviceGetName")[1].name

    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Any:
        gpu = self._gpu(handle, "nvmlDeviceGetUtilizationRates")
        return pynvml.c_nvmlUtilization_t(*gpu.utilization)

    def nvmlDeviceGetMemoryInfo(self, handle: Any, version: int | None = None) -> Any:
        assert version == pynvml.nvmlMemory_v2
        _, entity = self._either(handle, "nvmlDeviceGetMemoryInfo")
        return pynvml.c_nvmlMemory_v2_t(version=version, used=entity.memory_used, total=entity.memory_total)

    def nvmlDeviceGetPowerUsage(self, handle: Any) -> int:
        return self._gpu(handle, "nvmlDeviceGetPowerUsage").power_mw

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: Any) -> int:
        return self._gpu(handle, "nvmlDeviceGetEnforcedPowerLimit").limit_mw

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int:
        return self._gpu(handle, "nvmlDeviceGetTotalEnergyConsumption").energy_mj

    def nvmlDeviceGetClockInfo(self, handle: Any, clock: int) -> int:
        gpu = self._gpu(handle, "nvmlDeviceGetClockInfo")
        return {pynvml.NVML_CLOCK_SM: gpu.sm_clock, pynvml.NVML_CLOCK_MEM: gpu.memory_clock}[clock]

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: int) -> int:
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        return self._gpu(handle, "nvmlDeviceGetTemperature").temperature

    def nvmlDeviceGetFieldValues(self, handle: Any, fields: list[int]) -> Any:
        gpu = self._gpu(handle, "nvmlDeviceGetFieldValues")
        assert fields == [pynvml.NVML_FI_DEV_MEMORY_TEMP]
        values = (pynvml.c_nvmlFieldValue_t * 1)()
        values[0].nvmlReturn = gpu.refused.get("memory temperature field", pynvml.NVML_SUCCESS)
        values[0].value.uiVal = gpu.memory_temperature
        return values

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: Any) -> int:
        return self._gpu(handle, "nvmlDeviceGetCurrentClocksEventReasons").throttle

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Any) -> int:
        return self._gpu(handle, "nvmlDeviceGetCurrentClocksThrottleReasons").throttle

    def nvmlDeviceGetMigMode(self, handle: Any) -> list[int]:
        on = int(self._gpu(handle, "nvmlDeviceGetMigMode").instances is not None)
        return [on, on]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Any) -> int:
        return len(self._gpu(handle, "nvmlDeviceGetMaxMigDeviceCount").instances or [])

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, index: int) -> Any:
        gpu = self._gpu(handle, "nvmlDeviceGetMigDeviceHandleByIndex")
        assert gpu.instances is not None
        instance = gpu.instances[index]
        if instance is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return self._handle((gpu, instance))

    def nvmlDeviceGetGpuInstanceId(self, handle: Any) -> int:
        return self._instance(handle, "nvmlDeviceGetGpuInstanceId").gpu_instance

    def nvmlDeviceGetComputeInstanceId(self, handle: Any) -> int:
        return self._instance(handle, "nvmlDeviceGetComputeInstanceId").compute_instance

    def nvmlGpmQueryDeviceSupport(self, handle: Any) -> Any:
        gpu = self._gpu(handle, "nvmlGpmQueryDeviceSupport")
        return pynvml.c_nvmlGpmSupport_t(version=1, isSupportedDevice=int(gpu.has_gpm))

    def nvmlGpmSampleAlloc(self) -> Any:
        self._check(None, "nvmlGpmSampleAlloc")
        address = self._address()
        self.live_samples[address] = None
        return ctypes.cast(address, pynvml.c_nvmlGpmSample_t)

    def nvmlGpmSampleFree(self, sample: Any) -> None:
        self._check(None, "nvmlGpmSampleFree")
        del self.live_samples[_address_of(sample)]

    def nvmlGpmSampleGet(self, handle: Any, sample: Any) -> Any:
        return self._take(self._gpu(handle, "nvmlGpmSampleGet"), None, sample)

    def nvmlGpmMigSampleGet(self, handle: Any, instance: int, sample: Any) -> Any:
        gpu = self._gpu(handle, "nvmlGpmMigSampleGet")
        assert instance in {each.gpu_instance for each in gpu.instances or [] if each is not None}
        return self._take(gpu, instance, sample)

    def nvmlGpmMetricsGet(self, request: Any) -> Any:
        self._check(None, "nvmlGpmMetricsGet")
        assert request.version == pynvml.NVML_GPM_METRICS_GET_VERSION
        before, after = (self.live_samples[_address_of(one)] for one in (request.sample1, request.sample2))
        assert before is not None
        assert after is not None
        assert before[:2] == after[:2], "two samples of different GPUs are compared"
        assert before[2] < after[2], "a sample is compared with a later one, or with itself"
        gpu = next(gpu for gpu in self.gpus if id(gpu) == before[0])
        for metric in request.metrics[: request.numMetrics]:
            metric.nvmlReturn = (
                pynvml.NVML_SUCCESS if metric.metricId in gpu.activity else pynvml.NVML_ERROR_NOT_SUPPORTED
            )
            metric.value = gpu.activity.get(metric.metricId, 0.0)
        return request

    def nvmlEventSetCreate(self) -> Any:
        self._check(None, "nvmlEventSetCreate")
        address = self._address()
        self.live_event_sets[address] = []
        return ctypes.cast(address, pynvml.c_nvmlEventSet_t)

    def nvmlDeviceRegisterEvents(self, handle: Any, types: int, events: Any) -> None:
        assert types == pynvml.nvmlEventTypeXidCriticalError
        self.live_event_sets[_address_of(events)].append(self._gpu(handle, "nvmlDeviceRegisterEvents"))

    def nvmlEventSetWait_v2(self, events: Any, timeout_ms: int) -> Any:
        self._check(None, "nvmlEventSetWait_v2")
        registered = self.live_event_sets[_address_of(events)]
        assert registered, "it waits for events of no GPU"
        assert timeout_ms <= 10, "it waits long"
        if not self.events:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT)
        gpu, code = self.events.pop(0)
        assert gpu in registered
        return pynvml.c_nvmlEventData_t(
            device=self._handle(gpu), eventType=pynvml.nvmlEventTypeXidCriticalError, eventData=code
        )

    def nvmlEventSetFree(self, events: Any) -> None:
        self._check(None, "nvmlEventSetFree")
        del self.live_event_sets[_address_of(events)]

    def _take(self, gpu: FakeGpu, instance: int | None, sample: Any) -> Any:
        assert _address_of(sample) in self.live_samples
        gpu.samples_taken += 1
        self.live_samples[_address_of(sample)] = (id(gpu), instance, gpu.samples_taken)
        return sample

    def _check(self, gpu: FakeGpu | None, function: str) -> None:
        if not self.open_now and function != "nvmlInit":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        if gpu is not None and gpu.lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        code = (self.refused if gpu is None else gpu.refused).get(function)
        if code is not None:
            raise pynvml.NVMLError(code)

    def _either(self, handle: Any, function: str) -> tuple[FakeGpu, FakeGpu | FakeInstance]:
        found = self._handles[_address_of(handle)]
        gpu, entity = found if isinstance(found, tuple) else (found, found)
        self._check(gpu, function)
        return gpu, entity

    def _gpu(self, handle: Any, function: str) -> FakeGpu:
        found = self._handles[_address_of(handle)]
        assert isinstance(found, FakeGpu), f"{function} is asked of a MIG instance"
        self._check(found, function)
        return found

    def _instance(self, handle: Any, function: str) -> FakeInstance:
        _, entity = self._either(handle, function)
        assert isinstance(entity, FakeInstance)
        return entity

    def _handle(self, entity: FakeGpu | tuple[FakeGpu, FakeInstance]) -> Any:
        """The same one for a GPU each time, as NVML does until it is closed."""
        address = next((known for known, of in self._handles.items() if of is entity), None) or self._address()
        self._handles[address] = entity
        return ctypes.cast(address, pynvml.c_nvmlDevice_t)

    def _address(self) -> int:
        self._next += 0x10
        return self._next


def _address_of(pointer: Any) -> int:
    found = ctypes.cast(pointer, ctypes.c_void_p).value
    assert found is not None
    return found
