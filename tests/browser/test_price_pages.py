"""The pages of prices in a real browser: quiet, accessible, and at home on a phone and in the dark; a preview that arrives by itself."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from billing import pricebook
from billing.agreements import create_contract
from billing.models import PricePreview
from billing.price_preview_runs import make
from billing.pricebook import PriceRow
from billing.rating.terms import Terms
from metering.contracts import TenantInfo
from metering.models import IngestHost
from metering.public import create_tenant, seal_everything_before
from tests.browser.conftest import OpenBrowser, Watched
from tests.browser.test_pages import SHAPES, look_at
from tests.metering.rows import insert_requests

SHOTS = os.environ.get("TALLYWATT_SHOTS")  # a folder to keep pictures of the pages in
MODEL = "llama-3.3-70b"


def row(**fields: Any) -> PriceRow:
    return PriceRow(**{"model": MODEL, "kind": "input", "currency": "USD"} | fields)


@pytest.fixture
def priced(tenant: TenantInfo) -> int:
    """A list with most of what a price may ask for, a contract's book, a month of usage of four customers; a draft of the list."""
    tiers = ({"up_to": 1_000_000_000, "amount": "1.20"}, {"up_to": None, "amount": "0.95"})
    rows = [
        row(amount="0.60"),
        row(amount="0.30", tier="batch"),
        row(amount="1.10", context_over=200_000),
        row(amount="0.15", kind="cached_input"),
        row(kind="output", charge_model="graduated", tiers=tiers),
        row(model="*", amount="0.80"),
        row(model="*", kind="output", amount="2.40"),
        row(model="*", kind="request", charge_model="package", amount="0.05", per=1000),
    ]
    pricebook.publish("list", pricebook.new_version("list", rows, "first list", "ada").number, "ada")
    for per_million, region in (("0.52", ""), ("0.44", "eu-north-1")):
        pricebook.add_price(row(amount=per_million, region=region), book="acme")
    create_contract(tenant=tenant.key, starts_on=date(2026, 1, 1), terms=Terms(price_book="acme"), actor="test")
    last = (datetime.now(UTC).replace(day=1) - timedelta(days=10)).replace(hour=12, minute=0, second=0, microsecond=0)
    names = [tenant.key, *(f"{tenant.key}-{name}" for name in ("globex", "initech", "umbrella"))]
    for name, requests in zip(names, (40, 900, 350, 12), strict=True):
        if name != tenant.key:
            create_tenant(name)
        one = {"time": last, "ingested_at": last, "model": MODEL, "region": "eu-north-1"}
        one |= {"input_tokens": 150_000, "cached_input_tokens": 30_000, "output_tokens": 4_000}
        insert_requests(name, *(one | {"id": f"req-{n}"} for n in range(requests)))
    until = datetime.now(UTC) + timedelta(hours=1)
    IngestHost.objects.create(name="host-1", settled_before=until, published_at=datetime.now(UTC))
    seal_everything_before(datetime.now(UTC), wait_s=10)
    begins = datetime(2099, 1, 1, tzinfo=UTC)
    draft = [
        row(amount="0.66", effective_from=begins),
        row(amount="0.12", kind="cached_input", effective_from=begins),
        row(model="mistral-small", amount="0.20"),
        row(tier="batch", charge_model="withdrawn"),
    ]
    return pricebook.new_version("list", draft, "energy costs more in 2099", "ada").number


def shoot(watched: Watched, name: str, width: int, scheme: str) -> None:
    if SHOTS:
        watched.page.screenshot(path=Path(SHOTS) / f"{name}-{width}-{scheme}.png", full_page=True)


@pytest.mark.parametrize(("width", "scheme"), SHAPES)
def test_the_pages_of_prices_are_quiet_accessible_and_fit(
    width: int, scheme: str, tenant: TenantInfo, priced: int, browse: OpenBrowser
) -> None:
    staff = browse("finance", width=width, scheme=scheme)
    asked = f"tenant={tenant.key}&model={MODEL}&kind=input&region=eu-north-1&input_tokens=250000"
    pages = {
        "prices": "/prices/",
        "price-book": "/prices/books/list/",
        "price-draft": f"/prices/books/list/?version={priced}",
        "price-explain": "/prices/explain/",
        "price-explained": f"/prices/explain/?{asked}",
        "price-request": f"/prices/explain/?tenant={tenant.key}&request_id=req-1",
        "price-preview": f"/prices/preview/?book=list&version={priced}",
    }
    for name, path in pages.items():
        look_at(staff, path)
        shoot(staff, name, width, scheme)
    page = staff.page
    page.get_by_role("button", name="Preview").click()
    page.wait_for_url("**/prices/preview/*/")
    expect(page.get_by_role("heading", name="Waiting for a worker")).to_be_visible()
    shoot(staff, "price-preview-waiting", width, scheme)
    make(PricePreview.objects.latest("pk").pk)
    expect(page.get_by_role("heading", name="By customer")).to_be_visible()
    look_at(staff, page.url.removeprefix(staff.server))
    shoot(staff, "price-preview-result", width, scheme)
    customer = browse("customer", tenant.key, width=width, scheme=scheme)
    for name, path in {
        "portal-prices": "/portal/prices/",
        "portal-explain": f"/portal/prices/explain/?{asked}",
    }.items():
        look_at(customer, path)
        shoot(customer, name, width, scheme)
    for watched in (staff, customer):
        assert watched.errors == []
        assert watched.foreign == []
