"""Activity of SMs, tensor cores and memory, which NVML computes from two samples."""

import math

import pynvml

from metering.agent.gpu.nvml import NvmlSource
from metering.agent.sources import Place
from tests.metering.agent.sources.nvml_fake import FakeGpu, FakeNvml

GPU = "GPU-1"


def activity(source: NvmlSource) -> tuple[float | None, ...]:
    (sample,) = source.read(1)
    return sample.sm_active, sample.sm_occupancy, sample.tensor_active, sample.dram_active


def test_the_first_reading_has_none_and_that_is_no_problem(place: Place) -> None:
    source = NvmlSource(place, FakeNvml(FakeGpu(GPU)))
    assert activity(source) == (None, None, None, None)
    assert source.problems() == ()


def test_percentages_become_shares_and_each_sample_is_compared_with_the_one_before(place: Place) -> None:
    gpu = FakeGpu(GPU)
    source = NvmlSource(place, FakeNvml(gpu))
    activity(source)
    assert activity(source) == (0.8, 0.25, 0.4, 0.55)
    gpu.activity = {2: 100.0, 3: 50.0, 5: 0.0, 10: 12.5}
    assert activity(source) == (1.0, 0.5, 0.0, 0.125)
    assert gpu.samples_taken == 3


def test_buffers_are_reused_and_freed(place: Place) -> None:
    nvml = FakeNvml(FakeGpu(GPU))
    source = NvmlSource(place, nvml)
    for _ in range(5):
        activity(source)
    assert len(nvml.live_samples) == 2
    source.close()
    assert nvml.live_samples == {}
    assert not nvml.open_now


def test_a_gpu_older_than_hopper_has_none_and_says_where_to_look(place: Place) -> None:
    nvml = FakeNvml(FakeGpu(GPU, has_gpm=False))
    source = NvmlSource(place, nvml)
    activity(source)
    assert activity(source) == (None, None, None, None)
    assert source.problems() == (
        "sm_active, sm_occupancy, tensor_active, dram_active: this GPU does not tell NVML; dcgm-exporter may know (GPU 0)",
    )
    assert nvml.live_samples == {}


def test_a_driver_without_gpm_is_a_problem(place: Place) -> None:
    refused = {"nvmlGpmQueryDeviceSupport": pynvml.NVML_ERROR_FUNCTION_NOT_FOUND}
    source = NvmlSource(place, FakeNvml(FakeGpu(GPU, refused=refused)))
    assert activity(source) == (None, None, None, None)
    assert source.problems() == ("sm_active, sm_occupancy, tensor_active, dram_active: Function Not Found (GPU 0)",)


def test_one_metric_that_is_not_told_leaves_the_others(place: Place) -> None:
    source = NvmlSource(place, FakeNvml(FakeGpu(GPU, activity={2: 80.0, 3: 25.0, 10: 55.0})))
    activity(source)
    assert activity(source) == (0.8, 0.25, None, 0.55)
    assert source.problems() == ("tensor_active: not told (GPU 0)",)


def test_a_metric_that_is_not_a_number_is_left_out(place: Place) -> None:
    source = NvmlSource(place, FakeNvml(FakeGpu(GPU, activity={2: math.nan, 3: -3.0, 5: 40.0, 10: 55.0})))
    activity(source)
    assert activity(source) == (None, None, 0.4, 0.55)
    assert source.problems() == (
        "sm_active: not a number, left out (GPU 0)",
        "sm_occupancy: negative, left out (GPU 0)",
    )


def test_after_a_sample_that_failed_the_next_is_not_compared_with_an_old_one(place: Place) -> None:
    gpu = FakeGpu(GPU)
    source = NvmlSource(place, FakeNvml(gpu))
    activity(source)
    gpu.refused = {"nvmlGpmSampleGet": pynvml.NVML_ERROR_UNKNOWN}
    assert activity(source) == (None, None, None, None)
    assert source.problems() == ("sm_active, sm_occupancy, tensor_active, dram_active: Unknown Error (GPU 0)",)
    gpu.refused = {}
    assert activity(source) == (None, None, None, None)
    assert source.problems() == ()
    assert activity(source) == (0.8, 0.25, 0.4, 0.55)
