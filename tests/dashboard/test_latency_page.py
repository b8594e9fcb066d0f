"""The latency page: percentiles, tables, spread, objectives and the slowest requests; and the story of one of them."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.urls import reverse

from dashboard.operator import latency, latency_request, together
from dashboard.operator.before import series_before
from dashboard.operator.filters import Filters
from dashboard.operator.pages import reading
from dashboard.operator.shelf import SHELF
from metering.clickhouse import client
from metering.contracts import TenantInfo
from metering.objectives import counting
from metering.objectives.definitions import set_objective
from metering.public import LiveScope
from tests.dashboard.conftest import LogIn
from tests.dashboard.latency_rows import ENGINE, NODE, engine_minutes, requests
from tests.metering.rows import insert_requests, request_key, settled

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CHARTS = {
    "chart-ttft",
    "chart-tpot",
    "chart-e2e",
    "chart-spread",
    "chart-input",
    "chart-output",
    "chart-burn",
}


@pytest.fixture(autouse=True)
def fresh() -> None:
    SHELF.clear()


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def opened(log_in: LogIn, **query: str) -> str:
    SHELF.clear()
    response = log_in("operator").get(reverse("operator-latency"), query)
    assert response.status_code == 200
    return str(response.content.decode())


def text(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def part(page: str, key: str) -> str:
    """The text of one kept part of the page."""
    found = re.search(rf'id="{key}">(.*?)</section>', page, re.DOTALL)
    assert found, key
    return text(found[1])


def figures(filters: Filters) -> dict[str, Any]:
    SHELF.clear()
    return dict(latency.PAGE.read(filters, ()).figures)


def counted(at: datetime) -> None:
    settled(at)
    assert counting.run(at, budget_s=60) is not None


def test_without_requests_it_says_what_to_do_next(tenant: TenantInfo, log_in: LogIn) -> None:
    page = opened(log_in, tenant=tenant.key)
    assert "No requests in this range. Choose a longer range, or other filters." in part(page, "table")
    assert "manage.py set_objective" in part(page, "objectives")
    assert "No requests in this range" in part(page, "slowest")
    found = figures(Filters(tenant=tenant.key))
    assert set(found) == CHARTS
    assert not any(value for value in found["chart-ttft"]["data"][0]["y"])
    assert found["chart-spread"]["data"] == []


def test_percentiles_are_drawn_by_the_step_and_tabled_by_model(tenant: TenantInfo, log_in: LogIn) -> None:
    requests(tenant.key, now(), timedelta(minutes=50), 200)
    page = opened(log_in, tenant=tenant.key)
    assert re.search(r"llama-3.1-70b [\d,]+ [\d.]+ % ([\d.,]+ ){12}", part(page, "table"))
    found = figures(Filters(tenant=tenant.key))
    lines = {trace["uid"]: trace for trace in found["chart-ttft"]["data"]}
    assert set(lines) == {f"ttft_ms.{level}" for level in ("p50", "p90", "p95", "p99")}
    levels = [max(value or 0 for value in trace["y"]) for trace in lines.values()]
    assert levels == sorted(levels)
    assert found["chart-e2e"]["layout"]["yaxis"]["title"]["text"] == "s"


@pytest.mark.parametrize(
    ("by", "title", "names"),
    [
        ("model", "By model", {"llama-3.1-70b", "qwen-2.5-7b"}),
        ("tier", "By tier", {"standard", "batch"}),
        ("region", "By region", {"eu-west", "us-east"}),
        ("cluster", "By cluster", {"a", "b"}),
    ],
)
def test_the_table_is_by_what_was_chosen_and_its_rows_narrow_the_page(
    tenant: TenantInfo, log_in: LogIn, by: str, title: str, names: set[str]
) -> None:
    requests(tenant.key, now(), timedelta(minutes=50), 60)
    page = opened(log_in, tenant=tenant.key, by=by)
    assert title in part(page, "table")
    assert set(re.findall(r'<tr data-row="([^"]+)"', page)) == names
    one = sorted(names)[0]
    assert f"{by}={one}" in page
    narrowed = opened(log_in, tenant=tenant.key, by=by, **{by: one})
    assert set(re.findall(r'<tr data-row="([^"]+)"', narrowed)) == {one}


def test_a_comparison_lays_the_period_before_beneath_and_says_how_p95_changed(
    tenant: TenantInfo, log_in: LogIn
) -> None:
    # Not on a whole second: at a whole minute the period would have a step less than the page's.
    window = Filters().window(now() + timedelta(milliseconds=1))
    for when, ttft in ((window.previous.start + 50 * MINUTE, 100.0), (window.start + 50 * MINUTE, 150.0)):
        insert_requests(tenant.key, *({"id": f"{ttft}-{n}", "time": when, "ttft_ms": ttft} for n in range(20)))
    page = opened(log_in, tenant=tenant.key, compare="previous")
    assert re.search(r"\+(49|50|51) %", part(page, "table"))  # sketches are 1 % wide
    traces = {one["uid"]: one for one in figures(Filters(tenant=tenant.key, compare="previous"))["chart-ttft"]["data"]}
    before, after = traces["before.ttft_ms.p95"], traces["ttft_ms.p95"]
    # Both at the same place: fifty minutes into their period.
    assert before["x"] == after["x"]
    assert before["y"].index(next(y for y in before["y"] if y)) == after["y"].index(next(y for y in after["y"] if y))
    assert "+" not in part(opened(log_in, tenant=tenant.key), "table")


def test_half_a_day_or_more_is_compared_with_the_hours_before(tenant: TenantInfo) -> None:
    window = Filters("24h").window(now())
    then = window.previous.start + timedelta(hours=5)
    insert_requests(tenant.key, *({"id": str(n), "time": then, "ttft_ms": 100.0} for n in range(8)))
    before = series_before(LiveScope(tenant=tenant.key), window)
    assert [one.start for one in before] == window.previous.steps
    assert before[-1].end == window.previous.end
    found = {one.start: one for one in before if one.counts.requests}
    assert found.keys() == {at for at in window.previous.steps if _hour(at) == _hour(then)}
    for one in found.values():
        assert one.counts.per_second(one.counts.requests) == pytest.approx(8 / 3600)
        assert one.ttft_ms is not None
        assert one.ttft_ms.p95 == pytest.approx(100, rel=0.02)
    (trace,) = (
        one
        for one in figures(Filters("24h", tenant=tenant.key, compare="previous"))["chart-ttft"]["data"]
        if one["uid"] == "before.ttft_ms.p95"
    )
    assert sum(1 for y in trace["y"] if y) == len(found)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def test_the_spread_holds_all_requests_of_each_step(tenant: TenantInfo) -> None:
    at = now()
    rows = [
        {"id": str(n), "time": at - 5 * MINUTE, "e2e_ms": e2e} for n, e2e in enumerate((900.0, 900.0, 910.0, 60_000.0))
    ]
    insert_requests(tenant.key, *rows)
    (heat,) = figures(Filters(tenant=tenant.key, options=(("measure", "e2e"),)))["chart-spread"]["data"]
    assert len(heat["x"]) == len(heat["z"][0]) + 1
    assert len(heat["y"]) == len(heat["z"]) + 1
    cells = [(row, value) for row, values in enumerate(heat["z"]) for value in values if value]
    assert sum(value for _, value in cells) == pytest.approx(100)
    for row, share in cells:
        low, high = heat["y"][row], heat["y"][row + 1]
        assert any(low * 0.95 <= seconds <= high * 1.05 for seconds in (0.9, 0.91, 60)), (low, high, share)


def test_lengths_are_spread_over_tokens(tenant: TenantInfo) -> None:
    insert_requests(tenant.key, {"id": "1", "time": now() - MINUTE, "input_tokens": 5000, "output_tokens": 70})
    found = figures(Filters(tenant=tenant.key))
    for chart, tokens in (("chart-input", 5000), ("chart-output", 70)):
        (heat,) = found[chart]["data"]
        filled = [row for row, values in enumerate(heat["z"]) if any(values)]
        assert heat["y"][filled[0]] <= tokens * 1.03
        assert heat["y"][filled[-1] + 1] >= tokens * 0.97
        assert found[chart]["layout"]["yaxis"]["type"] == "log"


def test_objectives_are_tabled_with_what_they_attained_and_what_is_left(tenant: TenantInfo, log_in: LogIn) -> None:
    at = now()
    rows = [{"id": str(n), "time": at - 10 * MINUTE, "ttft_ms": 900.0 if n < 3 else 100.0} for n in range(100)]
    insert_requests(tenant.key, *(row | {"ingested_at": row["time"]} for row in rows))
    set_objective("<First> token", measure="ttft_ms", threshold_ms=500, target="0.95", window_days=1, tenant=tenant.key)
    set_objective("Of nobody", measure="error", target="0.99", window_days=1, model=f"no-{tenant.key}")
    counted(at)
    page = opened(log_in, tenant=tenant.key)
    shown = part(page, "objectives")
    assert "<First> token time to first token within 500 ms; customer" in shown
    assert "Kept 97 % 95 % 40.0 %" in shown
    assert "No requests" in shown
    assert "Objectives kept 1 of 1 none is burning" in text(page)


def test_the_threshold_is_drawn_where_the_objective_covers_all_that_is_shown(tenant: TenantInfo) -> None:
    insert_requests(tenant.key, {"id": "1", "time": now() - MINUTE, "ttft_ms": 80.0, "model": "a"})
    set_objective(
        "Of a", measure="ttft_ms", threshold_ms=500, target="0.95", window_days=1, tenant=tenant.key, model="a"
    )
    counted(now())
    assert "shapes" not in figures(Filters(tenant=tenant.key))["chart-ttft"]["layout"]
    layout = figures(Filters(tenant=tenant.key, model="a"))["chart-ttft"]["layout"]
    assert [shape["y0"] for shape in layout["shapes"]] == [500]
    assert "shapes" not in figures(Filters(tenant=tenant.key, model="a"))["chart-e2e"]["layout"]


def test_objectives_that_filters_rule_out_are_not_shown(tenant: TenantInfo, log_in: LogIn) -> None:
    set_objective("In Europe", measure="error", target="0.99", window_days=1, region="eu", tenant=tenant.key)
    counted(now())
    assert "In Europe" in part(opened(log_in, region="eu"), "objectives")
    assert "In Europe" in part(opened(log_in), "objectives")
    page = part(opened(log_in, region="us"), "objectives")
    assert "In Europe" not in page
    assert "None of the 1 objectives" in page


def test_burn_rates_are_drawn_over_five_minutes_at_least(tenant: TenantInfo) -> None:
    at = now()
    whole = at.replace(second=0) - 20 * MINUTE
    insert_requests(
        tenant.key,
        *({"id": str(n), "time": whole, "ingested_at": whole, "status": "error" if n else "ok"} for n in range(2)),
    )
    set_objective("Up", measure="error", target="0.9", window_days=1, tenant=tenant.key)
    counted(at)
    (line,) = figures(Filters(tenant=tenant.key))["chart-burn"]["data"]
    burning = [y for y in line["y"] if y is not None]
    assert burning == [5.0] * 5  # half of them failed where a tenth may, in each five minutes that hold that one


def test_the_slowest_are_listed_and_lead_to_their_stories(tenant: TenantInfo, log_in: LogIn) -> None:
    at = now() - 10 * MINUTE
    slow = {"queue_ms": 500.0, "ttft_ms": 2000.0, "e2e_ms": 10_000.0, "tpot_ms": 20.0, "node": "n", "engine": "e"}
    insert_requests(tenant.key, {"id": "slow/1 ?", "time": at} | slow)
    insert_requests(tenant.key, {"id": "fast", "time": at, "e2e_ms": 5.0, "ttft_ms": 1.0})
    page = opened(log_in, tenant=tenant.key, measure="e2e", range="6h")
    assert 'aria-label="queue 5.0 %, prefill 15.0 %, decode 80.0 %"' in page
    link = re.search(r'href="(/operator/latency/request/[^"]+)"', page)
    assert link
    story = log_in("operator").get(unescape(link[1]))
    assert story.status_code == 200
    shown = text(story.content.decode())
    assert "Request slow/1 ?" in shown
    assert "Queue 500 ms 5.00 %" in shown
    assert "Prefill 1.5 s 15.0 %" in shown
    assert "Decode 8.0 s 80.0 %" in shown
    # Back to where one came from.
    assert f"/operator/latency/?range=6h&amp;tenant={tenant.key}" in story.content.decode()


def story_of(tenant: str, at: datetime, identity: str = "1") -> tuple[str, str, str]:
    return tenant, str(int(at.timestamp() * 1000)), request_key(tenant, identity)


def test_a_story_says_what_was_saturated_on_its_engine(tenant: TenantInfo, log_in: LogIn) -> None:
    at = now().replace(second=30) - 30 * MINUTE
    engine_minutes(at.replace(second=0) - 3 * MINUTE, 6)
    row = {
        "node": NODE,
        "engine": ENGINE,
        "gpus": ["GPU-0"],
        "queue_ms": 90_000.0,
        "ttft_ms": 95_000.0,
        "e2e_ms": 100_000.0,
    }
    insert_requests(tenant.key, {"id": "1", "time": at, "attributes": {"simulated": "true"}} | row)
    address = reverse("operator-latency-request", args=story_of(tenant.key, at))
    page = log_in("operator").get(address).content.decode()
    shown = text(page)
    assert "Most of that, 90.0 s (90.0 %), it waited in the engine's queue." in shown
    assert f"Engine {ENGINE} on {NODE} was bound by KV cache the whole time" in shown
    assert "up to 48 requests running, 12 waiting, its KV cache up to 99 % full" in shown
    assert "add a replica, or shorten contexts" in shown
    assert "Simulated." in shown
    assert page.count('<tr class="wins">') == 3  # the three minutes that it was there
    charts = dict(latency_request.PAGE.read(Filters(), story_of(tenant.key, at)).figures)
    assert {name for name, chart in charts.items() if any(trace["y"] for trace in chart["data"])} == set(charts)


def test_a_story_names_two_of_many_gpus(tenant: TenantInfo, log_in: LogIn) -> None:
    at = now() - HOUR
    insert_requests(tenant.key, {"id": "1", "time": at, "gpus": [f"GPU-{number}" for number in range(8)]})
    address = reverse("operator-latency-request", args=story_of(tenant.key, at))
    assert "GPU-0, GPU-1 and 6 more" in text(log_in("operator").get(address).content.decode())


def test_a_story_without_an_engine_or_times_says_so(tenant: TenantInfo, log_in: LogIn) -> None:
    at = now() - HOUR
    insert_requests(tenant.key, {"id": "1", "time": at})
    shown = text(
        log_in("operator").get(reverse("operator-latency-request", args=story_of(tenant.key, at))).content.decode()
    )
    assert "It does not say how long it took." in shown
    assert "It does not say on which node and engine it ran" in shown
    assert "Senders fill in queue_ms" in shown


def test_there_is_no_story_of_what_is_not_there(tenant: TenantInfo, log_in: LogIn) -> None:
    at = now() - HOUR
    insert_requests(tenant.key, {"id": "1", "time": at})
    key, ms, identity = story_of(tenant.key, at)
    operator = log_in("operator")
    for args in (
        ("nobody", ms, identity),
        (key, "x", identity),
        (key, "9" * 30, identity),
        (key, ms, "1"),
        (key, ms, "-"),
    ):
        assert operator.get(reverse("operator-latency-request", args=args)).status_code == 404


def test_a_customer_reaches_neither_its_own_story_nor_anothers(
    tenant: TenantInfo, other: TenantInfo, log_in: LogIn
) -> None:
    at = now() - HOUR
    for one in (tenant, other):
        insert_requests(one.key, {"id": "1", "time": at})
    customer = log_in("customer", tenant.key)
    assert customer.get(reverse("operator-latency")).status_code == 403
    for one in (tenant, other):
        address = reverse("operator-latency-request", args=story_of(one.key, at))
        assert customer.get(address).status_code == 403
        query = "&".join(f"id={word}" for word in story_of(one.key, at))
        assert customer.get(f"{reverse('operator-live', args=['latency-request'])}?{query}").status_code == 403


def test_the_stream_sends_the_parts_and_charts_of_the_page(tenant: TenantInfo) -> None:
    requests(tenant.key, now(), timedelta(minutes=20), 30)
    found = reading(latency.PAGE, Filters(tenant=tenant.key), ())
    assert not found.trouble
    assert set(found.figures) == CHARTS
    assert {"tiles", "objectives", "table", "slowest"} <= set(found.html)


def test_names_from_events_are_text(tenant: TenantInfo, log_in: LogIn) -> None:
    at = now() - MINUTE
    insert_requests(
        tenant.key, {"id": "<b>", "time": at, "model": "<script>", "e2e_ms": 5.0, "node": "<i>", "engine": "e"}
    )
    page = opened(log_in, tenant=tenant.key, measure="e2e")
    assert "&lt;script&gt;" in page
    assert "<script>" not in page.split("figures")[0].replace("<script ", "")
    story = (
        log_in("operator")
        .get(reverse("operator-latency-request", args=story_of(tenant.key, at, "<b>")))
        .content.decode()
    )
    assert "<b>" not in story
    assert "&lt;i&gt;" in story


def test_what_takes_long_is_left_to_the_stream_and_shown_at_once_when_it_is_at_hand(
    tenant: TenantInfo, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "GLANCE_S", 0.0)
    requests(tenant.key, now(), timedelta(hours=20), 40)
    query = {"tenant": tenant.key, "range": "24h"}
    first = log_in("operator").get(reverse("operator-latency"), query)
    assert "Reading 24 hours" in text(first.content.decode())
    assert "Looking for the slowest of 24 hours" in text(first.content.decode())
    charts = latency.PAGE.glance(Filters("24h", tenant=tenant.key), ()).figures  # type: ignore[misc]
    assert {name for name, chart in charts.items() if chart.get("reading")} == CHARTS - {"chart-burn"}
    latency.PAGE.read(Filters("24h", tenant=tenant.key), ())
    monkeypatch.setattr(together, "GLANCE_S", 10.0)
    again = text(log_in("operator").get(reverse("operator-latency"), query).content.decode())
    assert "Reading 24 hours" not in again
    assert "llama-3.1-70b" in again


def test_an_unknown_option_is_explained(log_in: LogIn) -> None:
    response = log_in("operator").get(reverse("operator-latency"), {"by": "colour"})
    assert response.status_code == 400
    assert b"choose one of model, tenant, tier, region, cluster" in response.content


def test_a_clickhouse_that_does_not_answer_is_a_page_that_says_so(
    log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise client.ClickHouseUnavailable("gone")

    monkeypatch.setattr(client, "run", gone)
    response = log_in("operator").get(reverse("operator-latency"))
    assert response.status_code == 503
    assert b"The figures cannot be read." in response.content
