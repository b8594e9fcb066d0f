"""Charts in a real browser: one zoom and one moment for all, numbers and pictures to take along, and live without forgetting."""

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from metering.contracts import TenantInfo
from tests.browser import busy
from tests.browser.conftest import OpenBrowser
from tests.metering.rows import empty_every_table

AXIS = "document.querySelector('#chart-{}')._fullLayout.xaxis.range"
ZOOMED = ".zoomed"


@pytest.fixture
def page(tenant: TenantInfo, browse: OpenBrowser) -> Page:
    empty_every_table()
    busy.requests(tenant.key)
    opened: Page = browse("operator").open(f"/operator/?tenant={tenant.key}")
    opened.wait_for_selector("#chart-e2e svg.main-svg")
    expect(opened.locator("[data-live-state].is-live")).to_contain_text("as of")
    return opened


def axis(page: Page, chart: str) -> list[str]:
    found: list[str] = page.evaluate(AXIS.format(chart))
    return found


def minutes(shown: list[str]) -> float:
    """How long the axis is: what it begins with moves on with the clock, its length does not."""
    start, end = map(datetime.fromisoformat, shown)
    return (end - start).total_seconds() / 60


def drag(page: Page, chart: str, start: float, end: float) -> None:
    """Across a chart, from one part of its width to another."""
    plot = page.locator(f"#chart-{chart} .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * start, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * (start + end) / 2, y)
    page.mouse.move(box["x"] + box["width"] * end, y)
    page.mouse.up()


def until(page: Page, told: Callable[[], bool]) -> None:
    for _ in range(300):  # a quarter of a minute
        if told():
            return
        page.wait_for_timeout(50)
    assert told()


def readings(page: Page, count: int = 1) -> None:
    """Wait until so many more have been shown."""
    for _ in range(count):
        seen = page.locator("#page").get_attribute("data-at")
        until(page, lambda: page.locator("#page").get_attribute("data-at") != seen)  # noqa: B023 - awaited at once


def test_a_zoom_is_one_for_all_charts_survives_readings_and_becomes_the_pages_range(page: Page) -> None:
    before = axis(page, "ttft")
    drag(page, "requests", 0.25, 0.6)
    expect(page.locator(ZOOMED)).to_contain_text("UTC")
    zoomed = axis(page, "requests")
    assert axis(page, "ttft") == zoomed
    assert minutes(zoomed) < minutes(before) / 2
    readings(page, 2)
    assert axis(page, "requests") == axis(page, "e2e") == zoomed
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(ZOOMED)).to_have_count(0)
    until(page, lambda: abs(minutes(axis(page, "tokens")) - minutes(before)) < 2)

    drag(page, "tokens", 0.3, 0.7)
    page.get_by_role("button", name="Use this range").click()
    page.wait_for_url(re.compile(r"from=20\d\d-\d\d-\d\dT"))
    assert "range=" not in page.url
    expect(page.locator(".range-own summary")).to_contain_text(" to ")
    expect(page.locator(ZOOMED)).to_have_count(0)
    page.wait_for_selector("#chart-requests svg.main-svg")


def test_a_double_click_shows_all_again(page: Page) -> None:
    drag(page, "requests", 0.25, 0.6)
    expect(page.locator(ZOOMED)).to_be_visible()
    page.locator("#chart-ttft .nsewdrag").first.dblclick()
    expect(page.locator(ZOOMED)).to_have_count(0)


def test_a_moment_is_shown_on_every_chart_and_stays_under_the_pointer(page: Page) -> None:
    page.locator("#chart-requests .nsewdrag").first.hover(position={"x": 200, "y": 60})
    for chart in ("requests", "tokens", "ttft", "e2e"):
        expect(page.locator(f"#chart-{chart} + .moment")).to_be_visible()
    label = page.locator("#chart-requests .hoverlayer .legend")
    expect(label).to_be_visible()
    readings(page, 2)
    expect(label).to_be_visible()
    expect(page.locator("#chart-e2e + .moment")).to_be_visible()
    page.mouse.move(5, 5)
    expect(page.locator("#chart-e2e + .moment")).to_be_hidden()


def test_what_was_hidden_in_a_legend_stays_hidden(page: Page) -> None:
    hidden = "document.querySelector('#chart-ttft')._fullData[3].visible"
    page.locator("#chart-ttft .legendtoggle").nth(3).click()
    until(page, lambda: page.evaluate(hidden) == "legendonly")
    readings(page, 2)
    assert page.evaluate(hidden) == "legendonly"


def saved(page: Page, what: str, chart: str = "Requests by status") -> Path:
    page.get_by_label(f"{chart}: copy or save").click()
    with page.expect_download() as download:
        page.get_by_role("button", name=what).locator("visible=true").click()
    return Path(download.value.path()).rename(Path(download.value.path()).with_name(download.value.suggested_filename))


def test_the_numbers_of_a_chart_are_saved_with_times_and_units(page: Page) -> None:
    found = saved(page, "Save as CSV")
    assert re.fullmatch(r"tallywatt-requests-by-status-\d{8}T\d{4}Z\.csv", found.name)
    head, *rows = csv.reader(io.StringIO(found.read_text()))
    assert head == ["time (UTC)", "ok (requests / s)", "cancelled (requests / s)", "error (requests / s)"]
    assert len(rows) >= 59
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", row[0]) for row in rows)
    assert abs(datetime.fromisoformat(rows[-1][0]) - datetime.now(UTC)).total_seconds() < 120
    assert sum(float(row[1] or 0) for row in rows) > 1


