"""Credit that is bought: by hand, and by a rule when the balance runs low."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from billing import credit_notes, credit_tasks, credits, pricebook, settling, top_ups, voiding
from billing.credit_costs import Cost
from billing.credits import CreditRefused
from billing.models import AuditEntry, CreditGrant, Invoice, InvoiceSeries, TopUpRule
from config.celery import app
from metering.contracts import TenantInfo
from tests.billing.conftest import Use
from tests.billing.credit import applied, bought, charges, expiring, given, left, line
from tests.billing.credit import tenant as fresh

D = Decimal


@pytest.fixture
def owner(clickhouse: None, db: None) -> TenantInfo:
    return fresh()


def rule(owner: TenantInfo, **other: Any) -> TopUpRule:
    fields: dict[str, Any] = {"threshold": D("20"), "amount": D("100"), "actor": "ada"}
    return top_ups.save_rule(owner.key, **{**fields, **other})


def pay(invoice: Invoice, amount: str = "100") -> None:
    settling.record_payment(invoice.number, D(amount), f"bank-{invoice.number}", actor="ada")


def test_a_top_up_is_an_invoice_without_tax_that_says_why(owner: TenantInfo) -> None:
    invoice = top_ups.buy(owner.key, D("100"), actor="ada", valid_days=365)
    invoice.refresh_from_db()
    assert (invoice.kind, invoice.number) == ("top_up", f"TW-{timezone.now().year}-000001")
    assert (invoice.subtotal, invoice.tax, invoice.total, invoice.amount_due) == (100, 0, 100, 100)
    assert (invoice.tax_category, invoice.tax_note) == ("O", top_ups.NO_TAX_NOTE)
    assert (invoice.finalised_at is not None, invoice.state.status) == (True, "open")
    (line,) = invoice.lines.all()
    assert line.explanation == "Prepaid credit of 100.00 USD, valid for 365 days once it is paid"
    assert [event.type for event in invoice.events.all()] == ["finalised"]
    assert AuditEntry.objects.get(action="top_up").actor == "ada"


def test_the_grant_is_there_once_it_is_paid_and_once_only(owner: TenantInfo) -> None:
    invoice = top_ups.buy(owner.key, D("100"), actor="ada", valid_days=30)
    assert not CreditGrant.objects.filter(tenant=owner.key).exists()
    pay(invoice, "40")
    assert not CreditGrant.objects.filter(tenant=owner.key).exists()
    settling.record_payment(invoice.number, D("60"), "bank-2", actor="ada")
    (grant,) = CreditGrant.objects.filter(tenant=owner.key)
    assert (grant.kind, grant.source, left(grant)) == ("paid", f"top-up:{invoice.number}", [D("100")])
    assert grant.expires_at is not None
    assert timedelta(days=29, hours=23) < grant.expires_at - timezone.now() <= timedelta(days=30)
    assert credits.invoice_paid(Invoice.objects.get(pk=invoice.pk)) == grant
    assert left(grant) == [D("100")]


def test_what_a_credit_note_took_off_before_the_payment_is_not_granted(owner: TenantInfo) -> None:
    invoice = top_ups.buy(owner.key, D("100"), actor="ada")
    note(invoice, "30", "reduce")
    pay(invoice, "70")
    assert CreditGrant.objects.get(tenant=owner.key).amount == D("70")


def test_a_top_up_that_a_credit_note_takes_back_whole_grants_nothing(owner: TenantInfo) -> None:
    invoice = top_ups.buy(owner.key, D("100"), actor="ada")
    note(invoice, "100", "reduce")
    assert Invoice.objects.get(pk=invoice.pk).state.status == "paid"
    assert not CreditGrant.objects.filter(tenant=owner.key).exists()


def test_a_refund_of_a_top_up_takes_the_credit_with_the_money(owner: TenantInfo) -> None:
    invoice = top_ups.buy(owner.key, D("100"), actor="ada")
    pay(invoice)
    grant = CreditGrant.objects.get(tenant=owner.key)
    note(invoice, "30", "refund")
    assert left(grant) == [D("70")]
    with pytest.raises(CreditRefused, match="credit note with refund"):
        credits.refund_grant(grant.pk, D("10"), "asked for", "ada")
    with pytest.raises(credit_notes.CreditNoteRefused, match="changes nothing"):
        note(invoice, "10", "credit")
    credits.expire_due()
    assert credits.check_balanced() == []


def test_spent_credit_is_not_refunded(owner: TenantInfo) -> None:
    invoice = top_ups.buy(owner.key, D("100"), actor="ada")
    pay(invoice)
    applied(charges(owner, line("80")))
    with pytest.raises(credit_notes.CreditNoteRefused, match=r"20.00 USD are left"):
        note(invoice, "30", "refund")
    note(invoice, "20", "refund")
    assert left(CreditGrant.objects.get(tenant=owner.key)) == [0]


def note(invoice: Invoice, amount: str, disposition: str) -> None:
    credit_notes.issue(
        invoice.number,
        {1: D(amount)},
        reason="asked for",
        disposition=disposition,
        idempotency_key=f"{invoice.number}-{amount}-{disposition}",
        actor="ada",
    )


def test_a_void_top_up_frees_the_way_for_the_next(owner: TenantInfo) -> None:
    rule(owner)
    (invoice,) = top_ups.top_up_due()
    assert top_ups.top_up_due() == []
    voiding.void(invoice.number, reason="wrong", actor="ada")
    assert len(top_ups.top_up_due()) == 1


def test_a_rule_buys_when_what_is_left_falls_below_its_threshold(owner: TenantInfo) -> None:
    rule(owner)
    prepaid = bought(owner, "20")
    assert top_ups.top_up_due() == []
    credits.refund_grant(prepaid.pk, D("0.01"), "asked for", "ada")
    (invoice,) = top_ups.top_up_due()
    assert (invoice.tenant, invoice.total, invoice.currency) == (owner.key, D("100"), "USD")


def test_usage_that_is_not_invoiced_yet_counts_as_spent(owner: TenantInfo, use: Use) -> None:
    for kind in ("input", "output"):
        pricebook.set_price(model="m", kind=kind, per_million="1", currency="USD")
    rule(owner, threshold=D("20"))
    bought(owner, "30")
    now = timezone.now()
    use(owner.key, {"input_tokens": 9_000_000, "output_tokens": 0, "time": now, "ingested_at": now})
    assert top_ups.standing(owner, now + timedelta(minutes=1)) == top_ups.Standing(
        D("0"), D("30"), Cost(D("9"), D("0"))
    )
    assert top_ups.top_up_due(now + timedelta(minutes=1)) == []
    use(owner.key, {"id": "b", "input_tokens": 2_000_000, "output_tokens": 0, "time": now, "ingested_at": now})
    assert len(top_ups.top_up_due(now + timedelta(minutes=1))) == 1


def test_expired_credit_cannot_be_spent(owner: TenantInfo) -> None:
    rule(owner)
    expiring(owner, datetime(2026, 1, 1, tzinfo=UTC), amount="500")
    assert len(top_ups.top_up_due()) == 1


def test_promotional_credit_for_any_model_keeps_a_rule_quiet_too(owner: TenantInfo) -> None:
    rule(owner)
    given(owner, "500", models_covered=["another"])
    assert len(top_ups.top_up_due()) == 1
    other = fresh()
    rule(other)
    given(other, "500")
    assert top_ups.top_up_due() == []


@pytest.mark.parametrize(
    ("promotional", "prepaid", "used", "left_over"),
    [
        ("0", "100", "50", "40"),  # with 20 % of tax
        ("50", "100", "50", "100"),  # what promotional credit covers is not taxed
        ("30", "100", "50", "76"),
        ("80", "100", "50", "130"),
        ("0", "0", "50", "-60"),
    ],
)
def test_what_is_left_counts_tax_where_it_will_lie(promotional: str, prepaid: str, used: str, left_over: str) -> None:
    standing = top_ups.Standing(D(promotional), D(prepaid), Cost(D(used), D("0.2")))
    assert standing.left == D(left_over)


def test_one_top_up_is_open_at_a_time(owner: TenantInfo) -> None:
    rule(owner, amount=D("5"))  # paying it leaves the balance low
    (first,) = top_ups.top_up_due()
    assert top_ups.top_up_due() == []
    pay(first, "5")
    (second,) = top_ups.top_up_due()
    assert second.number != first.number


def test_a_month_has_a_limit(owner: TenantInfo) -> None:
    rule(owner, amount=D("5"), most_per_month=D("12"))
    now = datetime(2027, 3, 30, tzinfo=UTC)
    for _ in range(2):
        (invoice,) = top_ups.top_up_due(now)
        pay(invoice, "5")
    assert top_ups.top_up_due(now) == []
    assert len(top_ups.top_up_due(now + timedelta(days=2))) == 1


def test_a_rule_that_is_off_buys_nothing(owner: TenantInfo) -> None:
    rule(owner)
    rule(owner, enabled=False)
    assert top_ups.top_up_due() == []
    assert TopUpRule.objects.get().enabled is False


def test_one_tenants_trouble_does_not_stop_the_others(owner: TenantInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    other = fresh()
    rule(owner), rule(other)
    cost = top_ups.unbilled_cost

    def broken(tenant: TenantInfo, now: datetime) -> Cost:
        if tenant.key == owner.key:
            raise ValueError("the prices are wrong")
        return cost(tenant, now)

    monkeypatch.setattr(top_ups, "unbilled_cost", broken)
    assert [invoice.tenant for invoice in top_ups.top_up_due()] == [other.key]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"amount": D("0")}, "buys nothing"),
        ({"amount": D("-1")}, "amount"),
        ({"amount": D("0.001")}, "amount"),
        ({"amount": D("NaN")}, "amount"),
        ({"threshold": D("-1")}, "threshold"),
        ({"most_per_month": D("99")}, "less than one top-up"),
        ({"valid_days": 0}, "valid_days"),
        ({"valid_days": 9999}, "valid_days"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(owner: TenantInfo, change: dict[str, Any], why: str) -> None:
    with pytest.raises(CreditRefused, match=why):
        rule(owner, **change)
    assert not TopUpRule.objects.exists()


def test_a_change_of_a_rule_is_in_the_audit_log(owner: TenantInfo) -> None:
    rule(owner)
    rule(owner, amount=D("200"))
    change = AuditEntry.objects.get(action="change")
    assert (change.actor, change.before, change.after) == ("ada", {"amount": "100"}, {"amount": "200"})


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_make_one_top_up_and_no_gap(clickhouse: None) -> None:
    owner = fresh()
    rule(owner)
    together = threading.Barrier(4)

    def work() -> int:
        try:
            together.wait(10)
            return len(top_ups.top_up_due())
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        made = [future.result(30) for future in [pool.submit(work) for _ in range(4)]]
    assert sorted(made) == [0, 0, 0, 1]
    assert InvoiceSeries.objects.get().last == Invoice.objects.count() == 1


def test_the_task_tops_up_and_the_other_expires(owner: TenantInfo) -> None:
    rule(owner)
    grant = expiring(owner, datetime(2026, 1, 1, tzinfo=UTC))
    credit_tasks.top_up()
    credit_tasks.expire_credit()
    assert Invoice.objects.get().kind == "top_up"
    assert left(grant) == [0]
    assert {"billing.top_up", "billing.expire_credit"} <= {
        entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()
    }
    app.loader.import_default_modules()
    assert {"billing.top_up", "billing.expire_credit"} <= set(app.tasks)
