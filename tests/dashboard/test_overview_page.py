"""The operator's page and its live feed, over a real ClickHouse."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.urls import reverse
from pytest_django.fixtures import Settings

from dashboard.operator import together
from dashboard.operator.filters import Filters
from dashboard.operator.overview_page import PAGE
from dashboard.operator.pages import reading
from dashboard.operator.shelf import SHELF
from metering.contracts import TenantInfo
from tests.dashboard.conftest import LogIn
from tests.metering.rows import insert_requests


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Readings are kept for a second and more; a test is not to see another's."""
    SHELF.clear()


def requests_now(tenant: str, count: int, **fields: Any) -> None:
    now = datetime.now(UTC) - timedelta(seconds=1)
    insert_requests(tenant, *({"id": f"{now}-{n}", "time": now, "ingested_at": now} | fields for n in range(count)))


def shown(tenant: TenantInfo, log_in: LogIn, **query: str) -> str:
    """As one finds it while somebody watches."""
    PAGE.read(Filters.read({"tenant": tenant.key, **query}, PAGE.options), ())
    return at_first(tenant, log_in, **query)


def at_first(tenant: TenantInfo, log_in: LogIn, **query: str) -> str:
    response = log_in("operator").get(reverse("operator-overview"), {"tenant": tenant.key, **query})
    assert response.status_code == 200
    return response.content.decode()


def tile(page: str, key: str) -> str:
    found = re.search(rf'data-tile="{key}">(.*?)</div>', page, re.DOTALL)
    assert found is not None
    return re.sub(r"<[^>]+>", " ", found.group(1))


def test_tiles_show_the_last_minute_of_the_chosen_customer(tenant: TenantInfo, log_in: LogIn) -> None:
    requests_now(tenant.key, 30, input_tokens=1000, output_tokens=20, ttft_ms=250.0)
    requests_now(tenant.key, 30, input_tokens=1000, output_tokens=0, status="error")
    page = shown(tenant, log_in)
    assert "1.00" in tile(page, "requests")
    assert "1,000" in tile(page, "input")
    assert "10.0" in tile(page, "output")
    assert "50.0" in tile(page, "errors")
    assert re.search(r"2[45]\d", tile(page, "ttft"))
    assert "s ago" in tile(page, "newest")


def test_tables_list_models_and_customers_with_links_that_narrow_the_page(tenant: TenantInfo, log_in: LogIn) -> None:
    requests_now(tenant.key, 3, model="big & fast", e2e_ms=2000.0)
    page = shown(tenant, log_in, latency="e2e", range="15m")
    assert f'href="?range=15m&amp;model=big+%26+fast&amp;tenant={tenant.key}&amp;latency=e2e"' in page
    assert "p95&nbsp;s" in page


def test_names_from_events_are_text_and_never_markup(tenant: TenantInfo, log_in: LogIn) -> None:
    requests_now(tenant.key, 1, model="<script>alert(1)</script>")
    assert "<script>alert(1)" not in shown(tenant, log_in)


def test_charts_come_with_numbers_that_end_now(tenant: TenantInfo, log_in: LogIn) -> None:
    requests_now(tenant.key, 60)
    page = shown(tenant, log_in)
    found = re.search(r'<script id="figures" type="application/json">(.*?)</script>', page)
    assert found is not None
    ok = json.loads(found.group(1))["chart-requests"]["data"][0]
    assert ok["uid"] == "requests.ok"
    assert ok["y"][-1] == pytest.approx(1.0)
    assert abs(ok["x"][-1] / 1000 - datetime.now(UTC).timestamp()) < 30
    assert len(ok["x"]) in {60, 61}


def test_a_range_without_requests_says_what_to_do(tenant: TenantInfo, log_in: LogIn) -> None:
    assert "Choose a longer range" in shown(tenant, log_in)


@pytest.mark.parametrize("span", ["1h", "30d"])
def test_history_does_not_keep_the_page_waiting(
    tenant: TenantInfo, log_in: LogIn, span: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "GLANCE_S", 0.0)
    requests_now(tenant.key, 1)
    assert "of history; it will be here in a moment" in at_first(tenant, log_in, range=span)
    assert "of history; it will be here in a moment" not in shown(tenant, log_in, range=span)


def test_an_unknown_range_is_400_and_names_the_known(log_in: LogIn) -> None:
    response = log_in("operator").get(reverse("operator-overview"), {"range": "1y"})
    assert response.status_code == 400
    assert b"15m, 1h, 6h" in response.content
    assert log_in("operator").get(reverse("operator-live", args=["overview"]), {"range": "1y"}).status_code == 400


def test_a_page_of_a_stopped_clickhouse_says_so(log_in: LogIn, settings: Settings) -> None:
    settings.CLICKHOUSE_URL = "clickhouse://u:p@127.0.0.1:1/none"
    response = log_in("operator").get(reverse("operator-overview"))
    assert response.status_code == 503
    assert b"ClickHouse does not answer" in response.content


@pytest.mark.django_db(transaction=True)
def test_a_reading_of_a_stopped_clickhouse_is_told_to_listeners(settings: Settings) -> None:
    settings.CLICKHOUSE_URL = "clickhouse://u:p@127.0.0.1:1/none"
    assert "ClickHouse does not answer" in reading(PAGE, Filters(), ()).trouble


@pytest.mark.django_db(transaction=True)
def test_the_feed_has_what_arrived_within_two_seconds(tenant: TenantInfo, log_in: LogIn) -> None:
    response = log_in("operator").get(reverse("operator-live", args=["overview"]), {"tenant": tenant.key})
    assert response["Content-Type"] == "text/event-stream"
    assert response["Cache-Control"] == "no-store"
    assert isinstance(response, StreamingHttpResponse)

    async def seen() -> float:
        events = aiter(response.streaming_content)  # type: ignore[arg-type]
        await anext(events)
        await anext(events)  # a reading from before the events
        await asyncio.to_thread(requests_now, tenant.key, 120)
        inserted = asyncio.get_running_loop().time()
        while True:
            _, data = parsed(await anext(events))
            if "2.00" in tile(data["html"]["tiles"], "requests"):
                await events.aclose()  # type: ignore[attr-defined]
                return asyncio.get_running_loop().time() - inserted

    assert asyncio.run(asyncio.wait_for(seen(), timeout=20)) < 2


def test_pages_may_load_nothing_from_elsewhere(tenant: TenantInfo, log_in: LogIn) -> None:
    response = log_in("operator").get(reverse("operator-overview"))
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    scripts = re.findall(r"<script([^>]*)>", response.content.decode())
    assert all(" src=" in script or 'type="application/json"' in script for script in scripts)


def test_demo_data_is_called_demo_data(tenant: TenantInfo, log_in: LogIn, settings: Settings) -> None:
    assert "Demo data." not in shown(tenant, log_in)
    settings.DEMO = True
    assert "Demo data." in shown(tenant, log_in)


def parsed(event: bytes) -> tuple[str, dict[str, Any]]:
    name, data = event.decode().strip().split("\n", 1)
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))
