"""How many different GPUs, engines and labels may be reported in an hour: a sender that makes up names is stopped here.

A name that was there in this hour is taken on; new ones are, as long as every limit has room. What is one too many is refused, sample by
sample. telemetry_limits.py counts over all requests of a key.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from metering.agent.samples import ENGINE
from metering.contracts import RejectReason
from metering.ingest.decoders.common import BadEvent
from metering.ingest.telemetry_records import BY_RECORD, Record

Series = tuple[str, ...]  # kind, node, and all other texts of a sample: what could make it one of too many


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` different `what`; `field` is the one to blame for one more."""

    name: str
    field: str
    most: int
    what: str


@dataclass(frozen=True, slots=True)
class Group:
    """What a limit holds for: a node, a GPU of a node, or (`of` empty) all that one key sends."""

    limit: Limit
    of: tuple[str, ...] = ()

    def refusal(self) -> BadEvent:
        of = " ".join((f"node {self.of[0]!r}", *(f"GPU {gpu!r}" for gpu in self.of[1:]))) if self.of else "this API key"
        message = f"{of} has reported {self.limit.most} different {self.limit.what} in this hour, no more are taken"
        return BadEvent(self.limit.field, RejectReason.TOO_MANY_SERIES, message)


@dataclass
class Count:
    """The different members of a group: how many there were `before`, those of ours among them, and those added since."""

    before: int = 0
    known: frozenset[str] = frozenset()
    added: set[str] = field(default_factory=set)

    def takes(self, member: str, most: int) -> bool:
        return member in self.known or member in self.added or self.before + len(self.added) < most

    def add(self, member: str) -> None:
        if member not in self.known:
            self.added.add(member)


GPUS = Limit("gpus", "gpu", 256, "GPUs")
MIGS = Limit("migs", "mig", 8, "MIG instances")  # a GPU is cut into seven at most (NVIDIA, "MIG User Guide")
ENGINES = Limit("engines", "engine", 256, "engines")
ENGINE_GPUS = Limit("engine_gpus", "gpus", 256, "GPUs of engines")
GPU_LABELS = Limit("labels", "name", 512, "labels (product or model, region, cluster)")
ENGINE_LABELS = Limit("labels", "model", 512, GPU_LABELS.what)

Place = tuple[Group, str]  # a member of a group, by its digest


def of_a_key(most: int) -> Group:
    return Group(Limit("all", "node", most, "series (a GPU, a MIG instance or an engine, with its labels)"))


def series_of(record: Record) -> Series:
    kind = BY_RECORD[type(record)].name
    shared = (record.region or "", record.cluster or "")
    if kind == ENGINE:
        return (kind, record.node, record.engine, record.model or "", *shared, *(record.gpus or ()))
    return (kind, record.node, record.gpu, record.mig or "", record.name or "", *shared)


def places(series: Series) -> Iterator[Place]:
    """Where a series counts, beside in all that its key sends."""
    kind, node, own, *others = series
    if kind == ENGINE:
        yield Group(ENGINES, (node,)), digest(own)
        yield Group(ENGINE_LABELS, (node,)), digest(*others[:3])
        for gpu in others[3:]:
            yield Group(ENGINE_GPUS, (node,)), digest(gpu)
        return
    mig, *labels = others
    yield Group(GPUS, (node,)), digest(own)
    yield Group(GPU_LABELS, (node,)), digest(*labels)
    if mig:
        yield Group(MIGS, (node, own)), digest(mig)


def admit(new: Mapping[Series, Sequence[Place]], counts: Mapping[Group, Count]) -> dict[Series, BadEvent]:
    """The series that are one too many, with the limit that says so. The others are added to `counts`, in their order."""
    refused = {}
    for series, found in new.items():
        full = next((group for group, member in found if not counts[group].takes(member, group.limit.most)), None)
        if full is not None:
            refused[series] = full.refusal()
            continue
        for group, member in found:
            counts[group].add(member)
    return refused


def digest(*words: str) -> str:
    """Short and of one length, whatever a sender calls its GPUs."""
    return blake2b("\0".join(words).encode(), digest_size=12).hexdigest()
