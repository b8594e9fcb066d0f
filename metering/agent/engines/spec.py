"""What an operator says about an engine on the node, and the GPUs that follow from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from metering.agent.samples import ENGINE_KINDS


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One engine to read. Raises ValueError for a kind that is not known.

    `gpus` names the GPUs it runs on by index ("0") or by UUID ("GPU-..."); an index means nothing outside the node, so `resolve_gpus`
    turns it into a UUID before anything is sent.
    """

    name: str  # as in the `engine` field of its requests' events
    kind: str  # one of ENGINE_KINDS
    url: str  # of its Prometheus text, such as http://127.0.0.1:8000/metrics
    model: str = ""  # what to call its model; "" takes the engine's own label, if it has one
    gpus: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ENGINE_KINDS:
            raise ValueError(f"engine {self.name}: kind is {self.kind!r}, expected one of {', '.join(ENGINE_KINDS)}")


@dataclass(frozen=True, slots=True)
class Resolved:
    """The specs with UUIDs for GPUs, and what could not be resolved, in words."""

    specs: tuple[EngineSpec, ...]
    problems: tuple[str, ...] = ()


def resolve_gpus(specs: Sequence[EngineSpec], present: Sequence[tuple[int | None, str]]) -> Resolved:
    """The GPUs of every engine, out of (index, UUID) of the physical GPUs `present` on the node.

    An engine that names none has all of them if it is the only engine. Beside others it has none, which is a problem: a guess would
    give the energy of one engine's GPUs to the tenants of another.
    """
    found = [_resolve(spec, present, alone=len(specs) == 1) for spec in specs]
    return Resolved(tuple(spec for spec, _ in found), tuple(problem for _, problems in found for problem in problems))


def _resolve(
    spec: EngineSpec, present: Sequence[tuple[int | None, str]], *, alone: bool
) -> tuple[EngineSpec, list[str]]:
    if not spec.gpus:
        if alone or not present:
            return replace(spec, gpus=tuple(uuid for _, uuid in present)), []
        return spec, [f"engine {spec.name}: it does not say which of the node's {len(present)} GPUs it runs on (gpus)"]
    uuids = {str(index): uuid for index, uuid in present if index is not None} | {uuid: uuid for _, uuid in present}
    missing = [named for named in spec.gpus if named not in uuids]
    # A UUID stands for itself: a GPU that is lost for the moment is still the engine's.
    kept = [uuids.get(named, named) for named in spec.gpus if named in uuids or not named.isdigit()]
    problems = [f"engine {spec.name}: the node has no GPU {named}" for named in missing]
    return replace(spec, gpus=tuple(dict.fromkeys(kept))), problems
