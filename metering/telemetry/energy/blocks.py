"""The energy of some nodes in a span: work, idle power and coefficients brought together, group by group."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from metering.telemetry.energy import attribution, coefficients, parts, rest
from metering.telemetry.energy.arrays import WINDOW_S, Floats, Ints
from metering.telemetry.energy.attribution import Shares, Terms, Work
from metering.telemetry.energy.coefficients import Applied
from metering.telemetry.energy.inputs import Block, Claim
from metering.telemetry.energy.parts import Part, Seen
from metering.telemetry.energy.rest import IdlePower
from metering.telemetry.energy.timing import Split, split


@dataclass(frozen=True)
class Told:
    """Joules and GPU-seconds of each cell of the block."""

    energy_j: Floats
    gpu_s: Floats


@dataclass(frozen=True)
class Divided:
    """One part, and how its busy energy is divided. `applied`: by engine."""

    part: Part
    idle: IdlePower
    split: Split
    work: Work
    shares: Shares
    applied: tuple[Applied, ...]


@dataclass(frozen=True)
class Energy:
    """One part and its terms. `divided` is None for GPUs that no engine claims."""

    part: Part
    terms: Terms
    divided: Divided | None


@dataclass(frozen=True)
class Attributed:
    block: Block
    energies: tuple[Energy, ...]
    seen: tuple[Seen, ...]
    told: Told


def attribute(block: Block) -> Attributed:
    seen = tuple(parts.seen(engine, block) for engine in block.engines)
    found = tuple(parts.parts(block, seen))
    work = Placed(block)
    idle = _idle_powers(block, found)
    divided = [_divided(work, part, seen, idle[part.engines[0]]) for part in found if part.engines]
    told = _told(work, divided)
    told_j, told_s = work.summed(told.energy_j), work.summed(told.gpu_s)
    terms = [Energy(one.part, _terms(one, told_j, told_s), one) for one in divided]
    unclaimed = [Energy(part, attribution.unclaimed(part.time), None) for part in found if not part.engines]
    return Attributed(block, (*terms, *unclaimed), seen, told)


class Placed:
    """The block's cells, and their sums by engine (rows) and window (columns)."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.shape = (len(block.engines), block.windows)
        self.at = block.cells.engine * block.windows + block.cells.window

    def summed(self, values: Floats) -> Floats:
        size = self.shape[0] * self.shape[1]
        return np.bincount(self.at, weights=values, minlength=size).astype(np.float64).reshape(self.shape)

    @cached_property
    def prefill(self) -> Floats:
        return self.summed(self.block.cells.prefill)

    @cached_property
    def decode(self) -> Floats:
        return self.summed(self.block.cells.decode)

    @cached_property
    def running_s(self) -> Floats:
        return self.summed(self.block.cells.running_s)


def _idle_powers(block: Block, found: Sequence[Part]) -> dict[int, IdlePower]:
    """By engine, in all windows of the block: what its groups measured, whichever they were."""
    measured = {
        engine: (np.zeros(block.windows), np.zeros(block.windows), np.full(block.windows, np.inf))
        for engine in range(len(block.engines))
    }
    for part in found:
        for engine in part.engines:
            joules, seconds, lowest = measured[engine]
            joules[part.windows] = part.time.at_rest_j
            seconds[part.windows] = part.time.at_rest_s
            lowest[part.windows] = part.time.lowest_w
    return {n: rest.idle_power(block.engines[n].rested, *values, starts(block)) for n, values in measured.items()}


def _divided(placed: Placed, part: Part, seen: Sequence[Seen], idle: IdlePower) -> Divided:
    here = part.windows
    engines = list(part.engines)
    applied = tuple(_applied(placed.block, part, engine) for engine in engines)
    work = Work(
        events_prefill=placed.prefill[engines, here],
        events_decode=placed.decode[engines, here],
        running_s=placed.running_s[engines, here],
        missing_prefill=np.stack([seen[engine].missing_prefill[here] for engine in engines]),
        missing_decode=np.stack([seen[engine].missing_decode[here] for engine in engines]),
        aborted=np.stack([seen[engine].compared.engine_aborted[here] for engine in engines]) > 0,
        prefill_j=np.stack([one.prefill_j for one in applied]),
        decode_j=np.stack([one.decode_j for one in applied]),
    )
    power = IdlePower(idle.power_w[here], idle.measured[here])
    return Divided(part, power, split(part.time, power.power_w), work, attribution.shares(work), applied)


def _applied(block: Block, part: Part, engine: int) -> Applied:
    """An engine of a part has a claim in each of its windows."""
    claims = (claim for claim in block.engines[engine].claims[part.windows] if claim)
    moments = starts(block)[part.windows]
    keys = [
        (claim.model, part.product, _simulated(claim, part), int(at)) for claim, at in zip(claims, moments, strict=True)
    ]
    return coefficients.applied(block.book, keys)


def _simulated(claim: Claim, part: Part) -> bool:
    return claim.simulated or any(gpu.simulated for gpu in part.gpus)


def _told(placed: Placed, divided: Sequence[Divided]) -> Told:
    """Every cell's share of what was busy in its window."""
    per_prefill, per_decode, per_running, busy_j, busy_s = (np.zeros(placed.shape) for _ in range(5))
    for one in divided:
        here = (list(one.part.engines), one.part.windows)
        per_prefill[here] = one.shares.per_work * one.work.prefill_j
        per_decode[here] = one.shares.per_work * one.work.decode_j
        per_running[here] = one.shares.per_running_s
        busy_j[here] = one.split.busy_j
        busy_s[here] = one.part.time.busy_s
    cells, at = placed.block.cells, placed.at
    share = (
        per_prefill.ravel()[at] * cells.prefill
        + per_decode.ravel()[at] * cells.decode
        + per_running.ravel()[at] * cells.running_s
    )
    return Told(share * busy_j.ravel()[at], share * busy_s.ravel()[at])


def _terms(one: Divided, told_j: Floats, told_s: Floats) -> Terms:
    here = (list(one.part.engines), one.part.windows)
    return attribution.terms(one.part.time, one.split, one.shares, one.work.aborted, (told_j[here], told_s[here]))


def starts(block: Block) -> Ints:
    """Of the windows, in epoch seconds."""
    return block.start_s + np.arange(block.windows, dtype=np.int64) * int(WINDOW_S)
