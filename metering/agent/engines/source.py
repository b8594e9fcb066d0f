"""One engine, read over HTTP."""

from collections.abc import Mapping, Sequence

import httpx

from metering.agent.engines import sglang, tensorrt_llm, tgi, triton, vllm
from metering.agent.engines.kinds import Kind
from metering.agent.engines.reading import fields_of, model_of
from metering.agent.engines.spec import EngineSpec
from metering.agent.exposition import Exposition, Unreadable, fetch, parse
from metering.agent.faults import Faults
from metering.agent.samples import EngineSample
from metering.agent.sources import Place

KINDS: Mapping[str, Kind] = {
    "vllm": vllm.KIND,
    "sglang": sglang.KIND,
    "tgi": tgi.KIND,
    "tensorrt_llm": tensorrt_llm.KIND,
    "triton": triton.KIND,
}


class EngineSource:
    """Every read is one sample: what the engine tells, or that it does not answer.

    The client `http` belongs to the caller, who gives it a timeout and closes it. `spec` may be exchanged for one with other GPUs.
    """

    def __init__(self, place: Place, spec: EngineSpec, http: httpx.Client) -> None:
        self.spec = spec
        self._place = place
        self._http = http
        self._kind = KINDS[spec.kind]
        self._wanted = self._kind.wanted
        self._faults = Faults()

    @property
    def label(self) -> str:
        return f"{self.spec.kind} {self.spec.url}"

    def read(self, at_ms: int) -> Sequence[EngineSample]:
        self._faults = Faults()
        try:
            exposition = parse(fetch(self._http, self.spec.url), self._wanted)
        except Unreadable as error:
            self._faults.add(str(error))
            return [self._sample(at_ms, None)]
        if exposition.malformed:
            self._faults.add("some lines are malformed and left out")
        if not exposition.series and not exposition.declared & self._wanted:
            self._faults.add(f"it answers, but not with the metrics of {self.spec.kind}")
            return [self._sample(at_ms, None)]
        return [self._sample(at_ms, exposition)]

    def problems(self) -> Sequence[str]:
        return self._faults.texts

    def close(self) -> None:
        """Nothing is held."""

    def _sample(self, at_ms: int, exposition: Exposition | None) -> EngineSample:
        """`exposition` None: nothing is known but that it is down."""
        spec = self.spec
        found = {} if exposition is None else fields_of(exposition, self._kind, spec, self._faults)
        return EngineSample(
            time=at_ms,
            node=self._place.node,
            region=self._place.region,
            cluster=self._place.cluster,
            engine=spec.name,
            engine_kind=spec.kind,
            up=exposition is not None,
            model=spec.model if exposition is None else model_of(exposition, self._kind, spec),
            # An index means nothing outside the node.
            gpus=tuple(gpu for gpu in spec.gpus if not gpu.isdigit()),
            **found,
        )
