"""Which periods are due: ended with the customer's grace, not invoiced, and something in them."""

from datetime import UTC, date, datetime

import pytest

from billing import agreements
from billing.agreements import Due
from billing.contracts import Period
from billing.periods import month
from billing.rating.terms import Terms
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.agreed import BASE_FEE, contract, invoice, utc
from tests.billing.conftest import NOON, Use
from tests.metering.meter_rows import insert_meter_events

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("settled")]
PAID = Terms(flat_fees=(BASE_FEE,))


@pytest.fixture
def own(tenant: TenantInfo) -> TenantInfo:
    return tenant


def seal() -> None:
    metering.seal_everything_before(datetime.now(UTC), wait_s=5)


def used(use: Use, tenant: TenantInfo, *times: datetime) -> None:
    use(tenant.key, *({"id": f"{n}", "time": each, "ingested_at": NOON} for n, each in enumerate(times)))
    seal()


def due(tenant: TenantInfo, cut_off: datetime) -> list[tuple[str, str]]:
    return shown(agreements.due_periods([tenant], cut_off))


def shown(found: list[Due]) -> list[tuple[str, str]]:
    return [(f"{each.period.start:%Y-%m-%d}", f"{each.period.end:%Y-%m-%d}") for each in found]


def test_a_month_is_due_when_it_has_ended_and_a_day_has_passed(own: TenantInfo, use: Use) -> None:
    used(use, own, utc(2026, 1, 15))
    assert due(own, utc(2026, 2, 1, 23, 59)) == []
    assert due(own, utc(2026, 2, 2)) == [("2026-01-01", "2026-02-01")]


def test_the_grace_is_the_customers(own: TenantInfo, use: Use) -> None:
    used(use, own, utc(2026, 1, 15))
    agreements.save_customer(own.key, actor="ada", grace_hours=72)
    assert due(own, utc(2026, 2, 3, 23, 59)) == []
    assert due(own, utc(2026, 2, 4)) == [("2026-01-01", "2026-02-01")]


def test_nothing_used_and_nothing_agreed_is_not_due(own: TenantInfo) -> None:
    assert due(own, utc(2026, 3, 15)) == []


def test_months_in_which_nothing_was_used_are_left_out_but_the_last(own: TenantInfo, use: Use) -> None:
    used(use, own, utc(2025, 6, 15), utc(2025, 9, 15))
    found = due(own, utc(2026, 1, 15))
    assert found == [("2025-06-01", "2025-07-01"), ("2025-09-01", "2025-10-01"), ("2025-12-01", "2026-01-01")]


def test_what_is_invoiced_is_not_due_again_even_if_it_became_void(own: TenantInfo, use: Use) -> None:
    used(use, own, utc(2025, 6, 15), utc(2025, 7, 15), utc(2025, 8, 15))
    invoice(own.key, utc(2025, 6, 1), utc(2025, 7, 1))
    invoice(own.key, utc(2025, 8, 1), utc(2025, 9, 1), void=True)
    assert due(own, utc(2025, 9, 15)) == [("2025-07-01", "2025-08-01")]


def test_a_month_before_the_first_invoice_is_due_if_usage_came_late(own: TenantInfo, use: Use) -> None:
    invoice(own.key, utc(2025, 8, 1), utc(2025, 9, 1))
    used(use, own, utc(2025, 6, 15))
    assert due(own, utc(2025, 9, 15)) == [("2025-06-01", "2025-07-01")]


def test_a_fee_is_due_though_nothing_was_used(own: TenantInfo) -> None:
    seal()
    contract(own.key, date(2026, 1, 15), PAID)
    assert due(own, utc(2026, 3, 20)) == [("2026-01-15", "2026-02-15"), ("2026-02-15", "2026-03-15")]


def test_a_contract_without_fees_is_due_where_something_was_used(own: TenantInfo, use: Use) -> None:
    contract(own.key, date(2026, 1, 15), anchor_day=15)
    used(use, own, utc(2026, 3, 1))
    assert due(own, utc(2026, 6, 20)) == [
        ("2026-02-15", "2026-03-15"),
        ("2026-03-15", "2026-04-15"),  # a part of it lies in a month with usage: what was in it, rating says
        ("2026-05-15", "2026-06-15"),
    ]


def test_before_and_after_a_contract_months_are_due_at_list_prices(own: TenantInfo, use: Use) -> None:
    made = contract(own.key, date(2026, 1, 20), PAID, anchor_day=1)
    agreements.end(made.number, on=date(2026, 2, 10), actor="ada")
    used(use, own, utc(2026, 1, 10), utc(2026, 1, 25), utc(2026, 2, 5), utc(2026, 2, 15))
    found = agreements.due_periods([own], utc(2026, 3, 15))
    assert shown(found) == [
        ("2026-01-01", "2026-01-20"),
        ("2026-01-20", "2026-02-01"),
        ("2026-02-01", "2026-02-10"),
        ("2026-02-10", "2026-03-01"),
    ]
    assert [each.agreed.contract for each in found] == ["", made.number, made.number, ""]


