"""GPUs as text: the rows of their table. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard import formats
from dashboard.operator.filters import Filters
from dashboard.operator.fleet_links import gpu_link
from dashboard.operator.fleet_shown import STALE, UNFILTERED
from metering.public import GpuState

MOST_LISTED = 64
HOT_C = 85.0  # NVIDIA's data-centre GPUs begin to clock down a few degrees above
THROTTLES = {
    "sw_power_cap": "power cap",
    "hw_slowdown": "hardware slowdown",
    "sw_thermal": "heat",
    "hw_thermal": "heat (hardware)",
    "power_brake": "power brake",
}


@dataclass(frozen=True)
class GpuRow:
    """`title`: all of what it is called; `why`: what is the matter with it. Activities are shares of the time, `power` of its limit."""

    node: str
    label: str
    link: str
    why: tuple[str, ...]
    title: str
    product: str
    simulated: bool
    sm: str
    tensor: str
    dram: str
    any_kernel: str
    memory: str
    memory_share: str
    power: str
    power_share: str
    temperature: str
    memory_temperature: str
    sm_clock: str
    memory_clock: str
    throttle: str
    throttled: bool
    xid: str
    has_xid: bool
    seen: str
    stale: bool


def gpu_rows(gpus: Sequence[GpuState], now: datetime, filters: Filters = UNFILTERED) -> list[GpuRow]:
    """At most MOST_LISTED, those that need a look first if there are more; by node and index."""
    chosen = set(sorted(range(len(gpus)), key=lambda at: (not needs_a_look(gpus[at], now), at))[:MOST_LISTED])
    return [_row(one, now, filters) for at, one in enumerate(gpus) if at in chosen]


def needs_a_look(one: GpuState, now: datetime) -> bool:
    return bool(_why(one, now))


def _why(one: GpuState, now: datetime) -> tuple[str, ...]:
    found = []
    if now - one.at > STALE:
        found.append(f"no sample for {formats.span(now - one.at)}")
    if one.throttle:
        found.append(f"throttled: {', '.join(THROTTLES.get(name, formats.words(name)) for name in one.throttle)}")
    if one.xid_errors:
        found.append(f"XID errors: {_xid(one)}")
    if one.temperature_c is not None and one.temperature_c >= HOT_C:
        found.append(f"hot: {one.temperature_c:.0f} °C")
    return tuple(found)


def _row(one: GpuState, now: datetime, filters: Filters) -> GpuRow:
    throttle = [THROTTLES.get(reason, formats.words(reason)) for reason in one.throttle or ()]
    return GpuRow(
        node=one.node,
        label=(formats.NOTHING if one.index is None else str(one.index)) + (f" MIG {one.mig}" if one.mig else ""),
        link=gpu_link(one.node, one.gpu, filters),
        why=_why(one, now),
        title=f"{one.gpu}, read by {one.source}",
        product=one.name or formats.NOTHING,
        simulated=one.simulated,
        sm=_share(one.sm_active),
        tensor=_share(one.tensor_active),
        dram=_share(one.dram_active),
        any_kernel=_share(one.gpu_utilization),
        memory=_gib(one.memory_used_bytes),
        memory_share=_of(one.memory_used_bytes, one.memory_total_bytes),
        power=_number(one.power_w),
        power_share=_of(one.power_w, one.power_limit_w),
        temperature=_number(one.temperature_c),
        memory_temperature=_number(one.memory_temperature_c),
        sm_clock=formats.whole(one.sm_clock_mhz),
        memory_clock=formats.whole(one.memory_clock_mhz),
        throttle=", ".join(throttle) or ("none" if one.throttle is not None else formats.NOTHING),
        throttled=bool(throttle),
        xid=_xid(one),
        has_xid=bool(one.xid_errors),
        seen=f"{formats.span(now - one.at)} ago",
        stale=now - one.at > STALE,
    )


def _share(value: float | None) -> str:
    return formats.NOTHING if value is None else f"{value * 100:.0f} %"


def _of(part: float | None, whole: float | None) -> str:
    return formats.NOTHING if part is None or not whole else f"{part / whole * 100:.0f} %"


def _gib(count: int | None) -> str:
    return formats.NOTHING if count is None else f"{count / 2**30:.1f}"


def _number(value: float | None) -> str:
    return formats.NOTHING if value is None else f"{value:,.0f}"


def _xid(one: GpuState) -> str:
    if one.xid_errors is None:
        return formats.NOTHING
    return f"{one.xid_errors:,} (last: {one.xid_last})" if one.xid_errors and one.xid_last else f"{one.xid_errors:,}"
