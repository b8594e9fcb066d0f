"""The pages of credit, in a browser: wide and narrow, light and dark."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone

from billing import top_ups
from billing.public import set_price
from metering.contracts import TenantInfo
from tests.billing.credit import applied, bought, charges, given, line
from tests.browser.conftest import OpenBrowser
from tests.metering.rows import insert_requests

SHAPES = [(1440, "dark"), (390, "light")]


@pytest.fixture
def credited(tenant: TenantInfo) -> TenantInfo:
    """A tenant with grants of every kind, one invoice that used them, four days of usage and a rule of top-ups."""
    for kind in ("input", "output"):
        set_price(model="*", kind=kind, per_million=Decimal(1), currency="USD")
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    times = [midnight - timedelta(days=back, hours=12) for back in range(4)]
    rows = [{"id": str(n), "time": at, "ingested_at": at, "input_tokens": 21_000_000} for n, at in enumerate(times)]
    insert_requests(tenant.key, *rows)
    given(
        tenant,
        "500",
        name="Launch credit",
        expires_at=datetime(2999, 7, 1, tzinfo=UTC),
        models_covered=["llama-3.3-70b"],
    )
    given(tenant, "75", name="Apology for the outage of 3 November", priority=10)
    bought(tenant, "2000", name="Wire of 3 November")
    applied(charges(tenant, line("1234.56", tax_rate=Decimal("0.19"))))
    top_ups.save_rule(
        tenant.key, threshold=Decimal(5000), amount=Decimal(2000), most_per_month=Decimal(6000), actor="ada"
    )
    top_ups.top_up_due()
    return tenant


@pytest.mark.parametrize(("width", "scheme"), SHAPES)
def test_a_customers_credit_can_be_read_by_everybody(
    credited: TenantInfo, browse: OpenBrowser, width: int, scheme: str, tmp_path: Path
) -> None:
    watched = browse("customer", credited.key, width=width, scheme=scheme)
    page = watched.open("/portal/credits/")
    assert page.locator("h1").inner_text() == "Credit"
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    serious = [one["id"] for one in Axe().run(page).response["violations"] if one["impact"] in {"serious", "critical"}]
    assert (serious, watched.errors, watched.foreign) == ([], [], [])
    page.screenshot(path=tmp_path / "credit.png", full_page=True)


def test_staff_come_from_all_balances_to_a_customers_page(credited: TenantInfo, browse: OpenBrowser) -> None:
    watched = browse("finance")
    page = watched.open("/credits/")
    page.click(f"text={credited.key}")
    page.wait_for_url(f"**/customers/{credited.key}/credits/")
    assert "Launch credit" in page.content()
    assert (watched.errors, watched.foreign) == ([], [])
