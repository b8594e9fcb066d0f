"""What is asked of a GPU through NVML, and what becomes of the answers. The units of NVML are in `nvml.h`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from metering.agent.faults import Faults
from metering.agent.plausible import NVML_NOT_AVAILABLE

# The module `pynvml` (nvidia-ml-py) and its handles carry no types.
Nvml = Any
Handle = Any

# NVML_FI_DEV_MEMORY_TEMP, degrees Celsius
_MEMORY_TEMPERATURE = 82
# nvml.h, "Clocks event reasons". The others (idle, clocks that somebody set, sync boost, display) are no limit that was run into.
_THROTTLE = {0x4: "sw_power_cap", 0x8: "hw_slowdown", 0x20: "sw_thermal", 0x40: "hw_thermal", 0x80: "power_brake"}


@dataclass(frozen=True, slots=True)
class Question:
    """One call: it answers these fields of GpuSample, in their units, together."""

    fields: tuple[str, ...]
    ask: Callable[[Nvml, Handle], Sequence[Any]]


def _given(value: float, per: int = 1) -> float | None:
    """In a unit of which there are `per` in the sample's."""
    return None if value in NVML_NOT_AVAILABLE else value / per


def _utilization(nvml: Nvml, gpu: Handle) -> Sequence[Any]:
    rates = nvml.nvmlDeviceGetUtilizationRates(gpu)
    return _given(rates.gpu, 100), _given(rates.memory, 100)


def _memory(nvml: Nvml, gpu: Handle) -> Sequence[Any]:
    # Version 2 leaves what the driver reserves for itself out of `used`, as nvidia-smi and DCGM do.
    info = nvml.nvmlDeviceGetMemoryInfo(gpu, nvml.nvmlMemory_v2)
    return _given(info.used), _given(info.total)


def _power(nvml: Nvml, gpu: Handle) -> Sequence[Any]:
    # Milliwatts, on Ampere and later the mean of the last second.
    return (_given(nvml.nvmlDeviceGetPowerUsage(gpu), 1000),)


def _power_limit(nvml: Nvml, gpu: Handle) -> Sequence[Any]:
    return (_given(nvml.nvmlDeviceGetEnforcedPowerLimit(gpu), 1000),)


def _energy(nvml: Nvml, gpu: Handle) -> Sequence[Any]:
    # Millijoules since the driver was loaded.
    return (_given(nvml.nvmlDeviceGetTotalEnergyConsumption(gpu), 1000),)


def _sm_clock(nvml: Nvml, gpu: Handle) -> Sequence[Any]:
    return (_given(nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM)),)


def _memory_clock(nvml: Nvml, gpu: Handle) -> Sequence[Any]:
    return (_given(nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM)),)


def _temperature(nvml: Nvml, gpu: Handle) -> Sequence[Any]:
    return (_given(nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)),)


def _memory_temperature(nvml: Nvml, gpu: Handle) -> Sequence[Any]:
    (field,) = nvml.nvmlDeviceGetFieldValues(gpu, [_MEMORY_TEMPERATURE])
    if field.nvmlReturn != nvml.NVML_SUCCESS:
        raise nvml.NVMLError(field.nvmlReturn)
    return (_given(field.value.uiVal),)


def _throttle(nvml: Nvml, gpu: Handle) -> Sequence[Any]:
    try:
        bits = nvml.nvmlDeviceGetCurrentClocksEventReasons(gpu)
    except nvml.NVMLError as error:
        if error.value != nvml.NVML_ERROR_FUNCTION_NOT_FOUND:
            raise
        # Its name before driver 535.
        bits = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)
    return (throttle_words(bits),)


def throttle_words(bits: int) -> tuple[str, ...]:
    """The limits that hold, of THROTTLE_REASONS. DCGM gives the same bits."""
    return tuple(word for bit, word in _THROTTLE.items() if bits & bit)


OF_A_GPU = (
    Question(("gpu_utilization", "memory_utilization"), _utilization),
    Question(("memory_used_bytes", "memory_total_bytes"), _memory),
    Question(("power_w",), _power),
    Question(("power_limit_w",), _power_limit),
    Question(("energy_j",), _energy),
    Question(("sm_clock_mhz",), _sm_clock),
    Question(("memory_clock_mhz",), _memory_clock),
    Question(("temperature_c",), _temperature),
    Question(("memory_temperature_c",), _memory_temperature),
    Question(("throttle",), _throttle),
)
# A MIG instance has no power, clock or temperature of its own, and NVML no utilisation for it.
OF_AN_INSTANCE = (Question(("memory_used_bytes", "memory_total_bytes"), _memory),)


def answers(
    nvml: Nvml, handle: Handle, questions: Sequence[Question], faults: Faults, where: str
) -> dict[str, float | tuple[str, ...] | None]:
    """By field of GpuSample. What NVML does not tell is absent and a fault. Raises NVMLError if the whole GPU is gone."""
    found: dict[str, float | tuple[str, ...] | None] = {}
    for question in questions:
        try:
            found |= zip(question.fields, question.ask(nvml, handle), strict=True)
        except nvml.NVMLError as error:
            if is_gone(nvml, error):
                raise
            faults.add(f"{', '.join(question.fields)}: {error}", where)
    return found


def is_gone(nvml: Nvml, error: Any) -> bool:
    """Whether asking this GPU anything else is in vain."""
    return error.value in {
        nvml.NVML_ERROR_GPU_IS_LOST,
        nvml.NVML_ERROR_RESET_REQUIRED,
        nvml.NVML_ERROR_UNINITIALIZED,
        nvml.NVML_ERROR_DRIVER_NOT_LOADED,
        nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
    }