def test_periods_of_a_zone_end_at_its_midnights(own: TenantInfo) -> None:
    contract(own.key, date(2026, 1, 1), PAID, time_zone="Pacific/Chatham")
    agreements.save_customer(own.key, actor="ada", grace_hours=0)
    assert len(due(own, utc(2026, 1, 31, 10, 14))) == 0
    (found,) = agreements.due_periods([own], utc(2026, 1, 31, 10, 15))
    assert found.period.end == utc(2026, 1, 31, 10, 15)
    tenant, period, agreed = found
    assert (tenant, period, agreed) == (own, found.period, found.agreed)


def test_events_of_meters_alone_make_a_month_due(own: TenantInfo) -> None:
    insert_meter_events(own.key, "gpu.hours", {"id": "1", "data": {}, "time": utc(2025, 11, 3), "ingested_at": NOON})
    seal()
    assert ("2025-11-01", "2025-12-01") in due(own, utc(2026, 1, 15))


def test_one_query_of_a_kind_for_many_tenants(own: TenantInfo, use: Use, tenant_key: str) -> None:
    more = [metering.create_tenant(f"{tenant_key}-{n}") for n in range(5)]
    for each in more:
        contract(each.key, date(2026, 1, 1), PAID)
    used(use, own, utc(2026, 1, 15))
    found = agreements.due_periods([own, *more], utc(2026, 2, 15))
    assert [each.tenant.key for each in found] == [own.key, *(each.key for each in more)]


def test_periods_that_end_within_a_month_are_found_whatever_is_invoiced(own: TenantInfo) -> None:
    contract(own.key, date(2026, 1, 15), PAID)
    invoice(own.key, utc(2026, 1, 15), utc(2026, 2, 15))
    found = agreements.periods_ending([own], utc(2026, 2, 1), utc(2026, 3, 1))
    assert shown(found) == [("2026-01-15", "2026-02-15")]


def test_a_month_without_a_contract_ends_within_itself(own: TenantInfo) -> None:
    found = agreements.periods_ending([own], utc(2026, 1, 1), utc(2026, 2, 1))
    assert shown(found) == [("2026-01-01", "2026-02-01")]


def test_what_an_invoice_covers_is_not_due_again_when_a_contract_that_cut_it_is_taken_back(
    own: TenantInfo, use: Use
) -> None:
    made = contract(own.key, date(2026, 1, 20), anchor_day=1)
    used(use, own, utc(2026, 1, 10), utc(2026, 1, 25))
    invoice(own.key, utc(2026, 1, 1), utc(2026, 1, 20))
    agreements.end(made.number, on=date(2026, 1, 20), actor="ada")  # it never was
    assert due(own, utc(2026, 2, 15)) == [("2026-01-20", "2026-02-01")]


def test_a_contract_that_goes_on_after_its_last_invoice_is_billed_from_there(own: TenantInfo) -> None:
    seal()
    made = contract(own.key, date(2026, 1, 1), PAID)
    agreements.end(made.number, on=date(2026, 1, 20), actor="ada")
    invoice(own.key, utc(2026, 1, 1), utc(2026, 1, 20))
    agreements.resume(made.number, on=date(2026, 1, 20), actor="ada")
    (found,) = agreements.due_periods([own], utc(2026, 2, 15))
    assert shown([found]) == [("2026-01-20", "2026-02-01")]
    assert (found.agreed.agreement.stretches[0].days, found.agreed.agreement.period_days) == (12, 31)


def test_a_void_invoice_whose_period_is_no_longer_one_is_not_in_the_way(own: TenantInfo, use: Use) -> None:
    used(use, own, utc(2026, 1, 10))
    invoice(own.key, utc(2026, 1, 1), utc(2026, 2, 1), void=True)
    contract(own.key, date(2026, 1, 5), PAID, anchor_day=1)
    assert due(own, utc(2026, 2, 15)) == [("2026-01-01", "2026-01-05"), ("2026-01-05", "2026-02-01")]
    assert not agreements.is_period(own, month("2026-01"))
    assert agreements.is_period(own, Period(utc(2026, 1, 5), utc(2026, 2, 1)))


def test_an_invoice_that_came_between_makes_a_draft_stale(own: TenantInfo) -> None:
    drafted = agreements.agreements([own], utc(2026, 1, 15))
    invoice(own.key, utc(2026, 1, 1), utc(2026, 1, 20))
    assert agreements.changed_since(drafted) == {own.key}
