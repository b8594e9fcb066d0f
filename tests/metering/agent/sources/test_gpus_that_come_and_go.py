"""Drivers that are not there, GPUs that are lost, GPUs that appear."""

import pynvml
import pytest

from metering.agent.gpu import nvml_session
from metering.agent.gpu.nvml import NvmlSource
from metering.agent.sources import Place
from tests.metering.agent.sources.conftest import Ticks
from tests.metering.agent.sources.nvml_fake import FakeGpu, FakeNvml


def uuids(source: NvmlSource) -> list[str]:
    return [sample.gpu for sample in source.read(1)]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "Driver Not Loaded"),
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "NVML Shared Library Not Found"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "RM has detected an NVML/RM version mismatch."),
        (pynvml.NVML_ERROR_NO_PERMISSION, "Insufficient Permissions"),
    ],
)
def test_without_a_driver_there_is_a_problem_and_no_sample(place: Place, code: int, words: str) -> None:
    nvml = FakeNvml(FakeGpu("GPU-1"))
    nvml.refused = {"nvmlInit": code}
    source = NvmlSource(place, nvml)
    assert uuids(source) == []
    assert source.problems() == (f"NVML cannot be used: {words}",)
    assert source.library_is_missing == (code == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    source.close()


def test_the_real_library_that_is_not_there_is_a_problem_too(place: Place) -> None:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        source = NvmlSource(place)
        assert uuids(source) == []
        assert source.problems()
        source.close()
    else:
        pynvml.nvmlShutdown()
        pytest.skip("this machine has NVML")


def test_a_driver_that_is_loaded_later_is_found_without_being_asked_for_all_the_time(
    place: Place, ticks: Ticks
) -> None:
    nvml = FakeNvml(FakeGpu("GPU-1"))
    nvml.refused = {"nvmlInit": pynvml.NVML_ERROR_DRIVER_NOT_LOADED}
    source = NvmlSource(place, nvml, ticks)
    assert uuids(source) == []
    nvml.refused = {}
    ticks.now += 29
    assert uuids(source) == []
    assert source.problems() == ("NVML cannot be used: Driver Not Loaded",)
    ticks.now += 2
    assert uuids(source) == ["GPU-1"]
    assert source.problems() == ()
    ticks.now += 1_000
    uuids(source)
    assert nvml.opened == 1


def test_a_driver_that_shows_no_gpu_is_a_problem(place: Place, ticks: Ticks) -> None:
    nvml = FakeNvml()
    source = NvmlSource(place, nvml, ticks)
    assert uuids(source) == []
    assert source.problems() == ("the driver shows no GPU",)
    nvml.gpus.append(FakeGpu("GPU-1"))
    ticks.now += 31
    assert uuids(source) == ["GPU-1"]


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED])
def test_a_gpu_that_is_lost_has_no_sample_and_the_others_have_theirs(place: Place, code: int) -> None:
    lost = FakeGpu("GPU-2")
    source = NvmlSource(place, FakeNvml(FakeGpu("GPU-1"), lost, FakeGpu("GPU-3")))
    assert uuids(source) == ["GPU-1", "GPU-2", "GPU-3"]
    # In the middle of its readings: half a sample would look like a GPU without power.
    lost.refused = {"nvmlDeviceGetEnforcedPowerLimit": code}
    assert uuids(source) == ["GPU-1", "GPU-3"]
    (problem,) = source.problems()
    assert problem.startswith("cannot be read: GPU ")
    assert problem.endswith("(GPU 1)")


def test_a_lost_gpu_that_is_reset_comes_back(place: Place, ticks: Ticks) -> None:
    lost = FakeGpu("GPU-2")
    nvml = FakeNvml(FakeGpu("GPU-1"), lost)
    source = NvmlSource(place, nvml, ticks)
    uuids(source)
    lost.lost = True
    assert uuids(source) == ["GPU-1"]
    ticks.now += 31
    assert uuids(source) == ["GPU-1"]
    assert source.problems() == ("cannot be read: GPU is lost (GPU 1)",)
    lost.lost = False
    assert uuids(source) == ["GPU-1"]
    ticks.now += 31
    assert uuids(source) == ["GPU-1", "GPU-2"]
    assert source.problems() == ()
    assert nvml.opened == 3


def test_a_gpu_that_the_driver_lists_newly_appears_at_the_next_reading(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = FakeNvml(FakeGpu("GPU-1"))
    listed = {"0000:01:00.0"}
    monkeypatch.setattr("metering.agent.gpu.nvml.listed_gpus", lambda: frozenset(listed))
    monkeypatch.setattr("metering.agent.gpu.nvml_session.listed_gpus", lambda: frozenset(listed))
    source = NvmlSource(place, nvml)
    assert uuids(source) == ["GPU-1"]
    nvml.gpus.append(FakeGpu("GPU-2"))
    assert uuids(source) == ["GPU-1"]
    listed.add("0000:02:00.0")
    assert uuids(source) == ["GPU-1", "GPU-2"]
    assert nvml.opened == 2


def test_a_machine_without_the_drivers_list_has_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml_session, "_DRIVER_LIST", nvml_session.Path("/nowhere"))
    assert nvml_session.listed_gpus() == frozenset()


def test_a_gpu_that_tells_nothing_at_all_has_no_sample(place: Place) -> None:
    refused = dict.fromkeys(
        [
            "nvmlDeviceGetUtilizationRates",
            "nvmlDeviceGetMemoryInfo",
            "nvmlDeviceGetPowerUsage",
            "nvmlDeviceGetEnforcedPowerLimit",
            "nvmlDeviceGetTotalEnergyConsumption",
            "nvmlDeviceGetClockInfo",
            "nvmlDeviceGetTemperature",
            "memory temperature field",
            "nvmlDeviceGetCurrentClocksEventReasons",
            "nvmlGpmQueryDeviceSupport",
            "nvmlDeviceRegisterEvents",
        ],
        pynvml.NVML_ERROR_UNKNOWN,
    )
    source = NvmlSource(place, FakeNvml(FakeGpu("GPU-1", refused=refused), FakeGpu("GPU-2")))
    assert uuids(source) == ["GPU-2"]
    assert "power_w: Unknown Error (GPU 0)" in source.problems()
