"""Requests that ended, as canonical events."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from metering.simulator.engines import EngineName
from metering.simulator.fleet import Finished, Fleet
from metering.simulator.plan import TIERS
from metering.simulator.pool import (
    ABORTED,
    ARRIVED,
    CACHED,
    CANCELLED,
    CUT,
    DONE,
    ENDED,
    ENGINE,
    FIRST,
    INPUT,
    MODEL,
    NUMBER,
    OUTCOME,
    PROJECT,
    REASONING,
    SERVED,
    STARTED,
    STREAM,
    TENANT,
    TIER,
)

ATTRIBUTES = {"simulated": "true"}


class Events:
    """Of one fleet. What every event of an engine or a tenant shares is made once."""

    def __init__(self, fleet: Fleet) -> None:
        plan = fleet.plan
        self._start_ms = plan.start_ms
        self._source = f"simulator:{plan.start_ms}:{plan.seed}"
        self._tenants, self._models = plan.tenants, plan.models
        self._places = [_place(name) for name in fleet.engines.names]
        self._places.append({})  # of NOWHERE, which is -1

    def of(self, finished: Finished) -> Iterator[dict[str, Any]]:
        """In order of time. A request that was aborted silently has none."""
        rows = finished.rows[:, finished.rows[ABORTED] == 0]
        times = (self._start_ms + np.rint(rows[ENDED] * 1000)).astype("datetime64[ms]")
        texts = np.datetime_as_string(times, timezone="UTC").tolist()
        return map(self._event, rows.T.tolist(), texts)

    def _event(self, row: Sequence[float], time: str) -> dict[str, Any]:
        tenant, model = self._tenants[int(row[TENANT])], self._models[int(row[MODEL])]
        event: dict[str, Any] = {
            "id": f"{tenant.key}-{int(row[NUMBER])}",
            "source": self._source,
            "time": time,
            "tenant": tenant.key,
            "model": model.name,
            "operation": "chat" if model.generates else "embedding",
            "tier": TIERS[int(row[TIER])],
            "attributes": ATTRIBUTES,
            **self._places[int(row[ENGINE])],
            **_outcome(row),
        }
        if tenant.projects:
            event["project"] = tenant.projects[int(row[PROJECT])]
        return event


def _place(name: EngineName) -> dict[str, Any]:
    return {
        "node": name.node.name,
        "engine": name.setup.name,
        "gpus": list(name.gpu_uuids),
        "region": name.node.region,
        "cluster": name.node.cluster,
    }


def _outcome(row: Sequence[float]) -> dict[str, Any]:
    if row[FIRST] < 0:  # refused, or given up before the first token: nobody told how many tokens there would have been
        status, reason = ("cancelled", "cancelled") if row[OUTCOME] == CANCELLED else ("error", "error")
        waited_ms = round((row[ENDED] - row[ARRIVED]) * 1000, 3)
        return {"status": status, "finish_reason": reason, "input_tokens": 0, "output_tokens": 0, "e2e_ms": waited_ms}
    output = int(row[DONE])
    found: dict[str, Any] = {
        "status": "ok" if row[OUTCOME] == SERVED else "cancelled",
        "finish_reason": "cancelled" if row[OUTCOME] != SERVED else "length" if row[CUT] else "stop",
        "input_tokens": int(row[INPUT]),
        "cached_input_tokens": int(row[CACHED]),
        "output_tokens": output,
        "reasoning_tokens": min(int(row[REASONING]), output),
        "queue_ms": round((row[STARTED] - row[ARRIVED]) * 1000, 3),
        "ttft_ms": round((row[FIRST] - row[ARRIVED]) * 1000, 3),
        "e2e_ms": round((row[ENDED] - row[ARRIVED]) * 1000, 3),
        "stream": bool(row[STREAM]),
    }
    if output > 1:
        found["tpot_ms"] = round((row[ENDED] - row[FIRST]) / (output - 1) * 1000, 3)
    return found
