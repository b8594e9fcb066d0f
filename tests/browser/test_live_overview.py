"""The overview moves by itself, and says so when it cannot."""

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import httpx
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from metering.contracts import TenantInfo
from metering.models import Membership
from tests.browser.conftest import PASSWORD, OpenBrowser
from tests.metering.rows import insert_requests


def requests_now(tenant: str, count: int, **fields: Any) -> None:
    now = datetime.now(UTC)
    insert_requests(tenant, *({"id": f"{now}-{n}", "time": now, "ingested_at": now} | fields for n in range(count)))


def is_live(page: Page) -> None:
    expect(page.locator("[data-live-state].is-live")).to_contain_text("as of")


def test_tiles_tables_and_charts_move_with_an_event(tenant: TenantInfo, browse: OpenBrowser) -> None:
    page = browse("operator").open(f"/operator/?tenant={tenant.key}&range=15m")
    is_live(page)
    requests_now(tenant.key, 120, model="model-of-the-minute", ttft_ms=250.0)
    began = time.monotonic()
    expect(page.locator("[data-tile=requests] .value")).to_contain_text("2.00")
    page.wait_for_selector("[data-row='model-of-the-minute']")
    # Not wait_for_function: it evaluates text in the page, which our content security policy refuses.
    # The last steps, not the last one: the clock goes on.
    while page.evaluate("Math.max(...document.querySelector('#chart-requests').data[0].y.slice(-4))") < 1.9:
        assert time.monotonic() - began < 15


def test_a_filter_changes_page_and_address_without_a_reload(tenant: TenantInfo, browse: OpenBrowser) -> None:
    requests_now(tenant.key, 3, model="one-of-a-kind")
    watched = browse("operator")
    page = watched.open(f"/operator/?tenant={tenant.key}")
    page.evaluate("window.sameDocument = true")
    page.get_by_label("Latency in tables").select_option("e2e")
    page.wait_for_url("**latency=e2e**")
    page.locator(".segments label", has_text="15m").click()
    page.wait_for_url("**range=15m**")
    assert page.evaluate("window.sameDocument") is True
    is_live(page)
    assert "range=15m" in page.evaluate("document.querySelector('#page').dataset.live")
    page.wait_for_selector("#chart-e2e svg.main-svg")
    page.get_by_role("link", name="one-of-a-kind").click()
    page.wait_for_url("**model=one-of-a-kind**")
    expect(page.get_by_label("Model", exact=True)).to_have_value("one-of-a-kind")
    assert watched.errors == []


def test_the_back_button_brings_back_the_filters_before(tenant: TenantInfo, browse: OpenBrowser) -> None:
    page = browse("operator").open(f"/operator/?tenant={tenant.key}&range=1h")
    page.locator(".segments label", has_text="6h").click()
    page.wait_for_url("**range=6h**")
    page.go_back()
    page.wait_for_url("**range=1h**")
    expect(page.locator(".segments input[value='1h']")).to_be_checked()
    is_live(page)


def test_a_lost_connection_is_shown_with_its_time_and_heals(tenant: TenantInfo, browse: OpenBrowser) -> None:
    watched = browse("operator")
    page = watched.open(f"/operator/?tenant={tenant.key}")
    is_live(page)
    page.route("**/operator/live/**", lambda route: route.abort())
    watched.lose_the_stream()
    expect(page.locator("[data-live-state]")).to_contain_text("Stale since")
    page.unroute("**/operator/live/**")
    expect(page.locator("[data-live-state].is-live")).to_contain_text("as of", timeout=20_000)


def test_a_hidden_page_lets_its_stream_go(tenant: TenantInfo, browse: OpenBrowser) -> None:
    """A browser opens six connections to a host at most: streams of hidden pages would keep a seventh page from loading."""
    watched = browse("operator")
    watched.open(f"/operator/?tenant={tenant.key}")
    others = [watched.page.context.new_page() for _ in range(6)]
    for page in others:
        page.goto(f"{watched.server}/operator/?tenant={tenant.key}")
        hide(page)
    is_live(watched.page)
    show(others[0])
    is_live(others[0])


def test_open_streams_do_not_use_up_the_database_connections(
    server: str, tenant: TenantInfo, transactional_db: None
) -> None:
    """Sixteen is the size of the pool; a stream that kept its connection would stop everybody else."""
    user = User.objects.create_user(f"b-{tenant.key}", password=PASSWORD)
    Membership.objects.create(user=user, role="operator")
    with ExitStack() as open_streams, httpx.Client(base_url=server, timeout=10) as client:
        client.get("/login/")
        token = client.cookies["csrftoken"]
        client.post("/login/", data={"username": user.username, "password": PASSWORD, "csrfmiddlewaretoken": token})
        for n in range(24):
            stream = client.stream("GET", f"/operator/live/overview/?tenant={tenant.key}-{n % 3}")
            assert open_streams.enter_context(stream).status_code == 200
        assert client.get("/invoices/").status_code == 200


def hide(page: Page, hidden: bool = True) -> None:
    """As the browser tells a page when another tab comes to the front."""
    page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def show(page: Page) -> None:
    hide(page, False)
