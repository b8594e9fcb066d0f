"""Margins that are kept for pages are those that would be added up now, and count no longer than prices stay as they were."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing import margin_kept
from billing.margin import margin_reports
from billing.margin_kept import FRESH, keep, kept_margins
from billing.models import KeptMargin
from billing.periods import month_of
from billing.public import set_price
from metering.models import IngestHost
from metering.public import create_tenant, energy_set_price
from tests.billing.energy import USED, attributed, energy_costs_from_now_on, nobodys, settle
from tests.metering.rows import empty_tables, insert_requests

pytestmark = [pytest.mark.usefixtures("clickhouse"), pytest.mark.django_db]


def month_start() -> datetime:
    return month_of(datetime.now(UTC)).start


@pytest.fixture
def settled() -> datetime:
    """The hour before the last whole one, or the third of the month."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return max(hour - timedelta(hours=1), month_start() + timedelta(hours=2))


@pytest.fixture
def this_month(tenant_key: str, clickhouse: None, settled: datetime) -> str:
    """A tenant with a request in the first hour of this month, its energy, and idle time."""
    empty_tables("energy_hours", "energy_attributed_hours")
    create_tenant(tenant_key)
    now = datetime.now(UTC)
    at = month_start() + timedelta(minutes=30)
    insert_requests(tenant_key, {"id": "1", "time": at, "ingested_at": at} | USED)
    attributed(month_start(), tenant_key, kwh="1", gpu_hours="1")
    nobodys(month_start(), idle_nkwh="1", idle_gpu_nh="1")
    set_price(model="*", kind="input", per_million=Decimal("0.123456789"), currency="USD")
    energy_costs_from_now_on()
    IngestHost.objects.create(name="h", settled_before=now, published_at=now)
    settle(settled)
    return tenant_key


def test_what_is_kept_is_what_would_be_added_up(this_month: str, settled: datetime) -> None:
    assert kept_margins(month_start()) is None
    keep()
    asked = margin_reports(month_start(), settled, window="total", groupings=margin_kept.GROUPINGS)
    assert list(kept_margins(month_start()) or ()) == asked
    assert this_month in {row.tenant for row in asked[0].rows}
    assert any(row.label == "idle" for row in asked[0].rows)


def test_the_month_before_is_kept_as_well_and_not_added_up_each_time(this_month: str) -> None:
    keep()
    before = KeptMargin.objects.get(start=month_of(month_start() - timedelta(days=1)).start)
    assert before.end == month_start()
    keep()
    assert KeptMargin.objects.get(pk=before.pk).kept_at == before.kept_at


def test_a_price_that_changes_makes_it_count_no_more(this_month: str) -> None:
    keep()
    energy_set_price(region="eu", per_kwh="0.5", currency="USD")
    assert kept_margins(month_start()) is None
    keep()
    assert kept_margins(month_start()) is not None
    set_price(model="m", kind="output", per_million=Decimal(5), currency="USD")
    assert kept_margins(month_start()) is None


def test_what_is_old_counts_no_more(this_month: str) -> None:
    keep()
    assert kept_margins(month_start(), datetime.now(UTC) + FRESH + timedelta(minutes=5)) is None


def test_nothing_is_kept_before_the_first_settled_hour() -> None:
    keep()
    assert not KeptMargin.objects.exists()
