"""Which workloads to move or pause so that a cluster draws less than a cap, those first that it harms least.

What one frees is what its work draws above idle: its part of the energy, less what its GPUs would draw at rest in the same time. Idle power
goes only when GPUs are switched off. Workloads of tiers that may wait go first, then standard ones, then those that paid for priority;
of one tier the one that alone is enough and frees least, else the one that frees most: so few are touched, and none needlessly.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.energy_shifting import ClusterModels, IdlePower, PowerNow, Workloads
from metering.telemetry.settled import energy_settled

HOUR = timedelta(hours=1)
RECENT = timedelta(minutes=10)  # over which a cluster's power now is the mean
TIMEOUT_S = 10.0
MOST_WORKLOADS = 2000
DEFERRABLE = frozenset({"batch", "flex"})
PAID_FOR = frozenset({"priority"})
W_PER_KWH_AN_HOUR = 1000.0
NANO = 1e9


@dataclass(frozen=True)
class Workload:
    """One tenant's requests to one model in one tier. `power_w`: its part; `frees_w`: of that, what is above idle."""

    tenant: str
    model: str
    tier: str
    power_w: float
    frees_w: float
    requests: int
    simulated: bool = False

    @property
    def deferrable(self) -> bool:
        return self.tier in DEFERRABLE


@dataclass(frozen=True)
class ClusterPower:
    """GPUs of one cluster together, over the last minutes. `limit_w`: the sum of their limits; None where nobody tells."""

    cluster: str
    gpus: int
    power_w: float
    limit_w: float | None

    @property
    def headroom_w(self) -> float | None:
        return None if self.limit_w is None else max(self.limit_w - self.power_w, 0.0)


@dataclass(frozen=True)
class ShiftStep:
    """`moves_to`: a cluster that serves the model and has room for what this frees, with `room_w` left before; '' is none: pause it."""

    workload: Workload
    moves_to: str = ""
    room_w: float = 0.0


@dataclass(frozen=True)
class ShiftPlan:
    """`steps` in order. `hour`: whose attribution it stands on; None: none is settled yet. `idle_w`: of one GPU at rest, None if not known,
    in which case nothing is taken off. `workloads`: how many there were to choose from."""

    here: ClusterPower
    cap_w: float
    hour: datetime | None
    idle_w: float | None = None
    steps: tuple[ShiftStep, ...] = ()
    workloads: int = 0

    @property
    def needed_w(self) -> float:
        return max(self.here.power_w - self.cap_w, 0.0)

    @property
    def freed_w(self) -> float:
        return sum(step.workload.frees_w for step in self.steps)

    @property
    def left_w(self) -> float:
        """The power after all steps."""
        return self.here.power_w - self.freed_w

    @property
    def enough(self) -> bool:
        return self.freed_w >= self.needed_w


def clusters_now(now: datetime, region: str = "") -> list[ClusterPower]:
    """By name, of a region or of all. Raises ClickHouseUnavailable or ClickHouseRefused."""
    minute = now.replace(second=0, microsecond=0)
    query = PowerNow(moments.seconds(minute - RECENT), moments.seconds(minute), region)
    return [ClusterPower(*row) for row in client.run(query, timeout_s=TIMEOUT_S).rows]


def power_shift(
    now: datetime, cluster: str, cap_w: float | None, clusters: Sequence[ClusterPower] = ()
) -> ShiftPlan | None:
    """`cap_w` None: the present limit. None: no GPU of this cluster was seen lately, or it has no cap. Raises as above."""
    found = {one.cluster: one for one in clusters or clusters_now(now)}
    here = found.get(cluster)
    if here is None:
        return None
    cap = here.limit_w if cap_w is None else cap_w
    if cap is None:
        return None
    end = energy_settled().hour
    if end is None or here.power_w <= cap:
        return ShiftPlan(here, cap, end and end - HOUR)
    bounds = moments.seconds(end - HOUR), moments.seconds(end)
    idle = _one(IdlePower(*bounds, cluster))
    loads = _workloads(client.run(Workloads(*bounds, cluster, MOST_WORKLOADS), timeout_s=TIMEOUT_S).rows, idle or 0.0)
    serving: defaultdict[str, set[str]] = defaultdict(set)
    for name, model in client.run(ClusterModels(*bounds), timeout_s=TIMEOUT_S).rows:
        serving[model].add(name)
    steps = plan(loads, here.power_w - cap, [one for one in found.values() if one.cluster != cluster], serving)
    return ShiftPlan(here, cap, end - HOUR, idle, tuple(steps), len(loads))


def plan(
    loads: Iterable[Workload], needed_w: float, others: Iterable[ClusterPower], serving: Mapping[str, set[str]]
) -> list[ShiftStep]:
    """`serving`: by model, the clusters. Pure."""
    room = {one.cluster: one.headroom_w or 0.0 for one in others}
    steps, left = [], needed_w
    by_harm: defaultdict[int, list[Workload]] = defaultdict(list)
    for load in loads:
        if load.frees_w > 0:
            by_harm[_harm(load)].append(load)
    for harm in sorted(by_harm):
        waiting = sorted(by_harm[harm], key=lambda one: (-one.frees_w, one.tenant, one.model))
        while waiting and left > 0:
            enough = [one for one in waiting if one.frees_w >= left]
            load = enough[-1] if enough else waiting[0]
            waiting.remove(load)
            steps.append(_placed(load, room, serving.get(load.model, set())))
            left -= load.frees_w
    return steps


def _harm(load: Workload) -> int:
    return 0 if load.deferrable else 2 if load.tier in PAID_FOR else 1


def _placed(load: Workload, room: dict[str, float], serving: set[str]) -> ShiftStep:
    """In the cluster that has most room, if that is enough: moved there, it draws about what it frees here."""
    fits = sorted(
        (name for name in serving if room.get(name, 0.0) >= load.frees_w), key=lambda name: (-room[name], name)
    )
    if not fits:
        return ShiftStep(load)
    before = room[fits[0]]
    room[fits[0]] -= load.frees_w
    return ShiftStep(load, fits[0], before)


def _workloads(rows: Iterable[tuple[str, str, str, int, int, int, bool]], idle_w: float) -> list[Workload]:
    """Of one hour, so that kWh are kW."""
    found = []
    for tenant, model, tier, nkwh, nh, requests, simulated in rows:
        power = nkwh / NANO * W_PER_KWH_AN_HOUR
        found.append(
            Workload(tenant, model, tier, power, max(power - idle_w * nh / NANO, 0.0), requests, bool(simulated))
        )
    return found


def _one(query: client.Query) -> float | None:
    """None where there is none, or none was measured."""
    value = client.run(query, timeout_s=TIMEOUT_S).rows[0][0]
    return float(value) if value else None
