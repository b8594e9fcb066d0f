"""From contract to invoices: periods of the contract's own midnights, fees by days, changes and ends in the middle."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from billing import agreements, runs
from billing.audit import audit
from billing.models import Invoice
from billing.rating.terms import FlatFee, Terms
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.agreed import change, contract, utc
from tests.billing.conftest import NOON, Use

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("settled", "prices")]
BASE, SMALL = (Terms(flat_fees=(FlatFee("base", "Base fee", Decimal(amount)),)) for amount in ("310", "155"))
SECOND = timedelta(seconds=1)


def used(use: Use, tenant: TenantInfo, *times: datetime, tokens: int = 1_000_000) -> None:
    """A request of so many input tokens at each of these times: 0.15 USD for a million."""
    rows = (
        {"id": f"{at}", "time": at, "ingested_at": NOON, "input_tokens": tokens, "output_tokens": 0} for at in times
    )
    use(tenant.key, *rows)


def billed(tenant: TenantInfo, cut_off: datetime) -> list[Invoice]:
    run = runs.start_run(cut_off, [tenant.key])
    assert run.problems == []
    return list(Invoice.objects.filter(tenant=tenant.key).order_by("period_start").prefetch_related("lines"))


def lines(invoice: Invoice) -> list[tuple[str, str]]:
    return [(line.type, f"{line.amount:.2f}") for line in invoice.lines.all() if line.amount]


def test_every_request_is_on_the_invoice_of_its_local_month(tenant: TenantInfo, use: Use) -> None:
    contract(tenant.key, date(2025, 11, 1), time_zone="Asia/Kathmandu")  # midnight is at 18:15Z
    november, december = utc(2025, 10, 31, 18, 15), utc(2025, 11, 30, 18, 15)
    used(use, tenant, november - SECOND, november, december - SECOND, december)
    found = billed(tenant, utc(2026, 1, 10))
    assert [(each.period_start, each.period_end, each.requests) for each in found] == [
        (utc(2025, 10, 1), november, 1),
        (november, december, 2),
        (december, utc(2025, 12, 31, 18, 15), 1),
    ]
    assert [each.contract for each in found].count("") == 1
    assert {each.time_zone for each in found[1:]} == {"Asia/Kathmandu"}


def test_a_fee_is_charged_for_the_days_that_it_held(tenant: TenantInfo) -> None:
    made = contract(tenant.key, date(2025, 12, 11), BASE, anchor_day=1)  # 21 of 31 days
    change(made.number, date(2025, 12, 21), SMALL)
    metering.seal_everything_before(NOON, wait_s=5)
    (found,) = billed(tenant, utc(2026, 1, 2))
    assert lines(found) == [("flat_fee", "100.00"), ("flat_fee", "55.00")]
    assert (found.contract, found.contract_revision, found.total) == (made.number, 2, Decimal("155.00"))


def test_while_it_is_paused_usage_is_billed_and_fees_are_not(tenant: TenantInfo, use: Use) -> None:
    made = contract(tenant.key, date(2025, 11, 1), BASE)
    agreements.pause(made.number, on=date(2025, 12, 1), actor="ada")
    used(use, tenant, utc(2025, 12, 5), tokens=10_000_000)
    found = billed(tenant, utc(2026, 1, 2))
    assert [lines(each) for each in found] == [[("flat_fee", "310.00")], [("usage", "1.50")]]


def test_what_is_used_after_a_contract_ended_is_billed_without_it(tenant: TenantInfo, use: Use) -> None:
    made = contract(tenant.key, date(2025, 12, 1), BASE)
    agreements.end(made.number, on=date(2025, 12, 11), actor="ada")
    used(use, tenant, utc(2025, 12, 10, 23, 59), utc(2025, 12, 11), tokens=10_000_000)
    first, second = billed(tenant, utc(2026, 1, 2))
    assert lines(first) == [("usage", "1.50"), ("flat_fee", "100.00")]
    assert (lines(second), second.contract) == ([("usage", "1.50")], "")


def test_a_change_after_the_invoice_leaves_it_as_it_is_and_its_audit_agrees(tenant: TenantInfo, use: Use) -> None:
    made = contract(tenant.key, date(2025, 12, 1), BASE)
    used(use, tenant, utc(2025, 12, 5))
    (found,) = billed(tenant, utc(2026, 1, 2))
    with pytest.raises(agreements.ContractRefused, match=found.number):
        change(made.number, date(2025, 12, 31), SMALL)
    change(made.number, date(2026, 1, 1), SMALL)
    assert audit(found.number).differences == ()
    january = billed(tenant, utc(2026, 2, 2))[-1]
    assert lines(january) == [("flat_fee", "155.00")]


def test_a_run_that_is_repeated_bills_nothing_twice_whatever_was_agreed_between(tenant: TenantInfo, use: Use) -> None:
    used(use, tenant, *(utc(2025, 11, day) for day in range(1, 31)), tokens=10_000_000)
    made = contract(tenant.key, date(2025, 11, 21), BASE, anchor_day=1)
    billed(tenant, utc(2025, 11, 22))  # 1 to 21 November
    agreements.end(made.number, on=date(2025, 11, 21), actor="ada")
    found = billed(tenant, utc(2025, 12, 2))
    assert [each.requests for each in found] == [20, 10]
    assert all(before.period_end == after.period_start for before, after in pairwise(found))
    assert billed(tenant, utc(2025, 12, 3)) == found
