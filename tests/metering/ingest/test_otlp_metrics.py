"""`POST /v1/metrics`: data points of every kind arrive as they were measured, and what is no measurement does not."""

import math
import uuid
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1 import metrics_pb2 as otlp
from pytest_django.fixtures import Settings

from metering import accounts, keys
from metering.clickhouse import client
from metering.clickhouse.queries.telemetry import PointsOfMetric
from metering.ingest import local
from metering.ingest.decoders.common import BadEvent
from metering.ingest.decoders.otlp_histograms import from_exponential
from metering.ingest.drain import drain
from tests.metering.ingest.edge import Edge
from tests.metering.ingest.otlp_bodies import (
    JSON,
    NOW_NS,
    PROTOBUF,
    Exporter,
    as_json,
    gauge,
    metric_request,
    number,
    pairs,
    partial_success,
)

ENCODINGS = ("protobuf", "json", "protobuf+gzip", "json+gzip")
NOW_MS = NOW_NS // 1_000_000
CUMULATIVE = 2


@pytest.fixture
def exporter(db: None, clickhouse: None, spool: Path) -> Exporter:
    """An operator's."""
    return Exporter(keys.issue_key(None, ["ingest"]), "/v1/metrics")


@pytest.fixture
def metric() -> str:
    """A name that no other test uses."""
    return f"test.{uuid.uuid4().hex[:12]}"


def stored(metric: str, **filters: Any) -> list[dict[str, Any]]:
    drain(local.spool())
    window = {"from_ms": NOW_MS - 1000, "until_ms": NOW_MS + 1000}
    return client.run(PointsOfMetric(metric, **(window | filters))).dicts()


def rejected(exporter: Exporter, columns: str = "row, reason, field") -> list[tuple[Any, ...]]:
    return Edge("", exporter.key).quarantined(columns)


