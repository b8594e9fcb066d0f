"""Void invoices, and those that take their place."""

import pytest
from django.utils import timezone

from billing import credits, pricebook, settling
from billing.audit import audit
from billing.closing import close_period
from billing.models import AuditEntry, Invoice
from billing.periods import month
from billing.voiding import VoidRefused, reissue, void
from metering.contracts import TenantInfo
from tests.billing.conftest import MONTH, Use, close
from tests.billing.credit import bought, given
from tests.billing.invoiced import D, Made, made
from tests.billing.late import Late

pytestmark = pytest.mark.usefixtures("settled", "prices")


@pytest.fixture
def late(use: Use, settled: object) -> Late:
    return Late(use, settled)  # type: ignore[arg-type]


def test_a_void_invoice_keeps_its_number_and_its_period_is_billed_by_hand_alone(tenant: TenantInfo, use: Use) -> None:
    bill = made(tenant, use)
    void(bill.number, reason="wrong prices", actor="ada")
    assert bill.state.status == "void"
    assert list(bill.invoice.events.values_list("type", "actor")) == [("finalised", "command"), ("void", "ada")]
    assert AuditEntry.objects.get(action="void").after == {"status": "void", "reason": "wrong prices"}
    (again,) = close(tenant)
    assert (again.number, again.new) == (bill.number, False)
    assert "is void" in again.notes[0]
    with pytest.raises(settling.SettlingRefused, match="is void"):
        settling.record_payment(bill.number, D(1), "bank-1")
    with pytest.raises(VoidRefused, match="void already"):
        void(bill.number, reason="again")


def test_a_reissue_bills_the_period_anew_at_the_prices_of_now(tenant: TenantInfo, use: Use) -> None:
    bill = made(tenant, use)
    with pytest.raises(VoidRefused, match="is not void"):
        reissue(bill.number)
    void(bill.number, reason="wrong prices")
    pricebook.set_price(model="m", kind="output", per_million="0.30", currency="USD", effective_from=MONTH.start)
    second = reissue(bill.number, wait_s=5)
    assert (second.number, second.edition, second.replaces) == (
        f"TW-{timezone.now().year}-000002",
        1,
        bill.invoice,
    )
    assert (bill.invoice.total, second.total) == (D("9.00"), D("6.00"))
    assert reissue(bill.number, wait_s=5) == second
    assert audit(second.number).differences == audit(bill.number).differences == ()
    void(second.number, reason="wrong again")
    assert reissue(second.number, wait_s=5).edition == 2


def test_late_usage_of_a_void_invoice_is_on_its_reissue_and_on_no_other(
    tenant: TenantInfo, use: Use, late: Late
) -> None:
    bill = made(tenant, use)
    void(bill.number, reason="wrong")
    late(tenant.key, {"input_tokens": 20_000_000, "output_tokens": 0}, {"time": MONTH.end, "input_tokens": 20_000_000})
    (february,) = close_period(month("2026-02"), [tenant], wait_s=5)
    assert not Invoice.objects.get(number=february.number).lines.filter(type="adjustment").exists()
    assert reissue(bill.number, wait_s=5).total == D("12.00")


def test_what_a_later_invoice_corrects_or_builds_on_is_not_made_void_before_it(
    tenant: TenantInfo, use: Use, late: Late
) -> None:
    january = made(tenant, use)
    for name in ("2026-02", "2026-03"):
        late(tenant.key, {"input_tokens": 10_000_000}, {"time": month(name).start})
        close_period(month(name), [tenant], wait_s=5)
    february, march = Invoice.objects.order_by("pk")[1:]
    with pytest.raises(VoidRefused, match=f"{february.number}, {march.number} bills late usage of {january.number}"):
        void(january.number, reason="wrong")
    with pytest.raises(VoidRefused, match=f"bills late usage that {march.number} builds on"):
        void(february.number, reason="wrong")
    void(march.number, reason="wrong")
    void(february.number, reason="wrong")
    again = reissue(february.number, wait_s=5)
    assert sum(line.quantity for line in again.lines.filter(type="adjustment", kind="input")) == 20_000_000
    assert audit(again.number).differences == ()


def test_the_credit_that_it_used_is_free_again(tenant: TenantInfo, use: Use) -> None:
    given(tenant, "2.00")
    bought(tenant, "4.00")
    bill = made(tenant, use)
    assert (bill.invoice.total, bill.invoice.credits_applied, bill.invoice.amount_due) == (
        D("7.00"),
        D("4.00"),
        D("3.00"),
    )
    assert audit(bill.number).differences == ()
    void(bill.number, reason="wrong")
    second = reissue(bill.number, wait_s=5)
    assert (second.total, second.credits_applied) == (D("7.00"), D("4.00"))
    assert credits.check_balanced() in ([], ())
    assert audit(second.number).differences == audit(bill.number).differences == ()


def test_what_was_paid_is_not_made_void(tenant: TenantInfo, use: Use) -> None:
    bill: Made = made(tenant, use)
    settling.record_payment(bill.number, D("1.00"), "bank-1")
    with pytest.raises(VoidRefused, match="has payments: issue a credit note"):
        void(bill.number, reason="wrong")
