"""The demo's model of latency: queueing that grows with load, prefill by uncached tokens, decode by output tokens."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metering.demo.provider import MODELS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Latencies:
    queue_ms: Floats
    ttft_ms: Floats
    tpot_ms: Floats
    e2e_ms: Floats


def latencies(model: Ints, uncached: Ints, outputs: Ints, load: float, rng: np.random.Generator) -> Latencies:
    """One row a request; `load` is the engines' utilisation, 0 to below 1."""
    count = len(model)
    # Waiting grows as 1 / (1 - load), as in a single queue; the power keeps an idle engine's queue near nothing.
    queue_ms = rng.exponential(2 + 25 * load**4 / (1 - load), count)
    base_ms = np.array([one.ttft_base_ms for one in MODELS])[model]
    prefill_ms = np.array([one.prefill_ms for one in MODELS])[model] * uncached
    ttft_ms = queue_ms + (base_ms + prefill_ms) * (1 + 0.4 * load) * np.exp(0.18 * rng.standard_normal(count))
    # Batches are larger under load, so every step takes longer.
    tpot_ms = (
        np.array([one.tpot_ms for one in MODELS])[model] * (1 + 0.7 * load) * np.exp(0.1 * rng.standard_normal(count))
    )
    e2e_ms = ttft_ms + tpot_ms * np.maximum(outputs - 1, 0)
    return Latencies(queue_ms, ttft_ms, tpot_ms, e2e_ms)
