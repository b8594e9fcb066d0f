"""OpenTelemetry's Python SDK with its OTLP/HTTP exporter, unmodified."""

import pytest

from tests.clients.conftest import Customer, expected
from tests.clients.front import Front


@pytest.mark.parametrize("generation", ["engine", "v1.41", "now"])
def test_every_span_of_a_request_arrives_once_however_often_it_is_exported(customer: Customer, generation: str) -> None:
    said = customer.run("otel_client", generation=generation, gzip=generation == "now", count=20, times=2)
    assert said["said"] == ["SUCCESS", "SUCCESS"]
    customer.has(expected(20))
    assert customer.quarantined() == []


def test_an_answer_that_was_lost_makes_it_export_again_and_nothing_is_doubled(customer: Customer, front: Front) -> None:
    front.lose = 503
    said = customer.run("otel_client", url=front.url, generation="now", count=5)
    assert said["said"] == ["SUCCESS"]
    assert front.statuses == [200, 200]
    customer.has(expected(5))


def test_a_key_that_is_not_known_fails_the_export(customer: Customer) -> None:
    customer.key = "tw_000000000000_" + "x" * 43
    assert customer.run("otel_client", generation="now", count=1)["said"] == ["FAILURE"]


def test_its_metrics_are_in_the_raw_tables_with_their_values(customer: Customer) -> None:
    # Metrics are the fleet's, so the key is an operator's.
    customer.key = customer.stack.manage("create_api_key", "--operator", "--scopes", "ingest")
    assert customer.run("otel_client", metrics=True, count=0)["said"] == ["SUCCESS"]
    prefix = customer.key.split("_")[1]
    # DISTINCT: its reader collects once more when it shuts down, and the values are cumulative.
    columns = "DISTINCT metric, kind, node, value, count, sum"
    sql = f"SELECT {columns} FROM telemetry_points WHERE api_key = '{prefix}' ORDER BY metric"
    customer.stack.wait_for(lambda: len(customer.query(sql)) == 3, 20, "three data points")
    assert customer.query(sql) == [
        "gen_ai.client.operation.duration\thistogram\tn1\t\\N\t1\t1.5",
        "hw.energy\tsum\tn1\t1234.5\t\\N\t\\N",
        "hw.gpu.utilization\tgauge\tn1\t0.75\t\\N\t\\N",
    ]
