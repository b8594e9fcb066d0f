"""Every page that an operator has, in a real browser. A new page is looked at without being named here."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from dashboard import urls
from dashboard.navigation import OPERATORS
from metering.contracts import TenantInfo
from tests.browser import busy
from tests.browser.conftest import OpenBrowser, Watched
from tests.browser.test_pages import look_at
from tests.metering.rows import empty_every_table

SHOTS = os.environ.get("TALLYWATT_SHOTS")  # a folder to keep pictures of the pages in
NO_PAGES = {
    "operator-live",
    "operator-quarantine-live",
    "operator-quarantine-entry",  # test_quarantine.py
    "operator-quarantine-replay",
    "operator-quarantine-discard",
    "operator-alert-silence",  # forms alone: test_alert_pages.py
    "operator-alert-channels",
    "operator-annotations",
}
# What words in a path stand for, in the data of busy.py.
IDS = {
    "node": "node-1",
    "gpu": "GPU-1-0",
    "engine": "engine-1",
    "model": busy.MODELS[1],
}


@dataclass(frozen=True)
class OnePage:
    """`about`: something that has a name of its own, and is not there before it was reported."""

    name: str
    path: str
    live: bool
    about: bool


def pages(tenant: str) -> Iterator[OnePage]:
    """All that answer an operator's GET with a page of their own, from the table of addresses."""
    for pattern in urls.urlpatterns:
        name = str(pattern.name)
        live = hasattr(pattern.callback, "key")
        if not (live or name.startswith("operator-")) or name in NO_PAGES:
            continue
        words = pattern.pattern.converters
        ids = {word: tenant if word in {"tenant", "key"} else IDS.get(word) for word in words}
        if None in ids.values():
            continue  # its own tests make what it is about
        yield OnePage(name, reverse(name, kwargs=ids), live, bool(words))


def is_live(page: Page) -> None:
    expect(page.locator("[data-live-state].is-live")).to_contain_text("as of", timeout=20_000)


Check = Callable[[OnePage, Page], None]


def look_at_all(watched: Watched, listed: list[OnePage], kind: str, check: Check = lambda one, page: None) -> None:
    found = []
    for one in listed:
        try:
            page = look_at(watched, one.path)
            check(one, page)
            if one.live:
                is_live(page)
        except AssertionError as error:
            found.append(f"{one.name}: {error}"[:600])
        watched.page.wait_for_timeout(200)
        if watched.errors:
            found += [f"{one.name}: {error}" for error in watched.errors]
            watched.errors.clear()
        if SHOTS:
            watched.page.wait_for_timeout(500)
            watched.page.screenshot(path=Path(SHOTS) / f"{one.name}-{kind}.png", full_page=True)
    assert (found, watched.foreign) == ([], []), "\n".join(found)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_every_page_is_quiet_accessible_live_and_fits(
    width: int, scheme: str, tenant: TenantInfo, browse: OpenBrowser
) -> None:
    empty_every_table()
    busy.busy(tenant.key)
    look_at_all(browse("operator", width=width, scheme=scheme), list(pages(tenant.key)), f"{width}-{scheme}")


@pytest.mark.timeout(600)
def test_so_is_every_page_before_anything_was_reported_and_says_what_to_do_next(
    tenant: TenantInfo, browse: OpenBrowser
) -> None:
    empty_every_table()
    watched = browse("operator", scheme="dark")
    listed = [one for one in pages(tenant.key) if not one.about]
    look_at_all(watched, listed, "empty", says_what_to_do)


def says_what_to_do(one: OnePage, page: Page) -> None:
    text = page.locator("#main").inner_text()
    assert len(text) > 40, one.path
    assert not re.search(r"^(None|nan|Infinity)$|\b(NaN|undefined)\b", text, re.MULTILINE), one.path


def test_nobody_else_sees_any_of_them(tenant: TenantInfo, browse: OpenBrowser) -> None:
    stranger, customer = browse(), browse("customer", tenant.key)
    for one in pages(tenant.key):
        refused = customer.page.context.request.get(customer.server + one.path)
        assert refused.status == 403, one.path
        asked = stranger.page.context.request.get(stranger.server + one.path)
        assert asked.url.startswith(f"{stranger.server}{reverse('login')}?next="), one.path
    page = stranger.open("/operator/?range=6h")
    assert "/login/" in page.url


def test_filters_survive_the_way_through_all_pages(tenant: TenantInfo, browse: OpenBrowser) -> None:
    watched = browse("operator")
    chosen = f"range=7d&region=eu-west&tenant={tenant.key}"
    page = watched.open(f"/operator/?{chosen}")
    for place in (one for top in OPERATORS for one in (top, *top.parts) if one.carries):
        link = page.locator(
            f"#keys-places a[href^='{reverse(place.page)}?'], .nav a[href^='{reverse(place.page)}?']"
        ).first
        address = link.get_attribute("href") or ""
        assert all(part in address for part in chosen.split("&")), (place.label, address)
        answer = page.goto(watched.server + address)
        assert answer is not None
        assert answer.status == 200, (place.label, address, page.locator("#main").inner_text())
        stream = page.locator("[data-live]").get_attribute("data-live") or ""
        assert all(part in stream for part in chosen.split("&")), (place.label, stream)
    assert watched.errors == []


CONTROLS = """() => {
  const found = [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]')];
  return found.filter((one) => one.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true })
      && !one.disabled && one.tabIndex >= 0 && !one.matches('[type=radio]:not(:checked)')
      && !one.closest('details:not([open]) > :not(summary)')).map((one, n) => {
    one.dataset.tabbed = n;
    return one.outerHTML.slice(0, 120);
  });
}"""
# Written down in the page, since asking for it after each key takes longer than the key.
NOTE_FOCUS = """() => {
  const ring = (one) => one && (getComputedStyle(one).outlineStyle !== 'none' || getComputedStyle(one).boxShadow !== 'none');
  window.focused = [];
  document.addEventListener('focusin', ({ target: at }) => {
    if (!at.dataset.tabbed) return;
    focused.push([Number(at.dataset.tabbed), Boolean(ring(at) || ring(at.nextElementSibling)), at.outerHTML.slice(0, 120)]);
  });
}"""


@pytest.mark.timeout(600)
def test_the_keyboard_reaches_every_control_and_shows_where_it_is(tenant: TenantInfo, browse: OpenBrowser) -> None:
    empty_every_table()
    busy.busy(tenant.key)
    watched = browse("operator")
    watched.page.route("**/live/**", lambda route: route.abort())  # nothing may change under the test's fingers
    for one in pages(tenant.key):
        page = watched.open(one.path)
        page.wait_for_load_state("load")
        if page.locator(".plot").count():
            page.wait_for_selector(".plot svg.main-svg")
        controls: list[str] = page.evaluate(CONTROLS)
        page.evaluate(NOTE_FOCUS)
        for _ in range(len(controls) + 3):
            page.keyboard.press("Tab")
        focused: list[tuple[int, bool, str]] = page.evaluate("focused")
        unseen = [markup for _, visible, markup in focused if not visible]
        assert unseen == [], f"{one.path}: the focus cannot be seen"
        reached = {number for number, _, _ in focused}
        missed = [text for number, text in enumerate(controls) if number not in reached]
        assert missed == [], one.path
