"""Invoices under contracts: fees, included usage, discounts, commitment, tax and credit, all of which an audit makes again."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from billing import agreements, credits, pricebook, rating
from billing.audit import audit
from billing.closing import close_period
from billing.models import CreditGrant, Invoice, InvoiceLine
from billing.periods import month
from billing.pricebook import PriceRow
from billing.rating.terms import Allowance, AppliesTo, Discount, FlatFee, PercentageFee, Terms
from metering.contracts import TenantInfo
from tests.billing.agreed import change, contract
from tests.billing.api import get, key
from tests.billing.conftest import MONTH, NOON, Use, close
from tests.billing.credit import expiring, given
from tests.billing.invoiced import D, in_germany, made

pytestmark = pytest.mark.usefixtures("settled", "prices")

TERMS = Terms(
    plan="Scale",
    flat_fees=(FlatFee("base", "Base fee", D("31.00")),),
    percentage_fees=(PercentageFee("support", "Support", D("0.10"), D("1.00")),),
    allowances=(Allowance("free", "m", "input", "", D(5_000_000)),),
    discounts=(Discount("loyal", "Loyalty", AppliesTo.USAGE, share=D("0.5")),),
    commitment=D("20.00"),
)


def lines(invoice: Invoice) -> list[tuple[str, str, object]]:
    return [(line.type, line.kind, line.amount) for line in invoice.lines.all()]


def test_everything_that_was_agreed_is_on_the_invoice_with_tax_and_an_audit_makes_it_again(
    tenant: TenantInfo, use: Use
) -> None:
    in_germany(tenant)
    contract(tenant.key, date(2026, 1, 1), TERMS)
    bill = made(tenant, use, {"input_tokens": 25_000_000, "output_tokens": 10_000_000}).invoice
    assert lines(bill) == [
        ("usage", "input", D("3.00")),  # 25 million less the 5 that are included
        ("usage", "output", D("6.00")),
        ("flat_fee", "", D("31.00")),
        ("percentage_fee", "", D("1.00")),  # a tenth of 9.00, at least 1.00
        ("discount", "", D("-4.50")),
        ("commitment", "", D("15.50")),  # 20.00 less the 4.50 that usage cost
    ]
    assert (bill.subtotal, bill.tax, bill.total) == (D("52.00"), D("9.88"), D("61.88"))
    assert (bill.contract_revision, bill.tax_category) == (1, "S")
    assert bill.lines.first().included == 5_000_000  # type: ignore[union-attr]
    assert audit(bill.number).differences == ()


@pytest.mark.parametrize("type", ["flat_fee", "percentage_fee", "discount", "commitment"])
def test_an_audit_names_a_line_of_any_type_that_was_changed(tenant: TenantInfo, use: Use, type: str) -> None:
    contract(tenant.key, date(2026, 1, 1), TERMS)
    bill = made(tenant, use)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE billing_invoiceline DISABLE TRIGGER final_is_final")
        cursor.execute(
            "UPDATE billing_invoiceline SET amount = amount + 1, amount_exact = amount_exact + 1 WHERE type = %s",
            [type],
        )
    (exact, amount) = audit(bill.number).differences
    assert f"({type}, " in exact
    assert "amount_exact: stored" in exact
    assert "amount: stored" in amount


def test_a_change_within_the_month_holds_from_its_day_and_old_invoices_stay_as_they_were(
    tenant: TenantInfo, use: Use
) -> None:
    info = contract(tenant.key, date(2026, 1, 1), Terms(flat_fees=(FlatFee("base", "Base fee", D("31.00")),)))
    bill = made(tenant, use)
    change(info.number, date(2026, 2, 15), Terms(flat_fees=(FlatFee("base", "Base fee", D("62.00")),)))
    (february,) = close_period(month("2026-02"), [tenant], wait_s=5)
    second = Invoice.objects.get(number=february.number)
    amounts = [line.amount for line in second.lines.all()]
    assert amounts == [D("15.50"), D("31.00")]  # 14 of 28 days at 31.00, 14 at 62.00
    assert (bill.invoice.contract_revision, second.contract_revision) == (1, 2)
    assert audit(bill.number).differences == audit(second.number).differences == ()


def test_a_month_is_that_of_the_contracts_own_calendar(tenant: TenantInfo, use: Use) -> None:
    contract(tenant.key, date(2026, 1, 15), Terms(), time_zone="Asia/Kathmandu", anchor_day=15)
    zone = ZoneInfo("Asia/Kathmandu")
    start, end = (datetime(2026, n, 15, tzinfo=zone).astimezone(UTC) for n in (1, 2))
    moment = timedelta(milliseconds=1)
    times = [start - moment, start, end - moment, end]
    use(tenant.key, *({"time": at, "input_tokens": 10**n, "output_tokens": 0} for n, at in enumerate(times)))
    found = {closed.number: closed for closed in close_period(month("2026-02"), [tenant], wait_s=5)}
    (invoice,) = Invoice.objects.filter(number__in=found)
    assert (invoice.period_start, invoice.period_end, invoice.input_tokens) == (start, end, 110)
    assert invoice.time_zone == "Asia/Kathmandu"
    (before,) = close(tenant)  # the days before the contract, at list prices
    first = Invoice.objects.get(number=before.number)
    assert (first.period_start, first.period_end, first.contract) == (MONTH.start, start, "")
    assert audit(invoice.number).differences == audit(first.number).differences == ()


def test_credit_that_expires_within_the_month_covers_only_what_was_used_before(tenant: TenantInfo, use: Use) -> None:
    in_germany(tenant)
    use(
        tenant.key,
        {"time": NOON, "input_tokens": 0, "output_tokens": 10_000_000},  # 6.00 before it expires
        {"time": NOON + timedelta(days=3), "input_tokens": 0, "output_tokens": 20_000_000},  # 12.00 after
    )
    expiring(tenant, NOON + timedelta(days=1), amount="80")
    (closed,) = close(tenant)
    bill = Invoice.objects.get(number=closed.number)
    assert lines(bill)[-1][::2] == ("credit", D("-6.00"))
    assert (bill.subtotal, bill.tax) == (D("12.00"), D("2.28"))
    assert audit(bill.number).differences == ()


def test_a_total_below_zero_is_carried_over_and_pays_for_the_next_invoice(tenant: TenantInfo, use: Use) -> None:
    terms = Terms(discounts=(Discount("fixed", "Good will", AppliesTo.ALL, amount=D("5.00")),))
    contract(tenant.key, date(2026, 1, 1), terms)
    given(tenant, "1.00", effective_from=MONTH.start)
    bill = made(tenant, use).invoice
    assert bill.total == D("3.00")  # 9.00 less 5.00, less 1.00 of credit
    assert audit(bill.number).differences == ()
    assert credits.check_balanced() in ([], ())


def test_tiers_are_counted_over_the_period_and_their_cost_is_shared_out_over_its_usage(
    tenant: TenantInfo, use: Use
) -> None:
    tiers = ({"up_to": 1_000_000, "amount": "10"}, {"up_to": None, "amount": "4"})
    row = PriceRow("tiered", "input", "USD", charge_model="graduated", tiers=tiers, effective_from=rating.BEGINNING)
    draft = pricebook.new_version("list", [row], "tiers", "ada")
    pricebook.publish("list", draft.number, "ada")
    use(
        tenant.key,
        *(
            {"model": "tiered", "time": at, "input_tokens": tokens, "output_tokens": 0}
            for at, tokens in ((NOON, 1_000_000), (NOON + timedelta(days=1), 3_000_000))
        ),
    )
    (closed,) = close(tenant)
    bill = Invoice.objects.get(number=closed.number)
    assert [line.amount for line in bill.lines.all()] == [D("22.00")]
    when = {"from": "2026-01-15", "to": "2026-02-01", "window": "day"}
    rows = get("/api/v1/usage", key(tenant.key), when).json()["data"]
    assert [row["cost"] for row in rows] == ["5.5", "16.5"]  # a quarter and three quarters of 22
    assert audit(bill.number).differences == ()


def test_an_invoice_that_is_made_twice_from_the_same_is_the_same(tenant: TenantInfo, use: Use) -> None:
    info = contract(tenant.key, date(2026, 1, 1), TERMS)
    bill = made(tenant, use)
    known = agreements.past_agreements([(info.number, 1, MONTH)])
    assert known[info.number, 1, MONTH].stretches[0].terms == TERMS
    assert InvoiceLine.objects.filter(invoice=bill.invoice).count() == 6
    assert rating.RATING_VERSION == bill.invoice.rating_version == 2
    assert not CreditGrant.objects.exists()
