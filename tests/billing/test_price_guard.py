"""A price that would contradict a final invoice is refused, whatever it asks for; one that touches no invoice is taken."""

from datetime import date, timedelta
from typing import Any

import pytest

from billing import pricebook
from billing.agreements import create_contract
from billing.models import Invoice, InvoiceState
from billing.pricebook import PriceRefused, PriceRow
from billing.rating import BEGINNING
from billing.rating.terms import Terms
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.conftest import MONTH, NOON, Use, close

pytestmark = pytest.mark.usefixtures("settled", "prices")


def row(**fields: Any) -> PriceRow:
    return PriceRow(
        **{"model": "m", "kind": "input", "currency": "USD", "amount": "9", "effective_from": NOON} | fields
    )


@pytest.fixture
def invoiced(tenant: TenantInfo, use: Use, settled: object, prices: None) -> TenantInfo:
    use(tenant.key, {"region": "eu"})
    assert close(tenant)[0].number
    return tenant


@pytest.mark.usefixtures("invoiced")
@pytest.mark.parametrize(
    "fields",
    [
        {"region": "eu"},
        {"region": "us"},  # the line does not say where its usage ran
        {"operation": "chat"},
        {"context_over": 32_000},
        {"charge_model": "package", "per": 1000},
        {"charge_model": "withdrawn", "amount": None},
        {"per": 1000, "amount": "0.15"},
        {"kind": "uncached_input", "region": "eu", "tier": "standard"},
    ],
)
def test_usage_that_it_may_match_is_taken_to_be_on_the_invoice(fields: dict[str, Any]) -> None:
    with pytest.raises(PriceRefused, match="invoiced up to 2026-02-01"):
        pricebook.add_price(row(**fields))


@pytest.mark.usefixtures("invoiced")
@pytest.mark.parametrize(
    "fields",
    [
        {"region": "eu", "effective_from": MONTH.end},
        {"region": "eu", "tier": "batch"},
        {"region": "eu", "model": "n"},
        {"region": "eu", "amount": "0.15"},
        {"kind": "request", "amount": "0.15", "effective_from": MONTH.end},
    ],
)
def test_what_changes_no_line_is_taken(fields: dict[str, Any]) -> None:
    assert pricebook.add_price(row(**fields)).added


@pytest.mark.usefixtures("invoiced")
def test_a_contracts_book_touches_nobody_who_was_billed_without_it() -> None:
    assert pricebook.add_price(row(), book="special").added


def test_a_contracts_book_is_guarded_by_the_invoices_made_from_it(tenant_key: str, clickhouse: None, use: Use) -> None:
    """And the list's price, which that book overrides, may change."""
    tenant = metering.create_tenant(tenant_key)
    for kind in ("input", "output"):
        pricebook.set_price(model="m", kind=kind, per_million="1", currency="USD", book="special")
    create_contract(tenant=tenant.key, starts_on=date(2026, 1, 1), terms=Terms(price_book="special"), actor="test")
    use(tenant.key, {})
    assert close(tenant)[0].number
    assert set(Invoice.objects.get().price_versions) == {"list", "special"}
    with pytest.raises(PriceRefused, match="invoiced up to"):
        pricebook.add_price(row(), book="special")
    assert pricebook.add_price(row()).added


def test_a_line_with_tiers_bills_every_model_that_it_matches(tenant: TenantInfo, use: Use) -> None:
    tiers = ({"up_to": 10, "amount": "2"}, {"up_to": None, "amount": "1"})
    usual: dict[str, Any] = {"model": "*", "charge_model": "graduated", "amount": None, "tiers": tiers}
    for kind in ("input", "output"):
        pricebook.add_price(row(**usual | {"kind": kind, "effective_from": None}))
    use(tenant.key, {"model": "n"})
    assert close(tenant)[0].number
    for fields in ({"model": "n"}, {"model": "n", "kind": "output", "tier": "standard"}, usual | {"tiers": tiers[1:]}):
        with pytest.raises(PriceRefused, match="invoiced up to"):
            pricebook.add_price(row(**fields))


def test_a_draft_is_refused_when_it_is_published_after_the_invoice(tenant: TenantInfo, use: Use) -> None:
    draft = pricebook.new_version("list", [row()])
    use(tenant.key, {})
    assert close(tenant)[0].number
    with pytest.raises(PriceRefused, match="invoiced up to"):
        pricebook.publish("list", draft.number)
    with pytest.raises(PriceRefused, match="invoiced up to"):
        pricebook.new_version("list", [row(amount="8")])
    later = pricebook.new_version("list", [row(amount="8", effective_from=MONTH.end + timedelta(days=90))])
    assert pricebook.publish("list", later.number)


def test_a_void_invoice_guards_nothing(invoiced: TenantInfo) -> None:
    InvoiceState.objects.update(status=InvoiceState.Status.VOID)
    assert pricebook.add_price(row()).added


@pytest.mark.usefixtures("invoiced")
def test_of_a_whole_book_only_what_touches_an_invoice_begins_when_it_is_published() -> None:
    rows = [row(**fields, effective_from=None) for fields in ({"region": "eu"}, {"model": "n"}, {"kind": "reasoning"})]
    made = pricebook.new_version("list", rows)
    begins = {(price.model, price.kind): price.effective_from for price in made.prices.all()}
    assert begins == {("m", "input"): None, ("n", "input"): BEGINNING, ("m", "reasoning"): BEGINNING}
