"""GPUs read from the driver through NVML."""

import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import pynvml

from metering.agent.faults import Faults
from metering.agent.gpu import gpm, mig
from metering.agent.gpu.nvml_questions import OF_A_GPU, OF_AN_INSTANCE, Nvml, answers, is_gone
from metering.agent.gpu.nvml_session import Gpu, Session, close_session, listed_gpus, open_session
from metering.agent.gpu.taking import Entity, Taking
from metering.agent.gpu.xids import Xids
from metering.agent.samples import GpuSample
from metering.agent.sources import Place

# How long after a failure NVML is opened again: a driver that is loaded late, a GPU that was lost and comes back.
_AGAIN_AFTER_S = 30.0


class NvmlSource:
    """All GPUs of the node, and their MIG instances. Without a driver there are none, and it looks again from time to time."""

    label = "nvml"

    def __init__(self, place: Place, nvml: Nvml = pynvml, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._nvml = nvml
        self._clock = clock
        self._session: Session | None = None
        self._refusal: Any = None  # the NVMLError with which opening ended
        self._again_at: float | None = None
        self._gpm = gpm.Gpm(nvml)
        self._xids = Xids(nvml)
        self._faults = Faults()

    @property
    def library_is_missing(self) -> bool:
        """Whether the last attempt to open NVML ended with that."""
        return self._refusal is not None and self._refusal.value == self._nvml.NVML_ERROR_LIBRARY_NOT_FOUND

    def read(self, at_ms: int) -> Sequence[GpuSample]:
        self._faults = Faults()
        session = self._opened()
        if session is None:
            self._faults.add(f"NVML cannot be used: {self._refusal}")
            return ()
        if not session.gpus and not session.lost:
            self._faults.add("the driver shows no GPU")
        for what, where in session.lost:
            self._fail(what, where)
        self._xids.read(self._faults)
        keys: set[Hashable] = set()
        taking = Taking(self._place, at_ms, "nvml", self._faults)
        samples = [sample for gpu in session.gpus for sample in self._of_gpu(gpu, taking, keys)]
        self._gpm.forget_all_but(keys)
        return samples

    def problems(self) -> Sequence[str]:
        return self._faults.texts

    def close(self) -> None:
        if self._session is not None:
            self._gpm.close()
            self._xids.close()
            close_session(self._nvml)
        self._session = None

    def _opened(self) -> Session | None:
        """The session, opened anew where that may show more."""
        due = self._again_at is not None and self._clock() >= self._again_at
        if self._session is not None and (due or listed_gpus() != self._session.listed):
            self.close()
        if self._session is None and (self._refusal is None or due):
            self._open()
        return self._session

    def _open(self) -> None:
        self._refusal = self._again_at = None
        try:
            self._session = open_session(self._nvml)
        except self._nvml.NVMLError as error:
            self._refusal = error
            self._look_again()
            return
        self._xids.listen([(gpu.handle, gpu.uuid, gpu.called) for gpu in self._session.gpus])
        if not self._session.gpus:
            self._look_again()

    def _look_again(self) -> None:
        if self._again_at is None:
            self._again_at = self._clock() + _AGAIN_AFTER_S

    def _fail(self, what: str, where: str) -> None:
        self._faults.add(what, where)
        self._look_again()

    def _of_gpu(self, gpu: Gpu, taking: Taking, keys: set[Hashable]) -> Sequence[GpuSample]:
        """The GPU and its instances; nothing of one that is gone."""
        try:
            whole = self._of_entity(gpu, None, taking, keys)
            instances = mig.instances(self._nvml, gpu, self._faults)
            parts = [self._of_entity(gpu, instance, taking, keys) for instance in instances]
        except self._nvml.NVMLError as error:
            self._fail(f"cannot be read: {error}", gpu.called)
            return ()
        return [sample for sample in (whole, *parts) if sample is not None]

    def _of_entity(
        self, gpu: Gpu, instance: mig.Instance | None, taking: Taking, keys: set[Hashable]
    ) -> GpuSample | None:
        """Raises NVMLError if the GPU is gone."""
        entity = _entity(gpu, instance)
        handle, questions = (instance.handle, OF_AN_INSTANCE) if instance else (gpu.handle, OF_A_GPU)
        found = answers(self._nvml, handle, questions, self._faults, entity.called)
        found |= self._activity(gpu, instance, entity, keys)
        return taking.sample(entity, found if instance else found | self._xids.of(gpu.uuid))

    def _activity(
        self, gpu: Gpu, instance: mig.Instance | None, entity: Entity, keys: set[Hashable]
    ) -> dict[str, float | None]:
        """By GPM. NVML samples GPU instances: compute instances of the same one share its activity."""
        try:
            if not self._gpm.supports(gpu.uuid, gpu.handle):
                self._faults.add(f"{gpm.FIELDS}: this GPU does not tell NVML; dcgm-exporter may know", entity.called)
                return {}
            keys.add(entity)
            found = self._gpm.read(entity, gpu.handle, instance.gpu_instance if instance else None)
        except self._nvml.NVMLError as error:
            if is_gone(self._nvml, error):
                raise
            self._faults.add(f"{gpm.FIELDS}: {error}", entity.called)
            return {}
        for field in (field for field, share in found.items() if share is None):
            self._faults.add(f"{field}: not told", entity.called)
        return found


def _entity(gpu: Gpu, instance: mig.Instance | None) -> Entity:
    if instance is None:
        return Entity(gpu.uuid, gpu.index, name=gpu.name)
    return Entity(gpu.uuid, gpu.index, instance.mig, instance.name)
