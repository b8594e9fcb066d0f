"""NVML opened: the GPUs that the driver shows. NVML looks for GPUs only when it is opened, so it is opened anew when they change."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metering.agent.gpu.nvml_questions import Handle, Nvml

_DRIVER_LIST = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class Gpu:
    index: int
    uuid: str
    name: str
    handle: Handle

    @property
    def called(self) -> str:
        return f"GPU {self.index}"


@dataclass(frozen=True, slots=True)
class Session:
    gpus: Sequence[Gpu]
    lost: Sequence[tuple[str, str]]  # GPUs that cannot be told apart any more: (why, what a person calls it)
    listed: frozenset[str]  # what the driver's list held


def open_session(nvml: Nvml) -> Session:
    """Raises NVMLError: no library, no driver, or a driver that was exchanged under the library."""
    listed = listed_gpus()
    nvml.nvmlInit()
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError:
        close_session(nvml)
        raise
    gpus: list[Gpu] = []
    lost: list[tuple[str, str]] = []
    for index in range(count):
        try:
            gpus.append(_gpu(nvml, index))
        except nvml.NVMLError as error:
            lost.append((_text(error), f"GPU {index}"))
    return Session(gpus, lost, listed)


def close_session(nvml: Nvml) -> None:
    with contextlib.suppress(nvml.NVMLError):
        nvml.nvmlShutdown()


def listed_gpus() -> frozenset[str]:
    """PCI addresses of the GPUs that the driver has now; empty where it has no such list. Cheap: asked at every reading."""
    try:
        return frozenset(entry.name for entry in _DRIVER_LIST.iterdir())
    except OSError:
        return frozenset()


def _gpu(nvml: Nvml, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    return Gpu(index, nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle), handle)


def _text(error: Any) -> str:
    return f"cannot be read: {error}"