def one_of_each(metric: str) -> list[otlp.Metric]:
    at = {"time_unix_nano": NOW_NS, "start_time_unix_nano": NOW_NS - 60_000_000_000}
    histogram = otlp.HistogramDataPoint(
        count=6, sum=12.5, min=0.1, max=9.0, explicit_bounds=[1, 5], bucket_counts=[1, 2, 3], **at
    )
    exponential = otlp.ExponentialHistogramDataPoint(count=6, sum=30, scale=0, zero_count=1, **at)
    exponential.positive.offset = 1
    exponential.positive.bucket_counts.extend([2, 3])
    quantiles = [otlp.SummaryDataPoint.ValueAtQuantile(quantile=q, value=v) for q, v in ((0.5, 1.5), (0.99, math.nan))]
    return [
        otlp.Metric(name=metric, unit="W", gauge=otlp.Gauge(data_points=[number(312.5, gpu="0")])),
        otlp.Metric(
            name=metric,
            unit="J",
            sum=otlp.Sum(
                data_points=[otlp.NumberDataPoint(as_int=7, **at)], aggregation_temporality=1, is_monotonic=True
            ),
        ),
        otlp.Metric(
            name=metric,
            unit="s",
            histogram=otlp.Histogram(data_points=[histogram], aggregation_temporality=CUMULATIVE),
        ),
        otlp.Metric(
            name=metric,
            exponential_histogram=otlp.ExponentialHistogram(
                data_points=[exponential], aggregation_temporality=CUMULATIVE
            ),
        ),
        otlp.Metric(
            name=metric,
            summary=otlp.Summary(
                data_points=[otlp.SummaryDataPoint(count=3, sum=4.5, quantile_values=quantiles, **at)]
            ),
        ),
    ]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_kind_arrives_as_it_was_measured(exporter: Exporter, metric: str, encoding: str) -> None:
    resource = {"host.name": "node-1", "service.name": "vllm", "process.pid": 7}
    assert exporter.outcome(metric_request(*one_of_each(metric), resource=resource), encoding) == (0, "")
    rows = sorted(stored(metric), key=lambda row: (row["kind"], row["value"] is not None))
    shown = [
        (row["kind"], row["temporality"], row["monotonic"], row["unit"], row["value"], row["count"], row["sum"])
        for row in rows
    ]
    assert shown == [
        ("exponential_histogram", "cumulative", False, "", None, 6, 30.0),
        ("gauge", "", False, "W", 312.5, None, None),
        ("histogram", "cumulative", False, "s", None, 6, 12.5),
        ("sum", "delta", True, "J", 7.0, None, None),
        ("summary", "", False, "", None, 3, 4.5),
        ("summary", "", False, "", 1.5, None, None),
    ]
    exponential, power, histogram, energy, _, median = rows
    assert (exponential["bounds"], exponential["buckets"]) == ([0.0, 2.0, 4.0, 8.0], [1, 0, 2, 3, 0])
    assert (histogram["bounds"], histogram["buckets"]) == ([1.0, 5.0], [1, 2, 3])
    assert (histogram["min"], histogram["max"]) == (0.1, 9.0)
    assert (power["attributes"], median["attributes"]) == ({"gpu": "0"}, {"quantile": "0.5"})
    assert (power["start_time"], power["bounds"]) == (None, [])
    assert energy["time"] - energy["start_time"] == timedelta(minutes=1)
    assert energy["time"] == datetime.fromtimestamp(NOW_MS // 1000, UTC).replace(microsecond=NOW_MS % 1000 * 1000)
    assert {(row["node"], row["service"], row["scope"]) for row in rows} == {("node-1", "vllm", "prometheusreceiver")}
    assert power["resource"] == {"host.name": "node-1", "process.pid": "7", "service.name": "vllm"}


def test_who_sent_a_point_is_kept(exporter: Exporter, metric: str) -> None:
    exporter.outcome(metric_request(gauge(metric, number(1.0))))
    drain(local.spool())
    sql = "SELECT api_key, row FROM telemetry_points WHERE metric = %(metric)s"
    assert client.statement("test", sql, {"metric": metric}) == [(exporter.key.split("_")[1], 0)]


def test_an_exporters_retry_is_read_once(exporter: Exporter, metric: str) -> None:
    request = metric_request(gauge(metric, number(1.0, b="2", a="1")))
    for encoding in ("protobuf", "protobuf", "json"):
        exporter.outcome(request, encoding)
    turned = metric_request(gauge(metric, number(1.0, a="1", b="2")))
    exporter.outcome(turned)
    drain(local.spool())
    count = client.statement("test", "SELECT count() FROM telemetry_points WHERE metric = %(m)s", {"m": metric})
    assert count == [(4,)]
    assert [row["value"] for row in stored(metric)] == [1.0]


def test_of_two_values_of_one_moment_the_first_to_arrive_is_read(exporter: Exporter, metric: str) -> None:
    exporter.outcome(metric_request(gauge(metric, number(1.0))))
    exporter.outcome(metric_request(gauge(metric, number(2.0))))
    assert [row["value"] for row in stored(metric)] == [1.0]


def test_engines_of_one_node_are_series_of_their_own(exporter: Exporter, metric: str) -> None:
    for port in ("8000", "8001"):
        resource = {"host.name": "node-1", "service.name": "vllm", "service.instance.id": f"localhost:{port}"}
        exporter.outcome(metric_request(gauge(metric, number(float(port))), resource=resource))
    assert [row["value"] for row in stored(metric)] == [8000.0, 8001.0]


def test_points_are_read_by_node_time_and_number(exporter: Exporter, metric: str) -> None:
    for node in ("n1", "n2"):
        points = [number(float(step), at_ns=NOW_NS + step * 1_000_000) for step in range(3)]
        exporter.outcome(metric_request(gauge(metric, *points), resource={"host.name": node}))
    assert {row["node"] for row in stored(metric, node="n2")} == {"n2"}
    assert [row["value"] for row in stored(metric, node="n1", until_ms=NOW_MS + 2)] == [0.0, 1.0]
    assert [row["value"] for row in stored(metric, limit=3)] == [0.0, 0.0, 1.0]
    assert stored(metric, node="n3") == []


@pytest.mark.parametrize(
    ("resource", "node"),
    [
        ({"host.name": "h", "k8s.node.name": "k"}, "h"),
        ({"k8s.node.name": "k", "service.instance.id": "s"}, "k"),
        ({"service.instance.id": "10.0.0.1:9400"}, "10.0.0.1:9400"),
        ({}, ""),
    ],
)
def test_the_node_is_the_host_else_what_stands_for_it(
    exporter: Exporter, metric: str, resource: dict[str, Any], node: str
) -> None:
    exporter.outcome(metric_request(gauge(metric, number(1.0)), resource=resource))
    assert [row["node"] for row in stored(metric)] == [node]


def histogram(**fields: Any) -> otlp.Metric:
    point = otlp.HistogramDataPoint(**({"time_unix_nano": NOW_NS} | fields))
    return otlp.Metric(name="h", histogram=otlp.Histogram(data_points=[point], aggregation_temporality=CUMULATIVE))


def point(**fields: Any) -> otlp.Metric:
    return gauge("g", otlp.NumberDataPoint(**({"time_unix_nano": NOW_NS} | fields)))


@pytest.mark.parametrize(
    ("metric", "field", "reason"),
    [
        (point(), "asDouble", "missing_field"),
        (point(as_double=math.nan), "asDouble", "out_of_range"),
        (point(as_double=math.inf), "asDouble", "out_of_range"),
        (point(as_int=9223372036854775794), "asDouble", "out_of_range"),
        (point(as_double=9223372036854775794.0), "asDouble", "out_of_range"),
        (gauge("DCGM_FI_DEV_POWER_USAGE", number(140737488355330.0)), "asDouble", "out_of_range"),
        (gauge("DCGM_FI_DEV_GPU_TEMP", number(2147483634)), "asDouble", "out_of_range"),
        (gauge("", number(1.0)), "name", "missing_field"),
        (gauge("x" * 257, number(1.0)), "name", "too_long"),
        (gauge("g", number(1.0), unit="u" * 65), "unit", "too_long"),
        (gauge("g", number(1.0, a="x" * 4097)), "attributes", "too_long"),
        (gauge("g", number(1.0, **{f"a{n}": "x" for n in range(65)})), "attributes", "too_long"),
        (point(as_int=1, time_unix_nano=0), "timeUnixNano", "missing_field"),
        (point(as_int=1, time_unix_nano=10**15), "timeUnixNano", "too_old"),
        (point(as_int=1, time_unix_nano=NOW_NS + 10**15), "timeUnixNano", "in_future"),
        (point(as_int=1, start_time_unix_nano=NOW_NS + 1), "startTimeUnixNano", "invariant"),
        (otlp.Metric(name="s", sum=otlp.Sum(data_points=[number(1.0)])), "aggregationTemporality", "missing_field"),
        (histogram(count=2, explicit_bounds=[1], bucket_counts=[2]), "bucketCounts", "invariant"),
        (histogram(count=3, explicit_bounds=[1], bucket_counts=[1, 1]), "count", "invariant"),
        (histogram(count=2, explicit_bounds=[2, 2], bucket_counts=[1, 1, 0]), "explicitBounds", "invariant"),
        (histogram(count=2, explicit_bounds=[math.inf], bucket_counts=[1, 1]), "explicitBounds", "invariant"),
        (histogram(count=2, sum=math.nan), "sum", "out_of_range"),
    ],
)
@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_what_is_no_measurement_is_refused_by_name(
    exporter: Exporter, metric: otlp.Metric, field: str, reason: str, encoding: str
) -> None:
    refused, message = exporter.outcome(metric_request(metric), encoding)
    assert refused == 1
    assert message.startswith("not taken and kept in quarantine: data point 0: ")
    assert rejected(exporter, "reason, field, decoder") == [(reason, field, "otlp_metrics")]


def test_a_bad_point_does_not_take_its_metric_with_it(exporter: Exporter, metric: str) -> None:
    request = metric_request(gauge(metric, number(1.0, i="0"), number(math.nan), number(2.0, i="2")))
    assert exporter.outcome(request)[0] == 1
    assert [row["value"] for row in stored(metric)] == [1.0, 2.0]
    assert rejected(exporter) == [(1, "out_of_range", "asDouble")]


def test_a_refused_point_can_be_sent_again(exporter: Exporter, metric: str) -> None:
    request = metric_request(otlp.Metric(name=metric, unit="J", sum=otlp.Sum(data_points=[number(5, gpu="1")])))
    exporter.outcome(request)
    ((raw,),) = rejected(exporter, "raw")
    fixed = raw.replace('"dataPoints"', '"aggregationTemporality":2,"dataPoints"')
    assert exporter.post(fixed.encode(), JSON).status_code == 200
    (row,) = stored(metric)
    assert (row["value"], row["unit"], row["node"], row["attributes"]) == (5.0, "J", "node-1", {"gpu": "1"})


def test_a_point_that_says_there_is_no_value_is_neither_stored_nor_refused(exporter: Exporter, metric: str) -> None:
    """The Prometheus receiver marks the end of a series this way, with NaN as the value."""
    stale = otlp.NumberDataPoint(time_unix_nano=NOW_NS, as_double=math.nan, flags=1)
    assert exporter.outcome(metric_request(gauge(metric, stale, number(1.0)))) == (0, "")
    assert [row["value"] for row in stored(metric)] == [1.0]


@pytest.mark.parametrize("metric", ["nv_counter", "vllm:prompt_tokens_total"])
def test_a_counter_may_pass_the_numbers_that_dcgm_uses_for_no_value(exporter: Exporter, metric: str) -> None:
    name = f"{metric}{uuid.uuid4().hex}"
    assert exporter.outcome(metric_request(gauge(name, number(2147483633)))) == (0, "")
    assert [row["value"] for row in stored(name)] == [2147483633.0]


def exponential(scale: int, **fields: Any) -> otlp.ExponentialHistogramDataPoint:
    return otlp.ExponentialHistogramDataPoint(scale=scale, **fields)


Side = otlp.ExponentialHistogramDataPoint.Buckets


@pytest.mark.parametrize(
    ("given", "bounds", "buckets"),
    [
        (exponential(0), [0.0], [0, 0]),
        (exponential(0, count=3, zero_count=3), [0.0], [3, 0]),
        (exponential(0, count=3, zero_count=3, zero_threshold=0.5), [-0.5, 0.5], [0, 3, 0]),
        (exponential(0, count=3, positive=Side(offset=0, bucket_counts=[1, 2])), [0.0, 1.0, 2.0, 4.0], [0, 0, 1, 2, 0]),
        (
            exponential(-1, count=3, positive=Side(offset=-1, bucket_counts=[1, 2])),
            [0.0, 0.25, 1.0, 4.0],
            [0, 0, 1, 2, 0],
        ),
        (
            exponential(1, count=1, positive=Side(offset=2, bucket_counts=[1])),
            [0.0, 2.0, 2 * math.sqrt(2)],
            [0, 0, 1, 0],
        ),
        (
            exponential(0, count=5, positive=Side(offset=0, bucket_counts=[0, 2, 0, 3, 0])),
            [0, 2, 4, 8, 16],
            [0, 0, 2, 0, 3, 0],
        ),
        (exponential(0, count=1, negative=Side(offset=0, bucket_counts=[0, 1, 0])), [-4, -2, 0], [0, 1, 0, 0]),
        (
            exponential(0, count=6, zero_count=1, negative=Side(offset=1, bucket_counts=[2, 3])),
            [-8.0, -4.0, -2.0, 0.0],
            [0, 3, 2, 1, 0],
        ),
        (
            exponential(
                0,
                count=3,
                zero_count=1,
                zero_threshold=1.0,
                negative=Side(offset=1, bucket_counts=[1]),
                positive=Side(offset=0, bucket_counts=[1]),
            ),
            [-4.0, -2.0, -1.0, 1.0, 2.0],
            [0, 1, 0, 1, 1, 0],
        ),
    ],
)
def test_exponential_buckets_become_explicit_without_loss(
    given: otlp.ExponentialHistogramDataPoint, bounds: list[float], buckets: list[int]
) -> None:
    found_bounds, found_buckets = from_exponential(given)
    assert found_bounds == pytest.approx(bounds, rel=1e-15)
    assert found_buckets == buckets


@pytest.mark.parametrize(
    "given",
    [
        exponential(0, count=1),
        exponential(0, count=1, positive=Side(offset=1100, bucket_counts=[1])),
        exponential(0, count=2, positive=Side(offset=-1100, bucket_counts=[1, 1])),
        exponential(2**31 - 1, count=2, positive=Side(offset=0, bucket_counts=[1, 1])),
        exponential(-(2**31), count=2, positive=Side(offset=0, bucket_counts=[1, 1])),
        exponential(0, count=1, zero_threshold=3.0, positive=Side(offset=0, bucket_counts=[1])),
        exponential(0, count=1, zero_threshold=math.nan, positive=Side(offset=0, bucket_counts=[1])),
        exponential(0, count=3000, positive=Side(offset=0, bucket_counts=[1] * 3000)),
    ],
)
def test_impossible_exponential_buckets_are_refused(given: otlp.ExponentialHistogramDataPoint) -> None:
    with pytest.raises(BadEvent):
        from_exponential(given)


def side(scale: int, sizes: list[float]) -> otlp.ExponentialHistogramDataPoint.Buckets:
    """The buckets of positive numbers: number i holds what is above 2 ** (i / 2 ** scale) and at most the next such edge."""
    indexes = [math.ceil(math.log2(size) * 2**scale) - 1 for size in sizes]
    if not indexes:
        return Side()
    first = min(indexes)
    return Side(offset=first, bucket_counts=[indexes.count(index) for index in range(first, max(indexes) + 1)])


# Away from the edges at scale 3 and below, where either side would do.
sizes = st.integers(-80, 80).map(lambda index: 2.0 ** ((index + 0.5) / 8))


@given(
    scale=st.integers(-2, 3),
    above=st.lists(sizes, max_size=9),
    below=st.lists(sizes, max_size=9),
    zeros=st.integers(0, 3),
)
def test_no_observation_is_lost_or_moved(scale: int, above: list[float], below: list[float], zeros: int) -> None:
    observed = [*above, *(-size for size in below), *([0.0] * zeros)]
    given_point = exponential(scale, count=len(observed), zero_count=zeros)
    given_point.positive.CopyFrom(side(scale, above))
    given_point.negative.CopyFrom(side(scale, below))
    bounds, buckets = from_exponential(given_point)
    places = [bisect_left(bounds, value) for value in observed]
    assert buckets == [places.count(place) for place in range(len(bounds) + 1)]


def test_a_tenants_key_may_not_send_metrics(exporter: Exporter, metric: str, tenant_key: str) -> None:
    accounts.create_tenant(tenant_key)
    request = metric_request(gauge(metric, number(1.0)))
    tenants = Exporter(keys.issue_key(tenant_key, ["ingest"]), "/v1/metrics")
    assert tenants.send(request).status_code == 403
    assert Exporter(keys.issue_key(None, ["usage:read"]), "/v1/metrics").send(request).status_code == 403
    assert Exporter("", "/v1/metrics").send(request).status_code == 401
    assert stored(metric) == []


def test_other_methods_and_content_types_are_refused(exporter: Exporter) -> None:
    assert Client().get("/v1/metrics").status_code == 405
    assert exporter.post(b"{}", "text/plain").status_code == 415


def test_too_many_points_are_422(exporter: Exporter, settings: Settings) -> None:
    settings.INGEST_MAX_EVENTS = 3
    request = metric_request(gauge("g", *(number(1.0) for _ in range(4))))
    assert exporter.send(request).status_code == 422
    assert exporter.send(request, "json").status_code == 422


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"hello", PROTOBUF), (b"[]", JSON), (b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": [7]}]}]}', JSON)],
)
def test_garbage_is_400_and_kept(exporter: Exporter, body: bytes, content_type: str) -> None:
    assert exporter.post(body, content_type).status_code == 400
    assert rejected(exporter, "reason, decoder, raw") == [("malformed", "otlp_metrics", body.decode())]


