"""Rows of readings as ClickHouse gives them, as what saturation is computed from."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from metering.clickhouse.queries.saturation import READINGS
from metering.telemetry.saturation import Readings


@dataclass(frozen=True, slots=True)
class EngineReadings:
    """One engine over one slice of time. `newest_ms`: its latest sample there; `up`: that one said that the engine answers.

    `slice` is the start of the slice in epoch ms, or (of SaturationNow) how many slices it lies back.
    """

    slice: int
    node: str
    engine: str
    engine_kind: str
    model: str
    region: str
    cluster: str
    simulated: bool
    gpus: tuple[str, ...]
    newest_ms: int
    up: bool
    running: float | None
    waiting: float | None
    prompt_tokens_per_s: float | None  # cached ones included
    generation_tokens_per_s: float | None
    readings: Readings


def readings_of(row: tuple[Any, ...]) -> EngineReadings:
    """Of a row of SaturationSlices or SaturationNow. An engine that does not answer has no readings, whatever its GPUs still do."""
    at = dict(zip(READINGS, row, strict=True))
    busy = max(at["running"] or 0.0, 1.0)
    waiting, preempted = at["waiting"], _rate(at, "preemptions")
    return EngineReadings(
        slice=at["slice"],
        node=at["node"],
        engine=at["engine"],
        engine_kind=at["engine_kind"],
        model=at["model"],
        region=at["region"],
        cluster=at["cluster"],
        simulated=at["simulated"],
        gpus=tuple(at["gpus"]),
        newest_ms=at["newest_ms"],
        up=bool(at["up"]),
        running=at["running"],
        waiting=waiting,
        prompt_tokens_per_s=_rate(at, "prompt_tokens"),
        generation_tokens_per_s=_rate(at, "generation_tokens"),
        readings=Readings()
        if not at["up"]
        else Readings(
            kv_cache_usage=at["kv_cache_usage"],
            preemption_rate=None if preempted is None else preempted / busy,
            waiting_per_running=None if waiting is None else waiting / busy,
            dram_active=at["dram_active"],
            tensor_active=at["tensor_active"],
            power_share=at["power_share"],
            power_throttle=at["power_throttle"],
            thermal_throttle=at["thermal_throttle"],
        ),
    )


def _rate(at: dict[str, Any], counter: str) -> float | None:
    """A second; None where no two samples could be compared."""
    grown, seconds = at[counter], at["counted_s"]
    return grown / seconds if grown is not None and seconds else None


def weights(engines: Iterable[EngineReadings]) -> dict[tuple[str, str], float]:
    """How many GPUs each (node, engine) counts for: a GPU that several share counts for a part of each; 1 where none is named."""
    found = list(engines)
    users = Counter((each.node, gpu) for each in found for gpu in each.gpus)
    return {
        (each.node, each.engine): sum(1 / users[each.node, gpu] for gpu in each.gpus) if each.gpus else 1.0
        for each in found
    }
