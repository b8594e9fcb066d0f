"""Late usage of a period that is invoiced becomes adjustment lines of the next invoice, to the cent."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from billing import adjustments, finalising, invoicing, pricebook, runs
from billing.audit import audit
from billing.closing import close_period
from billing.models import Invoice, InvoiceLine
from billing.periods import month
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.conftest import MONTH, NOON, Use, close
from tests.billing.late import Late

pytestmark = pytest.mark.usefixtures("settled", "prices")

FEBRUARY, MARCH = month("2026-02"), month("2026-03")
IN_FEBRUARY = NOON + timedelta(days=31)


@pytest.fixture
def late(use: Use, settled: datetime) -> Late:
    return Late(use, settled)


def closed(tenant: TenantInfo, period: object) -> Invoice:
    (found,) = close_period(period, [tenant], wait_s=5)  # type: ignore[arg-type]
    assert found.number is not None, found
    return Invoice.objects.get(number=found.number)


def corrections(invoice: Invoice) -> list[InvoiceLine]:
    return list(invoice.lines.filter(type="adjustment"))


def test_an_adjustment_is_what_the_line_would_be_now_less_what_was_billed(
    tenant: TenantInfo, use: Use, late: Late
) -> None:
    use(tenant.key, {"input_tokens": 30_000, "output_tokens": 0})  # 0.0045: billed as 0.00
    first = closed(tenant, MONTH)
    late(tenant.key, {"input_tokens": 30_000, "output_tokens": 0})  # 0.009 in all: 0.01
    late(tenant.key, {"time": IN_FEBRUARY, "input_tokens": 10_000_000, "output_tokens": 0})
    second = closed(tenant, FEBRUARY)
    (line,) = corrections(second)
    assert (line.origin, line.quantity, line.amount) == (first, 30_000, Decimal("0.01"))  # rated alone it would be 0.00
    assert line.explanation.startswith(f"Of {first.number}, ")
    assert (first.total, second.total) == (0, Decimal("1.51"))
    assert audit(first.number).differences == audit(second.number).differences == ()


def test_a_period_with_nothing_but_late_usage_of_earlier_ones_gets_an_invoice(
    tenant: TenantInfo, use: Use, late: Late
) -> None:
    use(tenant.key, {})
    closed(tenant, MONTH)
    late(tenant.key, {"input_tokens": 1_000_000, "output_tokens": 0})
    second = closed(tenant, FEBRUARY)
    assert [(line.type, line.kind, line.amount) for line in second.lines.all()] == [
        ("adjustment", "input", Decimal("0.15")),
    ]
    assert (second.requests, second.total) == (0, Decimal("0.15"))
    assert second.usage_leaves == 1  # its digest covers the late request
    assert audit(second.number).differences == ()


def test_each_invoice_adjusts_only_what_came_since_the_one_before_it(tenant: TenantInfo, use: Use, late: Late) -> None:
    use(tenant.key, {"input_tokens": 33_333, "output_tokens": 0})
    first = closed(tenant, MONTH)
    for period in (FEBRUARY, MARCH):
        late(tenant.key, {"input_tokens": 33_333, "output_tokens": 0})
        late(tenant.key, {"time": period.start, "input_tokens": 1_000_000, "output_tokens": 0})
        closed(tenant, period)
    of_january = InvoiceLine.objects.filter(origin=first)
    billed = sum((line.amount for line in of_january), first.subtotal)
    assert billed == Decimal("0.01")  # 99,999 x 0.15 / 10^6 = 0.01499985
    assert [audit(row.number).differences for row in Invoice.objects.all()] == [()] * 3


def test_usage_of_a_new_model_is_a_line_of_its_own_and_a_new_price_does_not_reach_back(
    tenant: TenantInfo, use: Use, late: Late
) -> None:
    use(tenant.key, {})
    first = closed(tenant, MONTH)
    for kind in ("input", "output"):  # there was none when the first invoice was made: it would block, and is named
        pricebook.set_price(model="other", kind=kind, per_million="5", currency="USD")
    late(tenant.key, {"model": "other", "input_tokens": 1_000_000, "output_tokens": 0})
    (found,) = close_period(FEBRUARY, [tenant], wait_s=5)
    assert found.number is None
    assert "no price in USD for input of model 'other'" in found.problems[0]
    assert Invoice.objects.count() == 1
    assert corrections(first) == []


def test_late_requests_that_failed_change_nothing(tenant: TenantInfo, use: Use, late: Late) -> None:
    use(tenant.key, {})
    closed(tenant, MONTH)
    late(tenant.key, {"status": "error"})
    (found,) = close_period(FEBRUARY, [tenant], wait_s=5)
    assert (found.number, found.problems) == (None, ())


def test_what_is_late_is_never_billed_by_two_invoices_that_are_made_at_once(
    tenant: TenantInfo, use: Use, late: Late
) -> None:
    use(tenant.key, {})
    closed(tenant, MONTH)
    late(tenant.key, {"input_tokens": 1_000_000, "output_tokens": 0}, {"time": MARCH.start})
    stale = drafted(tenant, "2026-03")  # with the correction, as another worker would have it
    assert [line.type for line in stale.lines].count(invoicing.LineType.ADJUSTMENT) == 1
    closed(tenant, FEBRUARY)
    with pytest.raises(finalising.DraftStale, match=tenant.key):
        finalising.finalise([stale])
    march = closed(tenant, MARCH)
    assert corrections(march) == []
    assert InvoiceLine.objects.filter(type="adjustment").count() == 1


def drafted(tenant: TenantInfo, name: str) -> invoicing.Draft:
    seal = metering.seal_usage(now=True).seal
    assert seal is not None
    due = runs.in_month([tenant], name)
    (draft,) = runs.prepared(due, seal, pricebook.current_versions(), adjustments.Late(seal)).values()
    assert isinstance(draft, invoicing.Draft)
    return draft


def test_closing_again_says_how_much_is_late_and_bills_nothing(tenant: TenantInfo, use: Use, late: Late) -> None:
    use(tenant.key, {})
    (first,) = close(tenant)
    late(tenant.key, {}, {})
    (again,) = close(tenant)
    assert (again.number, again.new) == (first.number, False)
    assert "2 events, which the next invoice adjusts" in again.notes[0]
