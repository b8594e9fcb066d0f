"""Small plans for tests, and runs of them."""

from dataclasses import replace
from typing import Any

import numpy as np

from metering.simulator.fleet import Finished, Fleet
from metering.simulator.hardware import H100
from metering.simulator.models import BGE_M3, LLAMA_8B, LLAMA_70B
from metering.simulator.plan import EngineSetup, NodeSetup, Plan, Tenant, Workload
from metering.simulator.pool import ABORTED, DONE, ENDED, ENGINE, FIRST, Floats

START_MS = 1_795_525_200_000  # a Tuesday, 13:00 UTC
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
CHAT = Workload(700, 1.0, 230, 0.9, cache_hits=0.5, cached_share=0.8)
SMALL, LARGE, EMBEDDER = 0, 1, 2  # engines of `mixed_plan`
NODE, SMALL_NAME, LARGE_NAME = "node-1", "small", "large"


def tenant(key: str, rate_rps: float, *models: str, **fields: Any) -> Tenant:
    workload = fields.pop("workload", CHAT)
    return Tenant(key, rate_rps, workload, dict.fromkeys(models or ("llama-3.1-8b",), 1.0), **fields)


def one_engine(*tenants: Tenant, engine: dict[str, Any] | None = None, **fields: Any) -> Plan:
    """One Llama-3.1-8B on one H100; a second GPU has no engine."""
    setup = replace(EngineSetup(SMALL_NAME, LLAMA_8B, (0,)), **(engine or {}))
    return Plan((NodeSetup(NODE, H100, (setup,), gpus=2),), tenants, START_MS, **fields)


def mixed_plan(**fields: Any) -> Plan:
    """Three models, three tenants, one of them bursty, all that can happen to a request."""
    engines = (
        EngineSetup(SMALL_NAME, LLAMA_8B, (0,)),
        EngineSetup(LARGE_NAME, LLAMA_70B, (1, 2, 3, 4)),
        EngineSetup("embedder", BGE_M3, (5,)),
    )
    tenants = (
        tenant("steady", 3.0, "llama-3.1-8b", "llama-3.3-70b"),
        tenant("bursty", 2.0, "llama-3.3-70b", cv=3.0, tiers={"priority": 0.5, "standard": 0.5}, projects=("a", "b")),
        tenant("searching", 1.0, "bge-m3"),
    )
    given: dict[str, Any] = {"aborted": 0.02, "cancelled": 0.03, "failed": 0.01}
    return Plan((NodeSetup(NODE, H100, engines),), tenants, START_MS, **given | fields)


def ran(plan: Plan, minutes: float) -> tuple[Fleet, Finished]:
    fleet = Fleet(plan)
    return fleet, fleet.step(START_MS + round(minutes * MINUTE_MS))


def served(finished: Finished, engine: int | None = None) -> Floats:
    """Columns of requests with a first token and an event."""
    rows = finished.rows
    wanted = (rows[FIRST] >= 0) & (rows[ABORTED] == 0)
    return rows[:, wanted if engine is None else wanted & (rows[ENGINE] == engine)]


def seconds_per_token(rows: Floats) -> float:
    """Mean time per output token after the first."""
    several = rows[:, rows[DONE] > 1]
    return float(np.sum(several[ENDED] - several[FIRST]) / np.sum(several[DONE] - 1))


def joules(fleet: Fleet) -> tuple[float, float, float]:
    """Of requests, of idle time, and of the counters, over all minutes; GPUs without an engine left out."""
    minutes = fleet.truth.minutes
    return (
        float(sum(minute.energy_j.sum() for minute in minutes)),
        float(sum(minute.idle_j.sum() for minute in minutes)),
        float(sum(minute.counter_j.sum() for minute in minutes)),
    )
