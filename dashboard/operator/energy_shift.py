"""Which workload to move or pause to get a cluster below a cap: what was asked for, and the answer as text."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from dashboard import formats
from dashboard.operator.filters import Filters, Option, UnknownFilter
from dashboard.operator.shelf import SHELF
from metering.public import ClusterPower, ShiftPlan, ShiftStep, power_shift

W_PER_KW = 1000
FRESH_S = 9.9
MOST_KW = 10_000_000.0
MOST_SHOWN = 25


@dataclass(frozen=True)
class Kilowatts(Option):
    def read(self, text: str) -> str:
        try:
            value = float(text)
        except ValueError:
            raise UnknownFilter(f"{text!r} is no number of kilowatts: write it as 450 or 450.5.") from None
        if not 0 <= value <= MOST_KW:
            raise UnknownFilter(f"A cap lies between 0 and {MOST_KW:,.0f} kW.")
        return text


RELIEVED = Option("relieve", "Cluster to relieve", None)
CAP = Kilowatts("cap", "Cap in kW", None)
OPTIONS = (RELIEVED, CAP)


@dataclass(frozen=True)
class Step:
    """One workload to move or pause, with what is left of the cluster's power after it."""

    place: int
    tenant: str
    model: str
    tier: str
    deferrable: bool
    simulated: bool
    power: str
    frees: str
    left: str
    what: str
    room: str


def context(filters: Filters, clusters: Sequence[ClusterPower], now: datetime, *, whole: bool) -> dict[str, Any]:
    """Variables of the form and of its answer. `whole`: also if that has to be read first."""
    names = [one.cluster for one in clusters]
    asked = filters.option(RELIEVED) or filters.cluster
    cluster = asked if asked in names or (asked and not names) else _fullest(clusters)
    cap = filters.option(CAP)
    cap_w = float(cap) * W_PER_KW if cap else None
    known = {one.cluster: one for one in clusters}
    limit = known[cluster].limit_w if cluster in known else None
    plan = None
    over = cluster in known and known[cluster].power_w > (limit or 0.0 if cap_w is None else cap_w)
    if cluster in known and (whole or not over):
        key = ("energy-shift", cluster, cap)
        plan = SHELF.kept(key, FRESH_S, lambda: power_shift(now, cluster, cap_w, clusters))
    return {
        "shift_clusters": [(name, name or "(no cluster)") for name in names],
        "shift_cluster": cluster,
        "shift_label": cluster or "(no cluster)",
        "shift_unknown": asked if asked and asked not in names else "",
        "shift_cap": cap or (f"{limit / W_PER_KW:.1f}" if limit else ""),
        "shift_kept": [
            (name, value) for name, value in parse_qsl(filters.query()) if name not in {RELIEVED.name, CAP.name}
        ],
        "shift_reading": over and not whole,
        "shift": None if plan is None else _shown(plan),
    }


def _fullest(clusters: Sequence[ClusterPower]) -> str:
    """The cluster that is nearest to its cap; '' without any."""
    if not clusters:
        return ""
    return max(clusters, key=lambda one: (one.power_w / one.limit_w if one.limit_w else 0.0, one.cluster)).cluster


def _shown(plan: ShiftPlan) -> dict[str, Any]:
    left, steps = plan.here.power_w, []
    for place, step in enumerate(plan.steps, 1):
        left -= step.workload.frees_w
        steps.append(_step(place, step, left))
    return {
        "power": kilowatts(plan.here.power_w),
        "cap": kilowatts(plan.cap_w),
        "needed": kilowatts(plan.needed_w),
        "below": kilowatts(max(plan.cap_w - plan.here.power_w, 0.0)),
        "over": plan.needed_w > 0,
        "enough": plan.enough,
        "freed": kilowatts(plan.freed_w),
        "left": kilowatts(plan.left_w),
        "short": kilowatts(max(plan.needed_w - plan.freed_w, 0.0)),
        "steps": steps[:MOST_SHOWN],
        "more": max(len(steps) - MOST_SHOWN, 0),
        "hour": plan.hour,
        "idle": None if plan.idle_w is None else f"{plan.idle_w:,.0f}",
        "workloads": formats.whole(plan.workloads),
        "paused": sum(1 for step in plan.steps if not step.moves_to),
    }


def _step(place: int, step: ShiftStep, left_w: float) -> Step:
    load = step.workload
    return Step(
        place=place,
        tenant=load.tenant,
        model=load.model,
        tier=load.tier,
        deferrable=load.deferrable,
        simulated=load.simulated,
        power=kilowatts(load.power_w),
        frees=kilowatts(load.frees_w),
        left=kilowatts(left_w),
        what=f"move to {step.moves_to}" if step.moves_to else "pause" if load.deferrable else "limit or pause",
        room=f"{kilowatts(step.room_w)} kW free there" if step.moves_to else "no room where its model runs",
    )


def kilowatts(watts: float) -> str:
    """'0.42', '12.3', '1,204'."""
    return formats.rate(watts / W_PER_KW)
