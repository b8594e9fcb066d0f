"""The page of all engines and that of one, from samples to HTML."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import pairwise
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from dashboard.formats import NOTHING
from dashboard.operator.filters import Filters
from dashboard.operator.pages import Shown
from dashboard.operator.registry import PAGES
from dashboard.operator.shelf import SHELF
from metering.telemetry import rollups
from metering.telemetry.spans import Span
from tests.dashboard.conftest import LogIn
from tests.metering.telemetry.sample_rows import MINUTE, SECOND, every, forget_telemetry, insert_engines, insert_gpus

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]
CALM = {"running": 10.0, "waiting": 0.0, "kv_cache_usage": 0.45}
FULL = {"running": 10.0, "waiting": 5.0, "kv_cache_usage": 0.99}


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    forget_telemetry()
    SHELF.clear()


@pytest.fixture
def operator(log_in: LogIn) -> Client:
    return log_in("operator")


def runs(node: str, name: str = "e0", minutes: int = 10, state: dict[str, float] = CALM, **fields: Any) -> None:
    """Up to now, and its minutes worked up. Every 20 seconds: 60 output tokens, one request of 0.1 s queue and 0.9 s decode."""
    now = datetime.now(UTC)
    end = now.replace(second=0, microsecond=0)
    times = [*every(20 * SECOND, end - minutes * MINUTE, end), *every(5 * SECOND, now - 50 * SECOND, now)]
    rows = []
    for number, time in enumerate(sorted(times)):
        counters = {"generation_tokens": 60 * number, "prompt_tokens": 600 * number, "requests_finished": number}
        cache = {"prefix_cache_queries": 100 * number, "prefix_cache_hits": 25 * number, "preemptions": number // 20}
        parts = {
            "queue_sum_s": 0.1 * number,
            "queue_count": number,
            "decode_sum_s": 0.9 * number,
            "decode_count": number,
        }
        rows.append({"time": time, "engine": name} | state | counters | cache | parts | fields)
    insert_engines(node, *rows)
    rollups.write(Span(end - minutes * MINUTE, end))


def opened(client: Client, **query: str) -> str:
    response = client.get(reverse("operator-engines"), query)
    assert response.status_code == 200
    return str(response.content.decode())


def read(key: str, *ids: str, **query: str) -> Shown:
    """As the stream does."""
    return PAGES[key].read(Filters.read(query, PAGES[key].options), ids)


def lines(found: Shown, chart: str) -> dict[str, list[float]]:
    return {trace["uid"]: [y for y in trace["y"] if y is not None] for trace in found.figures[chart]["data"]}


def text(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def table(page: str) -> str:
    return text(page[page.index("<tbody>") : page.index("</tbody>")])


def test_a_model_has_its_figures_over_the_range_and_its_score_now(operator: Client) -> None:
    runs("n1", model="llama")
    row = table(opened(operator, range="15m"))
    assert re.match(rf" llama 1 0\.50 10 0 10 0 45 % 45 % \d+ 25 % 100 {NOTHING} 900 ", row), row


@pytest.mark.parametrize(
    ("by", "names"), [("model", ["a", "b"]), ("node", ["n1", "n2"]), ("engine", ["e0 on n1", "e1 on n1", "e0 on n2"])]
)
def test_the_table_is_by_model_engine_or_node(by: str, names: list[str], operator: Client) -> None:
    runs("n1", model="a")
    runs("n1", "e1", model="a")
    runs("n2", model="b")
    page = opened(operator, by=by, range="15m")
    heads = [text(one).strip() for one in re.findall(r'<th scope="row">(.*?)</th>', page)]
    assert heads == names


def test_what_binds_comes_first_and_what_queues_is_bold(operator: Client) -> None:
    runs("n1", model="a")
    runs("n2", model="b", state=FULL)
    page = opened(operator, range="15m")
    assert page.index(">b</a>") < page.index(">a</a>")
    assert '<span class="tag bound">bound</span>' in page
    assert '<td class="at-limit">5.0</td>' in page


def test_charts_are_of_all_engines_that_the_filters_leave() -> None:
    runs("n1", model="a")
    runs("n2", model="a", state=FULL)
    runs("n3", model="b")
    found = read("engines", range="15m", model="a")
    assert lines(found, "chart-running")["running"] == [20.0] * 10
    assert lines(found, "chart-running")["waiting"] == [5.0] * 10
    assert lines(found, "chart-kv") == {"kv": [0.72] * 10, "kv_max": [0.99] * 10}
    assert lines(found, "chart-batch")["batch"] == [10.0] * 10
    assert lines(found, "chart-parts")["queue"] == [0.1] * 10
    assert lines(found, "chart-parts")["prefill"] == []
    assert lines(found, "chart-hits")["hits"] == [0.25] * 10
    assert lines(found, "chart-tokens")["output"][1:-1] == [6.0] * 8


def test_the_window_before_is_drawn_beside_this_one() -> None:
    runs("n1", minutes=25)
    found = lines(read("engines", range="15m", compare="previous"), "chart-running")
    assert len(found["running"]) == 15
    assert len(found["running.before"]) == 10


@pytest.mark.parametrize("range_", ["15m", "1h", "6h", "24h", "7d", "30d", "90d"])
def test_every_range_can_be_read(range_: str) -> None:
    runs("n1")
    assert 10.0 in lines(read("engines", range=range_), "chart-running")["running"]
    assert 10.0 in lines(read("engine", "n1", "e0", range=range_), "chart-engine")["running"]


@pytest.mark.parametrize(("name", "value"), [("region", "us"), ("cluster", "c2"), ("model", "b"), ("node", "n2")])
def test_filters_narrow_tiles_table_and_charts(name: str, value: str, operator: Client) -> None:
    runs("n1", model="a")
    runs("n2", model="b", region="us", cluster="c2")
    page = opened(operator, range="15m", **{name: value})
    assert table(page).startswith(" b 1 ")
    assert text(page[page.index('id="tiles"') :]).startswith('id="tiles"> Engines 1')
    assert lines(read("engines", range="15m", **{name: value}), "chart-running")["running"] == [10.0] * 10


def test_an_engine_that_does_not_answer_is_said_to(operator: Client) -> None:
    insert_engines("n1", {"time": datetime.now(UTC), "up": False, "model": "m"})
    page = opened(operator, by="engine")
    assert "1 without an answer" in page
    assert "No answer" in table(page)


def test_before_the_first_engine_it_says_what_to_install(operator: Client) -> None:
    page = opened(operator)
    assert "No engine was heard of in the last two minutes" in page
    assert "tallywatt-agent --once --print" in page


def test_filters_that_fit_nothing_offer_all_of_it_again(operator: Client) -> None:
    runs("n1")
    page = opened(operator, model="nobody-runs-it")
    assert "No engine fits these filters." in page
    assert "show all of them" in page


def one(client: Client, node: str, name: str, **query: str) -> str:
    response = client.get(reverse("operator-engine", args=[node, name]), query)
    assert response.status_code == 200
    return str(response.content.decode())


def test_an_engine_has_its_state_its_gpus_and_its_time_on_one_axis(operator: Client) -> None:
    runs("n1", state=FULL, gpus=["GPU-0", "GPU-9"], model="llama")
    insert_gpus("n1", {"time": datetime.now(UTC), "gpu": "GPU-0", "index": 0, "power_w": 350.0, "power_limit_w": 700.0})
    page = one(operator, "n1", "e0", range="15m")
    said = text(page)
    for words in ("e0 on n1", "llama, vllm", "bound by KV cache", "at its limit", "saturates at 90 %", "n1 GPU 0"):
        assert words in said
    assert re.search(r"Without a sample for 15 minutes: GPU-9", said)
    found = read("engine", "n1", "e0", range="15m")
    drawn = lines(found, "chart-engine")
    assert drawn["score"] == [1.0] * 10
    assert drawn["reading.kv_cache_usage"] == [1.1] * 10
    assert drawn["queue"] == [0.1] * 10
    layout = found.figures["chart-engine"]["layout"]
    domains = [layout[name]["domain"] for name in layout if name.startswith("yaxis")]
    assert len(domains) == 8
    assert all(low >= above for (low, _), (_, above) in pairwise(domains))


def test_an_engine_of_this_range_that_is_not_there_any_more_is_shown(operator: Client) -> None:
    at = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30)
    insert_engines("n1", {"time": at} | CALM)
    rollups.write(Span(at, at + MINUTE))
    assert "Not heard of in the last two minutes." in one(operator, "n1", "e0")
    assert operator.get(reverse("operator-engine", args=["n1", "e0"]), {"range": "15m"}).status_code == 404


def test_an_engine_that_nobody_has_heard_of_is_404(operator: Client) -> None:
    runs("n1")
    for ids in (["n1", "e1"], ["n2", "e0"]):
        response = operator.get(reverse("operator-engine", args=ids))
        assert response.status_code == 404
        assert b"No engine of this name was heard of" in response.content


def test_names_with_slashes_and_markup_are_names(operator: Client) -> None:
    insert_engines("rack/7", {"time": datetime.now(UTC), "engine": "..", "model": "<script>alert(1)</script>"} | CALM)
    page = opened(operator, by="engine")
    link = re.findall(r'<th scope="row"><a href="([^"]*)"', page)[0]
    shown = operator.get(link).content.decode()
    assert "rack/7" in shown
    assert "<script>alert" not in page + shown
    assert "&lt;script&gt;alert(1)" in shown
