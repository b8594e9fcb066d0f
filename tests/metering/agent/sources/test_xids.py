"""XID errors through NVML's events."""

import pynvml

from metering.agent.gpu.nvml import NvmlSource
from metering.agent.sources import Place
from tests.metering.agent.sources.conftest import Ticks
from tests.metering.agent.sources.nvml_fake import FakeGpu, FakeNvml


def xids(source: NvmlSource) -> list[tuple[int | None, int | None]]:
    return [(sample.xid_errors, sample.xid_last) for sample in source.read(1)]


def test_events_are_counted_for_the_gpu_that_they_are_of(place: Place) -> None:
    first, second = FakeGpu("GPU-1"), FakeGpu("GPU-2")
    nvml = FakeNvml(first, second)
    source = NvmlSource(place, nvml)
    assert xids(source) == [(0, 0), (0, 0)]
    nvml.events = [(second, 31), (second, 48)]
    assert xids(source) == [(0, 0), (2, 48)]
    assert xids(source) == [(0, 0), (2, 48)]
    nvml.events = [(second, 63), (first, 13)]
    assert xids(source) == [(1, 13), (3, 63)]
    assert source.problems() == ()


def test_without_permission_they_are_unknown_and_not_zero(place: Place) -> None:
    nvml = FakeNvml(FakeGpu("GPU-1"))
    nvml.refused = {"nvmlEventSetCreate": pynvml.NVML_ERROR_NO_PERMISSION}
    source = NvmlSource(place, nvml)
    for _ in range(2):
        assert xids(source) == [(None, None)]
        assert source.problems() == ("xid_errors, xid_last: Insufficient Permissions",)


def test_a_gpu_that_tells_no_events_leaves_the_others_alone(place: Place) -> None:
    quiet = FakeGpu("GPU-1", refused={"nvmlDeviceRegisterEvents": pynvml.NVML_ERROR_NOT_SUPPORTED})
    loud = FakeGpu("GPU-2")
    nvml = FakeNvml(quiet, loud)
    source = NvmlSource(place, nvml)
    source.read(1)
    nvml.events = [(loud, 94)]
    assert xids(source) == [(None, None), (1, 94)]
    assert source.problems() == ("xid_errors, xid_last: Not Supported (GPU 0)",)


def test_where_no_gpu_tells_events_nobody_waits_for_any(place: Place) -> None:
    quiet = FakeGpu("GPU-1", refused={"nvmlDeviceRegisterEvents": pynvml.NVML_ERROR_NOT_SUPPORTED})
    nvml = FakeNvml(quiet)
    source = NvmlSource(place, nvml)
    assert xids(source) == [(None, None)]
    assert nvml.live_event_sets == {}


def test_the_event_of_a_gpu_that_fell_off_the_bus_is_counted_for_it(place: Place, ticks: Ticks) -> None:
    gone, stays = FakeGpu("GPU-1"), FakeGpu("GPU-2")
    nvml = FakeNvml(gone, stays)
    source = NvmlSource(place, nvml, ticks)
    source.read(1)
    gone.lost = True
    nvml.events = [(gone, 79)]
    assert [sample.gpu for sample in source.read(2)] == ["GPU-2"]
    # The GPU comes back, NVML is opened anew, and what was counted is still known.
    gone.lost = False
    ticks.now += 31
    assert xids(source) == [(1, 79), (0, 0)]


def test_waiting_that_fails_is_a_problem_and_counts_nothing(place: Place) -> None:
    nvml = FakeNvml(FakeGpu("GPU-1"))
    source = NvmlSource(place, nvml)
    source.read(1)
    nvml.refused = {"nvmlEventSetWait_v2": pynvml.NVML_ERROR_UNKNOWN}
    assert xids(source) == [(0, 0)]
    assert source.problems() == ("xid_errors, xid_last: Unknown Error",)
