"""ServeGen's clients as tenants: arrivals and lengths of a production trace instead of drawn ones (metering/replay/formats/servegen.py)."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from metering.replay.formats.servegen import ServeGenTrace
from metering.replay.trace import TraceRequest
from metering.simulator.plan import TIERS, Plan, Tenant
from metering.simulator.pool import (
    ARRIVAL_ROWS,
    ARRIVED,
    INPUT,
    MODEL,
    NUMBER,
    OUTCOME,
    OUTPUT,
    REASONING,
    SERVED,
    STREAM,
    TENANT,
    TIER,
    Floats,
)


def servegen_tenants(
    path: Path, models: Mapping[str, float], *, most: int = 12, prefix: str = "T", dataset: Path | None = None
) -> tuple[Tenant, ...]:
    """The trace's `most` busiest clients, named as `replay` names them. Raises TraceError."""
    rates = Counter(ServeGenTrace(path, dataset).rates_rps())
    return tuple(Tenant(f"{prefix}-{client}", rate, None, models) for client, rate in rates.most_common(most))


class ServeGenTraffic:
    """Requests of the plan's tenants `<prefix>-<client>`; every other client's are left out. Raises TraceError.

    `from_s` is the moment of the trace at which the run begins, `keep` the share of the requests that is kept. The trace names no model: it
    is drawn from the tenant's shares.
    """

    def __init__(
        self, plan: Plan, path: Path, *, from_s: float = 0.0, keep: float = 1.0, dataset: Path | None = None
    ) -> None:
        self._tenant_of = {tenant.key.rpartition("-")[2]: index for index, tenant in enumerate(plan.tenants)}
        self._plan, self._from_s, self._keep = plan, from_s, keep
        self._rng = np.random.Generator(np.random.PCG64([plan.seed, 0x5E17E]))
        self._requests = self._wanted(ServeGenTrace(path, dataset).requests())
        self._next = next(self._requests, None)
        self._number = 0

    def until(self, time_s: float) -> Floats:
        found: list[TraceRequest] = []
        while self._next is not None and self._next.offset_ms / 1000 - self._from_s < time_s:
            found.append(self._next)
            self._next = next(self._requests, None)
        return self._rows(found)

    def _wanted(self, requests: Iterator[TraceRequest]) -> Iterator[TraceRequest]:
        for request in requests:
            wanted = request.offset_ms >= self._from_s * 1000 and request.client in self._tenant_of
            if wanted and (self._keep >= 1 or self._rng.random() < self._keep):
                yield request

    def _rows(self, requests: Sequence[TraceRequest]) -> Floats:
        rows = np.zeros((ARRIVAL_ROWS, len(requests)))
        if not requests:
            return rows
        rows[ARRIVED] = [request.offset_ms / 1000 - self._from_s for request in requests]
        rows[TENANT] = [self._tenant_of[request.client] for request in requests]
        rows[MODEL] = [self._model(self._tenant_of[request.client]) for request in requests]
        context = np.array([model.context for model in self._plan.models])[rows[MODEL].astype(np.int64)]
        rows[INPUT] = np.clip([request.input_tokens for request in requests], 1, context * 3 // 4)
        rows[OUTPUT] = np.clip([request.output_tokens for request in requests], 1, context // 5)
        rows[REASONING] = np.minimum([request.reasoning_tokens for request in requests], rows[OUTPUT])
        rows[TIER], rows[STREAM], rows[OUTCOME] = TIERS.index("standard"), 1, SERVED
        rows[NUMBER] = self._number + np.arange(len(requests))
        self._number += len(requests)
        return rows

    def _model(self, tenant: int) -> int:
        names = [model.name for model in self._plan.models]
        shares = self._plan.tenants[tenant].models
        chosen = self._rng.choice(list(shares), p=np.array(list(shares.values())) / sum(shares.values()))
        return names.index(str(chosen))
