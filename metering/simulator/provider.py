"""Two ready plans, of the demo's customers (metering/demo/provider.py): a few requests per second for a laptop, and a provider's day.

Sizes, shares and rates are made up, as the customers are; only hardware and models are those of hardware.py and models.py.
"""

from collections.abc import Callable, Mapping, Sequence

from metering.demo.load import DAILY_SWING
from metering.demo.provider import CUSTOMERS, MODELS, WORKLOADS, Customer
from metering.simulator.hardware import H100, H200, GpuProduct
from metering.simulator.models import BGE_M3, DEEPSEEK_R1, LLAMA_8B, LLAMA_70B, QWEN3_235B, ModelShape
from metering.simulator.plan import EngineSetup, NodeSetup, Plan, Tenant, Workload
from metering.simulator.script import Change

EU, US = "eu-north-1", "us-east-1"
# Burstiness by kind of product: people arrive almost independently, programs in bursts (assumption; ServeGen reports both).
_CV = {"chat": 1.2, "code": 2.0, "agent": 3.0, "search": 1.5, "batch": 4.0, "reasoning": 1.2}
_REASONING = {model.name: model.reasoning_share for model in MODELS}


def demo_plan(start_ms: int, *, seed: int = 1, scale: float = 2.0, changes: Sequence[Change] = ()) -> Plan:
    """Three nodes and about four requests per second at `scale` 2 (twice the demo's customers), more at the peak."""
    nodes = (
        _node("sim-01", H100, EU, [(LLAMA_70B, 4, 128), (LLAMA_8B, 1, 128), (LLAMA_8B, 1, 128), (BGE_M3, 1, 64)]),
        _node("sim-02", H100, US, [(QWEN3_235B, 8, 128)]),
        _node("sim-03", H200, EU, [(DEEPSEEK_R1, 8, 128)]),
    )
    tenants = tuple(_tenant(customer, customer.rate_rps * scale) for customer in CUSTOMERS)
    return Plan(nodes, tenants, start_ms, seed, changes=tuple(changes), aborted=0.02, cancelled=0.02, failed=0.004)


def day_plan(start_ms: int, *, seed: int = 1, scale: float = 1.0, changes: Sequence[Change] = ()) -> Plan:
    """Eight nodes of eight GPUs, 19 engines, twelve tenants, about two million requests a day at `scale` 1."""
    nodes = (
        _node("gpu-01", H100, EU, [(LLAMA_70B, 4, 192)] * 2),
        _node("gpu-02", H100, US, [(LLAMA_70B, 4, 192)] * 2),
        _node("gpu-03", H100, EU, [(LLAMA_8B, 1, 192)] * 6 + [(BGE_M3, 1, 64)] * 2),
        _node("gpu-04", H100, US, [(LLAMA_8B, 2, 192)] * 2 + [(LLAMA_70B, 4, 192)]),
        _node("gpu-05", H100, US, [(QWEN3_235B, 8, 192)]),
        _node("gpu-06", H100, US, [(QWEN3_235B, 8, 192)]),
        _node("gpu-07", H100, EU, [(QWEN3_235B, 8, 192)]),
        _node("gpu-08", H200, EU, [(DEEPSEEK_R1, 8, 192)]),
    )
    tenants = tuple(_tenant(customer, _DAY_RPS[customer.key] * scale) for customer in CUSTOMERS)
    return Plan(nodes, tenants, start_ms, seed, changes=tuple(changes), aborted=0.02, cancelled=0.02, failed=0.004)


# Requests per second over a weekday: chosen so that the fleet's busiest hour finds engines half to two thirds full.
_DAY_RPS = {
    "lumen-search": 6.5,
    "harbor-code": 3.8,
    "atlas-support": 6.5,
    "tern-robotics": 0.6,
    "quill-mail": 9.0,
    "vega-research": 0.5,
    "fjord-legal": 1.4,
    "delta-bio": 1.0,
    "mango-tutor": 2.0,
    "orbit-games": 1.5,
    "basil-kitchen": 0.5,
    "pico-notes": 0.2,
}

PLANS: Mapping[str, Callable[..., Plan]] = {"demo": demo_plan, "day": day_plan}


def binding_day(first_s: float = 9 * 3600, *, lasts_s: float = 1800, every_s: float = 5400) -> tuple[Change, ...]:
    """For the day plan: on its first node KV cache, then power, then the size of the batch binds, each for a while, with quiet between."""
    changes = [("kv_capacity", 0.1), ("power_cap", 230.0), ("max_sequences", 6.0)]
    starts = [first_s + number * every_s for number in range(len(changes))]
    # A fuller cache than usual takes more requests as well: with a few long ones alone, what is left free would be too little for the next
    # and still a fifth of so small a cache.
    busier = Change("tenant_rate", "atlas-support", first_s, first_s + lasts_s, 2.5)
    return (
        *(Change(kind, "gpu-01", at, at + lasts_s, value) for (kind, value), at in zip(changes, starts, strict=True)),
        busier,
    )


def _tenant(customer: Customer, rate_rps: float) -> Tenant:
    load, models = WORKLOADS[customer.workload], customer.models
    workload = Workload(
        load.input_median,
        load.input_sigma,
        load.output_median,
        load.output_sigma,
        cache_hits=load.cache_hits,
        cached_share=load.cached_share,
        streams=load.streams,
        reasoning=sum(share * _REASONING[model] for model, share in models.items()) / sum(models.values()),
    )
    return Tenant(
        customer.key,
        rate_rps,
        workload,
        models,
        cv=_CV[customer.workload],
        peak_hour=customer.peak_hour,
        daily_swing=DAILY_SWING,
        weekend=customer.weekend,
        tiers=dict(customer.tiers),
        projects=customer.projects,
    )


def _node(name: str, product: GpuProduct, region: str, engines: Sequence[tuple[ModelShape, int, int]]) -> NodeSetup:
    """`engines` are (model, GPUs, most sequences), laid on the GPUs one after the other and numbered by model."""
    setups: list[EngineSetup] = []
    first = 0
    for model, gpus, sequences in engines:
        number = sum(setup.model is model for setup in setups)
        setups.append(
            EngineSetup(f"{model.name}-{number}", model, tuple(range(first, first + gpus)), max_sequences=sequences)
        )
        first += gpus
    return NodeSetup(name, product, tuple(setups), region=region, cluster=f"{region}-sim")
