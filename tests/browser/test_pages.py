"""Every page in a real browser: quiet, self-contained, accessible, at home on a phone and in the dark."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from billing.public import close_period, month, set_price
from metering.contracts import TenantInfo
from metering.models import IngestHost
from tests.browser.conftest import OpenBrowser, Watched
from tests.metering.rows import NOON, insert_requests

# Each width and each theme once: a width says whether a page fits, a theme whether it can be read.
SHAPES = [(1440, "light"), (390, "dark")]


@pytest.fixture
def invoiced(tenant: TenantInfo) -> str:
    """A month that is invoiced, and requests of this very minute."""
    set_price(model="*", kind="input", per_million=Decimal(1), currency="USD")
    set_price(model="*", kind="output", per_million=Decimal(3), currency="USD")
    now = datetime.now(UTC)
    insert_requests(tenant.key, {"id": "1", "time": NOON, "input_tokens": 1_234_567})
    live = {"time": now, "ingested_at": now, "ttft_ms": 80.0, "e2e_ms": 900.0}
    insert_requests(tenant.key, *(live | {"id": f"n{n}"} for n in range(40)))
    IngestHost.objects.create(name="host-1", settled_before=now + timedelta(hours=1), published_at=now)
    return str(close_period(month("2026-01"), [tenant], wait_s=10)[0].number)


def look_at(watched: Watched, path: str) -> Page:
    """Open it, and hold it to what every page promises."""
    page = watched.open(path)
    page.wait_for_load_state("load")
    if page.locator(".plot").count():
        page.wait_for_selector(".plot svg.main-svg")
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"{path} scrolls sideways by {overflow} px"
    found = Axe().run(page)
    serious = [one for one in found.response["violations"] if one["impact"] in {"serious", "critical"}]
    assert not serious, f"{path}: " + "; ".join(
        f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0].get('failureSummary', '')}" for one in serious
    )
    return page


@pytest.mark.parametrize(("width", "scheme"), SHAPES)
def test_pages_are_quiet_accessible_and_fit(
    width: int, scheme: str, tenant: TenantInfo, invoiced: str, browse: OpenBrowser
) -> None:
    staff = browse("operator", width=width, scheme=scheme)
    for path in ("/operator/", f"/operator/?tenant={tenant.key}&range=15m", "/ingest/", "/customers/", "/invoices/"):
        look_at(staff, path)
    look_at(staff, f"/invoices/{invoiced}/")
    look_at(staff, f"/invoices/{invoiced}/lines/1/")
    look_at(staff, f"/invoices/{invoiced}/lines/1/?hour={NOON:%Y-%m-%dT%H}:00:00Z")
    look_at(staff, f"/invoices/{invoiced}/proof/?request_id=1")
    customer = browse("customer", tenant.key, width=width, scheme=scheme)
    for path in ("/portal/", "/portal/?month=2026-01", "/portal/?month=2025-01", "/portal/invoices/"):
        look_at(customer, path)
    look_at(customer, f"/portal/invoices/{invoiced}/")
    for watched in (staff, customer):
        assert watched.errors == []
        assert watched.foreign == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_log_in_and_error_pages_are_accessible(scheme: str, browse: OpenBrowser) -> None:
    stranger = browse(scheme=scheme, width=390)
    page = look_at(stranger, "/login/")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    look_at(stranger, "/nothing/here/")
    assert stranger.foreign == []


def test_a_chosen_theme_is_kept_and_there_before_the_first_paint(browse: OpenBrowser) -> None:
    page = browse("operator", scheme="light").open("/operator/")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Switch between light and dark").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload(wait_until="commit")
    page.wait_for_selector("body", state="attached")
    assert page.evaluate(ground) == dark
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate(ground) == light


def test_the_keyboard_reaches_the_content_and_the_menu(browse: OpenBrowser) -> None:
    page = browse("operator").open("/operator/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.locator("header.top details.menu summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Log out")).to_be_hidden()


def test_logging_out_ends_the_session(browse: OpenBrowser) -> None:
    watched = browse("finance")
    page = watched.open("/invoices/")
    page.locator("header.top details.menu summary").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login/")
    watched.open("/invoices/")
    assert "/login/" in page.url
