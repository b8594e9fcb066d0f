"""Which source the GPUs of the node are read from."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import httpx

from metering.agent.gpu.dcgm import DcgmSource
from metering.agent.gpu.nvidia_smi import SmiSource
from metering.agent.gpu.nvml import NvmlSource
from metering.agent.gpu.triton import TritonGpuSource
from metering.agent.samples import GpuSample
from metering.agent.sources import Place

CHOICES = ("auto", "nvml", "dcgm", "nvidia_smi", "triton", "none")
_AGAIN_AFTER_S = 30.0


class GpuSource(Protocol):
    """A Source of GPUs only."""

    label: str

    def read(self, at_ms: int) -> Sequence[GpuSample]: ...
    def problems(self) -> Sequence[str]: ...
    def close(self) -> None: ...


def choose(place: Place, wanted: str, url: str, http: httpx.Client) -> GpuSource | None:
    """None for "none". `url`: of the dcgm-exporter ("auto", "dcgm"; "" if there is none) or of Triton's metrics ("triton").

    Raises ValueError for a choice that is not one of CHOICES, or one that needs a URL and has none. A driver that is not there, or not
    yet, is not an error here but a problem of the source.
    """
    if wanted not in CHOICES:
        raise ValueError(f"the source of GPUs is {wanted!r}, expected one of {', '.join(CHOICES)}")
    if wanted in {"dcgm", "triton"} and not url:
        raise ValueError(f"{wanted} needs its URL")
    made: dict[str, Callable[[], GpuSource]] = {
        "auto": lambda: AutoSource(NvmlSource(place), DcgmSource(place, url, http) if url else None, SmiSource(place)),
        "nvml": lambda: NvmlSource(place),
        "dcgm": lambda: DcgmSource(place, url, http),
        "nvidia_smi": lambda: SmiSource(place),
        "triton": lambda: TritonGpuSource(place, url, http),
    }
    return made[wanted]() if wanted in made else None


class AutoSource:
    """The first that shows GPUs: NVML, a dcgm-exporter, and nvidia-smi where there is no NVML library. It stays with that one.

    NVML comes first because it is nearest, and tells limits and throttling that the exporter leaves out by default. Until one is found it
    looks again from time to time: drivers and exporters may be loaded after the agent.
    """

    label = "gpu"

    def __init__(
        self,
        nvml: NvmlSource,
        dcgm: GpuSource | None,
        smi: GpuSource,
        clock: Callable[[], float] = time.monotonic,
        has_smi: Callable[[], bool] = lambda: shutil.which("nvidia-smi") is not None,
    ) -> None:
        self._nvml = nvml
        self._dcgm = dcgm
        self._smi = smi
        self._clock = clock
        self._has_smi = has_smi
        self._chosen: GpuSource | None = None
        self._again_at = clock()
        self._problems: Sequence[str] = ()

    def read(self, at_ms: int) -> Sequence[GpuSample]:
        if self._chosen is None:
            if self._clock() < self._again_at:
                return ()
            samples = self._try_all(at_ms)
            # After NVML's own time, so that the next attempt opens it again.
            self._again_at = self._clock() + _AGAIN_AFTER_S
            return samples
        samples = self._chosen.read(at_ms)
        self._problems = self._chosen.problems()
        return samples

    def problems(self) -> Sequence[str]:
        return self._problems

    def close(self) -> None:
        for source in (self._nvml, self._dcgm, self._smi):
            if source is not None:
                source.close()

    def _try_all(self, at_ms: int) -> Sequence[GpuSample]:
        problems: list[str] = []
        for source in self._candidates():
            samples = source.read(at_ms)
            if samples:
                self._chosen = source
                self.label = source.label
                self._problems = source.problems()
                return samples
            problems += [f"{source.label}: {problem}" for problem in source.problems()]
        self._problems = tuple(problems)
        return ()

    def _candidates(self) -> Iterator[GpuSource]:
        yield self._nvml
        if self._dcgm is not None:
            yield self._dcgm
        # With the library it sees no more than NVML does, and would be kept although NVML works a moment later.
        if self._nvml.library_is_missing and self._has_smi():
            yield self._smi
