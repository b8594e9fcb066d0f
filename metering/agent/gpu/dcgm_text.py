"""What dcgm-exporter says about GPUs and their MIG instances. Pure: text in, samples out.

Names and units: etc/default-counters.csv and etc/dcp-metrics-included.csv of dcgm-exporter 4, and the bits of DCGM's field
identifiers (dcgm_fields.h). What it does not export by default is read where somebody switched it on.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from metering.agent.exposition import Exposition
from metering.agent.faults import Faults
from metering.agent.gpu.exported import Exported, Key, Metric, by_key, names_of, tell_missing
from metering.agent.gpu.nvml_questions import throttle_words
from metering.agent.gpu.taking import Entity, Taking
from metering.agent.samples import GpuSample

_MIB = 2**20
# Of the GPU as a whole: the exporter repeats them for each of its MIG instances, which have none of their own.
_OF_THE_GPU: Mapping[str, Metric] = {
    "memory_utilization": Metric(("DCGM_FI_DEV_MEM_COPY_UTIL",), per=100),
    "power_w": Metric(("DCGM_FI_DEV_POWER_USAGE",)),
    "power_limit_w": Metric(("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "DCGM_FI_DEV_POWER_MGMT_LIMIT")),
    "energy_j": Metric(("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",), per=1000),
    "sm_clock_mhz": Metric(("DCGM_FI_DEV_SM_CLOCK",)),
    "memory_clock_mhz": Metric(("DCGM_FI_DEV_MEM_CLOCK",)),
    "temperature_c": Metric(("DCGM_FI_DEV_GPU_TEMP",)),
    "memory_temperature_c": Metric(("DCGM_FI_DEV_MEMORY_TEMP",)),
}
_ACTIVITY: Mapping[str, Metric] = {
    "sm_active": Metric(("DCGM_FI_PROF_SM_ACTIVE",)),
    "sm_occupancy": Metric(("DCGM_FI_PROF_SM_OCCUPANCY",)),
    "tensor_active": Metric(("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",)),
    "dram_active": Metric(("DCGM_FI_PROF_DRAM_ACTIVE",)),
}
_UTILIZATION = Metric(("DCGM_FI_DEV_GPU_UTIL",), per=100)
# The share of time in which anything ran on the graphics engine, as GPU_UTIL; the only one of the two that an instance has.
_ENGINE = Metric(("DCGM_FI_PROF_GR_ENGINE_ACTIVE",))
_USED = Metric(("DCGM_FI_DEV_FB_USED",), times=_MIB)
_FREE = Metric(("DCGM_FI_DEV_FB_FREE",), times=_MIB)
_RESERVED = Metric(("DCGM_FI_DEV_FB_RESERVED",), times=_MIB)
_TOTAL = Metric(("DCGM_FI_DEV_FB_TOTAL",), times=_MIB)
# Bits as NVML's; the second is its name before DCGM 3.3.
_THROTTLE = Metric(("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"))
# A gauge that keeps the last code, and from 4.8 on a counter with one series for each code that has occurred.
_XID_LAST = Metric(("DCGM_FI_DEV_XID_ERRORS",))
_XID_TOTAL = "DCGM_EXP_XID_ERRORS_TOTAL"

_EXPECTED: Mapping[str, Metric] = {
    **_OF_THE_GPU,
    **_ACTIVITY,
    "gpu_utilization": Metric((*_UTILIZATION.names, *_ENGINE.names)),
    "memory_used_bytes": _USED,
    "memory_total_bytes": Metric((*_TOTAL.names, *_FREE.names)),
    "throttle": _THROTTLE,
}
_ALSO: Mapping[str, Metric] = {"reserved": _RESERVED, "xid_last": _XID_LAST, "xid_errors": Metric((_XID_TOTAL,))}
WANTED = names_of(_EXPECTED) | names_of(_ALSO)

_UUID_LABELS = ("UUID", "uuid")
_HOST_LABELS = ("Hostname", "hostname")
_INSTANCE_LABEL = "GPU_I_ID"


def samples_of(exposition: Exposition, taking: Taking) -> list[GpuSample]:
    """One per GPU, also where the exporter shows its MIG instances only, and one per instance."""
    tell_missing(exposition, _EXPECTED, taking.faults)
    xids = _xid_counts(exposition)
    found = by_key(exposition, _UUID_LABELS, _INSTANCE_LABEL, taking.faults)
    found = _of_this_host(found, taking.place.node, taking.faults)
    samples = []
    for uuid in dict.fromkeys(key.uuid for key in found):
        own = found.get(Key(uuid))
        parts = [part for key, part in found.items() if key.uuid == uuid and key.instance]
        whole = {**_whole(own, parts), "xid_errors": xids.get(uuid)}
        samples.append(taking.sample(_entity(Key(uuid), (own or parts[0]).labels), whole))
        samples += [
            taking.sample(_entity(key, part.labels), _activity(part) | _memory(part))
            for key, part in found.items()
            if key.uuid == uuid and key.instance
        ]
    return [sample for sample in samples if sample is not None]


def _whole(own: Exported | None, parts: Sequence[Exported]) -> dict[str, Any]:
    """The readings of a GPU. With MIG the exporter may have no series for the GPU itself, but its power stands on each instance."""
    found = _activity(own) | _memory(own) if own else {}
    for exported in [own, *parts] if own else parts:
        for name, value in _physical(exported).items():
            if found.get(name) is None:
                found[name] = value
    return found


def _physical(exported: Exported) -> dict[str, Any]:
    bits = exported.first(_THROTTLE)
    throttle = throttle_words(int(bits)) if bits is not None and bits >= 0 else None
    found = {name: exported.first(metric) for name, metric in _OF_THE_GPU.items()}
    return {**found, "throttle": throttle, "xid_last": exported.first(_XID_LAST)}


def _activity(exported: Exported) -> dict[str, Any]:
    utilization = exported.first(_UTILIZATION)
    found: dict[str, Any] = {name: exported.first(metric) for name, metric in _ACTIVITY.items()}
    return {**found, "gpu_utilization": exported.first(_ENGINE) if utilization is None else utilization}


def _memory(exported: Exported) -> dict[str, Any]:
    """In bytes. Older exporters have no total: it is what is used, free and reserved."""
    used, free, total = exported.first(_USED), exported.first(_FREE), exported.first(_TOTAL)
    if total is None and used is not None and free is not None:
        total = used + free + (exported.first(_RESERVED) or 0.0)
    return {"memory_used_bytes": used, "memory_total_bytes": total}


def _of_this_host(found: dict[Key, Exported], node: str, faults: Faults) -> dict[Key, Exported]:
    """An exporter knows one host, whatever it calls it. A text of several (a federation) is taken for this node only."""
    hosts = {_host(exported) for exported in found.values()}
    if len(hosts) <= 1:
        return found
    faults.add(f"the text is of {len(hosts)} hosts: only GPUs of {node} are taken")
    return {key: exported for key, exported in found.items() if _host(exported) == node}


def _host(exported: Exported) -> str:
    return next((exported.labels[label] for label in _HOST_LABELS if label in exported.labels), "")


def _xid_counts(exposition: Exposition) -> dict[str, float]:
    """By UUID, over all codes; the codes of a GPU's instances are the GPU's. Empty if the exporter does not count."""
    counts: dict[str, float] = {}
    for labels, value in exposition.series.get(_XID_TOTAL, ()):
        uuid = labels.get("UUID") or labels.get("uuid") or ""
        counts[uuid] = counts.get(uuid, 0.0) + value
    return counts


def _entity(key: Key, labels: Mapping[str, str]) -> Entity:
    index = labels.get("gpu", "")
    name = labels.get("modelName", "")
    return Entity(
        key.uuid,
        int(index) if index.isdigit() else None,
        # The exporter reads GPU instances and not compute instances: the number is that of the first compute instance in it.
        f"{key.instance}/0" if key.instance else "",
        f"{name} MIG {labels.get('GPU_I_PROFILE', '')}".strip() if key.instance else name,
    )
