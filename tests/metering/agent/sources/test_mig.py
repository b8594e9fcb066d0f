"""MIG through NVML: the GPU, and each of its instances."""

import pynvml

from metering.agent.gpu.nvml import NvmlSource
from metering.agent.sources import Place
from tests.metering.agent.sources.nvml_fake import FakeGpu, FakeInstance, FakeNvml


def test_each_instance_is_a_sample_beside_that_of_the_gpu(place: Place) -> None:
    instances = [
        FakeInstance(2, name="NVIDIA H100 80GB HBM3 MIG 3g.40gb", memory_used=11 << 30),
        None,
        FakeInstance(9, 1, name="NVIDIA H100 80GB HBM3 MIG 1g.10gb", memory_total=10 << 30),
    ]
    source = NvmlSource(place, FakeNvml(FakeGpu("GPU-1", instances=instances)))
    source.read(1)
    whole, first, second = source.read(2)
    assert (whole.mig, first.mig, second.mig) == ("", "2/0", "9/1")
    assert {sample.gpu for sample in (whole, first, second)} == {"GPU-1"}
    assert {sample.index for sample in (whole, first, second)} == {0}
    assert second.name == "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
    assert (first.memory_used_bytes, second.memory_total_bytes) == (11 << 30, 10 << 30)
    assert source.problems() == ()


def test_an_instance_has_activity_but_no_power_energy_clock_or_temperature(place: Place) -> None:
    source = NvmlSource(place, FakeNvml(FakeGpu("GPU-1", instances=[FakeInstance(2)])))
    source.read(1)
    whole, part = source.read(2)
    assert (part.sm_active, part.tensor_active, part.dram_active) == (0.8, 0.4, 0.55)
    assert (part.power_w, part.power_limit_w, part.energy_j) == (None, None, None)
    assert (part.sm_clock_mhz, part.temperature_c, part.throttle, part.xid_errors) == (None, None, None, None)
    assert whole.energy_j is not None


def test_what_nvml_does_not_tell_under_mig_is_named_for_the_gpu(place: Place) -> None:
    refused = {
        "nvmlDeviceGetUtilizationRates": pynvml.NVML_ERROR_NOT_SUPPORTED,
        "nvmlGpmSampleGet": pynvml.NVML_ERROR_NOT_SUPPORTED,
    }
    source = NvmlSource(place, FakeNvml(FakeGpu("GPU-1", instances=[FakeInstance(2)], refused=refused)))
    source.read(1)
    whole, part = source.read(2)
    assert (whole.sm_active, part.sm_active) == (None, 0.8)
    assert source.problems() == (
        "gpu_utilization, memory_utilization: Not Supported (GPU 0)",
        "sm_active, sm_occupancy, tensor_active, dram_active: Not Supported (GPU 0)",
    )


def test_instances_come_and_go_between_readings(place: Place) -> None:
    gpu = FakeGpu("GPU-1", instances=[FakeInstance(2), FakeInstance(3)])
    nvml = FakeNvml(gpu)
    source = NvmlSource(place, nvml)
    assert [sample.mig for sample in source.read(1)] == ["", "2/0", "3/0"]
    gpu.instances = [None, FakeInstance(3), FakeInstance(9)]
    assert [sample.mig for sample in source.read(2)] == ["", "3/0", "9/0"]
    # Two buffers each for the GPU and its two instances; those of the one that went are freed.
    assert len(nvml.live_samples) == 6
    source.close()


def test_a_gpu_that_knows_no_mig_is_read_without_a_problem(place: Place) -> None:
    refused = {"nvmlDeviceGetMigMode": pynvml.NVML_ERROR_NOT_SUPPORTED}
    source = NvmlSource(place, FakeNvml(FakeGpu("GPU-1", name="NVIDIA L4", refused=refused)))
    assert [sample.name for sample in source.read(1)] == ["NVIDIA L4"]
    assert source.problems() == ()


def test_instances_that_may_not_be_seen_are_a_problem(place: Place) -> None:
    refused = {"nvmlDeviceGetMigDeviceHandleByIndex": pynvml.NVML_ERROR_NO_PERMISSION}
    gpu = FakeGpu("GPU-1", instances=[FakeInstance(2), FakeInstance(3)], refused=refused)
    source = NvmlSource(place, FakeNvml(gpu))
    assert [sample.mig for sample in source.read(1)] == [""]
    assert source.problems() == ("MIG instances: Insufficient Permissions (GPU 0)",)


def test_a_gpu_that_is_lost_while_its_instances_are_looked_for_has_no_sample(place: Place) -> None:
    refused = {"nvmlDeviceGetMigDeviceHandleByIndex": pynvml.NVML_ERROR_GPU_IS_LOST}
    source = NvmlSource(place, FakeNvml(FakeGpu("GPU-1", instances=[FakeInstance(2)], refused=refused)))
    assert source.read(1) == []
    assert source.problems() == ("cannot be read: GPU is lost (GPU 0)",)
