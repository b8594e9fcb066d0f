"""One data point of a metric as rows of the table `telemetry_points`: which rule it must keep, and what each column holds.

A gauge, a sum and a histogram are one row. A summary is a row with its count and sum, and a row for each quantile with the value and
the attribute `quantile`, as Prometheus has it.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from metering.contracts import RejectReason
from metering.ingest.decoders.common import BadEvent
from metering.ingest.decoders.otlp_common import as_text, plain
from metering.ingest.decoders.otlp_histograms import MOST_BUCKETS, explicit, from_exponential

MOST_LABELS = 64
LONGEST_NAME = 256
LONGEST_LABEL = 4096
LONGEST_UNIT = 64
NO_RECORDED_VALUE = 1  # flag: the series has ended here, as the Prometheus receiver says; there is no measurement
# What NVML and DCGM say for "no value" (dcgm_structs.h: blank, not found, not supported, no permission), as 64-bit and 32-bit
# integers and as doubles. A number of 63 bits is no measurement of anything; the others could be, of anything but a GPU.
BLANK_INT64 = float(0x7FFFFFFFFFFFFFF0)
BLANK_DCGM = frozenset(float(first + step) for first in (0x7FFFFFF0, 140737488355328) for step in range(4))

Labels = list[tuple[str, str]]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Window:
    """The times that are taken, in nanoseconds since 1970, and how to name the limits."""

    oldest_ns: int
    latest_ns: int
    days: int
    future_s: int

    def check(self, time_ns: int) -> None:
        if time_ns == 0:
            raise BadEvent("timeUnixNano", RejectReason.MISSING_FIELD, "timeUnixNano is required")
        if time_ns < self.oldest_ns:
            raise BadEvent("timeUnixNano", RejectReason.TOO_OLD, f"timeUnixNano is older than {self.days} days")
        if time_ns > self.latest_ns:
            message = f"timeUnixNano lies more than {self.future_s} s in the future"
            raise BadEvent("timeUnixNano", RejectReason.IN_FUTURE, message)


def labels(pairs: Iterable[Any], what: str) -> Labels:
    """KeyValue messages as texts, in order of their names, so that the same set always looks the same. Raises BadEvent."""
    found = {pair.key: as_text(value) for pair in pairs if (value := plain(pair.value)) is not None}
    if len(found) > MOST_LABELS:
        message = f"the {what} has {len(found)} attributes, at most {MOST_LABELS} are taken"
        raise BadEvent("attributes", RejectReason.TOO_LONG, message)
    for name, value in found.items():
        if len(name) > LONGEST_NAME or len(value) > LONGEST_LABEL:
            message = f"the {what}'s attribute {name[:64]!r} is too long: {LONGEST_NAME} characters for names, {LONGEST_LABEL} for values"
            raise BadEvent("attributes", RejectReason.TOO_LONG, message)
    return sorted(found.items())


def rows(kind: str, metric: str, point: Any, window: Window) -> list[Row]:
    """The columns that differ from point to point; none if the point tells that there is no measurement. Raises BadEvent."""
    if point.flags & NO_RECORDED_VALUE:
        return []
    window.check(point.time_unix_nano)
    if point.start_time_unix_nano > point.time_unix_nano:
        raise BadEvent("startTimeUnixNano", RejectReason.INVARIANT, "startTimeUnixNano lies after timeUnixNano")
    common = {
        "time": point.time_unix_nano // 1_000_000,
        "start_time": point.start_time_unix_nano // 1_000_000 or None,
        "attributes": labels(point.attributes, "data point"),
    }
    return [common | found for found in VALUES[kind](metric, point)]


def _number(metric: str, point: Any) -> list[Row]:
    kind = point.WhichOneof("value")
    if kind is None:
        raise BadEvent("asDouble", RejectReason.MISSING_FIELD, "the data point has no value")
    value = _finite("asDouble", float(getattr(point, kind)))
    if value >= BLANK_INT64 or (metric.startswith("DCGM_") and value in BLANK_DCGM):
        raise BadEvent(
            "asDouble", RejectReason.OUT_OF_RANGE, f"{getattr(point, kind)} stands for 'no value', it is no measurement"
        )
    return [{"value": value}]


def _histogram(metric: str, point: Any) -> list[Row]:
    bounds, buckets = explicit(point)
    return [_extremes(point) | {"bounds": bounds, "buckets": buckets}]


def _exponential(metric: str, point: Any) -> list[Row]:
    bounds, buckets = from_exponential(point)
    return [_extremes(point) | {"bounds": bounds, "buckets": buckets}]


def _extremes(point: Any) -> Row:
    given = {name: getattr(point, name) for name in ("sum", "min", "max") if point.HasField(name)}
    return {"count": point.count} | {name: _finite(name, value) for name, value in given.items()}


def _summary(metric: str, point: Any) -> list[Row]:
    if len(point.quantile_values) > MOST_BUCKETS:
        raise BadEvent("quantileValues", RejectReason.TOO_LONG, f"more than {MOST_BUCKETS} quantiles")
    own = labels(point.attributes, "data point")
    found: list[Row] = [{"count": point.count, "sum": _finite("sum", point.sum)}]
    for item in point.quantile_values:
        if not 0 <= item.quantile <= 1:
            raise BadEvent("quantileValues", RejectReason.OUT_OF_RANGE, f"there is no quantile {item.quantile}")
        if not math.isnan(item.value):  # nothing was observed since the last time
            named = sorted([*own, ("quantile", as_text(item.quantile))])
            found.append({"value": _finite("quantileValues", item.value), "attributes": named})
    return found


def _finite(field: str, value: float) -> float:
    if not math.isfinite(value):
        raise BadEvent(field, RejectReason.OUT_OF_RANGE, f"{field} is {value}, expected a finite number")
    return value


VALUES: dict[str, Callable[[str, Any], list[Row]]] = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "exponential_histogram": _exponential,
    "summary": _summary,
}
