"""All engines of the fleet as arrays: what they are made of, and the limits that the script may move."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metering.simulator.hardware import (
    BANDWIDTH_EFFICIENCY,
    COMPUTE_EFFICIENCY,
    DECODE_FLOP_J,
    FP8_FLOP,
    PREFILL_FLOP_J,
    TOKEN_J,
)
from metering.simulator.models import ModelShape
from metering.simulator.plan import EngineSetup, NodeSetup, Plan
from metering.simulator.pool import Flags, Floats, Ints
from metering.simulator.script import Change


@dataclass(frozen=True)
class EngineName:
    """Which engine a position of the arrays is."""

    node: NodeSetup
    setup: EngineSetup
    node_index: int

    @property
    def gpu_uuids(self) -> tuple[str, ...]:
        return tuple(self.node.gpu_uuid(gpu) for gpu in self.setup.gpus)

    @property
    def names(self) -> tuple[str, ...]:
        """By which a change may be about it."""
        return (f"{self.node.name}/{self.setup.name}", self.node.name, self.setup.model.name)


class Engines:
    """Constant: one position per engine, in the order of the plan's nodes. Quantities are of the engine's GPUs together."""

    def __init__(self, plan: Plan) -> None:
        self.names = tuple(
            EngineName(node, setup, index) for index, node in enumerate(plan.nodes) for setup in node.engines
        )
        self.nodes, self.count = plan.nodes, len(self.names)
        models = [model.name for model in plan.models]
        self.model = np.array([models.index(name.setup.model.name) for name in self.names], dtype=np.int64)
        self.node = np.array([name.node_index for name in self.names], dtype=np.int64)
        self.gpus = self._of(lambda node, setup: len(setup.gpus))
        self.idle_w = self._of(lambda node, setup: node.product.idle_w * len(setup.gpus))
        self.bare_idle_w = self._of(lambda node, setup: node.product.bare_idle_w * len(setup.gpus))
        self.peak_flops = self._of(lambda node, setup: _peak_flops(node, setup) * len(setup.gpus))
        self.peak_bandwidth = self._of(lambda node, setup: node.product.memory_bandwidth * len(setup.gpus))
        self.flops = self.peak_flops * COMPUTE_EFFICIENCY * self._model(lambda model: model.compute_efficiency)
        self.bandwidth = self.peak_bandwidth * BANDWIDTH_EFFICIENCY
        self.overhead_s = self._model(lambda model: model.step_overhead_s)
        self.dense_bytes = self._model(lambda model: model.dense_parameters * model.weight_bytes)
        self.expert_bytes = self._model(lambda model: model.expert_parameters * model.weight_bytes)
        # The chance that one token passes an expert by, if tokens choose as they please.
        self.passed_by = self._model(lambda model: 1 - model.experts_used / model.experts)
        self.token_flops = self._model(lambda model: 2 * model.active_parameters)
        narrow = self._model(lambda model: FP8_FLOP if model.weight_bytes == 1 else 1.0)
        self.prefill_flop_j = PREFILL_FLOP_J * narrow
        self.decode_token_j = DECODE_FLOP_J * narrow * self.token_flops + TOKEN_J  # operations of an output token
        # Scores and weighted sum: 2 x 2 FLOPs per layer, number of the attention's width, and token attended to.
        self.attention_flops = self._model(lambda model: 4.0 * model.layers * model.attention_width)
        self.kv_bytes = self._of(lambda node, setup: setup.model.kv_bytes_per_token(len(setup.gpus)))
        self.kv_tokens = self._of(lambda node, setup: setup.kv_capacity(node.product))
        self.batched_tokens = self._of(lambda node, setup: setup.batched_tokens)
        self.max_sequences = self._of(lambda node, setup: setup.max_sequences)
        self.power_limit_w = self._of(lambda node, setup: node.product.power_limit_w)  # of one GPU
        self.lowest_limit_w = self._of(lambda node, setup: node.product.lowest_limit_w)
        self.lowest_clock = self._of(lambda node, setup: node.product.idle_clock_mhz / node.product.max_clock_mhz)

    def _of(self, value: Callable[[NodeSetup, EngineSetup], float]) -> Floats:
        return np.array([value(name.node, name.setup) for name in self.names], dtype=np.float64)

    def _model(self, value: Callable[[ModelShape], float]) -> Floats:
        return np.array([value(name.setup.model) for name in self.names], dtype=np.float64)


class Limits:
    """What holds at the moment. `apply` sets it from the changes of the script that hold."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self.kv_tokens: Floats
        self.max_sequences: Floats
        self.power_cap_w: Floats  # of one GPU
        self.slowness: Floats  # factor on the time of an iteration
        self.up: Flags
        self.node_up: Flags  # per node
        self.cooling: Floats  # per node: factor on degrees per watt
        self.aborted: float
        self.apply((), aborted=0.0)

    def apply(self, holding: tuple[Change, ...], *, aborted: float) -> None:
        engines = self._engines
        self.kv_tokens, self.max_sequences = engines.kv_tokens.copy(), engines.max_sequences.copy()
        self.power_cap_w, self.slowness = engines.power_limit_w.copy(), np.ones(engines.count)
        self.up, self.node_up = np.ones(engines.count, dtype=np.bool_), np.ones(len(engines.nodes), dtype=np.bool_)
        self.cooling, self.aborted = np.ones(len(engines.nodes)), aborted
        for change in holding:
            self._hold(change, self._about(change))

    def _hold(self, change: Change, about: Ints) -> None:
        match change.kind:
            case "power_cap":
                lowest, highest = self._engines.lowest_limit_w[about], self._engines.power_limit_w[about]
                self.power_cap_w[about] = np.clip(change.value, lowest, highest)  # as the driver does
            case "model_slowed":
                self.slowness[about] *= change.value
            case "kv_capacity":
                self.kv_tokens[about] *= change.value
            case "max_sequences":
                self.max_sequences[about] = max(round(change.value), 1)
            case "engine_restart":
                self.up[about] = False
            case "node_lost":
                self.up[about] = False
                self.node_up[self._nodes(change)] = False
            case "cooling":
                self.cooling[self._nodes(change)] *= change.value
            case "aborted":
                self.aborted = change.value
            case _:  # the traffic's business
                pass

    @property
    def idle_w(self) -> Floats:
        """Of each engine's GPUs when no request runs: less without the engine's process, nothing without the node."""
        engines = self._engines
        powered = np.where(self.up, engines.idle_w, engines.bare_idle_w)
        return np.where(self.node_up[engines.node], powered, 0.0)

    def _nodes(self, change: Change) -> Ints:
        return np.array(
            [index for index, node in enumerate(self._engines.nodes) if change.is_about(node.name)], dtype=np.int64
        )

    def _about(self, change: Change) -> Ints:
        return np.array(
            [index for index, name in enumerate(self._engines.names) if change.is_about(*name.names)], dtype=np.int64
        )


def _peak_flops(node: NodeSetup, setup: EngineSetup) -> float:
    return node.product.fp8_flops if setup.model.weight_bytes == 1 else node.product.bf16_flops
