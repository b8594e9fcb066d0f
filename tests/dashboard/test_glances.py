"""First HTML without any of what takes time: it says so, and does not take what is not read yet for nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from dashboard.operator import together
from dashboard.operator.aside import ASIDE
from dashboard.operator.filters import Filters
from dashboard.operator.pages import reading
from dashboard.operator.registry import PAGES
from dashboard.operator.shelf import SHELF
from metering.contracts import TenantInfo
from tests.dashboard.conftest import LogIn
from tests.metering.rows import insert_requests

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]

# Of each page, what it says meanwhile, and what it must not say, for that would be an answer.
MEANWHILE = {
    "overview": ("being read", "Choose a longer range"),
    "latency": ("Reading 24 hours of history", "Choose a longer range"),
    "energy": ("Adding up 24 hours of energy", "No energy was measured"),
    "leakage": ("Adding up 24 hours of engines", "Nothing to compare yet"),
    "tenants": ("Adding up what customers used", "No customer had requests"),
    "tenant": ("Adding up what it used", "Choose a longer range"),
}


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    SHELF.clear()
    ASIDE.clear()
    monkeypatch.setattr(together, "GLANCE_S", 0.0)


@pytest.mark.parametrize("key", MEANWHILE)
def test_it_says_that_it_is_being_read(key: str, tenant: TenantInfo, log_in: LogIn) -> None:
    says, answers = MEANWHILE[key]
    insert_requests(tenant.key, {"id": "1", "time": datetime.now(UTC) - timedelta(minutes=5)})
    ids = (tenant.key,) if key == "tenant" else ()
    response = log_in("operator").get(reverse(f"operator-{key}", args=ids), {"range": "24h"})
    assert response.status_code == 200
    page = response.content.decode()
    assert says in page
    assert answers not in page
    assert "No event has arrived yet" not in page
    assert any(chart.get("reading") for chart in response.context["figures"].values())
    whole = reading(PAGES[key], Filters("24h"), ids)
    assert not whole.trouble
    assert says not in "".join(whole.html.values())
    assert not any(chart.get("reading") for chart in whole.figures.values())
