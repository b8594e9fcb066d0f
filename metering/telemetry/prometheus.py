"""The fleet as Prometheus metrics: saturation by engine, power by node. Not more than MOST of each, the most saturated first."""

from collections import defaultdict
from collections.abc import Iterator

from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from metering.ingest_health import FAILURES, QUERY_LIMIT_S
from metering.telemetry.fleet import GpuState, fleet_engines, fleet_gpus
from metering.telemetry.saturation_scopes import EngineState

MOST = 500
ENGINE = ["node", "engine", "model"]


class FleetCollector(Collector):
    """One reading, as metric families. Absent while it cannot be read, or there is nothing to read."""

    def collect(self) -> Iterator[Metric]:
        now = timezone.now()
        try:
            engines = fleet_engines(now, timeout_s=QUERY_LIMIT_S)
            gpus = fleet_gpus(now, timeout_s=QUERY_LIMIT_S)
        except FAILURES:
            return  # which part is down `tallywatt_up` says
        if engines:
            yield from _engines(sorted(engines, key=_calmest_last)[:MOST])
        if gpus:
            yield _power(gpus)


def _calmest_last(engine: EngineState) -> tuple[bool, float]:
    state = engine.saturation
    return not state.bound, -1.0 * (state.score or 0.0)


def _engines(engines: list[EngineState]) -> Iterator[Metric]:
    up = GaugeMetricFamily("tallywatt_engine_up", "1 if the engine answers its node's agent.", labels=ENGINE)
    text = "How saturated the engine is, 0 to 1; absent without any reading."
    score = GaugeMetricFamily("tallywatt_saturation_score", text, labels=ENGINE)
    text = "1 for the constraint that binds the engine; absent if none does."
    bound = GaugeMetricFamily("tallywatt_saturation_bound", text, labels=[*ENGINE, "constraint"])
    for each in engines:
        labels, state = [each.node, each.engine, each.model], each.saturation
        up.add_metric(labels, float(each.up))
        if state.score is not None:
            score.add_metric(labels, state.score)
        if state.bound:
            bound.add_metric([*labels, state.constraint], 1)
    yield from (up, score, bound)


def _power(gpus: list[GpuState]) -> Metric:
    """Of the nodes whose GPUs tell it."""
    watts: dict[str, float] = defaultdict(float)
    for gpu in gpus:
        if gpu.power_w is not None:
            watts[gpu.node] += gpu.power_w
    text = "Power of the node's GPUs together, by the latest sample of each."
    family = GaugeMetricFamily("tallywatt_gpu_power_watts", text, labels=["node"])
    for node in sorted(watts, key=lambda name: -watts[name])[:MOST]:
        family.add_metric([node], watts[node])
    return family
