"""Every page of the back office: who may open it, that it renders with rows, and that rows cost no query each."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing import agreements, audit_log, credits, pricebook, settling, tax_rates, top_ups
from billing.admin import site
from billing.models import (
    Contract,
    CreditGrant,
    CreditNote,
    CreditTransaction,
    Invoice,
    InvoiceRun,
    PriceBook,
    PriceBookVersion,
    StripeDifference,
    StripeEvent,
    StripeObject,
    StripeTask,
)
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing import agreed
from tests.dashboard.conftest import LogIn

LISTS = sorted(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist" for model in site._registry)
DAY = date(2026, 1, 1)
# Of their own trade, operators write rows too: test_objectives.py.
OPERATORS_OWN = {"admin:metering_objective_changelist"}


@pytest.fixture
def owner(tenant_key: str, clickhouse: None, db: None) -> TenantInfo:
    return metering.create_tenant(tenant_key, "Acme")


@pytest.fixture
def rows(owner: TenantInfo) -> TenantInfo:
    """At least one row of everything that has a page."""
    pricebook.set_price(model="m", kind="input", per_million=Decimal(1), currency="USD")
    agreements.save_seller(actor="ada", name="Watts Inc", country="US")
    agreements.save_customer(owner.key, actor="ada", legal_name="Acme GmbH", country="DE")
    agreed.contract(owner.key, DAY)
    invoice = agreed.invoice(
        owner.key,
        agreed.utc(2025, 12, 1),
        agreed.utc(2026, 1, 1),
        total=Decimal(12),
        subtotal=Decimal(12),
        amount_due=Decimal(12),
    )
    credits.grant(tenant=owner.key, amount=Decimal(5), kind=CreditGrant.Kind.PAID, name="Prepaid", actor="ada")
    InvoiceRun.objects.create(
        cut_off=agreed.utc(2026, 2, 1), seal=1, watermark=agreed.utc(2026, 2, 1), price_versions={}
    )
    StripeTask.objects.create(action="collect", ours="TW-1", next_at=agreed.utc(2026, 2, 1))
    StripeEvent.objects.create(stripe_id="evt_1", type="invoice.paid", created=agreed.utc(2026, 2, 1), payload="{}")
    StripeObject.objects.create(kind="customer", ours=owner.key, stripe_id="cus_1")
    tax_rates.set_tax_rate(country="DE", rate=Decimal("0.19"), effective_from=DAY, actor="ada")
    top_ups.save_rule(owner.key, threshold=Decimal(1), amount=Decimal(5), actor="ada")
    paid = settling.record_payment(invoice.number, Decimal(12), "bank-1", actor="ada")
    settling.record_refund(paid.reference, Decimal(1), "back-1", reason="too much", actor="ada")
    CreditNote.objects.create(
        number="CN-1",
        invoice=invoice,
        reason="wrong",
        disposition="reduce",
        subtotal=1,
        tax=0,
        total=1,
        idempotency_key="1",
        issued_on=DAY,
    )
    metering.set_objective("Availability", measure="error", target="0.999")
    StripeDifference.objects.create(kind="invoice", ours="TW-1", field="total", our_value="1", stripe_value="2")
    return owner


@pytest.mark.parametrize("name", LISTS)
def test_lists_open_for_finance_and_operators_alone(name: str, rows: TenantInfo, log_in: LogIn) -> None:
    url = reverse(name)
    assert log_in("finance").get(url).status_code == 200
    assert log_in("operator").get(url).status_code == 200
    assert log_in("customer", rows.key).get(url).status_code == 403
    assert log_in("").get(url).status_code == 403
    answer = Client().get(url)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(reverse("login"))


@pytest.mark.parametrize("name", LISTS)
def test_pages_of_rows_open_and_operators_change_nothing(name: str, rows: TenantInfo, log_in: LogIn) -> None:
    model = next(
        each for each in site._registry if name == f"admin:{each._meta.app_label}_{each._meta.model_name}_changelist"
    )
    row = model._default_manager.order_by("-pk").first()
    assert row is not None, f"the fixture has no {model._meta.verbose_name}"
    url = reverse(name.replace("changelist", "change"), args=[row.pk])
    assert log_in("finance").get(url).status_code == 200
    operator = log_in("operator")
    assert operator.get(url).status_code == 200
    if name not in OPERATORS_OWN:
        assert operator.post(url, {"name": "x"}).status_code == 403
        assert operator.get(reverse(name.replace("changelist", "delete"), args=[row.pk])).status_code == 403
    assert log_in("customer", rows.key).get(url).status_code == 403


def test_actions_are_for_finance(rows: TenantInfo, log_in: LogIn) -> None:
    invoice, contract = Invoice.objects.get(tenant=rows.key), Contract.objects.get(tenant=rows.key)
    grant, book = CreditGrant.objects.get(tenant=rows.key), PriceBook.objects.get(name="list")
    urls = [
        *(
            reverse(f"admin:billing_invoice_{name}", args=[invoice.pk])
            for name in ("record_payment", "credit_note", "void", "reissue", "give_up")
        ),
        *(
            reverse(f"admin:billing_contract_{name}", args=[contract.pk])
            for name in ("terms", "pause", "resume", "end")
        ),
        reverse("admin:billing_contract_make"),
        *(reverse(f"admin:billing_creditgrant_{name}", args=[grant.pk]) for name in ("revoke", "refund")),
        reverse("admin:billing_creditgrant_give"),
        reverse("admin:billing_pricebook_new_version", args=[book.pk]),
        reverse("admin:billing_pricebook_make"),
    ]
    finance, operator, customer = log_in("finance"), log_in("operator"), log_in("customer", rows.key)
    for url in urls:
        assert finance.get(url).status_code in {200, 302}, url
        assert operator.get(url).status_code == 403, url
        assert operator.post(url).status_code == 403, url
        assert customer.post(url).status_code == 403, url


def test_a_longer_list_asks_no_more(rows: TenantInfo, finance: Client) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert finance.get(reverse("admin:billing_invoice_changelist")).status_code == 200
        return len(seen)

    asked()
    before = asked()
    for month in range(1, 9):
        agreed.invoice(rows.key, agreed.utc(2026, month, 1), agreed.utc(2026, month + 1, 1))
    assert asked() == before


def test_scripts_of_the_back_office_run_under_a_policy_of_its_own(rows: TenantInfo, finance: Client) -> None:
    policy = finance.get(reverse("admin:index")).headers["Content-Security-Policy"]
    assert "'unsafe-eval'" in policy
    assert "http" not in policy
    assert "'unsafe-eval'" not in finance.get(reverse("invoices")).headers["Content-Security-Policy"]


def test_the_audit_log_shows_before_and_after(rows: TenantInfo, finance: Client) -> None:
    contract = Contract.objects.get(tenant=rows.key)
    audit_log.record("bob", "change", contract, {"plan": "old"}, {"plan": "<new>", "same": 1})
    from billing.models import AuditEntry

    page = finance.get(reverse("admin:billing_auditentry_change", args=[AuditEntry.objects.order_by("-pk").first().pk]))
    text = page.content.decode()
    assert "old" in text
    assert "&lt;new&gt;" in text
    assert CreditTransaction.objects.exists()
    assert PriceBookVersion.objects.exists()
