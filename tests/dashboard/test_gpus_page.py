"""The page of all GPUs and that of one, from samples to HTML."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
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
USUAL = {"name": "H100", "region": "eu", "cluster": "c1", "sm_active": 0.73, "power_w": 350.0, "power_limit_w": 700.0}
CALM = {"running": 10.0, "waiting": 0.0, "kv_cache_usage": 0.45}


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    forget_telemetry()
    SHELF.clear()


@pytest.fixture
def operator(log_in: LogIn) -> Client:
    return log_in("operator")


def gpu(node: str, index: int = 0, ago: float = 5, **fields: Any) -> None:
    at = datetime.now(UTC) - ago * SECOND
    insert_gpus(node, {"time": at, "gpu": f"GPU-{index}", "index": index} | USUAL | fields)


def engine(node: str, name: str = "e0", **fields: Any) -> None:
    now = datetime.now(UTC)
    insert_engines(node, *({"time": at, "engine": name} | CALM | fields for at in every(5 * SECOND, now - MINUTE, now)))


def opened(client: Client, **query: str) -> str:
    response = client.get(reverse("operator-gpus"), query)
    assert response.status_code == 200
    return str(response.content.decode())


def cells(page: str) -> dict[str, tuple[str, str]]:
    """By title: classes and text."""
    found = re.findall(r'<a class="cell([^"]*)" tabindex="[-0-9]+" href="[^"]*" title="([^"]*)">([^<]*)</a>', page)
    return {unescape(title): (classes.strip(), text) for classes, title, text in found}


def read(key: str, *ids: str, **query: str) -> Shown:
    """As the stream does."""
    return PAGES[key].read(Filters.read(query, PAGES[key].options), ids)


def lines(found: Shown, chart: str) -> dict[str, Any]:
    return {trace["uid"]: trace for trace in found.figures[chart]["data"]}


def text(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def test_every_gpu_is_a_cell_coloured_by_the_score_of_the_engine_on_it(operator: Client) -> None:
    gpu("n1", 0)
    gpu("n1", 1)
    engine("n1", gpus=["GPU-0"], model="llama")
    found = cells(opened(operator))
    assert found["n1 GPU 0: Saturation score 0.52, nearest power (e0, llama)"] == ("h5", "0.52")
    assert found["n1 GPU 1: Saturation score none, no engine runs on it"] == ("", NOTHING)


@pytest.mark.parametrize(
    ("measure", "fields", "said", "classes", "shown"),
    [
        ("sm", {}, "SM active 73 %", "h7", "73"),
        ("tensor", {"tensor_active": 1.0}, "Tensor cores active 100 %", "h9", "100"),
        ("tensor", {}, "Tensor cores active not known", "", NOTHING),
        ("dram", {"dram_active": 0.0}, "DRAM active 0 %", "h0", "0"),
        ("memory", {"memory_used_bytes": 20, "memory_total_bytes": 80}, "Memory used 25 %", "h2", "25"),
        ("power", {}, "Power of limit 50 %", "h5", "50"),
        ("temperature", {"temperature_c": 66.0}, "Temperature 66 °C", "h6", "66"),
        ("clock", {"sm_clock_mhz": 1755}, "SM clock 1,755 MHz", "h8", "1755"),
        (
            "throttled",
            {"throttle": ["sw_power_cap"], "throttle_known": True},
            "Throttled power cap",
            "h9 throttled",
            "P",
        ),
        ("throttled", {"throttle": [], "throttle_known": True}, "Throttled no", "h0", "no"),
        ("throttled", {}, "Throttled not known", "", NOTHING),
        ("xid", {"xid_errors": 3}, "XID errors 3", "h3", "3"),
    ],
)
def test_any_measure_colours_them(
    measure: str, fields: dict[str, Any], said: str, classes: str, shown: str, operator: Client
) -> None:
    gpu("n1", 0, **fields)
    [(title, found)] = cells(opened(operator, measure=measure)).items()
    assert title.startswith(f"n1 GPU 0: {said}")
    assert found == (classes, shown)


def test_stale_bound_and_lost_gpus_are_marked(operator: Client) -> None:
    gpu("n1", 0, ago=5 * 60)
    gpu("n1", 1)
    engine("n1", gpus=["GPU-1"], kv_cache_usage=0.99, waiting=5.0)
    lost = datetime.now(UTC) - timedelta(minutes=50)
    insert_gpus("n2", {"time": lost, "gpu": "GPU-9", "index": 7} | USUAL)
    minute = lost.replace(second=0, microsecond=0)
    rollups.write(Span(minute, minute + MINUTE))
    page = opened(operator)
    found = {title.split(":")[0]: (classes, title) for title, (classes, _) in cells(page).items()}
    assert found["n1 GPU 0"][0] == "stale"
    assert "no sample for 5 min" in found["n1 GPU 0"][1]
    assert found["n1 GPU 1"][0] == "h9 bound"
    assert "e0 is bound by KV cache" in found["n1 GPU 1"][1]
    assert found["n2 GPU 7"][0] == "gone"
    assert "gone, seen last before" in found["n2 GPU 7"][1]
    assert "2 GPUs on 1 node: 1 gone within the last day, 1 without a sample for a minute." in text(page)


def test_those_that_need_a_look_are_listed_with_why(operator: Client) -> None:
    gpu("n1", 0)
    gpu("n1", 1, throttle=["hw_thermal"], throttle_known=True, temperature_c=91.0)
    gpu("n1", 2, xid_errors=2, xid_last=79)
    page = opened(operator)
    listed = text(page[page.index('id="look"') : page.index('id="summary"')])
    assert "throttled: heat (hardware)" in listed
    assert "hot: 91 °C" in listed
    assert "XID errors: 2 (last: 79)" in listed
    assert "n1 GPU 0" not in listed
    assert "n1 GPU 0" in text(opened(operator, node="n1"))


def test_they_are_summed_up_by_product_and_cluster(operator: Client) -> None:
    gpu("n1", 0)
    gpu("n2", 0, sm_active=0.23)
    gpu("n3", 0, name="A100", cluster="c2")
    page = text(opened(operator))
    assert "A100 eu, c2 1 1 73 %" in page
    assert f"H100 eu, c1 2 2 48 % {NOTHING} 0.7 50 %" in page


@pytest.mark.parametrize(
    ("by", "titles"), [("cluster", ["eu, c1", "us"]), ("region", ["eu", "us"]), ("name", ["A100", "H100"])]
)
def test_blocks_are_clusters_regions_or_products(by: str, titles: list[str], operator: Client) -> None:
    gpu("n1", 0)
    gpu("n2", 0, region="us", cluster="", name="A100")
    assert re.findall(r"<h3>(.*?) <small>", opened(operator, by=by)) == titles


@pytest.mark.parametrize(("name", "value"), [("region", "us"), ("cluster", "c2"), ("model", "llama"), ("node", "n2")])
def test_filters_narrow_all_of_it(name: str, value: str, operator: Client) -> None:
    gpu("n1", 0)
    gpu("n2", 1, region="us", cluster="c2")
    engine("n1", gpus=["GPU-0"], model="m")
    engine("n2", gpus=["GPU-1"], model="llama")
    minute = datetime.now(UTC).replace(second=0, microsecond=0) - 2 * MINUTE
    for node, place, power in (("n1", {}, 100.0), ("n2", {"region": "us", "cluster": "c2"}, 200.0)):
        insert_gpus(
            node, {"time": minute, "gpu": "GPU-0" if node == "n1" else "GPU-1"} | USUAL | {"power_w": power} | place
        )
    rollups.write(Span(minute, minute + MINUTE))
    assert [title.split(":")[0] for title in cells(opened(operator, **{name: value}))] == ["n2 GPU 1"]
    drawn = lines(read("gpus", **{name: value}), "chart-power")
    assert [value for value in drawn["power"]["y"] if value is not None] == [0.2]


def test_the_window_before_is_drawn_beside_this_one() -> None:
    minute = datetime.now(UTC).replace(second=0, microsecond=0) - 75 * MINUTE
    insert_gpus("n1", {"time": minute} | USUAL)
    rollups.write(Span(minute, minute + MINUTE))
    drawn = lines(read("gpus", compare="previous"), "chart-activity")
    assert [y for y in drawn["sm"]["y"] if y is not None] == []
    assert [y for y in drawn["sm.before"]["y"] if y is not None] == [0.73]


def test_before_the_first_gpu_it_says_what_to_install(operator: Client) -> None:
    page = opened(operator)
    assert "No GPU was heard of in the last 15 minutes" in page
    assert "tallywatt-agent --once --print" in page
    assert cells(page) == {}


def test_filters_that_fit_nothing_say_so(operator: Client) -> None:
    gpu("n1", 0)
    assert "No GPU fits these filters." in opened(operator, region="nowhere")


def test_what_is_simulated_is_labelled(operator: Client) -> None:
    gpu("n1", 0, simulated=True)
    assert "made up by the simulator" in opened(operator)


@pytest.mark.parametrize("query", [{"measure": "luck"}, {"by": "colour"}, {"node": "x" * 201}, {"range": "2h"}])
def test_an_address_that_asks_for_what_there_is_not_is_400(query: dict[str, str], operator: Client) -> None:
    assert operator.get(reverse("operator-gpus"), query).status_code == 400


def one(client: Client, node: str, name: str, **query: str) -> str:
    response = client.get(reverse("operator-gpu", args=[node, name]), query)
    assert response.status_code == 200
    return str(response.content.decode())


def measured(node: str, minutes: int, **fields: Any) -> None:
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    start = end - minutes * MINUTE
    rows = [{"time": at, "gpu": "GPU-0", "index": 0} | USUAL | fields for at in every(20 * SECOND, start, end)]
    insert_gpus(node, *({"throttle": [], "throttle_known": False} | row for row in rows))
    insert_engines(node, *({"time": at, "gpus": ["GPU-0"]} | CALM for at in every(20 * SECOND, start, end)))
    rollups.write(Span(start, end))


def test_a_gpu_has_all_that_is_known_of_it_on_one_axis(operator: Client) -> None:
    measured("n1", 12, throttle=["sw_power_cap"], throttle_known=True, temperature_c=60.0, sm_clock_mhz=1500)
    page = one(operator, "n1", "GPU-0", range="15m")
    for said in ("n1 GPU 0", "H100, eu, c1.", "power cap", "50 % of its limit", "e0"):
        assert said in text(page)
    found = read("gpu", "n1", "GPU-0", range="15m")
    drawn = lines(found, "chart-gpu")
    assert {trace["x"][0] for trace in drawn.values()} == {drawn["sm"]["x"][0]}
    assert set(drawn) >= {
        "sm",
        "power",
        "limit",
        "sm_clock",
        "temperature",
        "memory",
        "throttle.sw_power_cap",
        "engine.e0",
        "xid",
    }
    assert [y for y in drawn["throttle.sw_power_cap"]["y"] if y is not None] == [1.0] * 12
    assert 1.0 in drawn["engine.e0"]["y"]
    assert ", bound by power" in drawn["engine.e0"]["text"]
    axes = [axis for axis in found.figures["chart-gpu"]["layout"] if axis.startswith("yaxis")]
    assert len(axes) == 8


def test_xid_errors_are_marks_that_name_the_last() -> None:
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    rows = [
        {"time": end - (10 - n) * MINUTE, "gpu": "GPU-0", "xid_errors": int(n > 4), "xid_last": 79} for n in range(10)
    ]
    insert_gpus("n1", *rows)
    rollups.write(Span(end - 10 * MINUTE, end))
    marks = lines(read("gpu", "n1", "GPU-0", range="15m"), "chart-gpu")["xid"]
    assert [(y, said) for y, said in zip(marks["y"], marks["text"], strict=True) if y] == [(1.0, ", last XID 79")]


@pytest.mark.parametrize("range_", ["15m", "1h", "6h", "24h", "7d", "30d", "90d"])
def test_every_range_of_a_gpu_can_be_read(range_: str) -> None:
    measured("n1", 10)
    drawn = lines(read("gpu", "n1", "GPU-0", range=range_), "chart-gpu")
    assert 0.73 in drawn["sm"]["y"]


def test_a_gpu_that_nobody_has_heard_of_is_404(operator: Client) -> None:
    gpu("n1", 0)
    for ids in (["n1", "GPU-1"], ["n2", "GPU-0"]):
        response = operator.get(reverse("operator-gpu", args=ids))
        assert response.status_code == 404
        assert b"No GPU of this name was heard of" in response.content


def test_names_with_slashes_and_markup_are_names(operator: Client) -> None:
    insert_gpus("rack/7 <b>", {"time": datetime.now(UTC), "gpu": "../GPU?#"})
    link = re.findall(r'class="cell[^"]*" tabindex="0" href="([^"]*)"', opened(operator))[0]
    response = operator.get(link)
    assert response.status_code == 200
    page = response.content.decode()
    assert "rack/7 &lt;b&gt; GPU ../GPU?#" in page
    assert "<b>" not in page


def test_mig_instances_are_listed_on_the_page_of_their_gpu(operator: Client) -> None:
    gpu("n1", 0)
    gpu("n1", 0, mig="1/0", sm_active=0.11)
    assert len(cells(opened(operator))) == 1
    SHELF.clear()
    page = one(operator, "n1", "GPU-0")
    assert "MIG instances" in page
    assert "0 MIG 1/0 11 %" in text(page)
