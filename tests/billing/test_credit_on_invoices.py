"""From events to an invoice that credit covers: finalised, audited, void, made anew."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from billing import audit, credits, forecast, voiding
from billing.models import Invoice
from metering.contracts import TenantInfo
from tests.billing.conftest import MONTH, NOON, Use, close
from tests.billing.credit import Type, applied, bought, charges, expiring, given, left, line, stored

pytestmark = pytest.mark.usefixtures("settled", "prices")
D = Decimal
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def used(use: Use, tenant: TenantInfo) -> None:
    """1.50 USD before NOON, 3.00 USD from then on."""
    use(
        tenant.key,
        {"input_tokens": 10_000_000, "output_tokens": 0, "time": NOON - HOUR},
        {"input_tokens": 20_000_000, "output_tokens": 0, "time": NOON + HOUR},
    )


def invoice_of(tenant: TenantInfo) -> Invoice:
    (closed,) = close(tenant)
    assert closed.number is not None, closed
    return Invoice.objects.get(number=closed.number)


def test_promotional_and_paid_credit_on_a_real_invoice_and_its_audit(tenant: TenantInfo, use: Use) -> None:
    used(use, tenant)
    half, prepaid = expiring(tenant, NOON), bought(tenant, "2")
    invoice = invoice_of(tenant)
    assert (invoice.subtotal, invoice.total, invoice.credits_applied, invoice.amount_due) == (3, 3, 2, 1)
    credit = invoice.lines.get(type="credit")
    assert (credit.amount, credit.quantity) == (D("-1.5"), 0)
    assert "before 2026-01-15 12:00Z" in credit.explanation
    assert (left(half), left(prepaid)) == ([D("78.5")], [0])
    given(tenant, "1000", priority=0)  # what comes later changes nothing of it
    assert audit.audit(invoice.number).differences == ()
    assert credits.check_balanced() == []


def test_an_audit_finds_a_credit_line_that_was_changed(tenant: TenantInfo, use: Use) -> None:
    used(use, tenant)
    given(tenant, "1")
    invoice = invoice_of(tenant)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE billing_invoiceline DISABLE TRIGGER USER")
        cursor.execute("UPDATE billing_invoiceline SET amount = -2, amount_exact = -2 WHERE type = 'credit'")
    assert any("credit" in text for text in audit.audit(invoice.number).differences)
    assert [one.about for one in credits.check_balanced()] == [f"invoice {invoice.number}"]


def test_an_invoice_that_credit_pays_whole_is_paid(tenant: TenantInfo, use: Use) -> None:
    used(use, tenant)
    bought(tenant, "100")
    invoice = invoice_of(tenant)
    assert (invoice.amount_due, invoice.state.status) == (0, "paid")


def test_a_void_invoice_gives_its_credit_back_and_the_next_one_uses_it(tenant: TenantInfo, use: Use) -> None:
    used(use, tenant)
    launch, prepaid = given(tenant, "1"), bought(tenant, "2")
    invoice = invoice_of(tenant)
    assert left(launch, prepaid) == [0, 0]
    voiding.void(invoice.number, reason="wrong prices", actor="ada")
    assert left(launch, prepaid) == [D("1"), D("2")]
    assert credits.check_balanced() == []
    next_one = charges(tenant, line("9"))
    assert applied(next_one).credits_applied == 2
    assert [one.about for one in credits.check_balanced()] == [f"invoice {next_one.number}"]  # which nobody stored


def test_an_invoice_that_is_made_anew_uses_the_credit_again(tenant: TenantInfo, use: Use) -> None:
    used(use, tenant)
    half, prepaid = expiring(tenant, NOON), bought(tenant, "2")
    first = invoice_of(tenant)
    voiding.void(first.number, reason="a wrong address", actor="ada")
    anew = voiding.reissue(first.number, actor="ada", wait_s=5)
    assert (anew.total, anew.credits_applied, anew.amount_due) == (3, 2, 1)
    assert left(half, prepaid) == [D("78.5"), 0]
    assert audit.audit(anew.number).differences == ()
    assert credits.check_balanced() == []


def test_an_invoice_whose_carried_credit_is_spent_is_not_made_void(tenant: TenantInfo) -> None:
    one = charges(tenant, line("-35", Type.ADJUSTMENT))
    invoice = stored(one, applied(one))
    applied(charges(tenant, line("20"), period_start=MONTH.end, period_end=MONTH.end + 20 * DAY))
    with pytest.raises(voiding.VoidRefused, match=r"20.00 USD are spent"):
        voiding.void(invoice.number, reason="a mistake", actor="ada")
    assert Invoice.objects.get(pk=invoice.pk).state.status != "void"


def test_a_draft_shows_what_credit_will_cover_and_spends_nothing(
    tenant: TenantInfo, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(use, tenant)
    launch, prepaid = given(tenant, "1"), bought(tenant, "2")
    monkeypatch.setattr(forecast.timezone, "now", lambda: MONTH.end - HOUR)
    draft = forecast.draft(tenant.key)
    assert (draft.subtotal, draft.credits, draft.amount_due) == (D("3.50"), D("2.00"), D("1.50"))
    assert left(launch, prepaid) == [D("1"), D("2")]


def test_usage_is_cut_only_where_a_grant_begins_or_ends(tenant: TenantInfo, use: Use) -> None:
    used(use, tenant)
    given(tenant, "1", effective_from=NOON)
    invoice = invoice_of(tenant)
    assert credits.cut_at(invoice.number) == (NOON,)
    assert "from 2026-01-15 12:00Z" in invoice.lines.get(type="credit").explanation
