"""What nvidia-smi says about GPUs and their MIG instances. Pure: its output in, samples out.

Tags and captions of drivers 470 to 590, the newest first. It tells no energy and no activity of SMs, tensor cores and memory.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metering.agent.faults import Faults
from metering.agent.gpu.smi_tree import Node, gpus
from metering.agent.gpu.taking import Entity, Taking
from metering.agent.samples import GpuSample

_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?|nan|inf|-inf)\s*(\S*)")
# What it writes where a GPU does not have a reading, with or without brackets.
_NOTHING = frozenset(("", "N/A", "Not Supported", "Requested functionality has been deprecated"))
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class _Reading:
    unit: str
    paths: tuple[str, ...]


_POWER = ("gpu_power_readings", "power_readings")
_MEMORY: Mapping[str, _Reading] = {
    "memory_used_bytes": _Reading("MiB", ("fb_memory_usage/used", "shared_fb_memory_usage/used")),
    "memory_total_bytes": _Reading("MiB", ("fb_memory_usage/total", "shared_fb_memory_usage/total")),
}
_OF_THE_GPU: Mapping[str, _Reading] = {
    **_MEMORY,
    "gpu_utilization": _Reading("%", ("utilization/gpu_util", "utilization/gpu")),
    "memory_utilization": _Reading("%", ("utilization/memory_util", "utilization/memory")),
    # The mean of the last second before the instant, as NVML's power is.
    "power_w": _Reading(
        "W",
        tuple(
            f"{node}/{name}"
            for node in _POWER
            for name in ("average_power_draw", "power_draw", "instant_power_draw", "instantaneous_power_draw")
        ),
    ),
    "power_limit_w": _Reading(
        "W",
        tuple(
            f"{node}/{name}"
            for node in _POWER
            for name in ("current_power_limit", "enforced_power_limit", "power_limit")
        ),
    ),
    "sm_clock_mhz": _Reading("MHz", ("clocks/sm_clock", "clocks/sm")),
    "memory_clock_mhz": _Reading("MHz", ("clocks/mem_clock", "clocks/memory")),
    "temperature_c": _Reading("C", ("temperature/gpu_temp", "temperature/gpu_current_temp")),
    "memory_temperature_c": _Reading("C", ("temperature/memory_temp", "temperature/memory_current_temp")),
}
_THROTTLE_NODES = ("clocks_event_reasons", "clocks_throttle_reasons")
# By the end of the name: XML has `clocks_event_reason_` before it.
_THROTTLE = {
    "sw_power_cap": "sw_power_cap",
    "hw_slowdown": "hw_slowdown",
    "sw_thermal_slowdown": "sw_thermal",
    "hw_thermal_slowdown": "hw_thermal",
    "hw_power_brake_slowdown": "power_brake",
}


def samples_of(text: str, taking: Taking) -> list[GpuSample]:
    """Raises ValueError if the text is not what `nvidia-smi -q` says, with or without `-x`."""
    samples: list[GpuSample | None] = []
    for index, node in enumerate(gpus(text)):
        uuid = node.value("uuid") or node.value("gpu_uuid") or ""
        if uuid in _NOTHING:
            taking.faults.add("cannot be read: it has no UUID", f"GPU {index}")
            continue
        gpu = Entity(uuid, index, name=node.value("product_name") or "")
        found = _readings(node, _OF_THE_GPU, gpu, taking.faults)
        samples.append(taking.sample(gpu, {**found, "throttle": _throttle(node)}))
        for part in _instances(node):
            mig = f"{part.value('gpu_instance_id')}/{part.value('compute_instance_id')}"
            instance = Entity(uuid, index, mig, f"{gpu.name} MIG")
            samples.append(taking.sample(instance, _readings(part, _MEMORY, instance, taking.faults)))
    return [sample for sample in samples if sample is not None]


def _instances(node: Node) -> Sequence[Node]:
    """XML puts them in a node of their own."""
    (parent,) = node.nodes.get("mig_devices", [node])[:1]
    return parent.nodes.get("mig_device", ())


def _readings(node: Node, readings: Mapping[str, _Reading], entity: Entity, faults: Faults) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, reading in readings.items():
        written = (node.value(path) for path in reading.paths)
        first = next((value for value in written if value is not None and value.strip("[]") not in _NOTHING), None)
        try:
            found[name] = None if first is None else _number(first, reading.unit)
        except ValueError:
            faults.add(f"{name}: nvidia-smi says {first!r}", entity.called)
    return found


def _number(written: str, unit: str) -> float:
    """In the unit of GpuSample. Raises ValueError for words (`GPU is lost`, `Unknown Error`) and for another unit."""
    match = _NUMBER.fullmatch(written)
    if match is None or match[2] != unit:
        raise ValueError(written)
    value = float(match[1])
    return value / 100 if unit == "%" else value * _MIB if unit == "MiB" else value


def _throttle(node: Node) -> tuple[str, ...] | None:
    """None where it tells no reason, active or not."""
    found = next((nodes[0] for name in _THROTTLE_NODES if (nodes := node.nodes.get(name))), None)
    if found is None:
        return None
    told = dict(found.values)
    for below in found.nodes.values():  # text has two of the reasons below HW Slowdown
        told |= below[0].values
    states = {word: state for name, state in told.items() for end, word in _THROTTLE.items() if _is(name, end)}
    if not any(state in {"Active", "Not Active"} for state in states.values()):
        return None
    return tuple(word for word in _THROTTLE.values() if states.get(word) == "Active")


def _is(name: str, end: str) -> bool:
    return name == end or name.endswith(f"_reason_{end}")
