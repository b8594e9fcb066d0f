"""What a prompt token and an output token of a model weigh: the joules that each costs at a reference load.

The reference is a full GPU group at full clock: a prompt token in an iteration that holds REFERENCE_CHUNK of them and nothing else, an
output token in one of REFERENCE_BATCH sequences of REFERENCE_CONTEXT tokens. Baseline included. These are the true a and b of
TELEMETRY.md's "work": constants of a model on its GPUs, though no iteration costs exactly that.
"""

from dataclasses import dataclass

import numpy as np

from metering.simulator.engines import Engines
from metering.simulator.iteration import Batch, iteration, iteration_joules
from metering.simulator.pool import Floats

REFERENCE_CHUNK = 2_048.0
REFERENCE_BATCH = 32.0
REFERENCE_CONTEXT = 1_000.0


@dataclass(frozen=True)
class Weights:
    """Joules per token, per engine."""

    prompt_j: Floats
    output_j: Floats


def weights(engines: Engines) -> Weights:
    count, nothing = np.full(engines.count, 1.0), np.zeros(engines.count)
    prompt = Batch(nothing, nothing, REFERENCE_CHUNK * count, REFERENCE_CHUNK / 2 * count)
    context = REFERENCE_BATCH * REFERENCE_CONTEXT * count
    output = Batch(REFERENCE_BATCH * count, context, nothing, nothing)
    return Weights(
        _joules(engines, prompt) / REFERENCE_CHUNK,
        _joules(engines, output) / REFERENCE_BATCH,
    )


def _joules(engines: Engines, batch: Batch) -> Floats:
    full = np.ones(engines.count)
    step = iteration(engines, batch, full, np.full(engines.count, np.inf), full)
    return iteration_joules(engines, batch, step)
