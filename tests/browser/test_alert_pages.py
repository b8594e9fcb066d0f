"""Alerts in a real browser: a rule is made, tried, and fires on an open page; a channel is tested; every page is accessible."""

import math
import os
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from metering.alerts import evaluating, notices
from metering.annotations import annotate
from metering.contracts import TenantInfo
from metering.models import AlertChannel, AlertNotice, AlertRule, AlertSample, AlertState
from tests.browser import busy
from tests.browser.conftest import OpenBrowser
from tests.browser.test_pages import look_at
from tests.metering.alerts.alert_rows import ship
from tests.metering.rows import empty_every_table

SHOTS = os.environ.get("TALLYWATT_SHOTS")
PATH = "/operator/alerts/"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def hook() -> Iterator[str]:
    """A server that takes notices at / and refuses them at /bad."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(500 if self.path == "/bad" else 200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hour(tenant: TenantInfo, hook: str) -> datetime:
    """A busy provider, with what fires, what was given up, and a deploy."""
    AlertRule.objects.all().delete()
    AlertSample.objects.all().delete()
    empty_every_table()
    busy.busy(tenant.key)
    ship()
    slack = AlertChannel.objects.create(name="ops", kind="slack", target=f"{hook}/T0/B0/x")
    broken = AlertChannel.objects.create(name="old pager", kind="webhook", target=f"{hook}/bad", secret="s3")
    slow = AlertRule.objects.create(
        name="Slow answers",
        measure="ttft_p95_ms",
        threshold=100.0,
        clear=80.0,
        for_minutes=2,
        group_by="model",
        severity="page",
        advice="See whether a deploy lies before it.",
    )
    slow.channels.add(slack, broken)
    now = datetime.now(UTC)
    for minutes in (8, 3, 0):
        evaluating.run(now - minutes * MINUTE)
    notices.deliver_due(now)
    AlertNotice.objects.filter(channel=broken).update(due_at=None, attempts=14)
    annotate("deploy", "llama-3.3-70b: vLLM 0.11", by="ci", at=now - 20 * MINUTE, model=busy.MODELS[0])
    # An hour of minutes, as evaluations leave them behind.
    recent = [[int(now.timestamp()) - 60 * back, 60 + 90 * (1 + math.sin(back / 5))] for back in range(60, -1, -1)]
    AlertRule.objects.filter(pk=slow.pk).update(recent=recent)
    AlertRule.objects.update(evaluated_at=datetime.now(UTC))
    return now


def keep(page: Page, name: str) -> None:
    if SHOTS:
        page.wait_for_timeout(800)
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (390, "light")])
def test_every_page_of_alerts_is_quiet_accessible_and_fits(
    hour: datetime, width: int, scheme: str, browse: OpenBrowser
) -> None:
    watched = browse("operator", width=width, scheme=scheme)
    rule = AlertRule.objects.get(name="Slow answers")
    now_only = AlertRule.objects.get(measure="event_age_s")
    channel = AlertChannel.objects.get(name="old pager")
    paths = {
        "alerts": PATH,
        "alert-rule": f"{PATH}rules/{rule.pk}/",
        "alert-rule-now": f"{PATH}rules/{now_only.pk}/",
        "alert-form": f"{PATH}rules/{rule.pk}/edit/",
        "alert-channel": f"{PATH}channels/{channel.pk}/edit/",
    }
    for name, path in paths.items():
        keep(look_at(watched, path), f"{name}-{width}-{scheme}")
    assert (watched.errors, watched.foreign) == ([], [])


@pytest.mark.timeout(300)
def test_a_rule_fires_on_a_page_that_is_open(hour: datetime, browse: OpenBrowser) -> None:
    watched = browse("operator")
    page = watched.open("/operator/")
    before = int(re.sub(r"\D", "", page.locator("#alerts-firing").inner_text()) or 0)
    expect(page.locator("[data-live-state].is-live")).to_be_visible()
    rule = AlertRule.objects.create(name="Any traffic", measure="requests_per_s", threshold=0.0, for_minutes=0)
    AlertState.objects.create(rule=rule, group="", state="firing", since=hour, fired_at=hour, seen_at=hour, value=12.0)
    expect(page.locator("#alerts-firing")).to_contain_text(str(before + 1))
    page = watched.open(PATH)
    alert = page.locator("[data-alert='Any traffic']")
    alert.get_by_role("button", name="Acknowledge").click()
    expect(alert).to_contain_text("looks after it")
    assert watched.errors == []


@pytest.mark.timeout(300)
def test_a_rule_is_tried_made_and_a_channel_tested_from_the_page(hour: datetime, browse: OpenBrowser) -> None:
    watched = browse("operator")
    page = watched.open(f"{PATH}rules/new/")
    page.fill("#rule-name", "Burns")
    page.select_option("#rule-measure", "budget_burn")
    expect(page.locator("#rule-window")).to_be_visible()
    expect(page.locator("#rule-direction")).to_be_hidden()
    expect(page.locator("#rule-tenant")).to_be_hidden()
    page.select_option("#rule-measure", "ttft_p95_ms")
    expect(page.locator("#rule-window")).to_be_hidden()
    page.fill("#rule-threshold", "100")
    page.fill("#rule-for", "0")
    page.get_by_role("button", name="Would it have fired?").click()
    expect(page.get_by_text("In the last seven days it would have fired")).to_be_visible()
    keep(page, "alert-form-tried-1440-light")
    page.get_by_label("ops").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Burns")).to_be_visible()
    page = watched.open(PATH)
    page.get_by_role("button", name="Send a test to ops").click()
    expect(page.get_by_text("The test was taken by the other side.")).to_be_visible()
    page.get_by_role("button", name="Send a test to old pager").click()
    expect(page.get_by_text("answered 500").first).to_be_visible()
    assert watched.errors == []
