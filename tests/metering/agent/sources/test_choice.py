"""Which source the GPUs are read from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
import pynvml
import pytest

from metering.agent.gpu import CHOICES, choose
from metering.agent.gpu.choice import AutoSource
from metering.agent.gpu.dcgm import DcgmSource
from metering.agent.gpu.nvidia_smi import SmiSource
from metering.agent.gpu.nvml import NvmlSource
from metering.agent.gpu.triton import TritonGpuSource
from metering.agent.samples import GpuSample
from metering.agent.sources import Place
from tests.metering.agent.sources.conftest import Ticks
from tests.metering.agent.sources.nvml_fake import FakeGpu, FakeNvml
from tests.metering.agent.sources.served import Served

URL = "http://127.0.0.1:9400/metrics"


@dataclass
class FakeSource:
    label: str
    gpus: list[str] = field(default_factory=list)
    reads: int = 0
    closed: bool = False

    def read(self, at_ms: int) -> Sequence[GpuSample]:
        self.reads += 1
        return [GpuSample(time=at_ms, node="n", gpu=gpu, source="dcgm") for gpu in self.gpus]

    def problems(self) -> Sequence[str]:
        return () if self.gpus else ("shows nothing",)

    def close(self) -> None:
        self.closed = True


class Node:
    """What is on it: NVML or not, an exporter, nvidia-smi."""

    def __init__(self, place: Place, ticks: Ticks, *, refused: int | None = None) -> None:
        self.nvml = FakeNvml(FakeGpu("GPU-nvml"))
        if refused is not None:
            self.nvml.refused = {"nvmlInit": refused}
        self.dcgm = FakeSource("dcgm")
        self.smi = FakeSource("nvidia_smi", ["GPU-smi"])
        self.auto = AutoSource(NvmlSource(place, self.nvml, ticks), self.dcgm, self.smi, ticks, lambda: True)

    def read(self) -> list[str]:
        return [sample.gpu for sample in self.auto.read(1)]


def test_each_choice_has_its_source(place: Place) -> None:
    http = Served().http
    kinds = {
        "auto": AutoSource,
        "nvml": NvmlSource,
        "dcgm": DcgmSource,
        "nvidia_smi": SmiSource,
        "triton": TritonGpuSource,
        "none": type(None),
    }
    assert set(CHOICES) == set(kinds)
    for wanted, kind in kinds.items():
        assert isinstance(choose(place, wanted, URL, http), kind)


def test_a_choice_that_is_none_or_lacks_its_url_is_refused(place: Place) -> None:
    http = httpx.Client()
    with pytest.raises(ValueError, match="is 'rocm', expected one of auto, nvml"):
        choose(place, "rocm", URL, http)
    for wanted in ("dcgm", "triton"):
        with pytest.raises(ValueError, match=f"{wanted} needs its URL"):
            choose(place, wanted, "", http)
    assert choose(place, "auto", "", http) is not None


def test_nvml_comes_first(place: Place, ticks: Ticks) -> None:
    node = Node(place, ticks)
    node.dcgm.gpus = ["GPU-dcgm"]
    assert node.read() == ["GPU-nvml"]
    assert node.auto.label == "nvml"
    assert node.dcgm.reads == 0


def test_an_exporter_comes_next(place: Place, ticks: Ticks) -> None:
    node = Node(place, ticks, refused=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    node.dcgm.gpus = ["GPU-dcgm"]
    assert node.read() == ["GPU-dcgm"]
    assert node.auto.problems() == ()
    assert node.smi.reads == 0


def test_nvidia_smi_is_run_only_where_there_is_no_nvml_library(place: Place, ticks: Ticks) -> None:
    without = Node(place, ticks, refused=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    assert without.read() == ["GPU-smi"]
    not_loaded = Node(place, ticks, refused=pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    assert not_loaded.read() == []
    assert not_loaded.smi.reads == 0
    assert not_loaded.auto.problems() == (
        "nvml: NVML cannot be used: Driver Not Loaded",
        "dcgm: shows nothing",
    )


def test_it_looks_again_from_time_to_time_until_it_finds_one(place: Place, ticks: Ticks) -> None:
    node = Node(place, ticks, refused=pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    node.read()
    ticks.now += 10
    assert node.read() == []
    assert node.dcgm.reads == 1
    assert node.auto.problems()
    node.nvml.refused = {}
    ticks.now += 21
    assert node.read() == ["GPU-nvml"]
    assert node.auto.problems() == ()


def test_it_stays_with_what_it_found_also_when_that_is_silent_for_a_while(place: Place, ticks: Ticks) -> None:
    """Two sources in turn would give two energy counters for one GPU."""
    node = Node(place, ticks, refused=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    node.dcgm.gpus = ["GPU-dcgm"]
    node.read()
    node.dcgm.gpus = []
    node.nvml.refused = {}
    ticks.now += 100
    assert node.read() == []
    assert node.auto.problems() == ("shows nothing",)


def test_all_are_closed(place: Place, ticks: Ticks) -> None:
    node = Node(place, ticks)
    node.read()
    node.auto.close()
    assert not node.nvml.open_now
    assert node.dcgm.closed
    assert node.smi.closed
