"""Which numbers are measurements: what a source gives as "no value" is None, and what cannot be is left out and told.

The limits are those of the server (metering/ingest/telemetry_fields.py), which refuses a whole sample for one number beyond them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# "No value" as DCGM writes it (dcgm_structs.h): blank, not found, not supported, not permitted, of 32-bit, double and 64-bit values.
_BLANK_INT32 = frozenset(0x7FFFFFF0 + step for step in range(4))
_BLANK_DOUBLE = 2.0**47  # and what follows; the 64-bit ones (9223372036854775792 to ...795) lie above it too
# As NVML writes it (nvml.h): NVML_VALUE_NOT_AVAILABLE, -1 as an unsigned number of 32 or 64 bits.
NVML_NOT_AVAILABLE = frozenset((0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF))


@dataclass(frozen=True, slots=True)
class Limits:
    most: float
    least: float = 0.0
    whole: bool = False


# GPM and DCGM average over their interval and may end a rounding above 1.
SHARE = Limits(1.001)
POWER_W = Limits(10_000.0)
ENERGY_J = Limits(1e13)  # 10 kW for 31 years
BYTES = Limits(2.0**46, whole=True)
CLOCK_MHZ = Limits(100_000, whole=True)
TEMPERATURE_C = Limits(200.0, least=-50.0)
REQUESTS = Limits(1e6)
SECONDS = Limits(1e12)
COUNTER = Limits(2.0**63 - 2**10, whole=True)

GPU_LIMITS: Mapping[str, Limits] = {
    "gpu_utilization": SHARE,
    "memory_utilization": SHARE,
    "sm_active": SHARE,
    "sm_occupancy": SHARE,
    "tensor_active": SHARE,
    "dram_active": SHARE,
    "memory_used_bytes": BYTES,
    "memory_total_bytes": BYTES,
    "power_w": POWER_W,
    "power_limit_w": POWER_W,
    "energy_j": ENERGY_J,
    "sm_clock_mhz": CLOCK_MHZ,
    "memory_clock_mhz": CLOCK_MHZ,
    "temperature_c": TEMPERATURE_C,
    "memory_temperature_c": TEMPERATURE_C,
    "xid_errors": Limits(1e9, whole=True),
    "xid_last": Limits(2**16 - 1, whole=True),
}


def is_blank(value: float) -> bool:
    """Whether DCGM means "no value" by it. NaN is not blank: it is a fault.

    An energy counter passes through the four 32-bit ones, for an instant in a lifetime: one reading without it harms nobody.
    """
    return value in _BLANK_INT32 or value >= _BLANK_DOUBLE


def wrong_with(value: float, limits: Limits) -> str | None:
    """Why a number is no measurement, in words without the number (so that the same fault reads the same); None if it is one."""
    if math.isnan(value):
        return "not a number"
    if value < limits.least:
        return "negative" if limits.least == 0 else "too low to be true"
    if value > limits.most:
        return "too high to be true"
    return None


def fitting(value: float, limits: Limits) -> float | int:
    return round(value) if limits.whole else float(value)


def measured(found: Mapping[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    """The readings of a GPU, in the units and types of GpuSample, without what is None or cannot be; `tell` hears of the latter.

    What has no limits (throttle reasons) stays as it is.
    """
    kept: dict[str, Any] = {}
    for name, value in found.items():
        limits = GPU_LIMITS.get(name)
        if value is None or limits is None:
            kept[name] = value
        elif wrong := wrong_with(value, limits):
            tell(f"{name}: {wrong}, left out")
        else:
            kept[name] = fitting(value, limits)
    return {name: value for name, value in kept.items() if value is not None}
