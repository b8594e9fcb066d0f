"""Leakage as Prometheus metrics: each engine's latest complete hour, and whether it is on alert.

Not more than MOST_ENGINES of them, those that leak most; the fleet's figures are of all.
"""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from metering.ingest_health import FAILURES, QUERY_LIMIT_S
from metering.telemetry.reconciliation.alerts import KINDS, PHANTOM, RECENT, UNBILLED, share
from metering.telemetry.reconciliation.hours import EngineHour, Leakage, leakage
from metering.telemetry.reconciliation.report import LeakageState, leakage_state

MOST_ENGINES = 200
ENGINE = ["node", "engine", "model"]


class LeakageCollector(Collector):
    """One reading, as metric families. Absent while it cannot be read, or nothing is settled yet."""

    def collect(self) -> Iterator[Metric]:
        try:  # a run of hours need not be followed to its beginning to know that it goes on
            state = leakage_state(RECENT, timeout_s=QUERY_LIMIT_S)
        except FAILURES:
            return  # which part is down `tallywatt_up` says
        if state.at is None:
            return
        latest = [hour for hour in state.latest if hour.end > state.at - RECENT]
        yield from _engines(_worst(latest))
        yield _alerts(state)
        yield from _fleet(leakage(hour for hour in latest if hour.end == state.at))


def _engines(hours: Sequence[EngineHour]) -> Iterator[Metric]:
    text = "Tokens of the engine's latest complete hour: unbilled are in no event, phantom in events alone."
    tokens = GaugeMetricFamily("tallywatt_leakage_tokens", text, labels=[*ENGINE, "kind"])
    text = "The same as a share: unbilled of what the engine counted, phantom of what events say."
    shares = GaugeMetricFamily("tallywatt_leakage_share", text, labels=[*ENGINE, "kind"])
    for hour in hours:
        found = leakage([hour])
        for kind in KINDS:
            labels = [hour.node, hour.engine, hour.model, kind]
            tokens.add_metric(labels, _tokens(found, kind))
            shares.add_metric(labels, share(found, kind))
    yield tokens
    yield shares


def _alerts(state: LeakageState) -> Metric:
    text = "1 for an engine whose latest judged hour leaks more than TALLYWATT_LEAKAGE_ALERT_SHARE."
    family = GaugeMetricFamily("tallywatt_leakage_alert", text, labels=[*ENGINE, "kind"])
    for one in state.alerts[:MOST_ENGINES]:
        family.add_metric([one.node, one.engine, one.model, one.kind], 1)
    return family


def _fleet(found: Leakage) -> Iterator[Metric]:
    text = "Tokens of all engines whose latest settled hour is complete."
    tokens = GaugeMetricFamily("tallywatt_leakage_fleet_tokens", text, labels=["kind"])
    shares = GaugeMetricFamily("tallywatt_leakage_fleet_share", "The same as a share.", labels=["kind"])
    for kind in KINDS:
        tokens.add_metric([kind], _tokens(found, kind))
        shares.add_metric([kind], share(found, kind))
    yield tokens
    yield shares
    text = "Engines whose latest settled hour is complete."
    yield GaugeMetricFamily("tallywatt_leakage_compared_engines", text, found.hours)


def _tokens(found: Leakage, kind: str) -> float:
    return (found.unbilled if kind == UNBILLED else found.phantom).tokens


def _worst(hours: Iterable[EngineHour]) -> list[EngineHour]:
    def leaked(hour: EngineHour) -> float:
        found = leakage([hour])
        return _tokens(found, UNBILLED) + _tokens(found, PHANTOM)

    return sorted(hours, key=lambda hour: (-leaked(hour), hour.node, hour.engine))[:MOST_ENGINES]
