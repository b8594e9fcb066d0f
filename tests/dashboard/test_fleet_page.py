"""The page of the fleet's saturation, from samples to HTML."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse
from pytest_django.fixtures import Settings

from metering.clickhouse import client
from tests.dashboard.conftest import LogIn
from tests.metering.telemetry.sample_rows import MINUTE, SECOND, every, insert_engines, insert_gpus, own_node

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]

FULL = {"running": 10.0, "waiting": 5.0, "kv_cache_usage": 0.99}
CALM = {"running": 10.0, "waiting": 0.0, "kv_cache_usage": 0.4}


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    for table in ("gpu_samples", "engine_samples", "saturation_minute"):
        client.statement("test_truncate", f"TRUNCATE TABLE {table}")


def engine_runs(node: str, state: dict[str, Any], **fields: Any) -> None:
    now = datetime.now(UTC)
    insert_engines(node, *({"time": at} | state | fields for at in every(5 * SECOND, now - MINUTE, now)))


def saturated_minutes(node: str, model: str, count: int, **fields: Any) -> None:
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    usual = {
        "node": node,
        "engine": "e0",
        "model": model,
        "gpus": 1.0,
        "score": 0.75,
        "constraint": "power",
        "version": 1,
    }
    rows = [usual | {"minute": end - (n + 1) * MINUTE} | fields for n in range(count)]
    names = sorted(rows[0])
    client.insert("test_rows", "saturation_minute", names, [[row[name] for row in rows] for name in names])


def opened(log_in: LogIn, **query: str) -> str:
    response = log_in("operator").get(reverse("operator-fleet"), query)
    assert response.status_code == 200
    return str(response.content.decode())


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_it_says_what_binds_and_shows_engines_nodes_models_regions_and_gpus(log_in: LogIn) -> None:
    node = own_node()
    engine_runs(node, FULL, model="llama <70b>", region="eu-1")
    insert_gpus(node, {"time": datetime.now(UTC), "index": 3, "name": "H100", "power_w": 350.0, "power_limit_w": 700.0})
    page = opened(log_in)
    assert "llama &lt;70b&gt; is bound by KV cache" in page
    assert f"the worst is engine e0 on {node}" in page
    for title in ("Models", "Regions", "Nodes", "Engines", "GPUs"):
        assert f">{title}<" in page
    assert "KV cache 100 %" in page
    assert "eu-1" in page
    assert re.search(r"350\s+50 %", text(page))
    assert "memory bandwidth, tensor cores" in page  # computed without
    assert "Simulated" not in page


def test_a_calm_fleet_is_said_to_be_calm(log_in: LogIn) -> None:
    engine_runs(own_node(), CALM)
    assert "Nothing binds." in opened(log_in)


def test_without_any_engine_it_says_what_to_install(log_in: LogIn) -> None:
    page = opened(log_in)
    assert "No engine was heard of in the last two minutes" in page
    assert "docs/agent.md" in page
    assert "tallywatt-agent --once --print" in page
    assert "Score by model" in page


def test_what_is_simulated_is_labelled(log_in: LogIn) -> None:
    engine_runs(own_node(), CALM, simulated=True)
    page = opened(log_in)
    assert "The GPUs and engines on this page are made up by the simulator" in page
    assert page.count('<span class="tag sim">Simulated</span>') == 4  # model, region, node, engine
    engine_runs(own_node(), CALM)
    assert 'GPUs and engines marked <span class="tag sim">Simulated</span> are made up' in opened(log_in)


def test_a_stale_gpu_is_marked_with_when_it_was_seen(log_in: LogIn) -> None:
    insert_gpus(own_node(), {"time": datetime.now(UTC) - timedelta(minutes=5)})
    assert "stale 5 min ago" in text(opened(log_in))


def test_a_node_narrows_engines_and_gpus_but_not_what_binds(log_in: LogIn) -> None:
    full, calm = own_node(), own_node()
    engine_runs(full, FULL, engine="full-engine")
    engine_runs(calm, CALM, engine="calm-engine")
    page = opened(log_in, node=calm)
    engines = page[page.index('id="t-engines"') : page.index('id="t-gpus"')]
    assert "calm-engine" in engines
    assert "full-engine" not in engines
    assert f"the worst is engine full-engine on {full}" in page


def test_the_chart_has_the_score_of_each_model_and_marks_where_something_bound(log_in: LogIn) -> None:
    node = own_node()
    saturated_minutes(node, "m1", 30, bound=True)
    response = log_in("operator").get(reverse("operator-fleet"), {"range": "1h"})
    [line] = response.context["figures"]["chart-saturation"]["data"]
    assert line["name"] == "m1"
    assert [y for y in line["y"] if y is not None] == [0.75] * 30
    assert line["text"][-1] == ", bound by power 100 %"
    assert len(line["x"]) == len(line["y"]) in (60, 61)


@pytest.mark.parametrize(("key", "points"), [("6h", 72), ("24h", 96), ("7d", 84)])
def test_longer_ranges_have_longer_steps(key: str, points: int, log_in: LogIn) -> None:
    saturated_minutes(own_node(), "m1", 30)
    response = log_in("operator").get(reverse("operator-fleet"), {"range": key})
    [line] = response.context["figures"]["chart-saturation"]["data"]
    assert len(line["x"]) in (points, points + 1)
    assert 0.75 in line["y"]


def test_the_part_that_is_asked_for_again_comes_without_the_chart(log_in: LogIn) -> None:
    engine_runs(own_node(), CALM)
    response = log_in("operator").get(reverse("operator-fleet"), {"part": "now"})
    assert response.context["figures"] == {}
    assert b"Nothing binds." in response.content


@pytest.mark.parametrize("query", [{"range": "2h"}, {"node": "x" * 201}, {"node": "a\x00b"}])
def test_an_address_that_asks_for_what_there_is_not_is_400(query: dict[str, str], log_in: LogIn) -> None:
    assert log_in("operator").get(reverse("operator-fleet"), query).status_code == 400


def test_it_says_that_clickhouse_is_down(log_in: LogIn, settings: Settings) -> None:
    settings.CLICKHOUSE_URL = "clickhouse://u:p@127.0.0.1:1/none"
    response = log_in("operator").get(reverse("operator-fleet"))
    assert response.status_code == 503
    assert b"ClickHouse does not answer." in response.content
