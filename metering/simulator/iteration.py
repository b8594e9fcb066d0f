"""The roofline of one iteration (forward pass) of each engine: how long it takes, what it draws, and how fast a power cap lets it run.

An iteration reads the weights once (of a mixture of experts, those that some token of it chose) and the KV cache of every sequence that
decodes, and multiplies every token with the active parameters; it takes as long as the slower of the two, and an overhead. Clocks slow
compute and not memory. Power = idle + bytes + (active + operations) with the clock squared, which is what voltage that falls with the
clock gives (assumption: exponent 2).
"""

from dataclasses import dataclass

import numpy as np

from metering.simulator.engines import Engines
from metering.simulator.hardware import ACTIVE_W, BYTE_J, SEQUENCE_S
from metering.simulator.pool import Flags, Floats

_CLOCK_STEPS = 4  # of a fixed point that converges in two or three


@dataclass(frozen=True)
class Batch:
    """What is in an iteration of every engine. `context` is the sum over the decoding sequences, `chunk_context` a mean."""

    decoding: Floats  # sequences, one token each
    context: Floats  # tokens
    chunk: Floats  # prompt tokens
    chunk_context: Floats  # tokens that a prompt token attends to


@dataclass(frozen=True)
class Iteration:
    seconds: Floats
    weight_bytes: Floats
    clock: Floats  # share of the highest
    capped: Flags  # the power cap holds it down


def iteration(engines: Engines, batch: Batch, slowness: Floats, cap_w: Floats, highest_clock: Floats) -> Iteration:
    """At the highest clock that the temperature (`highest_clock`) and the cap in watts per engine allow."""
    weight_bytes = _weight_bytes(engines, batch)
    clock = highest_clock
    seconds = _seconds(engines, batch, weight_bytes, slowness, clock)
    above_idle_w = cap_w - engines.idle_w
    bytes_j, operations_j = _joules(engines, batch, weight_bytes)
    if (_core_w(engines, operations_j, seconds, clock) + bytes_j / seconds > above_idle_w).any():
        for _ in range(_CLOCK_STEPS):
            allowed_w = np.maximum(above_idle_w - bytes_j / seconds, 1.0)
            core_w = _core_w(engines, operations_j, seconds, clock)
            clock = np.clip(clock * np.sqrt(allowed_w / core_w), engines.lowest_clock, highest_clock)
            seconds = _seconds(engines, batch, weight_bytes, slowness, clock)
    return Iteration(seconds, weight_bytes, clock, clock < highest_clock - 1e-3)


def iteration_joules(engines: Engines, batch: Batch, step: Iteration) -> Floats:
    """Of one iteration, the idle baseline included."""
    bytes_j, operations_j = _joules(engines, batch, step.weight_bytes)
    core_w = _core_w(engines, operations_j, step.seconds, step.clock)
    joules: Floats = bytes_j + (engines.idle_w + core_w) * step.seconds
    return joules


def _weight_bytes(engines: Engines, batch: Batch) -> Floats:
    chosen = 1 - engines.passed_by ** (batch.decoding + batch.chunk)
    return engines.dense_bytes + engines.expert_bytes * chosen


def _seconds(engines: Engines, batch: Batch, weight_bytes: Floats, slowness: Floats, clock: Floats) -> Floats:
    memory_s = (weight_bytes + engines.kv_bytes * batch.context) / engines.bandwidth
    flops = engines.token_flops * (batch.decoding + batch.chunk)
    flops = flops + engines.attention_flops * batch.chunk * batch.chunk_context
    compute_s = flops / (engines.flops * clock)
    return slowness * (engines.overhead_s + SEQUENCE_S * batch.decoding + np.maximum(memory_s, compute_s))


def _joules(engines: Engines, batch: Batch, weight_bytes: Floats) -> tuple[Floats, Floats]:
    """Of an iteration at full clock: for bytes, and for operations."""
    prefill_flops = batch.chunk * (engines.token_flops + engines.attention_flops * batch.chunk_context)
    return (
        BYTE_J * (weight_bytes + engines.kv_bytes * batch.context),
        engines.prefill_flop_j * prefill_flops + engines.decode_token_j * batch.decoding,
    )


def _core_w(engines: Engines, operations_j: Floats, seconds: Floats, clock: Floats) -> Floats:
    """What scales with the clock: ACTIVE_W with its square, an operation's energy with the clock itself (and their rate once more)."""
    return ACTIVE_W * engines.gpus * clock**2 + operations_j * clock / seconds