def test_the_numbers_of_a_chart_are_copied_or_saved_where_they_cannot_be(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("Tokens: copy or save").click()
    page.get_by_role("button", name="Copy as CSV").locator("visible=true").click()
    expect(page.locator(".chart-said", has_text="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("time (UTC),input (tokens / s)")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    assert saved(page, "Copy as CSV", "Tokens").read_text().startswith("time (UTC),input")


def test_the_picture_of_a_chart_is_a_png_with_the_colours_of_the_page(page: Page) -> None:
    found = saved(page, "Save as PNG").read_bytes()
    assert found.startswith(b"\x89PNG")
    assert len(found) > 10_000


HEAT: dict[str, Any] = {
    "data": [
        {
            "type": "heatmap",
            "x": [0, 60_000],
            "y": ["a,b", "=c"],
            "z": [[1, None], [3, 4.5]],
            "colorbar": {"title": "ms"},
        }
    ],
    "layout": {"xaxis": {"type": "date"}, "yaxis": {"title": {"text": "node"}}},
}
BARS: dict[str, Any] = {
    "data": [{"type": "bar", "orientation": "h", "y": ["m1", "m2"], "x": [5, None], "name": "energy"}],
    "layout": {"xaxis": {"title": {"text": "kWh"}}, "yaxis": {"title": {"text": "model"}}},
}


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (HEAT, "time (UTC),node,ms\n1970-01-01T00:00:00Z,\"a,b\",1\n1970-01-01T00:01:00Z,\"a,b\",\n"
               "1970-01-01T00:00:00Z,'=c,3\n1970-01-01T00:01:00Z,'=c,4.5\n"),
        (BARS, "model,energy (kWh)\nm1,5\nm2,\n"),
        ({"data": [], "layout": {}}, "name\n"),
    ],
)  # fmt: skip
def test_heatmaps_are_long_and_bars_have_their_names(
    figure: dict[str, Any], text: str, browse: OpenBrowser, server: str
) -> None:
    page = browse().open("/login/")
    module = "async (figure) => (await import('/static/dashboard/chart_csv.js')).csv(figure)"
    assert page.evaluate(module, figure).replace("\r\n", "\n") == text


def test_a_reading_without_neighbours_is_marked_and_a_single_moment_has_an_hour_around_it(
    browse: OpenBrowser, server: str
) -> None:
    page = browse().open("/login/")
    line = {"type": "scatter", "mode": "lines", "line": {"color": "red"}}
    traces = [line | {"x": [0, 1, 2, 3], "y": [7, None, 8, 9]}, line | {"x": [0, 1], "y": [0, 1]}]
    module = "async (traces) => (await import('/static/dashboard/chart_points.js')).seen(traces)"
    lonely, whole = page.evaluate(module, traces)
    assert (lonely["mode"], lonely["marker"]["size"]) == ("lines+markers", [6, 0, 0, 0])
    assert whole == traces[1]

    module = """async ([traces, layout]) =>
        (await import('/static/dashboard/chart_points.js')).withRoom(layout, traces).xaxis.range"""
    hour = [line | {"x": [3_600_000], "y": [7]}, line | {"x": [3_600_000], "y": [8]}]
    assert page.evaluate(module, [hour, {"xaxis": {"type": "date"}}]) == [1_800_000, 5_400_000]
    assert page.evaluate(module, [traces, {"xaxis": {"type": "date"}}]) is None


def test_hours_of_readings_take_no_more_memory(page: Page) -> None:
    """What a wall display gets in about an hour, in a few seconds."""
    page.evaluate(
        """async () => {
          const { Charts } = await import('/static/dashboard/charts.js');
          window.tried = new Charts(document.querySelector('#page'));
          window.readings = (count) => {
            for (let n = 0; n < count; n += 1) {
              const figures = structuredClone({ 'chart-ttft': window.tried.figures['chart-ttft'] });
              for (const trace of figures['chart-ttft'].data) {
                trace.x = Array.from({ length: 60 }, (_, minute) => minute * 60000);
                trace.y = trace.x.map(() => Math.random() * 100);
              }
              window.tried.update(figures);
            }
          };
        }"""
    )
    inspector = page.context.new_cdp_session(page)

    def held() -> dict[str, float]:
        for _ in range(3):  # what one round lets go, holds what the next one finds
            inspector.send("HeapProfiler.collectGarbage")
        found = inspector.send("Runtime.getHeapUsage")
        counters = inspector.send("Memory.getDOMCounters")
        return {"bytes": found["usedSize"], "nodes": counters["nodes"], "listeners": counters["jsEventListeners"]}

    page.evaluate("readings(100)")
    page.wait_for_timeout(1000)
    before = held()
    page.evaluate("readings(300)")

    def flat() -> bool:
        """What was drawn before is let go a moment later."""
        now = held()
        grown = {name: now[name] - before[name] for name in now}
        return grown["bytes"] < 2_000_000 and grown["nodes"] < 500 and grown["listeners"] < 50

    until(page, flat)
