"""An operator's keyboard: / searches, g and a letter go to a page, ? lists them; and never while something is typed."""

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from dashboard.navigation import OPERATORS
from metering.contracts import TenantInfo
from metering.public import create_tenant
from tests.browser.conftest import OpenBrowser
from tests.metering.rows import empty_every_table

FOUND = "#search-found [role=option]"


def focused(page: Page) -> str:
    found: str = page.evaluate("document.activeElement.id")
    return found


def test_a_slash_searches_arrows_choose_and_enter_goes(tenant: TenantInfo, browse: OpenBrowser) -> None:
    create_tenant(f"{tenant.key}-b", "<b>Bold</b> & Sons")
    watched = browse("operator")
    page = watched.open("/customers/")  # on a page of billing as well
    page.keyboard.press("/")
    assert focused(page) == "search"
    page.keyboard.type(tenant.key)
    expect(page.locator(FOUND)).to_have_count(2)
    expect(page.locator("#search-said")).to_have_text("2 found")
    expect(page.locator("#search")).to_have_attribute("aria-expanded", "true")
    chosen = page.locator(f"{FOUND}[aria-selected=true]")
    expect(chosen).to_contain_text(tenant.key)
    page.keyboard.press("ArrowDown")
    expect(chosen).to_contain_text("<b>Bold</b> & Sons")
    assert page.locator("#search").get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    page.keyboard.press("ArrowDown")
    expect(chosen).not_to_contain_text("Bold")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{tenant.key}-b**")
    assert (watched.errors, watched.foreign) == ([], [])


def test_what_is_not_found_is_said_and_escape_closes_the_list(browse: OpenBrowser) -> None:
    page = browse("operator").open("/operator/")
    page.keyboard.press("/")
    page.keyboard.type("no/such?thing")  # keys of the page are letters in a field
    expect(page.locator("#search-said")).to_contain_text("Nothing is called no/such?thing")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("#search-found")).to_be_hidden()
    assert page.input_value("#search") == ""
    page.keyboard.press("Escape")
    assert focused(page) != "search"


def test_without_scripts_the_search_is_a_page(tenant: TenantInfo, browse: OpenBrowser) -> None:
    page = browse("operator").open(f"/operator/search/?q={tenant.key}")
    page.locator("#main").get_by_role("link", name=tenant.key).click()
    page.wait_for_url(f"**{tenant.key}**")


def test_g_and_a_letter_go_to_every_page_and_filters_come_along(tenant: TenantInfo, browse: OpenBrowser) -> None:
    empty_every_table()
    page = browse("operator").open(f"/operator/?tenant={tenant.key}&range=6h")
    page.keyboard.press("g")
    expect(page.locator("#keys-said")).to_contain_text("press the letter of a page")
    page.keyboard.press("i")
    page.wait_for_url("**/ingest/")
    page.keyboard.press("g")
    page.keyboard.press("Escape")
    expect(page.locator("#keys-said")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("1")
    expect(page.locator("#keys-said")).to_contain_text("No page has the letter 1")
    page.go_back()
    page.wait_for_url(f"**tenant={tenant.key}**")
    carrying = page.locator("#keys-places a[data-letter]").evaluate_all("links => links.map((link) => link.href)")
    assert any(f"tenant={tenant.key}" in href and "range=6h" in href for href in carrying)


def test_a_question_mark_lists_the_keys_which_can_be_turned_off(browse: OpenBrowser) -> None:
    watched = browse("operator")
    page = watched.open("/ingest/")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    expect(dialog).to_be_visible()
    for place in (one for top in OPERATORS for one in top.reached):
        link = dialog.get_by_role("link", name=place.label, exact=True)
        assert (link.get_attribute("href") or "").split("?")[0] == reverse(place.page)
    dialog.get_by_label("Single keys do this on every page").uncheck()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("?")
    page.keyboard.press("/")
    expect(dialog).to_be_hidden()
    assert focused(page) != "search"
    page.reload()
    page.keyboard.press("/")
    assert focused(page) != "search"
    page.get_by_role("button", name="Keyboard shortcuts").click()
    dialog.get_by_label("Single keys do this on every page").check()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert focused(page) == "search"
    assert watched.errors == []


def test_letters_lead_to_one_page_each() -> None:
    letters = [one.letter for top in OPERATORS for one in top.reached]
    assert len(set(letters)) == len(letters)


@pytest.mark.parametrize(("role", "path"), [("finance", "/invoices/"), ("customer", "/portal/")])
def test_others_have_no_such_keys(role: str, path: str, tenant: TenantInfo, browse: OpenBrowser) -> None:
    page = browse(role, tenant.key if role == "customer" else None).open(path)
    assert page.locator("#search, #keys, [data-keys]").count() == 0
    page.keyboard.press("?")
    page.keyboard.press("g")
    page.keyboard.press("o")
    assert page.url.endswith(path)
