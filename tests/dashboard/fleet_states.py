"""Short ways to write engines, scopes and GPUs as metering reports them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from metering.public import EngineState, GpuState, Saturation

NOW = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def engine(
    name: str = "e0", score: float | None = 0.5, constraint: str = "power", *, bound: bool = False, **fields: Any
) -> EngineState:
    readings = fields.pop("readings", {})
    usual: dict[str, Any] = {
        "node": "n1",
        "engine_kind": "vllm",
        "model": "m",
        "region": "eu",
        "cluster": "",
        "simulated": False,
        "gpus": ("GPU-0",),
        "weight": 1.0,
        "at": NOW - 2 * SECOND,
        "up": True,
        "running": 10.0,
        "waiting": 0.0,
        "prompt_tokens_per_s": None,
        "generation_tokens_per_s": None,
    }
    state = Saturation(score, constraint, bound, readings, fields.pop("missing", ()))
    return EngineState(**(usual | {"engine": name, "saturation": state} | fields))


def gpu(index: int | None = 0, **fields: Any) -> GpuState:
    """What is not given is not known."""
    nothing = dict.fromkeys(GpuState.__dataclass_fields__)
    usual = {"node": "n1", "gpu": f"GPU-{index}", "mig": "", "at": NOW - SECOND, "index": index, "name": "H100"}
    place = {"region": "eu", "cluster": "", "simulated": False, "source": "nvml"}
    return GpuState(**(nothing | usual | place | fields))
