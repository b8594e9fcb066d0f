"""GPUs read through NVML: what each reading becomes, and what a refusal does."""

import inspect

import pynvml
import pytest

from metering.agent.gpu.nvml import NvmlSource
from metering.agent.samples import GpuSample
from metering.agent.sources import Place
from tests.metering.agent.sources.nvml_fake import FakeGpu, FakeNvml

NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED
GPU = "GPU-11111111-2222-3333-4444-555555555555"


def read(source: NvmlSource, at_ms: int = 1_700_000_000_000) -> list[GpuSample]:
    return list(source.read(at_ms))


def test_the_fake_has_the_functions_of_the_real_module() -> None:
    faked = {name: each for name, each in inspect.getmembers(FakeNvml, inspect.isfunction) if name.startswith("nvml")}
    for name, function in faked.items():
        real = inspect.signature(getattr(pynvml, name))
        assert len(real.parameters) == len(inspect.signature(function).parameters) - 1, name


def test_it_reads_every_field_in_the_units_of_a_sample(place: Place) -> None:
    source = NvmlSource(place, FakeNvml(FakeGpu(GPU)))
    read(source)
    (sample,) = read(source)
    assert sample == GpuSample(
        time=1_700_000_000_000,
        node="node-7",
        region="eu-west",
        cluster="blue",
        gpu=GPU,
        source="nvml",
        index=0,
        name="NVIDIA H100 80GB HBM3",
        gpu_utilization=0.97,
        memory_utilization=0.41,
        sm_active=0.8,
        sm_occupancy=0.25,
        tensor_active=0.4,
        dram_active=0.55,
        memory_used_bytes=60 << 30,
        memory_total_bytes=80 << 30,
        power_w=pytest.approx(512.345),
        power_limit_w=700.0,
        energy_j=123_456.789,
        sm_clock_mhz=1980,
        memory_clock_mhz=2619,
        temperature_c=61.0,
        memory_temperature_c=72.0,
        throttle=(),
        xid_errors=0,
        xid_last=0,
    )
    assert source.problems() == ()


def test_it_reads_all_gpus_of_the_node(place: Place) -> None:
    source = NvmlSource(place, FakeNvml(*(FakeGpu(f"GPU-{index}") for index in range(8))))
    assert [(sample.index, sample.gpu) for sample in read(source)] == [(index, f"GPU-{index}") for index in range(8)]


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0x0, ()),
        (0x1 | 0x2 | 0x10 | 0x100, ()),  # idle, clocks set by hand, sync boost, display: no limit
        (0x4, ("sw_power_cap",)),
        (0x8 | 0x40, ("hw_slowdown", "hw_thermal")),
        (0x20, ("sw_thermal",)),
        (0x80, ("power_brake",)),
    ],
)
def test_throttle_reasons_become_words(place: Place, bits: int, words: tuple[str, ...]) -> None:
    (sample,) = read(NvmlSource(place, FakeNvml(FakeGpu(GPU, throttle=bits))))
    assert sample.throttle == words


def test_a_driver_from_before_535_is_asked_by_the_older_name(place: Place) -> None:
    older = {"nvmlDeviceGetCurrentClocksEventReasons": pynvml.NVML_ERROR_FUNCTION_NOT_FOUND}
    source = NvmlSource(place, FakeNvml(FakeGpu(GPU, throttle=0x4, refused=older)))
    (sample,) = read(source)
    assert sample.throttle == ("sw_power_cap",)
    assert source.problems() == ()


@pytest.mark.parametrize(
    ("function", "fields"),
    [
        ("nvmlDeviceGetUtilizationRates", ("gpu_utilization", "memory_utilization")),
        ("nvmlDeviceGetMemoryInfo", ("memory_used_bytes", "memory_total_bytes")),
        ("nvmlDeviceGetPowerUsage", ("power_w",)),
        ("nvmlDeviceGetEnforcedPowerLimit", ("power_limit_w",)),
        ("nvmlDeviceGetTotalEnergyConsumption", ("energy_j",)),
        ("nvmlDeviceGetTemperature", ("temperature_c",)),
        ("memory temperature field", ("memory_temperature_c",)),
        ("nvmlDeviceGetCurrentClocksEventReasons", ("throttle",)),
    ],
)
@pytest.mark.parametrize(
    ("code", "words"),
    [(NOT_SUPPORTED, "Not Supported"), (pynvml.NVML_ERROR_NO_PERMISSION, "Insufficient Permissions")],
)
def test_what_is_refused_is_none_and_named_and_takes_nothing_else_with_it(
    place: Place, function: str, fields: tuple[str, ...], code: int, words: str
) -> None:
    source = NvmlSource(place, FakeNvml(FakeGpu(GPU, refused={function: code})))
    (sample,) = read(source)
    assert [getattr(sample, field) for field in fields] == [None] * len(fields)
    assert source.problems() == (f"{', '.join(fields)}: {words} (GPU 0)",)
    others = {"power_w", "energy_j", "temperature_c", "memory_used_bytes"} - set(fields)
    assert all(getattr(sample, field) is not None for field in others)


def test_a_clock_that_is_refused_is_named_for_both_clocks(place: Place) -> None:
    source = NvmlSource(place, FakeNvml(FakeGpu(GPU, refused={"nvmlDeviceGetClockInfo": NOT_SUPPORTED})))
    read(source)
    assert source.problems() == ("sm_clock_mhz: Not Supported (GPU 0)", "memory_clock_mhz: Not Supported (GPU 0)")


def test_the_same_refusal_of_many_gpus_is_one_problem(place: Place) -> None:
    refused = {"nvmlDeviceGetPowerUsage": NOT_SUPPORTED}
    source = NvmlSource(place, FakeNvml(*(FakeGpu(f"GPU-{index}", refused=refused) for index in range(3))))
    for _ in range(2):
        read(source)
        assert source.problems() == ("power_w: Not Supported (GPU 0, GPU 1, GPU 2)",)


def test_nvmls_word_for_no_value_is_none_without_a_problem(place: Place) -> None:
    gpu = FakeGpu(GPU, power_mw=0xFFFFFFFF, energy_mj=0xFFFFFFFFFFFFFFFF, memory_used=0xFFFFFFFFFFFFFFFF)
    source = NvmlSource(place, FakeNvml(gpu))
    (sample,) = read(source)
    assert (sample.power_w, sample.energy_j, sample.memory_used_bytes) == (None, None, None)
    assert sample.memory_total_bytes == 80 << 30
    assert source.problems() == ()


def test_what_cannot_be_true_is_none_and_a_problem(place: Place) -> None:
    gpu = FakeGpu(GPU, power_mw=-1_000, utilization=(130, 5), temperature=4_000)
    source = NvmlSource(place, FakeNvml(gpu))
    (sample,) = read(source)
    assert (sample.power_w, sample.gpu_utilization, sample.temperature_c) == (None, None, None)
    assert sample.memory_utilization == 0.05
    assert source.problems() == (
        "gpu_utilization: too high to be true, left out (GPU 0)",
        "power_w: negative, left out (GPU 0)",
        "temperature_c: too high to be true, left out (GPU 0)",
    )


def test_an_error_that_is_no_refusal_is_not_hidden(place: Place) -> None:
    """The strict fake must be able to fail a test: a call that it does not know is no NVMLError."""
    nvml = FakeNvml(FakeGpu(GPU))
    with pytest.raises(AssertionError, match="does not know nvmlDeviceGetSerial"):
        nvml.nvmlDeviceGetSerial(object())
