"""The energy of some nodes in a span: requests, idle power and coefficients brought together, group by group."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from metering.telemetry.energy import attribution, coefficients, parts, rest
from metering.telemetry.energy.arrays import WINDOW_S, Bools, Floats, Ints, summed
from metering.telemetry.energy.attribution import Terms
from metering.telemetry.energy.cells import Burned, Cells, cells
from metering.telemetry.energy.coefficients import Applied
from metering.telemetry.energy.inputs import Block, Claim
from metering.telemetry.energy.parts import Part, Seen
from metering.telemetry.energy.requests import Placed, placed
from metering.telemetry.energy.rest import IdlePower
from metering.telemetry.energy.sharing import Shared, Worker, share
from metering.telemetry.energy.timing import split


@dataclass(frozen=True)
class Divided:
    """How the busy energy of one part was divided. `workers` and `shared` by engine; windows counted from the part's first."""

    idle: IdlePower
    busy_j: Floats
    workers: tuple[Worker, ...]
    shared: tuple[Shared, ...]


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
    cells: Cells


def attribute(block: Block) -> Attributed:
    seen = tuple(parts.seen(engine, block) for engine in block.engines)
    found = tuple(parts.parts(block, seen))
    requests = [placed(engine.requests, block.windows) for engine in block.engines]
    scene = _Scene(block, seen, _idle_powers(block, found), requests)
    energies = tuple(_energy(scene, part) for part in found)
    burned = [one for energy in energies for one in _burned(energy)]
    return Attributed(block, energies, seen, cells(burned, block.windows, len(block.labels)))


@dataclass(frozen=True)
class _Scene:
    """What is known of the engines of a block, in their order."""

    block: Block
    seen: Sequence[Seen]
    idle: dict[int, IdlePower]
    requests: Sequence[Placed]


def starts(block: Block) -> Ints:
    """Of the windows, in epoch seconds."""
    return block.start_s + np.arange(block.windows, dtype=np.int64) * int(WINDOW_S)


def _energy(scene: _Scene, part: Part) -> Energy:
    if not part.engines:
        return Energy(part, attribution.unclaimed(part.time), None)
    power = scene.idle[part.engines[0]].within(part.windows)
    workers = tuple(_worker(scene, part, engine) for engine in part.engines)
    halves = split(part.time, power.power_w)
    shared = tuple(share(halves.busy_j, workers))
    divided = Divided(power, halves.busy_j, workers, shared)
    return Energy(part, attribution.terms(part.time, halves, *_parts(divided, part), _aborted(scene, part)), divided)


def _parts(divided: Divided, part: Part) -> tuple[attribution.Parts, attribution.Parts]:
    """What tenants' rows come to, and what no event tells of."""
    pairs = list(zip(divided.workers, divided.shared, strict=True))

    def told(busy: Floats) -> Floats:
        return np.stack(
            [summed(of.placed.window, one.request * busy[of.placed.window], len(busy)) for of, one in pairs]
        )

    untold = np.stack([one.untold for one in divided.shared])
    joules, seconds = divided.busy_j, part.time.busy_s
    return attribution.Parts(told(joules), told(seconds)), attribution.Parts(untold * joules, untold * seconds)


def _worker(scene: _Scene, part: Part, engine: int) -> Worker:
    seen, requests = scene.seen[engine], scene.requests[engine]
    here = requests.where((requests.window >= part.first) & (requests.window < part.last))
    return Worker(
        placed=here.later(-part.first),
        applied=_applied(scene.block, part, engine),
        missing_prefill=seen.missing_prefill[part.windows],
        missing_decode=seen.missing_decode[part.windows],
    )


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


def _burned(energy: Energy) -> Iterator[Burned]:
    """The rows of tenants, each its share of what was busy in its window."""
    part, divided = energy.part, energy.divided
    if divided is None:
        return
    for engine, worker, shared in zip(part.engines, divided.workers, divided.shared, strict=True):
        at = worker.placed.window
        joules, seconds = shared.request * divided.busy_j[at], shared.request * part.time.busy_s[at]
        yield Burned(engine, worker.placed.later(part.first), joules, seconds)


def _aborted(scene: _Scene, part: Part) -> Bools:
    return np.stack([scene.seen[engine].compared.engine_aborted[part.windows] for engine in part.engines]) > 0


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
