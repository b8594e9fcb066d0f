"""Quarantine in a real browser: found, fixed and replayed by keyboard, on a phone and in the dark."""

import json

import pytest
from playwright.sync_api import expect

from metering.contracts import TenantInfo
from tests.browser.conftest import OpenBrowser
from tests.browser.test_pages import SHAPES, look_at
from tests.metering.ingest.edge import event
from tests.metering.quarantined import found, put

LIST = "/operator/quarantine/"


def entry_path(name: tuple[str, int, str]) -> str:
    return LIST + "/".join(map(str, name)) + "/"


@pytest.mark.parametrize(("width", "scheme"), SHAPES)
def test_its_pages_are_quiet_accessible_and_fit(
    width: int, scheme: str, tenant: TenantInfo, browse: OpenBrowser
) -> None:
    message = "input_tokens is -4, a count cannot be negative"
    plain, binary, _ = put(tenant.key, {"message": message}, {"raw": bytes(range(256))}, {"reason": "too_old"})
    operator = browse("operator", width=width, scheme=scheme)
    for path in (
        f"{LIST}?tenant={tenant.key}",
        f"{LIST}?tenant={tenant.key}&reason=too_old&state=all&from=2026-01-01",
        f"{LIST}?tenant=nobody",
        entry_path(plain),
        entry_path(binary),
        f"{LIST}replay/?tenant={tenant.key}",
        f"{LIST}discard/?tenant={tenant.key}",
    ):
        look_at(operator, path)
    assert operator.errors == []
    assert operator.foreign == []


def test_an_operator_fixes_an_event_by_keyboard(tenant: TenantInfo, browse: OpenBrowser) -> None:
    raw = json.dumps(event(input_tokens="1200"), indent=2).encode()
    (name,) = put(tenant.key, {"raw": raw, "reason": "wrong_type", "field": "input_tokens"})
    page = browse("operator").open(f"{LIST}?tenant={tenant.key}")
    page.get_by_role("region", name="Entries").get_by_role("link").focus()
    page.keyboard.press("Enter")
    editor = page.get_by_label("Event to replay")
    editor.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # Replay, as it came
    expect(page.get_by_role("alert")).to_contain_text("input_tokens expected a whole number")
    editor.fill(editor.input_value().replace('"1200"', "1200"))
    page.get_by_role("button", name="Replay").click()
    expect(page.locator(".messages[role=status]")).to_contain_text("Replayed")
    decision = found(name).decision
    assert decision is not None
    assert decision.edited


def test_what_nobody_edited_is_replayed_untouched_though_a_browser_sends_other_line_ends(
    tenant: TenantInfo, browse: OpenBrowser
) -> None:
    (name,) = put(tenant.key, {"raw": json.dumps(event()).encode()})
    page = browse("operator").open(entry_path(name))
    page.get_by_role("button", name="Replay").click()
    expect(page.locator(".messages[role=status]")).to_contain_text("Replayed")
    decision = found(name).decision
    assert decision is not None
    assert not decision.edited


def test_a_step_over_many_is_confirmed_with_its_number(tenant: TenantInfo, browse: OpenBrowser) -> None:
    names = put(tenant.key, {}, {}, {"reason": "too_old"})
    page = browse("operator", width=390).open(f"{LIST}?tenant={tenant.key}")
    page.get_by_role("link", name="missing field").first.click()
    page.get_by_role("link", name="Discard these 2").click()
    page.get_by_label("A note").fill("load test")
    page.get_by_role("button", name="Discard 2 entries").click()
    expect(page.locator(".messages[role=status]")).to_contain_text("2 entries discarded")
    expect(page.get_by_text("No open entry matches")).to_be_visible()
    assert [found(name).state for name in names] == ["discarded", "discarded", "open"]
