"""What a chaos run sends and in which order, and which services it kills when. A seed decides all of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from tests.chaos.bodies import FORMATS
from tests.chaos.events import TENANTS, Events, altered, made, reused

SERVICES = ("web", "worker", "beat", "redis", "clickhouse", "postgres")
LARGEST_BATCH = 3_000
CONFLICTING = 0.01
INVALID = 0.001


@dataclass(frozen=True)
class Invalid:
    """An event that must be refused: `number` makes its id, `kind` is the reason it must be refused for."""

    number: int
    kind: str


@dataclass(frozen=True)
class Job:
    """One request. `waits_for`: jobs that must be acknowledged before it may be sent (a conflict comes after its first)."""

    events: Events
    format: str
    owner: int | None = None  # a tenant's own key; None: the operator's
    invalid: tuple[Invalid, ...] = ()
    waits_for: tuple[int, ...] = ()
    why: str = "first"


@dataclass(frozen=True)
class Blow:
    """When the job at position `at` is reached, and `delay_s` later, these services are killed.

    `session`: with everything they started. `freeze`: ClickHouse is stopped first until the spool is full.
    """

    at: int
    services: tuple[str, ...]
    delay_s: float
    session: bool = False
    freeze: bool = False


@dataclass(frozen=True)
class Plan:
    """`events` are the identities as the first copy has them; `conflicts` the copies that must lose."""

    events: Events
    conflicts: Events
    jobs: list[Job]
    blows: list[Blow] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return sum(len(job.events) + len(job.invalid) for job in self.jobs)

    @property
    def invalid(self) -> dict[str, str]:
        """Id -> reason."""
        return {f"bad-{each.number}": each.kind for job in self.jobs for each in job.invalid}


@dataclass(frozen=True)
class _Batch:
    """Events that are sent together for the first time. `place`: where in the order, 0 to 1; `copies`: re-sent whole so often."""

    first: int
    end: int
    format: str
    owner: int | None
    place: float
    copies: int

    @property
    def span(self) -> Any:
        return np.arange(self.first, self.end)


def planned(count: int, kills: int, seed: int, at_ms: int, formats: Sequence[str]) -> Plan:
    random = np.random.default_rng(seed)
    batches = [_batch(first, end, formats, random) for first, end in pairwise(_edges(count, random))]
    own = [(batch.first, batch.end, batch.owner) for batch in batches if batch.owner is not None]
    events = made(count, own, at_ms, random)
    placed = [each for batch in batches for each in _sent(batch, events, random)]
    once = np.concatenate([batch.span for batch in batches if not batch.copies])
    placed += _remixed(events, once, formats, random)
    placed.sort(key=lambda each: each[0])
    conflicts, jobs = _with_conflicts(events, placed, batches, formats, random)
    return Plan(events, conflicts, jobs, _blows(len(jobs), kills, random))


def _edges(count: int, random: np.random.Generator) -> list[int]:
    """Batches of very different sizes: a few events to LARGEST_BATCH."""
    edges = [0]
    largest = max(50, min(LARGEST_BATCH, count // 40))
    while edges[-1] < count:
        edges.append(min(count, edges[-1] + int(1 + largest * random.random() ** 1.5)))
    return edges


def _batch(first: int, end: int, formats: Sequence[str], random: np.random.Generator) -> _Batch:
    owner = int(random.integers(0, len(TENANTS))) if random.random() < 0.25 else None
    copies = int(random.choice(3, p=(0.6, 0.25, 0.15)))
    return _Batch(first, end, _format(formats, random), owner, random.random() * 0.85, copies)


def _format(formats: Sequence[str], random: np.random.Generator) -> str:
    weights = np.array([FORMATS[name].weight for name in formats], float)
    return formats[int(random.choice(len(formats), p=weights / weights.sum()))]


def _sent(batch: _Batch, events: Events, random: np.random.Generator) -> list[tuple[float, Job]]:
    """The first request of a batch, and the same again later."""
    job = Job(events.take(batch.span), batch.format, batch.owner, _invalid(batch, random))
    later = [batch.place + (1 - batch.place) * random.random() for _ in range(batch.copies)]
    return [(batch.place, job), *((place, replace(job, why="re-sent")) for place in later)]


def _invalid(batch: _Batch, random: np.random.Generator) -> tuple[Invalid, ...]:
    """With a tenant's own key another tenant's name would be a 403 for the whole request: that is not tried here."""
    kinds = [kind for kind in FORMATS[batch.format].invalid if batch.owner is None or kind != "unknown_tenant"]
    numbers = batch.span[random.random(batch.end - batch.first) < INVALID]
    return tuple(Invalid(int(number), kinds[int(random.integers(0, len(kinds)))]) for number in numbers)


def _remixed(
    events: Events, alone: Any, formats: Sequence[str], random: np.random.Generator
) -> list[tuple[float, Job]]:
    """Single events of batches that are sent once, again in other company: four of ten once, one of ten twice."""
    share = random.random(len(alone))
    copies = np.concatenate([alone[share < 0.5], alone[share < 0.1]])
    random.shuffle(copies)
    return [
        (
            0.1 + 0.9 * random.random(),
            Job(events.take(copies[first:end]), _format(formats, random), why="re-mixed"),
        )
        for first, end in pairwise(_edges(len(copies), random))
    ]


def _with_conflicts(
    events: Events,
    placed: list[tuple[float, Job]],
    batches: list[_Batch],
    formats: Sequence[str],
    random: np.random.Generator,
) -> tuple[Events, list[Job]]:
    """Put conflicting copies between the jobs, each after the first copy of its event; half of them are sent twice."""
    jobs = [job for _, job in placed]
    first_job = _first_jobs(placed, batches)
    free = np.setdiff1d(np.arange(len(events)), reused(events))
    chosen = free[random.random(len(free)) < CONFLICTING]
    chosen = chosen[np.argsort(first_job[chosen], kind="stable")]
    conflicts = altered(events.take(chosen), random)
    after: dict[int, list[Job]] = {}
    for part in np.array_split(np.arange(len(chosen)), len(chosen) // 400 + 1):
        waits_for = tuple(np.unique(first_job[chosen[part]]).tolist())
        job = Job(conflicts.take(part), _format(formats, random), waits_for=waits_for, why="conflicting")
        for _ in range(1 + int(random.random() < 0.5) if waits_for else 0):
            after.setdefault(int(random.integers(waits_for[-1], len(jobs))), []).append(job)
    return conflicts, _woven(jobs, after)


def _first_jobs(placed: list[tuple[float, Job]], batches: list[_Batch]) -> Any:
    """For each event the position of the job that is planned as its first."""
    positions = {place: position for position, (place, job) in enumerate(placed) if job.why == "first"}
    return np.concatenate([np.full(batch.end - batch.first, positions[batch.place]) for batch in batches])


def _woven(jobs: list[Job], after: dict[int, list[Job]]) -> list[Job]:
    """`jobs` with those of `after` behind their places; what they wait for is numbered anew."""
    woven: list[Job] = []
    moved: list[int] = []
    for place, job in enumerate(jobs):
        moved.append(len(woven))
        woven.append(job)
        woven += [
            replace(late, waits_for=tuple(moved[each] for each in late.waits_for)) for late in after.get(place, ())
        ]
    return woven


def _blows(jobs: int, kills: int, random: np.random.Generator) -> list[Blow]:
    """Every service in turn, in random order; a fourth of the time two at once. In the middle the spool is filled."""
    queue = [str(name) for _ in range(kills // len(SERVICES) + 1) for name in random.permutation(SERVICES)][:kills]
    groups: list[tuple[str, ...]] = []
    while queue:
        pair = len(queue) > 1 and queue[0] != queue[1] and random.random() < 0.25
        groups.append(tuple(queue[: 2 if pair else 1]))
        del queue[: len(groups[-1])]
    places = np.linspace(jobs * 0.03, jobs * 0.92, len(groups) + 1).astype(int).tolist()
    middle = (len(groups) + 1) // 2
    groups.insert(middle, ("clickhouse",))
    return [
        Blow(place, group, float(random.random()), bool(random.random() < 0.3), freeze=index == middle)
        for index, (place, group) in enumerate(zip(places, groups, strict=True))
    ]
