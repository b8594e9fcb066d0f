"""Inference engines, read from their own Prometheus text (`/metrics`)."""

from metering.agent.engines.source import EngineSource
from metering.agent.engines.spec import EngineSpec, Resolved, resolve_gpus

__all__ = ["EngineSource", "EngineSpec", "Resolved", "resolve_gpus"]
