"""The fields of an EngineSample out of an engine's metrics. Pure: text in, fields out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metering.agent.engines.kinds import Combine, Kind, Metric, spellings
from metering.agent.engines.spec import EngineSpec
from metering.agent.exposition import Exposition, Series
from metering.agent.faults import Faults
from metering.agent.plausible import COUNTER, REQUESTS, SECONDS, SHARE, Limits, fitting, wrong_with

# Ranks and processes of one replica tell of the same requests (SGLang with --enable-metrics-for-all-schedulers; `pid` is that of
# prometheus_client's multiprocess mode): of series that differ in these alone the largest counts, instead of their sum.
_SAME_REPLICA = frozenset(("tp_rank", "pp_rank", "moe_ep_rank", "pid"))
# SGLang with priorities: the empty one is the sum of the others.
_PRIORITY = "priority"


def fields_of(exposition: Exposition, kind: Kind, spec: EngineSpec, faults: Faults) -> dict[str, Any]:
    """By field of EngineSample. What cannot be read is absent and a fault that names what was looked for.

    Empty if nothing that belongs to such an engine is there.
    """
    if kind.narrow is not None:
        exposition, problem = kind.narrow(exposition, spec)
        if problem:
            faults.add(problem)
    reader = _Reader(exposition, kind, faults)
    found = {name: reader.gauge(name, metric) for name, metric in kind.gauges.items()}
    found |= {name: reader.counter(name, metric) for name, metric in kind.counters.items()}
    for name, metric in kind.histograms.items():
        found |= reader.histogram(name, metric)
    return {name: value for name, value in found.items() if value is not None}


def model_of(exposition: Exposition, kind: Kind, spec: EngineSpec) -> str:
    """As the operator calls it, else as the engine does. "" where it names none, or several."""
    if spec.model:
        return spec.model
    if kind.narrow is not None:
        exposition, _ = kind.narrow(exposition, spec)
    names = {one.labels.get(kind.model_label, "") for series in exposition.series.values() for one in series} - {""}
    return names.pop() if len(names) == 1 else ""


class _Wrong(Exception):
    """A metric is there, and cannot be true."""


class _Reader:
    def __init__(self, exposition: Exposition, kind: Kind, faults: Faults) -> None:
        self._exposition = exposition
        self._kind = kind
        self._faults = faults

    def gauge(self, field: str, metric: Metric) -> float | None:
        try:
            value = self._value(field, metric, metric.names)
        except _Wrong as wrong:
            self._left_out(wrong)
            return None
        if value is None:
            self._missing(field, metric)
        return value

    def counter(self, field: str, metric: Metric) -> float | None:
        """A counter that is declared and has no series has counted nothing yet: 0, so that its first increment is not lost."""
        names = spellings(metric.names)
        try:
            value = self._value(field, metric, names)
        except _Wrong as wrong:
            self._left_out(wrong)
            return None
        if value is None and not metric.where and self._is_declared(names):
            return 0
        if value is None:
            self._missing(field, metric)
        return value

    def histogram(self, field: str, metric: Metric) -> dict[str, float | None]:
        """Its two counters, of the same name: the sum of one histogram with the count of another would be no mean of anything."""
        sum_, count = f"{field}_sum_s", f"{field}_count"
        for name in metric.names:
            try:
                found = {
                    sum_: self._value(sum_, metric, (f"{name}_sum",), metric.per),
                    count: self._value(count, metric, (f"{name}_count",), 1),
                }
            except _Wrong as wrong:
                self._left_out(wrong)
                return {}
            if None not in found.values():
                return found
        if self._is_declared(metric.names):
            return {sum_: 0.0, count: 0}
        self._missing(f"{sum_}, {count}", metric)
        return {}

    def _value(self, field: str, metric: Metric, names: Iterable[str], per: int | None = None) -> float | None:
        """Of the first name that has series; None if none has. Raises _Wrong."""
        for name in names:
            series = self._series(name, metric.where)
            if series:
                replicas = [_replicas(series), *(_replicas(self._series(more, {})) for more in metric.plus)]
                values = [value / (metric.per if per is None else per) for of in replicas for value in of]
                return _combined(field, metric.combine, values)
        return None

    def _series(self, name: str, where: Mapping[str, frozenset[str]]) -> Sequence[Series]:
        for prefix in self._kind.prefixes:
            found = self._exposition.series.get(prefix + name, ())
            kept = [one for one in found if all(one.labels.get(label, "") in values for label, values in where.items())]
            if kept:
                return kept
        return ()

    def _is_declared(self, names: Iterable[str]) -> bool:
        return any(prefix + name in self._exposition.declared for prefix in self._kind.prefixes for name in names)

    def _left_out(self, wrong: _Wrong) -> None:
        self._faults.add(f"{wrong}, left out")

    def _missing(self, field: str, metric: Metric) -> None:
        if metric.expected:
            looked_for = " or ".join(self._kind.prefixes[0] + name for name in metric.names)
            labels = ", ".join(f"{label} {' or '.join(sorted(values))}" for label, values in metric.where.items())
            self._faults.add(f"{field}: no {looked_for}{f' with {labels}' if labels else ''}")


def _combined(field: str, combine: Combine, values: Sequence[float]) -> float:
    """Raises _Wrong. Each value is looked at: a negative one could hide in a sum."""
    limits = _limits_of(field)
    value = max(values) if combine is Combine.FULLEST else sum(values)
    wrong = next((found for one in [*values, value] if (found := wrong_with(one, limits))), None)
    if wrong:
        raise _Wrong(f"{field}: {wrong}")
    return fitting(value, limits)


def _replicas(series: Sequence[Series]) -> Sequence[float]:
    """One value for each replica, of series of one name."""
    if any(one.labels.get(_PRIORITY) == "" for one in series):
        series = [one for one in series if one.labels.get(_PRIORITY, "") == ""]
    found: dict[frozenset[tuple[str, str]], float] = {}
    for labels, value in series:
        replica = frozenset((label, text) for label, text in labels.items() if label not in _SAME_REPLICA)
        # Not max(), which loses a NaN on its left.
        found[replica] = value if replica not in found or not value <= found[replica] else found[replica]
    return list(found.values())


def _limits_of(field: str) -> Limits:
    if field == "kv_cache_usage":
        return SHARE
    if field in {"running", "waiting"}:
        return REQUESTS
    return SECONDS if field.endswith("_sum_s") else COUNTER
