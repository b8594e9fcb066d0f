"""A node's GPUs as a source of the agent: what NVML would tell of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metering.agent.samples import GpuSample
from metering.agent.sources import Place
from metering.simulator.boards import Integrals
from metering.simulator.fleet import Fleet
from metering.simulator.hardware import GpuProduct
from metering.simulator.pool import Flags, Floats

_LOADED_SHARE = 0.93  # of a GPU's memory, once an engine has taken its part (assumption: 0.9 and what lies beside it)
_BARE_BYTES = 600 * 1024**2


@dataclass(frozen=True)
class _Shares:
    """Means since the read before, per GPU of the node."""

    busy: Floats
    sm: Floats
    tensor: Floats
    dram: Floats


class SimulatedGpus:
    """Reads the present of the fleet; the caller has brought it to `at_ms`. A node that is off has no samples."""

    def __init__(self, fleet: Fleet, node: int, place: Place) -> None:
        self._fleet, self._node, self._place = fleet, node, place
        self._setup = fleet.plan.nodes[node]
        self._uuids = [self._setup.gpu_uuid(index) for index in range(self._setup.gpus)]
        self._before = fleet.boards.integrals(node)
        self._problems: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"simulator {self._setup.name}"

    def read(self, at_ms: int) -> Sequence[GpuSample]:
        now = self._fleet.boards.integrals(self._node)
        shares, self._before = _means(self._before, now), now
        if not self._fleet.limits.node_up[self._node]:
            self._problems = ("the node is off",)
            return ()
        self._problems = ()
        heat = self._fleet.boards.heat()
        return [self._sample(index, at_ms, shares, heat) for index in range(self._setup.gpus)]

    def problems(self) -> Sequence[str]:
        return self._problems

    def close(self) -> None:
        """Nothing is held."""

    def _sample(self, index: int, at_ms: int, shares: _Shares, heat: tuple[Flags, Flags]) -> GpuSample:
        boards, product = self._fleet.boards, self._setup.product
        gpu = int(boards.first_of_node[self._node]) + index
        engine = int(boards.engine[gpu])
        loaded = engine < self._fleet.engines.count and bool(self._fleet.limits.up[engine])
        return GpuSample(
            time=at_ms,
            node=self._place.node,
            region=self._place.region,
            cluster=self._place.cluster,
            gpu=self._uuids[index],
            source="simulator",
            simulated=True,
            index=index,
            name=product.name,
            gpu_utilization=float(shares.busy[index]),
            sm_active=float(shares.sm[index]),
            tensor_active=float(shares.tensor[index]),
            dram_active=float(shares.dram[index]),
            memory_used_bytes=int(product.memory_bytes * _LOADED_SHARE) if loaded else _BARE_BYTES,
            memory_total_bytes=product.memory_bytes,
            power_w=round(float(boards.power_w[gpu]), 3),
            power_limit_w=self._limit_w(engine, product),
            energy_j=round(float(boards.energy_j[gpu]), 3),  # NVML counts millijoules
            sm_clock_mhz=round(product.max_clock_mhz * float(boards.clock[engine]))
            if loaded
            else product.idle_clock_mhz,
            memory_clock_mhz=product.memory_clock_mhz,
            temperature_c=round(float(boards.temperature_c[gpu])),
            throttle=_throttle(bool(boards.capped[engine]), bool(heat[0][gpu]), bool(heat[1][gpu])),
            xid_errors=0,
            xid_last=0,
        )

    def _limit_w(self, engine: int, product: GpuProduct) -> float:
        has_engine = engine < self._fleet.engines.count
        return float(self._fleet.limits.power_cap_w[engine]) if has_engine else product.power_limit_w


def _throttle(by_cap: bool, by_software: bool, by_hardware: bool) -> tuple[str, ...]:
    holds = {
        "sw_power_cap": by_cap,
        "sw_thermal": by_software,
        "hw_thermal": by_hardware,
        "hw_slowdown": by_hardware,
    }
    return tuple(reason for reason, held in holds.items() if held)


def _means(before: Integrals, now: Integrals) -> _Shares:
    seconds = max(now.seconds - before.seconds, 1e-9)
    pairs = ((before.busy, now.busy), (before.sm, now.sm), (before.tensor, now.tensor), (before.dram, now.dram))
    return _Shares(*(np.clip((late - early) / seconds, 0, 1).round(5) for early, late in pairs))
