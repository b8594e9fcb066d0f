"""What really happened, kept apart from everything that is emitted: joules and tokens per minute, engine, tenant, tier, and whether an
event will tell of it. Tests hold what was attributed from outside against this."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metering.simulator.plan import TIERS, Plan
from metering.simulator.pool import Floats, Ints

SERVED_CELL, ABORTED_CELL = 0, 1


@dataclass(frozen=True)
class TruthMinute:
    """From `start_ms` for a minute. Arrays are (engines, tenants, TIERS, 2), the last for requests with and without an event.

    `computed_tokens` are prompt tokens as they were computed, those computed again after a preemption included. `counter_j` is what the
    energy counters of the engine's GPUs rose by, added up from the GPUs; `unclaimed_j` is of GPUs without an engine, per node.
    """

    start_ms: int
    energy_j: Floats  # by work: see burning.py
    caused_j: Floats  # the same joules by cause
    computed_tokens: Floats
    output_tokens: Floats
    idle_j: Floats  # per engine
    counter_j: Floats  # per engine
    unclaimed_j: Floats  # per node
    lost_j: Floats  # per tenant: burned, in this minute or before, for requests that were lost with their engine in this minute

    def tenant_j(self) -> Floats:
        """Joules of each tenant's requests with an event."""
        return np.asarray(self.energy_j[..., SERVED_CELL].sum(axis=(0, 2)))


class Truth:
    """`keep_minutes` is how many of the latest minutes are kept; None: all (60 KB each for a fleet of 20 engines)."""

    def __init__(self, plan: Plan, engines: int, keep_minutes: int | None = None) -> None:
        self._keep_minutes = keep_minutes
        self._shape = (engines, len(plan.tenants), len(TIERS), 2)
        self._nodes, self._cells = len(plan.nodes), int(np.prod(self._shape))
        self.minutes: list[TruthMinute] = []
        self._begin()

    def key(self, engine: Ints, tenant: Ints, tier: Ints, aborted: Ints) -> Ints:
        """The cell of a request, for `add_requests`."""
        return np.ravel_multi_index((engine, tenant, tier, aborted), self._shape).astype(np.int64)

    def add_requests(self, key: Ints, joules: Floats, caused: Floats, computed: Floats, output: Floats) -> None:
        for place, amounts in enumerate((joules, caused, computed, output)):
            self._requests[place] += np.bincount(key, weights=amounts, minlength=self._cells)

    def add_boards(self, idle_j: Floats, gpu_j: Floats, gpu_engine: Ints, gpu_node: Ints) -> None:
        engines = self._shape[0]
        self._idle_j += idle_j
        self._counter_j += np.bincount(gpu_engine, weights=gpu_j, minlength=engines + 1)[:engines]
        without = gpu_engine == engines
        self._unclaimed_j += np.bincount(gpu_node[without], weights=gpu_j[without], minlength=self._nodes)

    def add_lost(self, tenant: Ints, joules: Floats) -> None:
        self._lost_j += np.bincount(tenant, weights=joules, minlength=self._shape[1])

    def end_minute(self, start_ms: int) -> TruthMinute:
        energy_j, caused_j, computed_tokens, output_tokens = (
            amounts.reshape(self._shape) for amounts in self._requests
        )
        minute = TruthMinute(
            start_ms=start_ms,
            energy_j=energy_j,
            caused_j=caused_j,
            computed_tokens=computed_tokens,
            output_tokens=output_tokens,
            idle_j=self._idle_j,
            counter_j=self._counter_j,
            unclaimed_j=self._unclaimed_j,
            lost_j=self._lost_j,
        )
        self.minutes.append(minute)
        if self._keep_minutes is not None:
            del self.minutes[: -self._keep_minutes]
        self._begin()
        return minute

    def _begin(self) -> None:
        engines, tenants = self._shape[:2]
        self._requests = np.zeros((4, self._cells))
        self._idle_j, self._counter_j = np.zeros(engines), np.zeros(engines)
        self._unclaimed_j, self._lost_j = np.zeros(self._nodes), np.zeros(tenants)


def tenant_joules(plan: Plan, minutes: Sequence[TruthMinute]) -> Mapping[str, float]:
    """Joules of each tenant's requests that have an event, over those minutes."""
    total = sum((minute.tenant_j() for minute in minutes), np.zeros(len(plan.tenants)))
    return dict(zip((tenant.key for tenant in plan.tenants), total.tolist(), strict=True))
