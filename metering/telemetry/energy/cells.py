"""The rows of tenants: what their requests did and burned, added up by engine, window, tenant, model and tier."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metering.telemetry.energy.arrays import Floats, Ints
from metering.telemetry.energy.requests import Placed


@dataclass(frozen=True)
class Burned:
    """Of one engine (its place in the block): its requests in some windows (counted from the block's first), and what each burned."""

    engine: int
    placed: Placed
    energy_j: Floats
    gpu_s: Floats


@dataclass(frozen=True)
class Cells:
    """One row for each engine, window and label with something in it, in this order. `requests`: those that ended in the window."""

    engine: Ints
    window: Ints
    label: Ints
    prefill: Floats
    decode: Floats
    energy_j: Floats
    gpu_s: Floats
    requests: Ints


def cells(burned: Sequence[Burned], windows: int, labels: int) -> Cells:
    nothing = np.zeros(0)
    each = [(one.placed.window + one.engine * windows) * labels + one.placed.label for one in burned]
    keys = np.concatenate([nothing.astype(np.int64), *each])
    unique, of = np.unique(keys, return_inverse=True)

    def summed(values: Sequence[Floats]) -> Floats:
        return np.bincount(of, weights=np.concatenate([nothing, *values]), minlength=len(unique)).astype(np.float64)

    return Cells(
        engine=unique // max(labels, 1) // windows,
        window=unique // max(labels, 1) % windows,
        label=unique % max(labels, 1),
        prefill=summed([one.placed.prefill for one in burned]),
        decode=summed([one.placed.decode for one in burned]),
        energy_j=summed([one.energy_j for one in burned]),
        gpu_s=summed([one.gpu_s for one in burned]),
        requests=np.rint(summed([one.placed.ended.astype(np.float64) for one in burned])).astype(np.int64),
    )
