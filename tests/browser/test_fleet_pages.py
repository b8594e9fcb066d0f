"""The fleet's pages in a real browser: with data and without any, on a desk and on a phone; and the one that keeps itself fresh."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from metering.clickhouse import client
from metering.contracts import TenantInfo
from metering.telemetry import step_rollups
from tests.billing.energy import attributed, energy_costs_from_now_on, nobodys, settle
from tests.browser.conftest import OpenBrowser
from tests.browser.test_pages import look_at
from tests.metering.rows import empty_tables, insert_requests
from tests.metering.telemetry.reconciliation.windows import hour_of, insert
from tests.metering.telemetry.sample_rows import MINUTE, SECOND, TELEMETRY, every, insert_engines, insert_gpus, work_up

PATHS = (
    "/operator/fleet/",
    "/operator/fleet/?range=24h&node=n1",
    "/operator/gpus/",
    "/operator/gpus/?measure=temperature&by=name&range=7d",
    "/operator/engines/",
    "/operator/engines/?by=engine&range=24h&compare=previous",
    "/operator/energy/",
    "/operator/energy/?range=30d&by=tenant",
    "/operator/leakage/",
    "/margin/",
)
TABLES = (
    *TELEMETRY,
    "energy_windows",
    "energy_hours",
    "energy_attributed_hours",
    "requests",
    "usage_ledger",
)
SIDES = {"prefill_tokens": 600_000.0, "decode_tokens": 400_000.0}
FULL = {"running": 10.0, "waiting": 5.0, "kv_cache_usage": 0.99}
CALM = {"running": 10.0, "waiting": 0.0, "kv_cache_usage": 0.4}


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    empty_tables(*TABLES)


def engine_runs(state: dict[str, float], **fields: object) -> None:
    now = datetime.now(UTC)
    insert_engines("n1", *({"time": at} | state | fields for at in every(5 * SECOND, now - MINUTE, now)))


def saturated_minutes(count: int) -> None:
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    row = {
        "node": "n1",
        "engine": "e0",
        "model": "m",
        "gpus": 1.0,
        "score": 1.0,
        "constraint": "kv_cache",
        "bound": True,
    }
    rows = [row | {"version": 1, "minute": end - (n + 1) * MINUTE} for n in range(count)]
    names = sorted(rows[0])
    client.insert("test_rows", "saturation_minute", names, [[one[name] for one in rows] for name in names])
    step_rollups.write(end - count * MINUTE, end, 1)


@pytest.fixture
def everything(tenant: TenantInfo) -> None:
    """Engines that bind, are down and are simulated, a stale GPU with an error, leaking hours, energy with and without a price."""
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    engine_runs(FULL)
    engine_runs(CALM, engine="e1", simulated=True, model="m2")
    insert_engines("n1", {"time": now, "engine": "e2", "up": False})
    gpu = {"time": now, "index": 0, "power_w": 690.0, "power_limit_w": 700.0, "throttle": ["sw_power_cap"]}
    insert_gpus("n1", gpu | {"throttle_known": True}, {"time": now - 5 * MINUTE, "gpu": "GPU-1", "xid_errors": 2})
    saturated_minutes(50)
    work_up(now)
    made = {f"engine_{name}": value for name, value in SIDES.items()}
    reported = {f"event_{name}": value * 0.97 for name, value in SIDES.items()}
    insert(
        hour_of("n1", hour, **made, **reported), hour_of("n1", hour, minutes=20, **made, engine="e1", simulated=True)
    )
    attributed(hour, tenant.key, kwh="6", gpu_hours="4", decode_tokens=4_320_000.0)
    attributed(hour, tenant.key, kwh="1", gpu_hours="1", model="m2", engine="e2", simulated=True)
    nobodys(hour, idle_nkwh="1.5", aborted_nkwh="0.5", idle_gpu_nh="2")
    energy_costs_from_now_on()
    insert_requests(tenant.key, {"id": "1", "time": hour, "ingested_at": now})
    settle(hour + timedelta(hours=1))


def look_at_all(browse: OpenBrowser, width: int, scheme: str) -> None:
    operator, finance = browse("operator", width=width, scheme=scheme), browse("finance", width=width, scheme=scheme)
    for path in PATHS:
        look_at(operator, path)
    look_at(finance, "/margin/")
    for watched in (operator, finance):
        assert watched.errors == []
        assert watched.foreign == []


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (390, "light")])  # the others: test_operator_pages
def test_the_fleets_pages_are_quiet_accessible_and_fit(width: int, scheme: str, browse: OpenBrowser) -> None:
    look_at_all(browse, width, scheme)
    operator = browse("operator", width=width, scheme=scheme)
    for path in ("/operator/gpus/n1/GPU-0/", "/operator/engines/n1/e0/?compare=previous"):
        look_at(operator, path)
    assert operator.errors == []


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_so_they_are_before_anything_was_measured(width: int, scheme: str, browse: OpenBrowser) -> None:
    look_at_all(browse, width, scheme)


def test_on_a_phone_the_navigation_shows_where_one_is_and_scrolls_to_the_rest(browse: OpenBrowser) -> None:
    page = browse("operator", width=390).open("/operator/energy/")
    for nav in page.locator("#nav, #subnav nav").all():
        in_sight(nav.locator("[aria-current]"))
        for link in nav.get_by_role("link").all():
            link.scroll_into_view_if_needed()
            in_sight(link)
    page.get_by_role("navigation", name="Fleet").get_by_role("link", name="Saturation").click()
    page.wait_for_url("**/operator/fleet/")


def in_sight(link: Locator) -> None:
    box = link.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390 + 0.5  # of a pixel
    assert box["height"] >= 24  # WCAG 2.2, 2.5.8: target size


def drawn(page: Page) -> None:
    """Mark the chart that is on the page now, so that another one in its place is noticed."""
    page.wait_for_selector("#chart-saturation svg.main-svg")
    page.evaluate("document.querySelector('#chart-saturation svg.main-svg').dataset.mark = 'first'")


def test_new_states_appear_while_the_chart_and_the_focus_stay(browse: OpenBrowser) -> None:
    engine_runs(CALM)
    saturated_minutes(30)
    watched = browse("operator")
    page = watched.open("/operator/fleet/")
    expect(page.get_by_text("Nothing binds.")).to_be_visible()
    drawn(page)
    page.locator(".scroll[aria-labelledby=t-engines]").focus()
    engine_runs(FULL, engine="e9", simulated=True)  # a note that was not there moves everything below it
    expect(page.get_by_text("is bound by KV cache")).to_be_visible()
    expect(page.locator("#chart-saturation svg[data-mark=first]")).to_have_count(1)
    assert page.locator("#chart-saturation .scatterlayer .trace").count() == 1
    assert watched.errors == []


def test_a_change_that_moves_nothing_leaves_the_focus(browse: OpenBrowser) -> None:
    engine_runs(CALM)
    page = browse("operator").open("/operator/fleet/")
    page.locator(".scroll[aria-labelledby=t-engines]").focus()
    engine_runs(FULL)
    expect(page.get_by_text("is bound by KV cache")).to_be_visible()
    assert page.evaluate("document.activeElement.getAttribute('aria-labelledby')") == "t-engines"


def test_another_range_has_its_chart_by_the_stream_and_stays_chosen(browse: OpenBrowser) -> None:
    engine_runs(CALM)
    saturated_minutes(30)
    watched = browse("operator")
    page = watched.open("/operator/fleet/")
    drawn(page)
    page.get_by_role("radio", name="24 hours").check(force=True)
    page.wait_for_url("**range=24h**")
    expect(page.locator("#chart-saturation .scatterlayer .trace")).to_have_count(1)
    expect(page.get_by_role("radio", name="24 hours")).to_be_checked()
    assert watched.errors == []


def test_arrow_keys_move_between_gpus_and_enter_opens_one(browse: OpenBrowser) -> None:
    now = datetime.now(UTC)
    for node in ("n1", "n2"):
        insert_gpus(node, *({"time": now, "gpu": f"GPU-{n}", "index": n} for n in range(8)))
    watched = browse("operator")
    page = watched.open("/operator/gpus/")
    cells = page.locator("[data-heat] .cell")
    expect(cells).to_have_count(16)
    cells.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(cells.nth(2)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_url("**/operator/gpus/n1/GPU-1/")
    expect(page.get_by_role("heading", level=1)).to_have_text("n1 GPU 1")
    page.wait_for_selector("#chart-gpu svg.main-svg")
    assert watched.errors == []


def test_a_gpu_changes_its_colour_while_one_looks(browse: OpenBrowser) -> None:
    insert_gpus("n1", {"time": datetime.now(UTC), "index": 0, "sm_active": 0.1})
    page = browse("operator").open("/operator/gpus/?measure=sm")
    cell = page.locator("[data-heat] .cell")
    expect(cell).to_have_count(1)  # the first HTML may be of ten seconds ago, when there were others
    expect(cell).to_have_text("10")
    insert_gpus("n1", {"time": datetime.now(UTC), "index": 0, "sm_active": 0.9})
    expect(cell).to_have_text("90")
    expect(cell).to_have_class("cell h9")


def test_a_page_that_began_empty_gets_its_chart_when_the_first_engine_reports(browse: OpenBrowser) -> None:
    watched = browse("operator")
    page = watched.open("/operator/fleet/")
    expect(page.get_by_text("No engine was heard of in the last two minutes")).to_be_visible()
    engine_runs(CALM)
    expect(page.get_by_text("Nothing binds.")).to_be_visible()
    page.wait_for_selector("#chart-saturation svg.main-svg")
    assert watched.errors == []
