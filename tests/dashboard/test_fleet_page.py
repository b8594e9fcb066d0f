"""The page of the fleet's saturation, from samples to HTML."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.urls import reverse
from pytest_django.fixtures import Settings

from dashboard.operator.filters import Filters
from dashboard.operator.fleet import PAGE
from dashboard.operator.pages import reading
from dashboard.operator.shelf import SHELF
from metering.clickhouse import client
from metering.telemetry import step_rollups
from tests.dashboard.conftest import LogIn
from tests.metering.telemetry.sample_rows import MINUTE, SECOND, every, forget_telemetry, insert_engines, own_node

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]

FULL = {"running": 10.0, "waiting": 5.0, "kv_cache_usage": 0.99}
CALM = {"running": 10.0, "waiting": 0.0, "kv_cache_usage": 0.4}


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    forget_telemetry()
    SHELF.clear()


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
    step_rollups.write(end - count * MINUTE, end, 1)


def opened(log_in: LogIn, **query: str) -> str:
    response = log_in("operator").get(reverse("operator-fleet"), query)
    assert response.status_code == 200
    return str(response.content.decode())


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_it_says_what_binds_and_shows_engines_nodes_models_and_regions(log_in: LogIn) -> None:
    node = own_node()
    engine_runs(node, FULL, model="llama <70b>", region="eu-1")
    page = opened(log_in)
    assert "llama &lt;70b&gt; is bound by KV cache" in page
    assert f"the worst is engine e0 on {node}" in page
    for title in ("Models", "Regions", "Nodes", "Engines"):
        assert f">{title}<" in page
    assert "KV cache 100 %" in page
    assert "eu-1" in page
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
    SHELF.clear()
    engine_runs(own_node(), CALM)
    assert 'GPUs and engines marked <span class="tag sim">Simulated</span> are made up' in opened(log_in)


def test_a_node_narrows_engines_but_not_what_binds(log_in: LogIn) -> None:
    full, calm = own_node(), own_node()
    engine_runs(full, FULL, engine="full-engine")
    engine_runs(calm, CALM, engine="calm-engine")
    page = opened(log_in, node=calm)
    engines = page[page.index('id="t-engines"') : page.index('id="scopes"')]
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


@pytest.mark.parametrize(
    ("key", "points"), [("15m", 15), ("6h", 72), ("24h", 96), ("7d", 84), ("30d", 120), ("90d", 90)]
)
def test_every_range_has_a_chart_in_steps_of_its_own(key: str, points: int) -> None:
    saturated_minutes(own_node(), "m1", 30)
    [line] = chart(range=key)
    assert len(line["x"]) in (points, points + 1)
    assert 0.75 in line["y"]


def test_a_history_that_takes_long_comes_by_the_stream_alone(log_in: LogIn) -> None:
    saturated_minutes(own_node(), "m1", 30)
    engine_runs(own_node(), CALM)
    response = log_in("operator").get(reverse("operator-fleet"), {"range": "30d"})
    assert response.context["figures"]["chart-saturation"]["reading"]
    assert b"Nothing binds." in response.content
    assert "reading" not in reading(PAGE, Filters.read({"range": "30d"}, PAGE.options), ()).figures["chart-saturation"]


@pytest.mark.parametrize(("name", "value"), [("region", "eu-1"), ("cluster", "c1"), ("model", "m1")])
def test_the_shared_filters_narrow_sentence_tables_and_chart(name: str, value: str, log_in: LogIn) -> None:
    here = {"region": "eu-1", "cluster": "c1", "model": "m1"}
    engine_runs(own_node(), CALM, engine="chosen", **here)
    engine_runs(own_node(), FULL, engine="another", **(here | {name: "elsewhere"}))
    minutes = {"region": "eu-1", "cluster": "c1"}
    saturated_minutes(own_node(), "m1", 10, **minutes)
    saturated_minutes(own_node(), "m2", 10, **(minutes | {name: "elsewhere"} if name != "model" else minutes))
    page = opened(log_in, **{name: value})
    assert "chosen" in page
    assert "another" not in page
    assert "Nothing binds." in page
    assert [line["name"] for line in chart(**{name: value})] == ["m1"]


def test_filters_that_fit_nothing_offer_all_of_it_again(log_in: LogIn) -> None:
    engine_runs(own_node(), CALM)
    page = opened(log_in, model="nobody-runs-it")
    assert "No engine fits these filters." in page
    assert "show all of them" in page
    assert "tallywatt-agent" not in page


def test_the_window_before_is_drawn_thin_beside_all_together() -> None:
    saturated_minutes(own_node(), "m1", 30)
    saturated_minutes(own_node(), "m1", 150, score=0.25)
    lines = {line["name"]: line for line in chart(range="1h", compare="previous")}
    assert set(lines) == {"m1", "all together", "all together before"}
    assert lines["all together before"]["y"][30] == 0.25


def test_names_lead_to_the_page_of_the_engine_and_to_this_page_narrowed(log_in: LogIn) -> None:
    engine_runs("rack/7", CALM, engine="<e>", model="m&m")
    page = opened(log_in, range="24h")
    assert "/operator/engines/rack~2F7/%3Ce%3E/?range=24h" in page
    assert "?range=24h&amp;model=m%26m" in page
    assert "?range=24h&amp;node=rack%2F7" in page


def chart(**query: str) -> list[dict[str, Any]]:
    found = reading(PAGE, Filters.read(query, PAGE.options), ())
    assert not found.trouble
    return list(found.figures["chart-saturation"]["data"])


@pytest.mark.parametrize("query", [{"range": "2h"}, {"node": "x" * 201}, {"node": "a\x00b"}])
def test_an_address_that_asks_for_what_there_is_not_is_400(query: dict[str, str], log_in: LogIn) -> None:
    assert log_in("operator").get(reverse("operator-fleet"), query).status_code == 400


def test_it_says_that_clickhouse_is_down(log_in: LogIn, settings: Settings) -> None:
    settings.CLICKHOUSE_URL = "clickhouse://u:p@127.0.0.1:1/none"
    response = log_in("operator").get(reverse("operator-fleet"))
    assert response.status_code == 503
    assert b"ClickHouse does not answer." in response.content
