"""Which period of a tenant holds a moment, and what is agreed for it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import agreements, periods
from billing.agreements import Agreed
from billing.contract_terms import ContractInfo, Revision, contracts_of
from billing.contracts import Period
from billing.invoiced import Invoiced
from billing.periods import month
from billing.rating.terms import (
    Allowance,
    AppliesTo,
    Discount,
    FlatFee,
    Measure,
    Objective,
    PercentageFee,
    Terms,
)
from billing.timelines import Timeline
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.agreed import BASE_FEE, change, contract, utc

pytestmark = pytest.mark.django_db

EVERYTHING = Terms(
    plan="Scale",
    flat_fees=(FlatFee("seat", "Seats", Decimal("49.90")), BASE_FEE),
    percentage_fees=(PercentageFee("support", "Support", Decimal("0.1"), Decimal(50)),),
    allowances=(Allowance("free", "m", "input", "", Decimal(1_000_000)),),
    discounts=(
        Discount("loyal", "Loyal", AppliesTo.ALL, share=Decimal("0.05")),
        Discount("cash", "Cash", AppliesTo.USAGE, model="m", amount=Decimal("10.5")),
    ),
    commitment=Decimal(1000),
    objectives=(Objective("fast", Measure.TTFT_P95_MS, "m", Decimal(500), Decimal("0.1"), 50),),
)


@pytest.fixture
def own(tenant_key: str) -> TenantInfo:
    return metering.create_tenant(tenant_key)


def at(tenant: TenantInfo, when: datetime | Period) -> Agreed:
    return agreements.agreements([tenant], when)[tenant.key]


def days(agreed: Agreed) -> list[tuple[int, str, bool]]:
    return [(each.days, each.terms.plan, each.terms.active) for each in agreed.agreement.stretches]


def test_without_a_contract_it_is_the_calendar_month_at_list_prices(own: TenantInfo) -> None:
    found = at(own, utc(2026, 2, 10))
    assert (found.contract, found.revision, found.currency) == ("", 0, "USD")
    assert found.period == month("2026-02")
    assert [(each.terms, each.days) for each in found.agreement.stretches] == [(Terms(), 28)]
    assert (found.agreement.period_days, found.tax.rate, found.customer.legal_name) == (28, 0, own.name)
    assert (found.customer.grace_hours, found.customer.payment_terms_days) == (24, 30)


def test_what_was_agreed_is_what_is_read(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), EVERYTHING)
    found = at(own, utc(2026, 3, 3))
    assert (found.contract, found.revision) == (made.number, 1)
    assert [each.terms for each in found.agreement.stretches] == [EVERYTHING]


def test_a_period_of_the_contract_lies_between_its_own_midnights(own: TenantInfo) -> None:
    contract(own.key, date(2026, 1, 20), time_zone="Asia/Kathmandu", anchor_day=31)
    found = at(own, utc(2026, 2, 10))
    assert found.period == Period(utc(2026, 1, 30, 18, 15), utc(2026, 2, 27, 18, 15))
    assert found.zone.key == "Asia/Kathmandu"
    assert (found.agreement.period_days, found.agreement.stretches[0].days) == (28, 28)


def test_the_first_period_holds_a_part_of_the_days(own: TenantInfo) -> None:
    contract(own.key, date(2026, 1, 20), Terms(flat_fees=(BASE_FEE,)), anchor_day=1)
    found = at(own, utc(2026, 1, 25))
    assert found.period == Period(utc(2026, 1, 20), utc(2026, 2, 1))
    assert (found.agreement.stretches[0].days, found.agreement.period_days) == (12, 31)


def test_before_a_contract_begins_the_month_is_cut_there(own: TenantInfo) -> None:
    contract(own.key, date(2026, 1, 20))
    found = at(own, utc(2026, 1, 10))
    assert (found.contract, found.period) == ("", Period(utc(2026, 1, 1), utc(2026, 1, 20)))
    assert (found.agreement.stretches[0].days, found.agreement.period_days) == (19, 31)


def test_after_a_contract_has_ended_months_go_on_from_there(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1))
    agreements.end(made.number, on=date(2026, 3, 10), actor="ada")
    assert at(own, utc(2026, 3, 9)).period == Period(utc(2026, 3, 1), utc(2026, 3, 10))
    after = at(own, utc(2026, 3, 10))
    assert (after.contract, after.period) == ("", Period(utc(2026, 3, 10), utc(2026, 4, 1)))
    assert at(own, utc(2026, 4, 10)).period == month("2026-04")


def test_a_change_divides_the_period_by_local_days(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), Terms(plan="S"), time_zone="Europe/Berlin")
    change(made.number, date(2026, 3, 11), Terms(plan="M"))
    agreements.pause(made.number, on=date(2026, 3, 21), actor="ada")
    agreements.resume(made.number, on=date(2026, 3, 26), actor="ada")
    found = at(own, utc(2026, 3, 15))
    assert days(found) == [(10, "S", True), (10, "M", True), (5, "M", False), (6, "M", True)]
    stretches = found.agreement.stretches
    assert stretches[0].start == found.period.start
    assert stretches[-1].end == found.period.end
    assert all(before.end == after.start for before, after in pairwise(stretches))
    assert stretches[1].start == utc(2026, 3, 10, 23)
    assert stretches[-1].end == utc(2026, 3, 31, 22)  # summer time began on the 29th
    assert found.revision == 4


def test_of_two_changes_for_a_day_the_later_holds(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), Terms(plan="S"))
    change(made.number, date(2026, 3, 11), Terms(plan="wrong"))
    change(made.number, date(2026, 3, 11), Terms(plan="M"))
    assert days(at(own, utc(2026, 3, 15))) == [(10, "S", True), (21, "M", True)]


def test_a_change_lasts_until_one_that_waits(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), Terms(plan="S"))
    change(made.number, date(2026, 3, 21), Terms(plan="L"))
    change(made.number, date(2026, 3, 11), Terms(plan="M"))
    assert days(at(own, utc(2026, 3, 15))) == [(10, "S", True), (10, "M", True), (11, "L", True)]


def test_neighbours_of_the_same_terms_are_one_stretch(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), Terms(plan="S"))
    change(made.number, date(2026, 3, 11), Terms(plan="M"))
    change(made.number, date(2026, 3, 11), Terms(plan="S"))
    assert days(at(own, utc(2026, 3, 15))) == [(31, "S", True)]


def test_a_contract_that_was_cancelled_cuts_nothing(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 3, 11))
    agreements.end(made.number, on=date(2026, 3, 11), actor="ada")
    assert at(own, utc(2026, 3, 15)).period == month("2026-03")
    contract(own.key, date(2026, 3, 1))


def test_an_agreement_can_be_read_as_it_was(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), Terms(plan="S"))
    change(made.number, date(2026, 3, 11), Terms(plan="M"))
    agreements.end(made.number, on=date(2026, 3, 21), actor="ada")
    march = month("2026-03")
    found = agreements.past_agreements([(made.number, n, march) for n in (1, 2, 3)] + [("", 0, march)])
    plans = {key[1]: [(each.days, each.terms.plan) for each in value.stretches] for key, value in found.items()}
    assert plans == {0: [(31, "")], 1: [(31, "S")], 2: [(10, "S"), (21, "M")], 3: [(10, "S"), (10, "M")]}
    assert found[made.number, 2, march].revision == 2


def test_an_agreement_of_a_contract_that_is_not_here_is_an_error(own: TenantInfo) -> None:
    with pytest.raises(LookupError, match="there is no contract 'CT-1'"):
        agreements.past_agreements([("CT-1", 1, month("2026-03"))])


def test_a_period_that_is_given_must_lie_within_one_of_the_tenants(own: TenantInfo) -> None:
    contract(own.key, date(2026, 1, 15))
    inner = Period(utc(2026, 1, 20), utc(2026, 2, 1))
    assert at(own, inner).period == inner
    with pytest.raises(ValueError, match="not within one billing period"):
        at(own, month("2026-02"))


def test_ten_times_the_tenants_take_no_more_queries(tenant_key: str) -> None:
    many = [metering.create_tenant(f"{tenant_key}-{n}") for n in range(20)]
    for each in many:
        made = contract(each.key, date(2026, 1, 1), EVERYTHING)
        change(made.number, date(2026, 3, 11), Terms(plan="M"))
    counts = []
    for some in (many[:2], many):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            found = agreements.agreements(some, utc(2026, 3, 15))
        assert {len(each.agreement.stretches) for each in found.values()} == {2}
        counts.append(len(queries))
    assert counts == [11, 11]


def test_more_tenants_than_are_named_in_a_statement_get_their_own_all_the_same(
    own: TenantInfo, tenant_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = metering.create_tenant(f"{tenant_key}-2")
    contract(own.key, date(2026, 1, 1), Terms(plan="S"))
    contract(other.key, date(2026, 1, 1), Terms(plan="L"))
    monkeypatch.setattr("billing.contract_terms.NAMED_AT_MOST", 0)
    assert set(contracts_of([own.key])) == {own.key}
    assert days(at(own, utc(2026, 3, 15))) == [(31, "S", True)]


def test_what_changed_since_a_draft_was_made_is_seen(own: TenantInfo, tenant_key: str) -> None:
    other, third = (metering.create_tenant(f"{tenant_key}-{n}") for n in (2, 3))
    made = contract(own.key, date(2026, 1, 1))
    drafted = agreements.agreements([own, other, third], utc(2026, 3, 15))
    assert agreements.changed_since(drafted) == set()
    change(made.number, date(2026, 9, 1), Terms(plan="later, but a revision of its own"))
    contract(other.key, date(2026, 3, 20))  # within the month that was drafted without a contract
    contract(third.key, date(2026, 4, 1))
    assert agreements.changed_since(drafted) == {own.key, other.key}


PlanOf = Callable[..., tuple[ContractInfo, ...]]
spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 200), st.integers(1, 31)), max_size=4)
zone_names = st.sampled_from(["UTC", "Asia/Kathmandu", "Europe/Berlin", "America/Santiago", "Pacific/Kiritimati"])


def _contracts(parts: list[tuple[int, int, int]], zones: list[str]) -> tuple[ContractInfo, ...]:
    """Contracts one after the other: days between, days long, anchor."""
    found, day = [], date(2026, 1, 20)
    for (gap, length, anchor), zone in zip(parts, zones, strict=False):
        starts_on = day + timedelta(days=gap + 2)  # two days apart, so that no two zones overlap
        first = Revision(1, starts_on, "active", Terms(), "", "", utc(2026, 1, 1))
        last = replace(first, number=2, effective_on=starts_on + timedelta(days=length), state="ended")
        info = ContractInfo(f"CT-{day}", "t", "USD", ZoneInfo(zone), anchor, starts_on, (first, last))
        found.append(info)
        day = last.effective_on
    return tuple(each for each in found if not each.cancelled)


@settings(deadline=None)  # a busy machine is no failure
@given(spans, st.lists(zone_names, min_size=4, max_size=4))
def test_the_periods_of_a_tenant_tile_time_whatever_contracts_there_are(
    parts: list[tuple[int, int, int]], zones: list[str]
) -> None:
    contracts = _contracts(parts, zones)
    timeline = Timeline(contracts)
    found, moment = [], utc(2026, 1, 1)
    while moment < datetime(2029, 1, 1, tzinfo=UTC):
        found.append(timeline.period_at(moment))
        moment = found[-1].end
    assert found[0].start == utc(2026, 1, 1)
    assert all(before.end == after.start for before, after in pairwise(found))
    for period in found:
        assert period.start < period.end
        assert timeline.period_at(period.end - timedelta(microseconds=1)) == period
        holders = {timeline.holding(edge) for edge in (period.start, period.end - timedelta(seconds=1))}
        assert len(holders) == 1
    edges = {each.start for each in found}
    for each in contracts:
        assert {each.schedule.start, each.schedule.end} <= edges


@settings(deadline=None)  # a busy machine is no failure
@given(spans, st.lists(zone_names, min_size=4, max_size=4), st.lists(st.integers(0, 70_000), min_size=2, max_size=6))
def test_what_is_invoiced_cuts_the_periods_whatever_is_agreed_since(
    parts: list[tuple[int, int, int]], zones: list[str], quarters: list[int]
) -> None:
    edges = sorted({utc(2026, 1, 1) + timedelta(minutes=15 * each) for each in quarters})
    standing = frozenset(Period(start, end) for start, end in pairwise(edges))
    timeline = Timeline(_contracts(parts, zones), Invoiced(standing))
    found = list(timeline.periods(utc(2026, 1, 1), utc(2029, 1, 1)))
    assert all(before.end == after.start for before, after in pairwise(found))
    for period in found:
        within = [each for each in standing if each.start < period.end and period.start < each.end]
        assert all(each.start <= period.start and period.end <= each.end for each in within)
        assert timeline.invoiced.covers(period.start) == bool(within)


changes = st.lists(
    st.tuples(st.integers(0, 150), st.sampled_from("SML"), st.sampled_from(["active", "paused"])), max_size=6
)


@settings(deadline=None)  # a busy machine is no failure
@given(changes, zone_names, st.integers(1, 31), st.integers(0, 150))
def test_stretches_tile_their_period_and_each_day_has_the_terms_that_hold_on_it(
    steps: list[tuple[int, str, str]], zone: str, anchor: int, day: int
) -> None:
    starts_on = date(2026, 1, 20)
    first = Revision(1, starts_on, "active", Terms(plan="S"), "", "", utc(2026, 1, 1))
    later = [
        replace(
            first,
            number=n,
            effective_on=starts_on + timedelta(days=days),
            state=state,
            terms=Terms(plan, state == "active"),
        )
        for n, (days, plan, state) in enumerate(steps, start=2)
    ]
    info = ContractInfo("CT-1", "t", "USD", ZoneInfo(zone), anchor, starts_on, (first, *later))
    period = Timeline((info,)).period_at(periods.midnight(starts_on + timedelta(days=day), info.zone))
    found = info.agreement(period.start, period.end)
    assert (found.stretches[0].start, found.stretches[-1].end) == (period.start, period.end)
    assert all(before.end == after.start for before, after in pairwise(found.stretches))
    assert all(before.terms != after.terms for before, after in pairwise(found.stretches))
    assert sum(each.days for each in found.stretches) == periods.days_between(period.start, period.end, info.zone)
    for stretch in found.stretches:
        local = periods.local_day(stretch.start, info.zone)
        for n in range(stretch.days):
            held = info.holding_on(local + timedelta(days=n))
            assert held is not None
            assert held.terms == stretch.terms
