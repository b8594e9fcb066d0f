"""Where the joules of a tick go.

The energy of an iteration is that of the bytes and operations in it, and for its duration the power of being active and of idling. It is
split over the requests in it, baseline included, in two ways, both of which add up to it:
- by work, as TELEMETRY.md means it: each prompt token of it weighs a, each output token b (work.py says which);
- by cause: a request bears its own operations and its own KV cache's bytes, which grow with its context, and for every token of it an equal
  part of the weights' bytes; active power and baseline follow that.
Time in which no request ran is idle: its energy is nobody's. So requests + idle = the counter, by construction; what is attributed from
outside is compared with this.
"""

from dataclasses import dataclass

import numpy as np

from metering.simulator.engines import Engines
from metering.simulator.hardware import ACTIVE_W, BYTE_J
from metering.simulator.iteration import Iteration
from metering.simulator.pool import Flags, Floats, Ints, per_engine
from metering.simulator.progress import Decode, Prefill, Tick
from metering.simulator.work import Weights

# Share of the SMs that have work while kernels run (assumptions): large products fill them, small batches less.
_SM_MIXED, _SM_PURE = 0.95, 0.8


@dataclass(frozen=True)
class Activity:
    """Mean shares of the tick, per engine."""

    busy: Floats
    sm: Floats
    tensor: Floats
    dram: Floats


@dataclass(frozen=True)
class Burned:
    """Joules of the tick: per engine in all and idle, and per request of the pool. `clock` is the time-weighted mean while busy."""

    total_j: Floats
    idle_j: Floats
    request_j: Floats  # by work
    caused_j: Floats  # by cause
    activity: Activity
    clock: Floats
    capped: Flags  # the power cap held clocks down in it


@dataclass(frozen=True)
class _Work:
    """Sums per engine: tokens, joules of operations at full clock, joules of KV bytes; and each request's own part of them."""

    prefill_tokens: Floats
    prefill_j: Floats
    decode_tokens: Floats
    kv_j: Floats
    own_prefill_tokens: Floats
    own_prefill_j: Floats
    own_decode_tokens: Floats
    own_kv_j: Floats


def burn(
    engines: Engines,
    weight: Weights,
    engine: Ints,
    done: tuple[Prefill, Decode],
    kinds: tuple[Iteration, Iteration],
    *,
    busy_s: Floats,
    idle_w: Floats,
    tick: Tick,
) -> Burned:
    """`kinds` are the iterations with prompt and those without; `idle_w` is the power of each engine's GPUs when nothing runs."""
    mixed, pure = kinds
    work = _work(engines, engine, *done)
    mixed_s = np.minimum(done[0].busy_s, busy_s)
    pure_s = np.where(work.decode_tokens > 0, busy_s - mixed_s, 0.0)
    mixed_n, pure_n = mixed_s / mixed.seconds, pure_s / pure.seconds
    in_mixed = mixed_n / np.maximum(
        mixed_n + pure_n, 1e-12
    )  # share of the output tokens that came from iterations with prompt
    weights_j = BYTE_J * mixed_n * mixed.weight_bytes, BYTE_J * pure_n * pure.weight_bytes
    tokens = work.prefill_tokens + in_mixed * work.decode_tokens, (1 - in_mixed) * work.decode_tokens
    decode_op_j = engines.decode_token_j * work.decode_tokens
    active_w = [ACTIVE_W * engines.gpus * kind.clock**2 + idle_w for kind in kinds]
    energy = (
        mixed.clock * (work.prefill_j + in_mixed * decode_op_j)
        + in_mixed * work.kv_j
        + weights_j[0]
        + active_w[0] * mixed_s,
        (1 - in_mixed) * (pure.clock * decode_op_j + work.kv_j) + weights_j[1] + active_w[1] * pure_s,
    )
    shared = (
        work.prefill_j + in_mixed * (decode_op_j + work.kv_j) + weights_j[0],
        (1 - in_mixed) * (decode_op_j + work.kv_j) + weights_j[1],
    )
    per_work = [_ratio(energy[kind], shared[kind]) for kind in (0, 1)]
    per_token = [_ratio(weights_j[kind], tokens[kind]) for kind in (0, 1)]
    idle_j = idle_w * (tick.length_s - mixed_s - pure_s)
    return Burned(
        idle_j + energy[0] + energy[1],
        idle_j,
        _by_work(weight, engine, work, in_mixed, energy),
        _by_cause(engines, engine, work, in_mixed, per_work=per_work, per_token=per_token),
        _activity(
            engines,
            work,
            seconds=(mixed_s, pure_s),
            iterations=(mixed_n, pure_n),
            kinds=kinds,
            busy_s=busy_s,
            tick=tick,
        ),
        (mixed.clock * mixed_s + pure.clock * pure_s + 1e-9) / (mixed_s + pure_s + 1e-9),
        (mixed.capped & (mixed_s > 0)) | (pure.capped & (pure_s > 0)),
    )


