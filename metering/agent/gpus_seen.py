"""Which GPUs the node has, as far as it was ever seen: engines are told by index or UUID, samples and events name UUIDs."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace

from metering.agent.engines.spec import EngineSpec, resolve_gpus
from metering.agent.samples import EngineSample, GpuSample, Sample

logger = logging.getLogger("tallywatt.agent")


class GpusSeen:
    """Learns from samples of GPUs; fills in those of engines. A GPU that is lost for the moment is still its engine's."""

    def __init__(self, specs: Sequence[EngineSpec]) -> None:
        self._specs = specs
        self._present: dict[str, int | None] = {}
        self._of_engine: dict[str, tuple[str, ...]] = {}
        self.problems: tuple[str, ...] = ()  # in words, as far as is known
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._resolve(())

    def of(self, engine: str) -> tuple[str, ...]:
        """The UUIDs of an engine's GPUs; empty as long as they are not known."""
        return self._of_engine.get(engine, ())

    def complete(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """The same samples, those of engines with their GPUs."""
        self._learn([sample for sample in samples if isinstance(sample, GpuSample) and not sample.mig])
        return [
            replace(sample, gpus=self.of(sample.engine)) if isinstance(sample, EngineSample) else sample
            for sample in samples
        ]

    def _learn(self, samples: Sequence[GpuSample]) -> None:
        with self._lock:
            if all(self._present.get(sample.gpu, -1) == sample.index for sample in samples):
                return
            for sample in samples:
                # A GPU that was replaced leaves its index to the new one.
                self._present = {
                    gpu: index for gpu, index in self._present.items() if index is None or index != sample.index
                }
                self._present[sample.gpu] = sample.index
            self._resolve(tuple((index, gpu) for gpu, index in self._present.items()))

    def _resolve(self, present: Sequence[tuple[int | None, str]]) -> None:
        resolved = resolve_gpus(self._specs, present)
        uuids = {uuid for _, uuid in present}
        # An index that stands for no GPU yet says nothing outside the node.
        self._of_engine = {
            spec.name: tuple(gpu for gpu in spec.gpus if gpu in uuids or not gpu.isdigit()) for spec in resolved.specs
        }
        self.problems = resolved.problems
        if present:
            for problem in sorted(set(resolved.problems) - self._told):
                logger.warning("%s", problem)
            self._told = set(resolved.problems)
