"""The MIG instances of a GPU, as NVML tells them. They may come and go at any time, so they are looked for at every reading."""

from collections.abc import Sequence
from dataclasses import dataclass

from metering.agent.faults import Faults
from metering.agent.gpu.nvml_questions import Handle, Nvml, is_gone
from metering.agent.gpu.nvml_session import Gpu


@dataclass(frozen=True, slots=True)
class Instance:
    gpu_instance: int
    compute_instance: int
    name: str
    handle: Handle

    @property
    def mig(self) -> str:
        """As GpuSample names it."""
        return f"{self.gpu_instance}/{self.compute_instance}"


def instances(nvml: Nvml, gpu: Gpu, faults: Faults) -> Sequence[Instance]:
    """None for a GPU that has no MIG or has it switched off. What is refused is a fault. Raises NVMLError if the GPU is gone."""
    try:
        if nvml.nvmlDeviceGetMigMode(gpu.handle)[0] != nvml.NVML_DEVICE_MIG_ENABLE:
            return ()
        most = nvml.nvmlDeviceGetMaxMigDeviceCount(gpu.handle)
    except nvml.NVMLError as error:
        if is_gone(nvml, error):
            raise
        # Not supported: a GPU without MIG. Function not found: a driver from before MIG.
        if error.value not in {nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_FUNCTION_NOT_FOUND}:
            faults.add(f"MIG instances: {error}", gpu.called)
        return ()
    found = (_instance(nvml, gpu, place, faults) for place in range(most))
    return [instance for instance in found if instance is not None]


def _instance(nvml: Nvml, gpu: Gpu, place: int, faults: Faults) -> Instance | None:
    try:
        handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu.handle, place)
        return Instance(
            nvml.nvmlDeviceGetGpuInstanceId(handle),
            nvml.nvmlDeviceGetComputeInstanceId(handle),
            nvml.nvmlDeviceGetName(handle),
            handle,
        )
    except nvml.NVMLError as error:
        if is_gone(nvml, error):
            raise
        if error.value != nvml.NVML_ERROR_NOT_FOUND:  # an empty place
            faults.add(f"MIG instances: {error}", gpu.called)
        return None
