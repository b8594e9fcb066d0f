"""`POST /v1/metrics`: the data points of a request as columns of the table `telemetry_points`.

A bad point does not take its metric with it. Points flagged "no recorded value" are no measurement: neither taken nor refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1 import metrics_pb2 as otlp
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from metering.contracts import RejectReason
from metering.ingest.checking import Reject
from metering.ingest.decoders.common import BadEvent, check_count
from metering.ingest.decoders.otlp_common import BrokenPart, Origin, Part, dumped, looks_like_json, origins, tree, whole
from metering.ingest.decoders.otlp_points import (
    LONGEST_LABEL,
    LONGEST_NAME,
    LONGEST_UNIT,
    Labels,
    Row,
    Window,
    labels,
    rows,
)
from metering.ingest.schema import LABEL, POINTS, STAMPED

NAME = "otlp_metrics"
TEMPORALITIES = {1: "delta", 2: "cumulative"}
GIVEN = tuple(name for name in POINTS.names if name not in STAMPED)
EMPTY: dict[str, Any] = {"bounds": [], "buckets": []}  # all else that a kind does not have is null
DATA_POINTS = {1: "dataPoints"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of metric: its name here and in JSON, and its messages."""

    name: str
    json: str
    container: type[Message]
    point: type[Message]


# By the number of its field in Metric.
KINDS = {
    5: Kind("gauge", "gauge", otlp.Gauge, otlp.NumberDataPoint),
    7: Kind("sum", "sum", otlp.Sum, otlp.NumberDataPoint),
    9: Kind("histogram", "histogram", otlp.Histogram, otlp.HistogramDataPoint),
    10: Kind(
        "exponential_histogram",
        "exponentialHistogram",
        otlp.ExponentialHistogram,
        otlp.ExponentialHistogramDataPoint,
    ),
    11: Kind("summary", "summary", otlp.Summary, otlp.SummaryDataPoint),
}
DATA = {number: kind.json for number, kind in KINDS.items()}


@dataclass
class Points:
    """The outcome for one request: columns of the points taken, and the rejects, in the order of the request."""

    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in GIVEN})
    rejects: list[Reject] = field(default_factory=list)

    @property
    def taken(self) -> int:
        return len(self.columns["metric"])

    def add(self, row: Row) -> None:
        for name in GIVEN:
            self.columns[name].append(row.get(name))

    def table(self) -> pa.Table | None:
        """Without the stamped columns; None if nothing was taken."""
        if not self.taken:
            return None
        return pa.table({name: _array(name, values) for name, values in self.columns.items()})


def read(body: bytes, most: int, window: Window, api_key: str, *, is_json: bool | None = None) -> Points:
    """Every data point, checked. Raises Undecodable, BodyTooLarge or TooManyEvents. `is_json` None: found out from the body."""
    root = tree(body, most, is_json=looks_like_json(body) if is_json is None else is_json)
    points = Points()
    for index, group, part in _received(root, most):
        try:
            found = rows(group.kind.name, group.metric.name, group.message(part), window)
            shared = group.row(api_key) if found else {}
        except BadEvent as bad:
            reject = Reject(index, bad.field, bad.error.reason, bad.error.message, raw=group.document(part))
            points.rejects.append(reject)
            continue
        for row in found:
            points.add(shared | row)
    return points


@dataclass
class Group:
    """The points of one metric: what they have in common. A fault in it is a fault of each of its points."""

    origin: Origin
    kind: Kind
    metric: Any
    container: Any
    _row: Row | None = None

    def message(self, part: Part) -> Any:
        try:
            return part.message(self.kind.point)
        except BrokenPart as broken:
            raise BadEvent("", RejectReason.MALFORMED, f"the data point cannot be read: {broken}") from None

    def row(self, api_key: str) -> Row:
        """Its columns. Raises BadEvent."""
        if self._row is None:
            resource = self.origin.resource
            self._row = EMPTY | {
                "metric": _text("name", self.metric.name, LONGEST_NAME, least=1),
                "unit": _text("unit", self.metric.unit, LONGEST_UNIT),
                "scope": _text("scope", self.origin.scope, LONGEST_LABEL),
                "service": _text("service.name", str(resource.get("service.name", "")), LONGEST_LABEL),
                "node": _text("host.name", self.origin.node, LONGEST_LABEL),
                "resource": self._resource(),
                "kind": self.kind.name,
                "temporality": self._temporality(),
                "monotonic": getattr(self.container, "is_monotonic", False),
                "api_key": api_key,
            }
        return self._row

    def document(self, part: Part) -> bytes:
        """One point alone as an OTLP/JSON request, which can be sent again; its bare bytes if it cannot be read."""
        try:
            point = part.document(self.kind.point)
        except BrokenPart:
            return part.raw()
        metric = _as_json(self.metric) | {self.kind.json: _as_json(self.container) | {"dataPoints": [point]}}
        scope = {"scope": self.origin.scope_part.document(InstrumentationScope), "metrics": [metric]}
        resource = self.origin.resource_part.document(Resource)
        return dumped({"resourceMetrics": [{"resource": resource, "scopeMetrics": [scope]}]})

    def _resource(self) -> Labels:
        return labels(self.origin.resource_part.message(Resource).attributes, "resource")

    def _temporality(self) -> str:
        if not hasattr(self.container, "aggregation_temporality"):
            return ""
        found = TEMPORALITIES.get(self.container.aggregation_temporality)
        if found is None:
            message = "aggregationTemporality must be 1 (delta) or 2 (cumulative)"
            raise BadEvent("aggregationTemporality", RejectReason.MISSING_FIELD, message)
        return found


def _received(root: Part, most: int) -> Iterator[tuple[int, Group, Part]]:
    """Every data point with its position in the request and what it belongs to."""
    index = 0
    for origin, scope in origins(root, most, "resourceMetrics", "scopeMetrics"):
        for part in scope.children(2, "metrics"):
            for number, data in part.among(DATA):
                kind, group = KINDS[number], None
                for point in data.children(1, "dataPoints"):
                    check_count(index + 1, most)
                    group = group or _group(origin, kind, part, data)
                    yield index, group, point
                    index += 1


def _group(origin: Origin, kind: Kind, metric: Part, data: Part) -> Group:
    """Raises Undecodable: a request in which a metric's own fields are broken is broken as a whole."""
    return Group(origin, kind, whole(metric, otlp.Metric, DATA), whole(data, kind.container, DATA_POINTS))


def _as_json(message: Message) -> dict[str, Any]:
    return dict(json_format.MessageToDict(message, use_integers_for_enums=True))


def _text(field: str, value: str, longest: int, *, least: int = 0) -> str:
    if len(value) < least:
        raise BadEvent(field, RejectReason.MISSING_FIELD, f"{field} is required")
    if len(value) > longest:
        raise BadEvent(
            field, RejectReason.TOO_LONG, f"{field} has {len(value)} characters, at most {longest} are taken"
        )
    return value


def _array(name: str, values: list[Any]) -> pa.Array:
    kind = POINTS.field(name).type
    if kind == LABEL:
        return pa.array(values, pa.string()).dictionary_encode()
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)
