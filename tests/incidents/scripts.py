"""What happens in each incident, and what the sentence has to say of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metering.simulator.plan import Plan
from metering.simulator.script import Change

LASTS_S = 15 * 60
MODEL, TENANT = "llama-3.3-70b", "atlas-support"


@dataclass(frozen=True)
class Incident:
    """`change` is kind, target and value. `says`: all of it is in the sentence, with {node}, {tenant} and {region} of the run; `never`:
    none of it is in any finding."""

    name: str
    change: Callable[[Plan], tuple[str, str, float]]
    says: tuple[str, ...]
    never: tuple[str, ...] = ()
    deploy: bool = False

    def changes(self, at_s: int) -> Callable[[Plan], Sequence[Change]]:
        def scripted(plan: Plan) -> Sequence[Change]:
            kind, target, value = self.change(plan)
            return [Change(kind, target, at_s, at_s + LASTS_S, value)]

        return scripted


def tenant(plan: Plan) -> str:
    return next(each.key for each in plan.tenants if each.key.startswith(TENANT))


INCIDENTS = (
    Incident(
        "KV cache full",
        lambda plan: ("kv_capacity", MODEL, 0.05),
        ("Saturated: KV cache on llama-3.3-70b in {region} since",),
        never=("caused by", "Slower"),
    ),
    Incident(
        "power cap lowered",
        lambda plan: ("power_cap", plan.nodes[0].name, 250.0),
        (
            "Saturated: power on llama-3.3-70b in {region} since",
            "the power cap of {node} was lowered from 700 to 250 W a GPU",
        ),
        never=("caused by", "Slower"),
    ),
    Incident(
        "one tenant bursts",
        lambda plan: ("tenant_rate", tenant(plan), 4.0),
        ("Burst: {tenant} sends +", "to llama-3.3-70b since"),
        never=("Slower",),
    ),
    Incident(
        "one tenant bursts beyond what there is",
        lambda plan: ("tenant_rate", tenant(plan), 12.0),
        ("Saturated: ", " on llama-3.3-70b in {region} since", "; caused by {tenant}, +"),
        never=("Slower",),
    ),
    Incident(
        "a node lost",
        lambda plan: ("node_lost", plan.nodes[0].name, 0.0),
        ("Lost: node {node} since", "8 of 32 GPUs; llama-3.3-70b runs on fewer engines"),
        never=("caused by", "Burst", "Slower"),
    ),
    Incident(
        "a model regresses after a deploy",
        lambda plan: ("model_slowed", MODEL, 1.6),
        ("Slower: llama-3.3-70b: time per output token from ", "load unchanged, after the deploy at"),
        never=("caused by", "Burst"),
        deploy=True,
    ),
)
