"""The ingest page keeps itself fresh without disturbing its reader, and says when it may not."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from metering.ingest import presence
from metering.models import IngestHost
from tests.browser.conftest import OpenBrowser
from tests.metering.rows import settled


@pytest.fixture(autouse=True)
def healthy(clickhouse: None, transactional_db: None) -> None:
    settled(datetime.now(UTC), "host-1")
    presence.alive("worker@a")


def test_new_figures_appear_and_the_focus_stays(browse: OpenBrowser) -> None:
    watched = browse("operator")
    page = watched.open("/ingest/")
    page.locator(".scroll[aria-labelledby=t-hosts]").focus()
    IngestHost.objects.update(pending_bytes=95, spool_max_bytes=100)
    expect(page.get_by_text("The spool of host host-1 is 95 % full.")).to_be_visible()
    assert page.evaluate("document.activeElement.getAttribute('aria-labelledby')") == "t-hosts"
    assert watched.errors == []
    assert watched.foreign == []


def test_who_was_logged_out_is_told(browse: OpenBrowser) -> None:
    watched = browse("operator")
    page = watched.open("/ingest/")
    page.context.clear_cookies()
    watched.lose_the_stream()
    expect(page.locator("[data-live-state]")).to_contain_text("Reload if you were logged out")