def _work(engines: Engines, engine: Ints, prefill: Prefill, decode: Decode) -> _Work:
    count = len(engine)
    own_tokens, own_j, own_out, own_kv = (np.zeros(count) for _ in range(4))
    of = engine[prefill.columns]
    own_tokens[prefill.columns] = prefill.computed
    flops = engines.token_flops[of] + engines.attention_flops[of] * prefill.context
    own_j[prefill.columns] = engines.prefill_flop_j[of] * flops * prefill.computed
    of = engine[decode.columns]
    own_out[decode.columns] = decode.produced
    own_kv[decode.columns] = BYTE_J * engines.kv_bytes[of] * decode.context * decode.produced
    sums = [per_engine(own, engine, engines.count) for own in (own_tokens, own_j, own_out, own_kv)]
    return _Work(sums[0], sums[1], sums[2], sums[3], own_tokens, own_j, own_out, own_kv)


def _by_work(weight: Weights, engine: Ints, work: _Work, in_mixed: Floats, energy: tuple[Floats, Floats]) -> Floats:
    """Per request: its tokens' part of all tokens in each kind of iteration, weighed."""
    mixed = weight.prompt_j * work.prefill_tokens + in_mixed * weight.output_j * work.decode_tokens
    per_j = _ratio(energy[0], mixed)
    per_output = per_j * in_mixed * weight.output_j + _ratio(energy[1], work.decode_tokens)
    joules: Floats = (per_j * weight.prompt_j)[engine] * work.own_prefill_tokens + per_output[
        engine
    ] * work.own_decode_tokens
    return joules


def _by_cause(
    engines: Engines, engine: Ints, work: _Work, in_mixed: Floats, *, per_work: list[Floats], per_token: list[Floats]
) -> Floats:
    """Per request: what it caused in each kind of iteration, times the joules that one joule caused cost there."""
    prompt = work.own_prefill_j + per_token[0][engine] * work.own_prefill_tokens
    output_j = engines.decode_token_j[engine] * work.own_decode_tokens + work.own_kv_j
    share = in_mixed[engine]
    mixed = prompt + share * (output_j + per_token[0][engine] * work.own_decode_tokens)
    pure = (1 - share) * (output_j + per_token[1][engine] * work.own_decode_tokens)
    joules: Floats = per_work[0][engine] * mixed + per_work[1][engine] * pure
    return joules


def _activity(
    engines: Engines,
    work: _Work,
    *,
    seconds: tuple[Floats, Floats],
    iterations: tuple[Floats, Floats],
    kinds: tuple[Iteration, Iteration],
    busy_s: Floats,
    tick: Tick,
) -> Activity:
    flops = work.prefill_j / engines.prefill_flop_j + engines.token_flops * work.decode_tokens
    moved = work.kv_j / BYTE_J + sum(count * kind.weight_bytes for count, kind in zip(iterations, kinds, strict=True))
    overhead = [np.minimum(engines.overhead_s / kind.seconds, 1.0) for kind in kinds]
    sm_s = _SM_MIXED * seconds[0] * (1 - overhead[0]) + _SM_PURE * seconds[1] * (1 - overhead[1])
    clock = np.minimum(
        kinds[0].clock, 1.0
    )  # cycles pass more slowly when clocks are down, and the share is one of cycles
    return Activity(
        np.minimum(busy_s / tick.length_s, 1.0),
        np.minimum(sm_s / tick.length_s, 1.0),
        np.minimum(flops / (engines.peak_flops * clock * tick.length_s), 1.0),
        np.minimum(moved / (engines.peak_bandwidth * tick.length_s), 1.0),
    )


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
