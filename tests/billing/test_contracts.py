"""Contracts: made, changed, paused, resumed, ended, on days that nothing is invoiced for, and on the record."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from billing import agreements
from billing.agreements import ContractRefused
from billing.contract_terms import contract as read
from billing.models import AuditEntry, Contract, ContractRevision, FlatFee, PriceBook, Unchangeable
from billing.rating import terms
from billing.rating.terms import Allowance, AppliesTo, Discount, Measure, Objective, PercentageFee, Terms
from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.agreed import BASE_FEE, change, contract, invoice, utc

pytestmark = pytest.mark.django_db
S, M = Terms(plan="S", flat_fees=(BASE_FEE,)), Terms(plan="M")


@pytest.fixture
def own(tenant_key: str) -> TenantInfo:
    return metering.create_tenant(tenant_key)


def test_a_contract_begins_with_its_first_revision(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 20), S, note="signed by both")
    assert made.number.startswith("CT-")
    assert (made.anchor_day, made.zone.key, made.currency, made.latest, made.ends_on) == (20, "UTC", "USD", 1, None)
    (first,) = made.revisions
    assert (first.effective_on, first.state, first.terms, first.note, first.created_by) == (
        date(2026, 1, 20),
        "active",
        S,
        "signed by both",
        "ada",
    )


def test_numbers_of_contracts_follow_each_other(own: TenantInfo, tenant_key: str) -> None:
    first = contract(own.key, date(2026, 1, 20))
    second = contract(metering.create_tenant(f"{tenant_key}-2").key, date(2026, 1, 20))
    assert int(second.number[-6:]) == int(first.number[-6:]) + 1
    assert contract(metering.create_tenant(f"{tenant_key}-3").key, date(2026, 1, 20), number="A-7").number == "A-7"
    with pytest.raises(ContractRefused, match="there is a contract 'A-7' already"):
        contract(metering.create_tenant(f"{tenant_key}-4").key, date(2026, 1, 20), number="A-7")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"tenant": "nobody"}, "there is no tenant 'nobody'"),
        ({"currency": "EUR"}, "metered and billed in USD: a contract in EUR would need a conversion"),
        ({"anchor_day": 32}, "1 to 31, not 32"),
        ({"anchor_day": 0}, "1 to 31, not 0"),
        ({"time_zone": "Mars/Olympus"}, "not a time zone"),
        ({"time_zone": "Africa/Monrovia", "starts_on": date(1971, 1, 1)}, "not on a quarter of an hour"),
        ({"number": "a b"}, "a number has 1 to 32 letters, digits or -"),
        ({"terms": Terms(price_book="acme")}, "there is no price book 'acme'"),
    ],
)
def test_a_contract_that_cannot_be_is_refused(own: TenantInfo, more: dict[str, Any], reason: str) -> None:
    with pytest.raises(ContractRefused, match=reason):
        contract(**{"tenant": own.key, "starts_on": date(2026, 1, 1)} | more)
    assert not Contract.objects.exists()


def test_a_contract_is_in_the_currency_that_the_tenant_is_metered_in(tenant_key: str) -> None:
    euro = metering.create_tenant(tenant_key, currency="EUR")
    assert contract(euro.key, date(2026, 1, 1), currency="EUR").currency == "EUR"


def test_never_two_contracts_at_a_time(own: TenantInfo) -> None:
    first = contract(own.key, date(2026, 1, 1))
    with pytest.raises(ContractRefused, match=f"has contract {first.number} from 2026-01-01 without an end"):
        contract(own.key, date(2027, 1, 1))
    agreements.end(first.number, on=date(2026, 6, 1), actor="ada")
    with pytest.raises(ContractRefused, match="until 2026-06-01: never two at a time"):
        contract(own.key, date(2026, 5, 31))
    contract(own.key, date(2026, 6, 1))


def test_of_two_zones_the_moments_count_not_the_days(own: TenantInfo) -> None:
    first = contract(own.key, date(2026, 1, 1), time_zone="America/New_York")
    agreements.end(first.number, on=date(2026, 6, 1), actor="ada")
    with pytest.raises(ContractRefused, match="never two at a time"):
        contract(own.key, date(2026, 6, 1), time_zone="Asia/Tokyo")  # eighteen hours before New York's 1 June


def test_a_change_may_reach_back_to_the_first_day_that_is_not_invoiced(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), S)
    known = invoice(own.key, utc(2026, 1, 1), utc(2026, 2, 1))
    with pytest.raises(ContractRefused, match=f"invoiced up to 2026-02-01 00:00Z by {known.number}"):
        change(made.number, date(2026, 1, 31), M)
    with pytest.raises(ContractRefused, match=known.number):
        agreements.end(made.number, on=date(2026, 1, 15), actor="ada")
    assert change(made.number, date(2026, 2, 1), M).latest == 2


def test_a_contract_may_not_begin_on_a_day_that_is_invoiced(own: TenantInfo) -> None:
    known = invoice(own.key, utc(2026, 1, 1), utc(2026, 2, 1))
    with pytest.raises(ContractRefused, match=known.number):
        contract(own.key, date(2026, 1, 31))
    with pytest.raises(ContractRefused, match=known.number):  # begins at 15:00Z of the day before
        contract(own.key, date(2026, 2, 1), time_zone="Asia/Tokyo")
    contract(own.key, date(2026, 2, 1))


def test_an_invoice_that_is_void_or_for_credit_holds_nothing(own: TenantInfo) -> None:
    invoice(own.key, utc(2026, 1, 1), utc(2026, 2, 1), void=True)
    invoice(own.key, utc(2026, 1, 1), utc(2026, 3, 1), kind="top_up")
    contract(own.key, date(2026, 1, 1))


def test_a_change_that_waits_leaves_today_as_it_is(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), S)
    after = change(made.number, date(2099, 1, 1), M)
    held = [after.holding_on(day) for day in (date(2026, 6, 1), date(2098, 12, 31), date(2099, 1, 1))]
    assert [each.terms.plan for each in held if each] == ["S", "S", "M"]


def test_pausing_keeps_the_terms_and_stops_what_they_charge(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), S)
    paused = agreements.pause(made.number, on=date(2026, 2, 1), actor="ada")
    assert (paused.revisions[-1].state, paused.revisions[-1].terms) == ("paused", replace(S, active=False))
    with pytest.raises(ContractRefused, match="is paused on 2026-02-01 already"):
        agreements.pause(made.number, on=date(2026, 2, 1), actor="ada")
    resumed = agreements.resume(made.number, on=date(2026, 3, 1), actor="ada")
    assert resumed.revisions[-1].terms == S
    with pytest.raises(ContractRefused, match="is active on 2026-03-01 already"):
        agreements.resume(made.number, on=date(2026, 3, 1), actor="ada")


def test_a_contract_is_over_at_the_midnight_on_which_it_ends(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), S)
    change(made.number, date(2026, 9, 1), M)
    ended = agreements.end(made.number, on=date(2026, 6, 1), actor="ada")
    assert ended.ends_on == date(2026, 6, 1)  # and the change that waited never holds
    assert ended.schedule.end == utc(2026, 6, 1)
    for act in (agreements.end, agreements.pause, agreements.resume):
        with pytest.raises(ContractRefused, match="ends on 2026-06-01: nothing can change after that"):
            act(made.number, on=date(2026, 6, 2), actor="ada")
    with pytest.raises(ContractRefused, match="is ended on 2026-06-01 already"):
        agreements.pause(made.number, on=date(2026, 6, 1), actor="ada")


def test_what_has_ended_is_not_changed_back_to_life(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), S)
    agreements.end(made.number, on=date(2026, 6, 1), actor="ada")
    with pytest.raises(ContractRefused, match="is ended on 2026-06-01 already"):
        change(made.number, date(2026, 6, 1), M)


def test_an_end_can_be_taken_back_unless_another_contract_has_begun(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), S)
    agreements.end(made.number, on=date(2026, 6, 1), actor="ada")
    assert agreements.resume(made.number, on=date(2026, 6, 1), actor="ada").ends_on is None
    agreements.end(made.number, on=date(2026, 6, 1), actor="ada")
    other = contract(own.key, date(2026, 7, 1))
    with pytest.raises(ContractRefused, match=f"has contract {other.number}"):
        agreements.resume(made.number, on=date(2026, 6, 1), actor="ada")


def test_a_contract_has_no_terms_before_it_begins(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 20), S)
    with pytest.raises(ContractRefused, match="begins on 2026-01-20: it has no terms on 2026-01-19"):
        change(made.number, date(2026, 1, 19), M)
    with pytest.raises(ContractRefused, match="there is no contract 'CT-0'"):
        change("CT-0", date(2026, 1, 19), M)


def test_a_change_that_changes_nothing_is_refused(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), S)
    with pytest.raises(ContractRefused, match="on these terms"):
        change(made.number, date(2026, 2, 1), S)


def test_a_book_of_its_own_is_named_by_the_terms(own: TenantInfo) -> None:
    PriceBook.objects.create(name="acme")
    assert contract(own.key, date(2026, 1, 1), Terms(price_book="acme")).revisions[0].terms.price_book == "acme"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"commitment": Decimal(-1)}, "the commitment: -1 is not an amount of at least 0"),
        ({"commitment": Decimal("0.001")}, "the commitment: 0.001 is less than what USD can be paid in"),
        ({"commitment": Decimal("NaN")}, "NaN is not an amount"),
        ({"price_book": "list"}, "the book 'list' is everybody's"),
        ({"plan": "x" * 101}, "at most 100 characters"),
        ({"flat_fees": (BASE_FEE, BASE_FEE)}, "fee 'base' is there 2 times"),
        ({"flat_fees": (terms.FlatFee("a b", "A", Decimal(1)),)}, "a code has 1 to 64"),
        ({"flat_fees": (terms.FlatFee("a", " ", Decimal(1)),)}, "needs a description"),
        ({"percentage_fees": (PercentageFee("a", "A", Decimal(7)),)}, "7 is not a share from 0 to 1"),
        ({"allowances": (Allowance("a", "*", "words", "", Decimal(1)),)}, "'words' is not one of input"),
        ({"allowances": (Allowance("a", "*", "input", "", Decimal(0)),)}, "0 is not a quantity above 0"),
        ({"allowances": (Allowance("a", "", "input", "", Decimal(1)),)}, "needs a model"),
        ({"discounts": (Discount("a", "A", AppliesTo.ALL),)}, "either a share or an amount"),
        ({"discounts": (Discount("a", "A", AppliesTo.ALL, share=Decimal(2)),)}, "2 is not a share"),
        ({"discounts": (Discount("a", "A", AppliesTo.ALL, model="m", share=Decimal("0.1")),)}, "for usage alone"),
        (
            {"objectives": (Objective("a", Measure.AVAILABILITY, "*", Decimal(99), Decimal("0.1")),)},
            "99 is not a share",
        ),
        (
            {"objectives": (Objective("a", Measure.TTFT_P95_MS, "*", Decimal(0), Decimal("0.1")),)},
            "not a number of milliseconds",
        ),
        (
            {"objectives": (Objective("a", Measure.TPOT_P95_MS, "*", Decimal("NaN"), Decimal("0.1")),)},
            "not a number of milliseconds",
        ),
        (
            {"objectives": (Objective("a", Measure.TPOT_P95_MS, "*", Decimal("0.0000001"), Decimal("0.1")),)},
            "at most 6 digits",
        ),
        (
            {"objectives": (Objective("a", Measure.TPOT_P95_MS, "", Decimal(1), Decimal("0.1"), 0),)},
            "needs at least one request",
        ),
    ],
)
def test_terms_that_cannot_be_agreed_are_refused_by_name(own: TenantInfo, wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ContractRefused, match=reason):
        contract(own.key, date(2026, 1, 1), replace(Terms(), **wrong))


def test_all_that_is_wrong_is_said_at_once(own: TenantInfo) -> None:
    with pytest.raises(ContractRefused) as refused:
        contract(own.key, date(2026, 1, 1), Terms(commitment=Decimal(-1), price_book="acme"))
    assert "price book" in str(refused.value)
    assert "commitment" in str(refused.value)


def test_every_change_is_in_the_audit_log_with_before_and_after(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), S, address="192.0.2.1")
    change(made.number, date(2026, 2, 1), M, actor="bob", note="downgrade")
    agreements.pause(made.number, on=date(2026, 3, 1), actor="ada")
    agreements.resume(made.number, on=date(2026, 4, 1), actor="ada")
    agreements.end(made.number, on=date(2026, 5, 1), actor="ada")
    entries = list(AuditEntry.objects.filter(object_type="contract").order_by("pk"))
    assert [(each.actor, each.action) for each in entries] == [
        ("ada", "add"),
        ("bob", "change"),
        ("ada", "pause"),
        ("ada", "resume"),
        ("ada", "end"),
    ]
    added, changed = entries[:2]
    assert (added.address, added.before, added.object_name) == ("192.0.2.1", None, f"{made.number} ({own.key})")
    assert added.after is not None
    assert added.after["flat_fees"] == [{"code": "base", "description": "Base fee", "amount": "310"}]
    assert changed.before == {
        "revision": 1,
        "effective_on": "2026-01-01",
        "plan": "S",
        "flat_fees": [{"code": "base", "description": "Base fee", "amount": "310"}],
        "note": "",
    }
    assert changed.after == {
        "revision": 2,
        "effective_on": "2026-02-01",
        "plan": "M",
        "flat_fees": [],
        "note": "downgrade",
    }


def test_a_refusal_leaves_nothing_behind(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), S)
    with pytest.raises(ContractRefused):
        change(made.number, date(2026, 2, 1), Terms(commitment=Decimal(-1)))
    assert ContractRevision.objects.count() == 1
    assert AuditEntry.objects.count() == 1


def test_a_revision_and_its_parts_are_never_changed(own: TenantInfo) -> None:
    contract(own.key, date(2026, 1, 1), S)
    with pytest.raises(Unchangeable):
        ContractRevision.objects.get().save()
    with pytest.raises(Unchangeable):
        FlatFee.objects.get().delete()
    for rows in (ContractRevision.objects.all(), FlatFee.objects.all()):
        with pytest.raises(DatabaseError), transaction.atomic():
            rows.update(**{"note": "x"} if rows.model is ContractRevision else {"amount": 1})


def test_a_contract_is_read_by_its_number(own: TenantInfo) -> None:
    made = contract(own.key, date(2026, 1, 1), S)
    assert read(made.number) == made
    assert read("CT-0") is None
    assert made.revisions[0].created_at > utc(2026, 1, 1) - timedelta(days=1)
