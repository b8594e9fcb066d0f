"""What is simulated: nodes, engines, tenants, and what is to happen when. Frozen values, checked when they are made."""

import uuid
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from metering.simulator.hardware import GpuProduct
from metering.simulator.models import ModelShape
from metering.simulator.script import Change

TIERS = ("priority", "standard", "flex", "batch")  # the order in which an engine serves them
_UUIDS = uuid.UUID(
    "6f1f9d5e-6d0b-4f3b-9a53-51a1c0de5117"
)  # a namespace of our own: a GPU keeps its UUID from run to run


@dataclass(frozen=True)
class EngineSetup:
    """An engine over the GPUs with these indexes (tensor parallel). The name is unique on its node."""

    name: str
    model: ModelShape
    gpus: tuple[int, ...]
    max_sequences: int = 256
    # Of one iteration, prefill and decode together; 8,192 is vLLM's own choice on H100 (vllm-project/vllm pull request 12369).
    batched_tokens: int = 8_192
    memory_share: float = 0.9  # vLLM's --gpu-memory-utilization
    reserved_bytes: int = 4 * 1024**3  # per GPU: activations, graphs, communication buffers (assumption)

    def kv_capacity(self, product: GpuProduct) -> float:
        """Tokens that fit. Raises ValueError where the weights alone do not fit."""
        group = len(self.gpus)
        room = (product.memory_bytes * self.memory_share - self.reserved_bytes) * group - self.model.weights_bytes
        if room <= 0:
            raise ValueError(f"engine {self.name}: {self.model.name} does not fit on {group} x {product.name}")
        per_token = self.model.kv_bytes_per_token(group)
        return room / per_token if per_token else 1e7


@dataclass(frozen=True)
class NodeSetup:
    name: str
    product: GpuProduct
    engines: tuple[EngineSetup, ...]
    gpus: int = 8
    region: str = ""
    cluster: str = ""

    def __post_init__(self) -> None:
        used = [gpu for engine in self.engines for gpu in engine.gpus]
        if len(set(used)) != len(used) or not all(0 <= gpu < self.gpus for gpu in used):
            raise ValueError(f"node {self.name}: every engine needs GPUs of its own, among 0 to {self.gpus - 1}")
        if len({engine.name for engine in self.engines}) != len(self.engines):
            raise ValueError(f"node {self.name}: two engines have the same name")

    def gpu_uuid(self, index: int) -> str:
        return f"GPU-{uuid.uuid5(_UUIDS, f'{self.name}/{index}')}"


@dataclass(frozen=True)
class Workload:
    """What a kind of product sends. Medians and sigmas are of log-normal lengths in tokens."""

    input_median: float
    input_sigma: float
    output_median: float
    output_sigma: float
    cache_hits: float = 0.0  # share of the requests that find a part of their prompt cached
    cached_share: float = 0.0  # of those requests' input, at most
    streams: float = 1.0
    reasoning: float = 0.0  # mean share of the output that is reasoning


@dataclass(frozen=True)
class Tenant:
    """One customer's traffic. `cv` is the coefficient of variation of the time between its requests: 1 is Poisson, more is bursty."""

    key: str
    rate_rps: float  # mean of a weekday
    workload: Workload | None  # None: its requests come from a trace
    models: Mapping[str, float]  # shares
    cv: float = 1.0
    peak_hour: float = 14.0  # UTC
    daily_swing: float = 0.0  # of the mean: at the peak 1 + swing times it, twelve hours later 1 - swing
    weekend: float = 1.0
    tiers: Mapping[str, float] = field(default_factory=lambda: {"standard": 1.0})
    projects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rate_rps <= 0 or self.cv <= 0 or not self.models or not 0 <= self.daily_swing < 1:
            raise ValueError(f"tenant {self.key}: needs a rate and a cv above 0, a model, and a daily swing below 1")
        if unknown := set(self.tiers) - set(TIERS):
            raise ValueError(f"tenant {self.key}: unknown tier {sorted(unknown)[0]!r}, expected {', '.join(TIERS)}")


@dataclass(frozen=True)
class Plan:
    """A whole run. Shares are of all requests; `start_ms` is when simulated time begins (milliseconds since 1970, a whole minute)."""

    nodes: tuple[NodeSetup, ...]
    tenants: tuple[Tenant, ...]
    start_ms: int
    seed: int = 1
    tick_s: float = 0.5
    changes: tuple[Change, ...] = ()
    aborted: float = (
        0.0  # the client is gone and no event is sent; the length at which that happens is drawn as any other
    )
    cancelled: float = 0.0  # the client stops the stream somewhere, and the event says so
    failed: float = 0.0  # refused before it reaches an engine
    patience_s: float = (
        300.0  # who has waited for so long gives up, which is an event with status cancelled and no tokens
    )

    def __post_init__(self) -> None:
        if self.start_ms % 60_000:
            raise ValueError("start_ms is not a whole minute")
        if not 0.05 <= self.tick_s <= 2 or abs(60 / self.tick_s - round(60 / self.tick_s)) > 1e-9:
            raise ValueError(f"tick_s is {self.tick_s}, expected a part of a minute from 0.05 to 2 s")
        if len({node.name for node in self.nodes}) != len(self.nodes):
            raise ValueError("two nodes have the same name")
        served = {engine.model.name for node in self.nodes for engine in node.engines}
        for tenant in self.tenants:
            if missing := set(tenant.models) - served:
                raise ValueError(f"tenant {tenant.key}: no engine serves {sorted(missing)[0]!r}")
        for change in self.changes:
            change.check_target(self.targets)

    @property
    def models(self) -> tuple[ModelShape, ...]:
        """Each once, in the order of the nodes."""
        return tuple({engine.model.name: engine.model for node in self.nodes for engine in node.engines}.values())

    @property
    def targets(self) -> Mapping[str, frozenset[str]]:
        """The names that a change may be about, by what they are."""
        return {
            "node": frozenset(node.name for node in self.nodes),
            "engine": frozenset(f"{node.name}/{engine.name}" for node in self.nodes for engine in node.engines),
            "model": frozenset(model.name for model in self.models),
            "tenant": frozenset(tenant.key for tenant in self.tenants),
        }

    def with_first_nodes(self, count: int) -> Self:
        """Without the other nodes, the models that only they serve, the tenants that want nothing else, and changes about any of them."""
        nodes = self.nodes[:count]
        served = {engine.model.name for node in nodes for engine in node.engines}
        smaller = replace(self, nodes=nodes, tenants=tuple(_with_models(self.tenants, served)), changes=())
        return replace(smaller, changes=tuple(change for change in self.changes if change.has_target(smaller.targets)))


def _with_models(tenants: Iterable[Tenant], served: Container[str]) -> Iterator[Tenant]:
    """Those that want one of these models, with the part of their requests that does."""
    for tenant in tenants:
        models = {model: share for model, share in tenant.models.items() if model in served}
        if models:
            rate_rps = tenant.rate_rps * sum(models.values()) / sum(tenant.models.values())
            yield replace(tenant, models=models, rate_rps=rate_rps)
