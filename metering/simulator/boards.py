"""The GPUs: energy counters, temperature, clocks, activity. Follows what the engines burn, and says how far heat lets the clocks go."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from metering.simulator.burning import Burned
from metering.simulator.engines import Engines, Limits
from metering.simulator.hardware import MAX_OPERATING_C, SLOWDOWN_C, THERMAL_TIME_S
from metering.simulator.plan import Plan
from metering.simulator.pool import Flags, Floats
from metering.simulator.progress import Tick

_SPREAD = 0.02  # standard deviation of the power above idle from board to board (assumption)
_POWER_S = 1.0  # NVML's power reading is the mean of a second (nvidia-smi's help on power.draw)
_CLOCK_PER_C_S = (
    0.01  # how fast software lowers and raises the clocks around the highest operating temperature (assumption)
)
_HARDWARE_CLOCK = 0.5  # hardware slowdown: "core clocks by a factor of 2 or more" (nvidia-smi's help)
_LOWEST_CLOCK = 0.17
_MOST_TRIM = 0.8


@dataclass(frozen=True)
class Integrals:
    """Seconds of activity since the run began, per GPU."""

    seconds: float
    busy: Floats
    sm: Floats
    tensor: Floats
    dram: Floats


class Boards:
    """One position per GPU, nodes in the plan's order. A GPU without an engine is of engine number `engines.count`."""

    def __init__(self, plan: Plan, engines: Engines) -> None:
        rng = np.random.Generator(np.random.PCG64([plan.seed, 0xB0A2D]))
        self._engines = engines
        self.first_of_node = np.concatenate([[0], np.cumsum([node.gpus for node in plan.nodes])])
        count = int(self.first_of_node[-1])
        self.node = np.repeat(np.arange(len(plan.nodes)), [node.gpus for node in plan.nodes])
        self.engine = np.full(count, engines.count, dtype=np.int64)
        for index, name in enumerate(engines.names):
            self.engine[self.first_of_node[name.node_index] + np.array(name.setup.gpus)] = index
        self._share = self._shares(1 + _SPREAD * rng.standard_normal(count))
        products = [node.product for node in plan.nodes]
        self._idle_w = np.array([product.idle_w for product in products])[self.node]
        self._bare_w = np.array([product.bare_idle_w for product in products])[self.node]
        self._cool_c = np.array([product.cool_c for product in products])[self.node]
        self._c_per_w = np.array([product.c_per_w for product in products])[self.node]
        self.energy_j = np.zeros(count)  # the counter: joules since the node was last switched on
        self.burned_j = np.zeros(count)  # the same, never reset
        self.temperature_c = self._cool_c + self._c_per_w * self._bare_w
        self.power_w = np.zeros(count)
        self.clock = np.ones(engines.count + 1)
        self.capped = np.zeros(engines.count + 1, dtype=np.bool_)
        self._heat_limit = np.ones(count)
        self._second: deque[Floats] = deque([self.burned_j.copy()], maxlen=max(round(_POWER_S / plan.tick_s), 1) + 1)
        self._activity = np.zeros((4, engines.count + 1))
        self._seconds = 0.0
        # What the driver does about a load that draws more than was foreseen: it aims lower. Per engine, a factor on the cap.
        self._trim = np.ones(engines.count)
        self._cooling_share = 1 - math.exp(-plan.tick_s / THERMAL_TIME_S)

    def cap_w(self, limits: Limits) -> Floats:
        """Watts that each engine's GPUs may draw together."""
        return limits.power_cap_w * self._engines.gpus * self._trim

    def highest_clock(self) -> Floats:
        """Per engine: the slowest of its GPUs sets the pace."""
        highest = np.ones(self._engines.count + 1)
        if (self._heat_limit < 1).any():
            np.minimum.at(highest, self.engine, self._heat_limit)
        return highest[:-1]

    def advance(self, burned: Burned, limits: Limits, tick: Tick) -> Floats:
        """Takes a tick's joules; returns them per GPU."""
        above = np.append((burned.total_j - limits.idle_w * tick.length_s) / self._engines.gpus, 0.0)
        joules: Floats = self._idle_watts(limits) * tick.length_s + above[self.engine] * self._share
        self.energy_j = self.energy_j + joules
        self.burned_j = self.burned_j + joules
        self._second.append(self.burned_j)
        self.power_w = (self.burned_j - self._second[0]) / (tick.length_s * (len(self._second) - 1))
        self.clock[:-1], self.capped[:-1] = burned.clock, burned.capped
        activity = burned.activity
        self._activity[:, :-1] += tick.length_s * np.stack([activity.busy, activity.sm, activity.tensor, activity.dram])
        self._seconds += tick.length_s
        self._aim(burned, limits, tick)
        self._warm(joules / tick.length_s, limits, tick)
        return joules

    def integrals(self, node: int) -> Integrals:
        of = self.engine[self.first_of_node[node] : self.first_of_node[node + 1]]
        return Integrals(self._seconds, *(row[of] for row in self._activity))

    def heat(self) -> tuple[Flags, Flags]:
        """Which GPUs are held down by software because of heat, and which by hardware."""
        return self._heat_limit < 1, self.temperature_c > SLOWDOWN_C

    def switch_off(self, node: int) -> None:
        """The driver that counted is gone."""
        gpus = slice(self.first_of_node[node], self.first_of_node[node + 1])
        self.energy_j = self.energy_j.copy()
        self.energy_j[gpus] = 0.0

    def _aim(self, burned: Burned, limits: Limits, tick: Tick) -> None:
        busy_s = np.maximum(burned.activity.busy * tick.length_s, 1e-9)
        drawn_w = (burned.total_j - burned.idle_j) / busy_s
        allowed_w = limits.power_cap_w * self._engines.gpus
        self._trim = np.clip(self._trim * np.sqrt(allowed_w / np.maximum(drawn_w, 1.0)), _MOST_TRIM, 1.0)

    def _warm(self, power_w: Floats, limits: Limits, tick: Tick) -> None:
        steady = self._cool_c + self._c_per_w * limits.cooling[self.node] * power_w
        self.temperature_c = self.temperature_c + (steady - self.temperature_c) * self._cooling_share
        margin = MAX_OPERATING_C - self.temperature_c
        if (margin < 0).any() or (self._heat_limit < 1).any():
            moved = self._heat_limit + _CLOCK_PER_C_S * tick.length_s * margin
            moved = np.where(self.temperature_c > SLOWDOWN_C, np.minimum(moved, _HARDWARE_CLOCK), moved)
            self._heat_limit = np.clip(moved, _LOWEST_CLOCK, 1.0)

    def _idle_watts(self, limits: Limits) -> Floats:
        loaded = np.append(limits.up, False)[self.engine]
        return np.where(limits.node_up[self.node], np.where(loaded, self._idle_w, self._bare_w), 0.0)

    def _shares(self, drawn: Floats) -> Floats:
        """What each GPU draws above idle, as a multiple of its group's mean."""
        groups = self._engines.count + 1
        mean = np.bincount(self.engine, drawn, groups) / np.maximum(np.bincount(self.engine, minlength=groups), 1)
        return drawn / mean[self.engine]