def test_a_request_without_points_is_taken(exporter: Exporter) -> None:
    assert exporter.outcome(metric_request()) == (0, "")
    assert exporter.outcome(metric_request(otlp.Metric(name="empty")), "json") == (0, "")


def test_unknown_kinds_of_values_become_text(exporter: Exporter, metric: str) -> None:
    attributes = pairs({"list": ["a", 1], "flag": True, "ratio": 0.5, "whole": 3.0, "bytes": b"\x00\x01"})
    exporter.outcome(
        metric_request(gauge(metric, otlp.NumberDataPoint(time_unix_nano=NOW_NS, as_int=1, attributes=attributes)))
    )
    (row,) = stored(metric)
    assert row["attributes"] == {"list": '["a",1]', "flag": "true", "ratio": "0.5", "whole": "3", "bytes": '"AAE="'}


good = metric_request(*one_of_each("fuzz")).SerializeToString()
good_json = as_json(metric_request(*one_of_each("fuzz")))


def mutated(body: bytes) -> st.SearchStrategy[bytes]:
    change = st.tuples(st.integers(0, len(body) - 1), st.integers(0, 4), st.binary(max_size=4))
    return st.lists(change, min_size=1, max_size=6).map(lambda changes: _changed(body, changes))


def _changed(body: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, cut, put in changes:
        body = body[:at] + put + body[at + cut :]
    return body


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.tuples(st.binary(min_size=1, max_size=200) | mutated(good), st.just(PROTOBUF))
    | st.tuples(st.binary(min_size=1, max_size=200) | mutated(good_json), st.just(JSON))
)
def test_no_body_whatever_is_a_500(exporter: Exporter, sent: tuple[bytes, str]) -> None:
    before = len(local.spool().pending())
    answer = exporter.post(*sent)
    assert answer.status_code in {200, 400, 422}
    if answer.status_code == 400 or partial_success(answer, exporter.path)[0]:
        assert len(local.spool().pending()) > before
