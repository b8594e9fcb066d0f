"""One reading of GPUs while it is under way: where and when, and what goes wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metering.agent.faults import Faults
from metering.agent.plausible import measured
from metering.agent.samples import GpuSample
from metering.agent.sources import Place


@dataclass(frozen=True, slots=True)
class Entity:
    """A GPU, or with `mig` ("<GPU instance>/<compute instance>") one of its instances. `name`: the product."""

    uuid: str
    index: int | None = None
    mig: str = ""
    name: str = ""

    @property
    def called(self) -> str:
        """What a person calls it, in a problem."""
        return f"GPU {self.uuid if self.index is None else self.index}{f' MIG {self.mig}' if self.mig else ''}"


@dataclass(frozen=True, slots=True)
class Taking:
    place: Place
    at_ms: int
    source: str  # of GPU_SOURCES
    faults: Faults = field(default_factory=Faults)

    def sample(self, entity: Entity, found: Mapping[str, Any]) -> GpuSample | None:
        """`found`: by field of GpuSample, in its units. What cannot be true is left out and a fault; None where nothing is left."""
        kept = measured(found, lambda what: self.faults.add(what, entity.called))
        if not kept:
            return None
        return GpuSample(
            time=self.at_ms,
            node=self.place.node,
            region=self.place.region,
            cluster=self.place.cluster,
            gpu=entity.uuid,
            source=self.source,
            index=entity.index,
            mig=entity.mig,
            name=entity.name,
            **kept,
        )
