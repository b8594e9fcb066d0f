"""What finance does in the back office goes through the services: it happens, or the form says why not, and the audit log has it."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from billing import contract_terms, pricebook, tasks
from billing.models import (
    AuditEntry,
    Contract,
    CreditGrant,
    Customer,
    Invoice,
    InvoiceLine,
    InvoiceRun,
    PriceBook,
    PriceBookVersion,
    Seller,
)
from billing.rating.terms import FlatFee, Terms
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing import agreed

DAY = date(2026, 1, 1)


@pytest.fixture
def owner(tenant_key: str, clickhouse: None, db: None) -> TenantInfo:
    return metering.create_tenant(tenant_key, "Acme")


def sent(client: Client, url: str, **values: Any) -> HttpResponse:
    """The form of a dialog."""
    return client.post(url, {"_form_submitted": "on", **values})  # type: ignore[return-value]


def formsets(**rows: list[dict[str, str]]) -> dict[str, str]:
    """The parts of the terms page: rows of each kind by name."""
    found: dict[str, str] = {}
    for name in ("flat_fees", "percentage_fees", "allowances", "discounts", "objectives"):
        held = rows.get(name, [])
        found |= {f"{name}-TOTAL_FORMS": str(len(held)), f"{name}-INITIAL_FORMS": "0"}
        found |= {f"{name}-{n}-{key}": value for n, row in enumerate(held) for key, value in row.items()}
    return found


def head(day: str, **more: str) -> dict[str, str]:
    return {"head-effective_on": day, "head-commitment": "0"} | {f"head-{name}": text for name, text in more.items()}


def test_a_contract_is_made_with_its_terms(owner: TenantInfo, finance: Client) -> None:
    parts = formsets(
        flat_fees=[{"code": "base", "description": "Base", "amount": "310"}],
        discounts=[{"code": "ten", "description": "10 % off", "applies_to": "usage", "model": "*", "share": "10"}],
    )
    opening = {"opening-tenant": owner.key, "opening-time_zone": "Europe/Berlin", "opening-anchor_day": "15"}
    answer = finance.post(reverse("admin:billing_contract_make"), opening | head("2026-01-15", plan="Pro") | parts)
    assert answer.status_code == 302, answer.content.decode()[-2000:]
    (made,) = contract_terms.contracts_of([owner.key])[owner.key]
    assert (made.anchor_day, made.zone.key) == (15, "Europe/Berlin")
    terms = made.revisions[-1].terms
    assert terms.flat_fees == (FlatFee("base", "Base", Decimal(310)),)
    assert terms.discounts[0].share == Decimal("0.1")


def test_a_change_starts_from_what_holds_and_adds_a_revision(owner: TenantInfo, finance: Client) -> None:
    made = agreed.contract(owner.key, DAY, Terms(flat_fees=(agreed.BASE_FEE,)))
    url = reverse("admin:billing_contract_terms", args=[Contract.objects.get(number=made.number).pk])
    assert 'value="Base fee"' in finance.get(url).content.decode()
    parts = formsets(flat_fees=[{"code": "base", "description": "Base fee", "amount": "620"}])
    assert finance.post(url, head("2026-02-01", note="more") | parts).status_code == 302
    after = contract_terms.contract(made.number)
    assert after is not None
    assert [each.number for each in after.revisions] == [1, 2]
    assert after.revisions[-1].terms.flat_fees[0].amount == Decimal(620)
    entry = AuditEntry.objects.filter(action="change").first()
    assert entry is not None
    assert entry.actor.startswith("u-")


def test_terms_that_contradict_themselves_are_refused_on_the_page(owner: TenantInfo, finance: Client) -> None:
    made = agreed.contract(owner.key, DAY)
    url = reverse("admin:billing_contract_terms", args=[Contract.objects.get(number=made.number).pk])
    twice = [{"code": "base", "description": "Base", "amount": "1"}] * 2
    answer = finance.post(url, head("2026-02-01") | formsets(flat_fees=twice))
    assert answer.status_code == 422
    assert "base" in answer.content.decode()
    assert len(contract_terms.contract(made.number).revisions) == 1  # type: ignore[union-attr]


def test_pausing_says_what_was_done_and_twice_says_why_not(owner: TenantInfo, finance: Client) -> None:
    made = agreed.contract(owner.key, DAY)
    url = reverse("admin:billing_contract_pause", args=[Contract.objects.get(number=made.number).pk])
    done = sent(finance, url, on="2026-02-01", note="they asked")
    assert done.status_code == 204
    assert "HX-Redirect" in done.headers
    again = sent(finance, url, on="2026-02-02", note="they asked")
    assert again.status_code == 200
    assert "paused" in again.content.decode()


def test_a_customer_is_saved_and_a_bad_one_is_refused_at_its_field(owner: TenantInfo, finance: Client) -> None:
    url = reverse("admin:billing_customer_add")
    values = {
        "tenant": owner.key,
        "legal_name": "Acme GmbH",
        "emails": "a@b.example\nc@d.example",
        "collection": "manual",
    }
    values |= {"payment_terms_days": "14", "grace_hours": "24", "country": "de"}
    bad = finance.post(url, values | {"country": "XX1"})
    assert bad.status_code == 200
    assert not Customer.objects.exists()
    assert finance.post(url, values).status_code == 302
    row = Customer.objects.get()
    assert (row.country, row.emails) == ("DE", ["a@b.example", "c@d.example"])
    edit = reverse("admin:billing_customer_change", args=[row.pk])
    assert finance.post(edit, values | {"legal_name": "Acme AG"}).status_code == 302
    assert Customer.objects.get().legal_name == "Acme AG"
    entry = AuditEntry.objects.filter(object_type__icontains="customer").first()
    assert entry is not None
    assert (entry.before or {})["legal_name"] == "Acme GmbH"


def test_there_is_one_seller(finance: Client, db: None) -> None:
    url = reverse("admin:billing_seller_add")
    assert finance.post(url, {"name": "Watts Inc", "country": "US"}).status_code == 302
    assert Seller.objects.get().name == "Watts Inc"
    assert finance.get(url).status_code == 403
    edit = reverse("admin:billing_seller_change", args=[Seller.objects.get().pk])
    refused = finance.post(edit, {"name": "Watts Inc", "country": "US", "iban": "DE00123"})
    assert "IBAN" in refused.content.decode()


def test_a_new_version_of_a_book_is_a_draft_until_it_is_published(owner: TenantInfo, finance: Client) -> None:
    pricebook.set_price(model="m", kind="input", per_million=Decimal(1), currency="USD")
    book = PriceBook.objects.get(name="list")
    url = reverse("admin:billing_pricebook_from", args=[book.pk])
    shown = finance.get(url).content.decode()
    assert "model,kind" in shown
    row = pricebook.as_csv([each.row for each in pricebook.latest_by_key("list").values()])
    answer = finance.post(
        url, {"prices": row.replace("1970-01-01T00:00:00+00:00", "").replace(",1,", ",2,"), "note": "up"}
    )
    assert answer.status_code == 302, answer.content.decode()[-1500:]
    version = PriceBookVersion.objects.order_by("-number").first()
    assert version is not None
    assert pricebook.current_version("list") == 1
    publish = reverse("admin:billing_pricebookversion_publish", args=[version.pk])
    assert sent(finance, publish, sure="on").status_code == 204
    assert pricebook.current_version("list") == version.number
    assert sent(finance, publish, sure="on").status_code == 200  # published already: the form says so


def test_prices_that_are_none_are_refused_on_the_page(finance: Client, db: None) -> None:
    pricebook.set_price(model="m", kind="input", per_million=Decimal(1), currency="USD")
    book = PriceBook.objects.get(name="list")
    url = reverse("admin:billing_pricebook_from", args=[book.pk])
    answer = finance.post(url, {"prices": "model,kind,currency,amount\nm,input,USD,-1\n"})
    assert answer.status_code == 422
    assert PriceBookVersion.objects.count() == 1


def test_credit_is_granted_and_revoked(owner: TenantInfo, finance: Client) -> None:
    url = reverse("admin:billing_creditgrant_give")
    values = {"tenant": owner.key, "kind": "promotional", "amount": "25", "name": "Hello", "priority": "50"}
    assert sent(finance, url, **values | {"amount": "-1"}).status_code == 200
    assert not CreditGrant.objects.exists()
    assert sent(finance, url, **values).status_code == 204
    grant = CreditGrant.objects.get()
    revoke = reverse("admin:billing_creditgrant_revoke", args=[grant.pk])
    assert sent(finance, revoke, reason="left us").status_code == 204
    assert sent(finance, revoke, reason="left us").status_code == 200  # nothing is left


def test_a_payment_makes_an_invoice_paid_and_a_void_one_refuses_it(owner: TenantInfo, finance: Client) -> None:
    twelve = {"total": Decimal(12), "subtotal": Decimal(12), "amount_due": Decimal(12)}
    row = agreed.invoice(owner.key, agreed.utc(2026, 1, 1), agreed.utc(2026, 2, 1), **twelve)
    url = reverse("admin:billing_invoice_record_payment", args=[row.pk])
    assert 'value="12' in finance.get(url).content.decode()
    assert sent(finance, url, amount="12", reference="bank 1", received_on="2026-02-03").status_code == 204

    row.state.refresh_from_db()
    assert row.state.status == "paid"
    other = agreed.invoice(owner.key, agreed.utc(2026, 2, 1), agreed.utc(2026, 3, 1), **twelve)
    assert sent(finance, reverse("admin:billing_invoice_void", args=[other.pk]), reason="wrong").status_code == 204
    late = sent(
        finance,
        reverse("admin:billing_invoice_record_payment", args=[other.pk]),
        amount="1",
        reference="b",
        received_on="2026-02-03",
    )
    assert late.status_code == 200
    assert "void" in late.content.decode()


def test_a_credit_note_takes_back_a_line(owner: TenantInfo, finance: Client) -> None:
    row = agreed.invoice(
        owner.key,
        agreed.utc(2026, 1, 1),
        agreed.utc(2026, 2, 1),
        total=Decimal(0),
        subtotal=Decimal(0),
        amount_due=Decimal(0),
    )
    assert Invoice.objects.count() == 1
    assert not InvoiceLine.objects.filter(invoice=row).exists()
    url = reverse("admin:billing_invoice_credit_note", args=[row.pk])
    page = finance.get(url).content.decode()
    assert "disposition" in page
    answer = sent(finance, url, reason="wrong", disposition="reduce", key="k1")
    assert answer.status_code == 200  # nothing to take back: the form says so


def test_a_run_is_fixed_here_and_worked_by_a_worker(
    owner: TenantInfo, finance: Client, use: Any, settled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tasks.work_run, "delay", lambda *given: asked.append(given))
    pricebook.set_price(model="m", kind="input", per_million=Decimal(1), currency="USD")
    pricebook.set_price(model="m", kind="output", per_million=Decimal(1), currency="USD")
    use(owner.key, {})
    url = reverse("admin:billing_invoicerun_begin")
    assert "no tenant" in sent(finance, url, month="2026-01", tenants="nobody").content.decode()
    assert sent(finance, url, month="2026-01", tenants=owner.key).status_code == 204
    run = InvoiceRun.objects.get()
    assert run.started_by.startswith("u-")
    assert [number for number, _ in asked] == [run.pk]
    tasks.work_run(*asked[0])
    run.refresh_from_db()
    assert (run.state, run.invoices) == ("done", 1)
    page = finance.get(reverse("admin:billing_invoicerun_change", args=[run.pk])).content.decode()
    assert "1 of 1" in page
    finance.post(reverse("admin:billing_invoicerun_go_on", args=[run.pk]))
    assert len(asked) == 1  # done already
