"""The latency page and a request's story in a real browser: with data and without, on a desk and on a phone."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from metering.contracts import TenantInfo
from metering.objectives import counting
from metering.objectives.definitions import set_objective
from tests.browser.conftest import OpenBrowser
from tests.browser.test_pages import SHAPES, look_at
from tests.dashboard.latency_rows import engine_minutes, requests
from tests.metering.rows import empty_every_table, settled

SHOTS = os.environ.get("SHOTS")


@pytest.fixture
def busy(tenant: TenantInfo) -> None:
    now = datetime.now(UTC)
    requests(tenant.key, now, timedelta(minutes=70), 900)
    engine_minutes((now - timedelta(minutes=90)).replace(second=0, microsecond=0), 90)
    narrowed = {"tenant": tenant.key, "window_days": 1}
    set_objective("First token", measure="ttft_ms", threshold_ms=300, target="0.95", **narrowed)
    set_objective("Chat of llama", measure="tpot_ms", threshold_ms=60, target="0.99", model="llama-3.1-70b", **narrowed)
    set_objective("Availability", measure="error", target="0.9", **narrowed)
    settled(now)
    counting.run(now, budget_s=60)


@pytest.fixture
def empty(clickhouse: object) -> None:
    empty_every_table()


@pytest.mark.parametrize(("width", "scheme"), SHAPES)
def test_the_latency_page_and_a_story_look_right(
    browse: OpenBrowser, busy: None, tenant: TenantInfo, width: int, scheme: str
) -> None:
    watched = browse("operator", width=width, scheme=scheme)
    page = look_at(watched, f"/operator/latency/?tenant={tenant.key}&measure=e2e&compare=previous")
    expect(page.locator("[data-objective='First token']")).to_contain_text("burns", ignore_case=True)
    _shot(page, f"latency-{width}-{scheme}")
    page.locator("#slowest tbody a").first.click()
    page.wait_for_url("**/request/**")
    look_at(watched, page.url.removeprefix(watched.server))
    expect(page.locator("#request")).to_contain_text("It took")
    _shot(page, f"story-{width}-{scheme}")
    assert (watched.errors, watched.foreign) == ([], [])


def test_without_data_the_latency_page_says_what_to_do(browse: OpenBrowser, empty: None) -> None:
    watched = browse("operator")
    page = look_at(watched, "/operator/latency/")
    expect(page.locator("#objectives")).to_contain_text("manage.py set_objective")
    expect(page.locator("#slowest")).to_contain_text("No requests in this range")
    expect(page.get_by_role("heading", name="No event has arrived yet")).to_be_visible()
    _shot(page, "latency-empty")
    assert (watched.errors, watched.foreign) == ([], [])


def _shot(page: Page, name: str) -> None:
    """For eyes, where SHOTS names a folder. What is far down is drawn when it comes near."""
    if SHOTS:
        page.wait_for_timeout(500)
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)
