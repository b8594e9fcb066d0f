"""The frame of the operator's pages: filters that last, a form that asks at the right moment, pages that are live."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from dashboard.operator.choices import TENANTS_OFFERED
from metering.annotations import annotate
from metering.contracts import TenantInfo
from metering.models import Tenant
from tests.browser import busy
from tests.browser.conftest import OpenBrowser
from tests.browser.test_pages import look_at
from tests.metering.rows import empty_every_table


def is_live(page: Page) -> None:
    expect(page.locator("[data-live-state].is-live")).to_contain_text("as of")


def asked(page: Page) -> list[str]:
    """Addresses of pages that are asked for from now on."""
    found: list[str] = []
    page.on("request", lambda one: found.append(one.url) if one.headers.get("hx-request") else None)
    return found


def test_a_range_of_ones_own_is_asked_for_by_its_button_alone(tenant: TenantInfo, browse: OpenBrowser) -> None:
    watched = browse("operator")
    page = watched.open(f"/operator/?tenant={tenant.key}&range=6h")
    requests = asked(page)
    page.locator(".range-own summary").click()
    page.fill("#filter-from", "2026-03-01T10:00")
    page.fill("#filter-to", "2026-03-01T12:00")
    assert requests == []
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url("**from=2026-03-01T10%3A00&to=2026-03-01T12%3A00&tenant=**")
    expect(page.locator(".range-own summary")).to_have_text("1 Mar 10:00 to 1 Mar 12:00")
    is_live(page)
    page.locator(".segments label", has_text="24h").click()
    page.wait_for_url(re.compile(r"\?range=24h&tenant=[^&]+$"))
    expect(page.locator(".range-own summary")).to_have_text("Custom")
    page.go_back()
    page.wait_for_url("**from=2026-03-01T10%3A00**")
    expect(page.locator("#filter-from")).to_have_value("2026-03-01T10:00")
    assert (watched.errors, watched.foreign) == ([], [])


def test_what_cannot_be_shown_is_said_beside_the_form(tenant: TenantInfo, browse: OpenBrowser) -> None:
    page = browse("operator").open(f"/operator/?tenant={tenant.key}")
    page.locator(".range-own summary").click()
    page.fill("#filter-from", "2026-03-01T10:00")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("[data-filters-trouble]")).to_contain_text("needs both from= and to=")
    page.locator(".segments label", has_text="6h").click()
    page.wait_for_url("**range=6h**")
    expect(page.locator("[data-filters-trouble]")).to_be_hidden()


def test_filters_come_along_from_page_to_page_also_those_chosen_a_moment_ago(
    tenant: TenantInfo, browse: OpenBrowser
) -> None:
    page = browse("operator").open(f"/operator/?tenant={tenant.key}")
    page.locator(".segments label", has_text="24h").click()
    page.wait_for_url("**range=24h**")
    page.get_by_label("Compare with the previous period").check()
    page.wait_for_url("**compare=previous**")
    link = page.get_by_role("navigation", name="Main").get_by_role("link", name="Fleet")
    expect(link).to_have_attribute("href", re.compile(rf"range=24h&tenant={tenant.key}&compare=previous$"))
    page.get_by_role("link", name="Clear").click()
    page.wait_for_url(re.compile(r"\?range=24h&compare=previous$"))


def test_the_keyboard_stays_where_it_was_after_a_choice(tenant: TenantInfo, browse: OpenBrowser) -> None:
    page = browse("operator").open(f"/operator/?tenant={tenant.key}")
    is_live(page)
    page.locator("#range-1h").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**range=6h**")
    is_live(page)
    assert page.evaluate("document.activeElement.id") == "range-6h"


def test_thousands_of_customers_are_typed_and_suggested(tenant: TenantInfo, browse: OpenBrowser) -> None:
    many = [Tenant(key=f"{tenant.key}-{n:04}", name=f"Customer {n}") for n in range(TENANTS_OFFERED + 1)]
    Tenant.objects.bulk_create(many)
    page = browse("operator").open("/operator/?region=suggestions")  # filters of its own: the choices are read anew
    field = page.get_by_label("Customer", exact=True)
    for _ in range(40):  # choices are shared for half a minute
        if field.evaluate("field => field.matches('input')"):
            break
        page.wait_for_timeout(1000)
        page.reload()
    field.press_sequentially(f"{tenant.key}-0007")
    expect(page.locator("#suggested-tenant option")).to_have_attribute("value", f"{tenant.key}-0007")
    field.press("Enter")
    page.wait_for_url(f"**tenant={tenant.key}-0007**")


def test_on_a_phone_filters_fold_away_and_say_what_is_chosen(tenant: TenantInfo, browse: OpenBrowser) -> None:
    watched = browse("operator", width=390)
    page = look_at(watched, f"/operator/?tenant={tenant.key}&range=6h")
    fold = page.locator("[data-fold] > summary")
    expect(fold).to_contain_text("Filters: 6 hours")
    expect(fold).to_contain_text(tenant.key)
    expect(page.get_by_label("Region")).to_be_hidden()
    fold.click()
    expect(page.get_by_label("Region")).to_be_visible()
    page.locator(".segments label", has_text="15m").click()
    page.wait_for_url("**range=15m**")
    expect(page.get_by_label("Region")).to_be_visible()  # whoever chooses one filter may choose another
    look_at(watched, f"/operator/?tenant={tenant.key}&range=15m")
    assert watched.errors == []


def test_a_page_that_could_not_be_read_comes_back_by_itself(tenant: TenantInfo, browse: OpenBrowser) -> None:
    """As it looks when ClickHouse is away: the frame is there, its stream brings it back."""
    page = browse("operator").open("/operator/")
    is_live(page)
    body = page.content().replace('<div id="page"', '<div id="page" data-trouble').replace("data-tile", "data-none")
    once = iter([True])
    page.route(
        re.compile(r"/operator/\?away"),
        lambda route: (
            route.fulfill(status=503, body=body, content_type="text/html") if next(once, None) else route.continue_()
        ),
    )
    page.goto(page.url + "?away=1")
    assert page.locator("[data-tile]").count() == 0
    expect(page.locator("[data-tile]").first).to_be_visible()
    is_live(page)


def test_trouble_of_the_server_is_told_with_the_time_of_the_last_figures(
    tenant: TenantInfo, browse: OpenBrowser
) -> None:
    page = browse("operator").open("/login/")
    page.route(
        "**/operator/live/**",
        lambda route: route.fulfill(
            content_type="text/event-stream",
            body='event: trouble\ndata: {"message": "ClickHouse does not answer."}\n\n',
        ),
    )
    page.goto(page.url.replace("/login/", f"/operator/?tenant={tenant.key}"))
    state = page.locator("[data-live-state]")
    expect(state).to_contain_text(re.compile(r"Stale since \d\d:\d\d:\d\d UTC"))
    expect(state).to_contain_text("ClickHouse does not answer.")


@pytest.mark.parametrize("path", ["/ingest/", "/operator/leakage/"])
def test_pages_that_polled_are_live_now(path: str, tenant: TenantInfo, browse: OpenBrowser) -> None:
    empty_every_table()
    watched = browse("operator")
    page = watched.open(path)
    is_live(page)
    assert page.locator("[hx-trigger*=every]").count() == 0
    assert watched.errors == []


def test_deploys_and_alerts_are_on_the_charts_and_in_a_list(tenant: TenantInfo, browse: OpenBrowser) -> None:
    empty_every_table()
    busy.requests(tenant.key)
    page = browse("operator").open(f"/operator/?tenant={tenant.key}")
    is_live(page)
    drawn_at = "document.querySelector('#chart-ttft').layout.annotations?.length ?? 0"
    assert page.evaluate(drawn_at) == 0
    at = datetime.now(UTC) - timedelta(minutes=30)
    annotate("deploy", "v2 <b>", by="ada", at=at, link="https://ci.example/2")
    annotate("maintenance", "elsewhere", by="ada", at=at, model="of another model")
    expect(page.locator("#happenings li")).to_have_count(2)
    page.locator("#happenings summary").click()
    expect(page.get_by_role("link", name="v2 <b>")).to_have_attribute("href", "https://ci.example/2")
    assert page.evaluate(drawn_at) == 2
    page.wait_for_timeout(1500)
    expect(page.get_by_role("link", name="v2 <b>")).to_be_visible()  # what was opened stays open
    page.goto(page.url + "&model=one")
    is_live(page)
    expect(page.locator("#happenings li")).to_have_count(1)
    marks = page.evaluate(
        """async () => {
          const { marked } = await import('/static/dashboard/chart_happenings.js');
          const { moment } = await import('/static/dashboard/chart_time.js');
          const figure = { data: [{ x: [0, 600000], y: [1, 2] }], layout: { xaxis: { type: 'date' } } };
          const list = [
            { kind: 'deploy', at: 300000, until: null, text: 'v2 <b>' },
            { kind: 'alert', at: -1, until: Infinity, text: 'slow' },
            { kind: 'deploy', at: 900000, until: null, text: 'later' },
          ];
          return [marked(figure, list), moment('1970-01-01T00:01:00+00:00'), marked({ data: [], layout: {} }, list)];
        }"""
    )
    drawn, minute, nothing = marks
    assert [(one["type"], one["x0"], one["x1"]) for one in drawn["shapes"]] == [
        ("line", 300000, 300000),
        ("rect", 0, 600000),
    ]
    assert [one["hovertext"] for one in drawn["annotations"]] == ["Deploy: v2 &lt;b&gt;"]
    assert (minute, nothing) == (60_000, {})
