"""The back office in a real browser: its scripts run under its policy, dialogs ask and answer, nothing comes from elsewhere."""

import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from billing import agreements, credits
from billing.models import Contract, CreditGrant, Invoice, PriceBook
from billing.public import close_period, month, set_price
from billing.rating.terms import AppliesTo, Discount, FlatFee, Terms
from metering.contracts import TenantInfo
from metering.models import IngestHost
from tests.billing import agreed
from tests.browser.conftest import OpenBrowser, Watched
from tests.metering.rows import NOON, insert_requests

SHOTS = os.environ.get("TALLYWATT_SHOTS")  # a folder: what the pages look like is kept there


@pytest.fixture
def office(tenant: TenantInfo) -> dict[str, int]:
    """A seller, a customer with a contract, a closed month, credit."""
    for kind, amount in (("input", 1), ("output", 3)):
        set_price(model="*", kind=kind, per_million=Decimal(amount), currency="USD")
    agreements.save_seller(actor="ada", name="Watts Inc", country="US")
    agreements.save_customer(tenant.key, actor="ada", legal_name="Acme Corporation", country="US")
    terms = Terms(
        plan="Pro",
        flat_fees=(FlatFee("base", "Platform", Decimal(500)),),
        discounts=(Discount("ten", "10 % off usage", AppliesTo.USAGE, share=Decimal("0.1")),),
    )
    contract = agreed.contract(tenant.key, date(2026, 1, 1), terms)
    credits.grant(tenant=tenant.key, amount=Decimal(50), kind=CreditGrant.Kind.PROMOTIONAL, name="Hello", actor="ada")
    now = datetime.now(UTC)
    insert_requests(tenant.key, {"id": "1", "time": NOON, "input_tokens": 123_456_789})
    IngestHost.objects.create(name="host-1", settled_before=now + timedelta(hours=1), published_at=now)
    closed = close_period(month("2026-01"), [tenant], wait_s=10)[0]
    assert closed.number is not None, closed
    return {
        "contract": Contract.objects.get(number=contract.number).pk,
        "invoice": Invoice.objects.get(number=closed.number).pk,
        "book": PriceBook.objects.get(name="list").pk,
    }


def shoot(watched: Watched, name: str) -> None:
    watched.page.wait_for_load_state("networkidle")
    if SHOTS:
        watched.page.screenshot(path=Path(SHOTS) / f"office-{name}.png", full_page=True)


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_pages_are_quiet_and_self_contained(
    width: int, scheme: str, office: dict[str, int], browse: OpenBrowser
) -> None:
    finance = browse("finance", width=width, scheme=scheme)
    pages = {
        "invoices": "/admin/billing/invoice/",
        "invoice": f"/admin/billing/invoice/{office['invoice']}/change/",
        "contract": f"/admin/billing/contract/{office['contract']}/change/",
        "terms": f"/admin/billing/contract/{office['contract']}/terms/",
        "prices": f"/admin/billing/pricebook/{office['book']}/from/",
        "runs": "/admin/billing/invoicerun/",
        "customer": "/admin/billing/customer/add/",
        "audit": "/admin/billing/auditentry/",
        "grants": "/admin/billing/creditgrant/",
    }
    for name, path in pages.items():
        finance.open(path)
        shoot(finance, f"{name}-{width}-{scheme}")
        overflow = finance.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, f"{path} scrolls sideways by {overflow} px"
    assert finance.errors == []
    assert finance.foreign == []


def test_a_payment_is_recorded_in_a_dialog(office: dict[str, int], browse: OpenBrowser) -> None:
    finance = browse("finance")
    page = finance.open(f"/admin/billing/invoice/{office['invoice']}/change/")
    page.get_by_text("Record payment").first.click()
    page.fill("[name=amount]", "-1")
    page.fill("[name=reference]", "bank-1")
    page.get_by_role("button", name="Record", exact=True).click()
    expect(
        page.get_by_role("alert").filter(has_text="-1").or_(page.locator("#dialog [role=alert]")).first
    ).to_be_visible()
    shoot(finance, "dialog-refused")
    due = str(Invoice.objects.get(pk=office["invoice"]).amount_due)
    page.fill("[name=amount]", due)
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.get_by_text("is recorded for")).to_be_visible()
    shoot(finance, "dialog-done")
    assert Invoice.objects.get(pk=office["invoice"]).state.status == "paid"
    assert finance.errors == []
