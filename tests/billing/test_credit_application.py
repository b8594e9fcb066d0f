"""What credit covers of an invoice, and what it leaves in the ledger."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from pytest_django import DjangoAssertNumQueries

from billing import credits, rating
from billing.models import CreditGrant, CreditTransaction
from tests.billing.credit import (
    END,
    MIDDLE,
    SOON,
    START,
    Type,
    amounts,
    applied,
    bought,
    charges,
    expiring,
    given,
    left,
    line,
    tenant,
)

pytestmark = pytest.mark.django_db
D = Decimal


def test_promotional_credit_lowers_what_is_taxed() -> None:
    owner = tenant()
    launch = given(owner, "30")
    found = applied(charges(owner, line("100", tax_rate=D("0.19"))))
    (credit,) = found.lines
    assert (credit.type, credit.amount, credit.amount_exact, credit.tax_rate) == (
        Type.CREDIT,
        D("-30"),
        D("-30"),
        D("0.19"),
    )
    assert credit.explanation == "Launch credit: covers 30.00 USD of usage; 0.00 of it left"
    assert found.credits_applied == 0
    assert left(launch) == [0]


def test_paid_credit_pays_the_total_with_its_tax() -> None:
    owner = tenant()
    prepaid = bought(owner, "200")
    found = applied(charges(owner, line("100", tax_rate=D("0.19"))))
    assert (found.lines, found.credits_applied) == ((), D("119.00"))
    assert left(prepaid) == [D("81")]


def test_promotional_credit_goes_first_and_paid_credit_pays_the_rest() -> None:
    owner = tenant()
    prepaid, launch = bought(owner, "50"), given(owner, "30")
    found = applied(charges(owner, line("100", tax_rate=D("0.10"))))
    assert (amounts(found), found.credits_applied) == ([D("-30")], D("50"))  # of 77.00
    assert left(launch, prepaid) == [0, 0]


def test_the_lowest_priority_burns_first_then_what_expires_first() -> None:
    owner = tenant()
    late, early, first = (
        given(owner, "40", name="late", expires_at=END + SOON),
        given(owner, "40", name="early", expires_at=END + SOON - timedelta(days=1)),
        given(owner, "40", name="first", priority=1),
    )
    found = applied(charges(owner, line("100")))
    assert [credit.detail["name"] for credit in found.lines] == ["first", "early", "late"]
    assert left(first, early, late) == [0, 0, D("20")]


def test_credit_that_expires_mid_period_covers_only_usage_before_it() -> None:
    owner = tenant()
    usage = line("100")
    given(owner, "80", name="October's first half", expires_at=END + SOON)
    half = expiring(owner, MIDDLE)
    cells = (
        rating.Cell(line_key=usage.key, model="m", start=START, end=MIDDLE, amount=D("35")),
        rating.Cell(line_key=usage.key, model="m", start=MIDDLE, end=END, amount=D("65")),
    )
    one = charges(owner, usage, cells=cells, cut_at=(MIDDLE,))
    found = applied(one)
    assert [(credit.detail["name"], credit.amount) for credit in found.lines] == [
        ("Expiring", D("-35")),
        ("October's first half", D("-65")),
    ]
    assert "before 2026-10-16 00:00Z; 45.00 of it left" in found.lines[0].explanation
    assert left(half) == [D("45")]


def test_paid_credit_that_expires_mid_period_pays_for_usage_before_it_and_for_no_fee() -> None:
    owner = tenant()
    usage, fee = line("60"), line("40", Type.FLAT_FEE, model="")
    half = expiring(owner, MIDDLE, kind="paid")
    cells = (
        rating.Cell(line_key=usage.key, model="m", start=START, end=MIDDLE, amount=D("20")),
        rating.Cell(line_key=usage.key, model="m", start=MIDDLE, end=END, amount=D("40")),
    )
    assert applied(charges(owner, usage, fee, cells=cells)).credits_applied == D("20")
    assert left(half) == [D("60")]


@pytest.mark.parametrize(
    ("kinds", "covered", "credits_applied", "rest"),
    [
        ((), "0", "0", {}),
        (("promotional",), "35", "0", {"promotional": "45"}),
        (("paid",), "0", "41.65", {"paid": "38.35"}),  # 35 and its tax of 6.65
        (("promotional", "paid"), "35", "0", {"promotional": "45", "paid": "80"}),
    ],
)
def test_usage_of_35_before_a_grant_of_80_expires_and_of_65_after_it(
    kinds: tuple[str, ...], covered: str, credits_applied: str, rest: dict[str, str]
) -> None:
    """By hand: taxed with 19 %, in two pieces of October. docs/credits.md has these."""
    owner = tenant()
    usage = line("100", tax_rate=D("0.19"))
    grants = {kind: expiring(owner, MIDDLE, kind=kind) for kind in kinds}
    cells = (
        rating.Cell(line_key=usage.key, model="m", start=START, end=MIDDLE, amount=D("35")),
        rating.Cell(line_key=usage.key, model="m", start=MIDDLE, end=END, amount=D("65")),
    )
    found = applied(charges(owner, usage, cells=cells, cut_at=(MIDDLE,)))
    assert (-sum(amounts(found)), found.credits_applied) == (D(covered), D(credits_applied))
    assert {kind: left(grant) for kind, grant in grants.items()} == {kind: [D(text)] for kind, text in rest.items()}


def test_credit_for_a_model_covers_that_model_alone() -> None:
    owner = tenant()
    launch = given(owner, "500", models_covered=["big", "huge"])
    found = applied(charges(owner, line("10", model="small"), line("7", model="big"), line("2", model="huge")))
    assert amounts(found) == [D("-9")]
    assert "of usage of big, huge" in found.lines[0].explanation
    assert left(launch) == [D("491")]


def test_fees_and_the_true_up_of_a_commitment_are_not_covered_by_promotional_credit() -> None:
    owner = tenant()
    given(owner, "500")
    found = applied(
        charges(
            owner, line("10"), line("40", Type.FLAT_FEE), line("5", Type.PERCENTAGE_FEE), line("90", Type.COMMITMENT)
        )
    )
    assert amounts(found) == [D("-10")]


@pytest.mark.parametrize(
    ("applies_to", "covered"), [("usage", "-75"), ("fees", "-100"), ("all", "-80")]
)  # 25 off; of "all", usage of 100 and a fee of 25 carry 20 and 5
def test_promotional_credit_covers_what_discounts_leave_of_usage(applies_to: str, covered: str) -> None:
    owner = tenant()
    given(owner, "500")
    off = line("-25", Type.DISCOUNT, model="", detail={"applies_to": applies_to})
    found = applied(charges(owner, line("100"), line("25", Type.FLAT_FEE, model=""), off))
    assert amounts(found) == [D(covered)]


def test_a_discount_on_one_model_leaves_the_other_whole() -> None:
    owner = tenant()
    given(owner, "500", models_covered=["big"])
    off = line("-4", Type.DISCOUNT, model="big", detail={"applies_to": "usage"})
    assert amounts(applied(charges(owner, line("10", model="big"), line("10", model="small"), off))) == [D("-6")]


def test_credit_never_makes_a_subtotal_negative() -> None:
    owner = tenant()
    launch = given(owner, "500")
    back = line("-70", Type.ADJUSTMENT, origin="TW-2026-000001")
    found = applied(charges(owner, line("100"), back))
    assert (amounts(found), found.credits_applied) == ([D("-30")], 0)
    assert left(launch) == [D("470")]


def test_late_usage_is_covered_as_if_it_had_been_on_time() -> None:
    owner = tenant()
    expiring(owner, START)
    late = line("12", Type.ADJUSTMENT, start=START - timedelta(days=30), end=START, origin="TW-2026-000001")
    assert amounts(applied(charges(owner, line("100"), late))) == [D("-12")]


def test_a_total_below_zero_is_carried_over_and_pays_the_next_invoice() -> None:
    owner = tenant()
    first = charges(owner, line("10"), line("-35", Type.ADJUSTMENT, origin="TW-2026-000001"))
    assert applied(first).credits_applied == D("-25")
    carried = CreditGrant.objects.get(tenant=owner.key)
    assert (carried.kind, carried.amount, carried.source) == ("carried", 25, f"carried:{first.number}")
    found = applied(charges(owner, line("20"), period_start=END, period_end=END + timedelta(days=30)))
    assert found.credits_applied == D("20")
    assert left(carried) == [D("5")]


def test_of_two_periods_of_one_tenant_the_earlier_one_is_served_first() -> None:
    owner = tenant()
    given(owner, "30")
    later = charges(owner, line("20", start=END), period_start=END, period_end=END + timedelta(days=30))
    earlier = charges(owner, line("25"))
    found = credits.apply_to_drafts([later, earlier])
    assert (amounts(found[earlier.number]), amounts(found[later.number])) == ([D("-25")], [D("-5")])


def test_nobodys_credit_pays_for_somebody_else() -> None:
    owner, other = tenant(), tenant()
    mine = given(owner, "30")
    assert applied(charges(other, line("100"))) == credits.Applied()
    assert left(mine) == [D("30")]


def test_without_usage_no_credit_is_used() -> None:
    owner = tenant()
    launch, prepaid = given(owner, "30"), bought(owner, "30")
    assert applied(charges(owner)) == credits.Applied()
    assert left(launch, prepaid) == [D("30"), D("30")]


def test_lines_of_two_tax_rates_get_a_credit_line_each() -> None:
    owner = tenant()
    given(owner, "500")
    found = applied(charges(owner, line("10", tax_rate=D("0.19")), line("4", tax_rate=D("0.07"))))
    assert [(credit.tax_rate, credit.amount) for credit in found.lines] == [(D("0.19"), D("-10")), (D("0.07"), D("-4"))]
    assert len({credit.key for credit in found.lines}) == 2


def test_applying_twice_is_impossible() -> None:
    owner = tenant()
    launch = given(owner, "30")
    one = charges(owner, line("10"))
    applied(one)
    with pytest.raises(IntegrityError, match="reference"), transaction.atomic():
        applied(one)
    assert left(launch) == [D("20")]


def test_what_the_callers_transaction_undoes_is_not_spent() -> None:
    owner = tenant()
    launch, prepaid = given(owner, "30"), bought(owner, "30")
    with transaction.atomic():
        assert applied(charges(owner, line("100"))).credits_applied == D("30")
        transaction.set_rollback(True)
    assert left(launch, prepaid) == [D("30"), D("30")]


def test_a_preview_says_the_same_and_writes_nothing() -> None:
    owner = tenant()
    launch, prepaid = given(owner, "30"), bought(owner, "20")
    one = charges(owner, line("100"))
    before = CreditTransaction.objects.count()
    seen = credits.preview([one])[one.number]
    assert (CreditTransaction.objects.count(), left(launch, prepaid)) == (before, [D("30"), D("20")])
    assert seen == applied(one)


def test_a_run_of_many_tenants_takes_the_same_number_of_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    counts = []
    for size in (1, 12):
        owners = [tenant() for _ in range(size)]
        for owner in owners:
            given(owner, "30"), bought(owner, "20")
        batch = [charges(owner, line("100"), line("5", tax_rate=D("0.19"))) for owner in owners]
        with django_assert_num_queries(5) as queries:  # open, lock, left, transactions, entries
            credits.apply_to_drafts(batch)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_edges_are_where_open_grants_begin_and_expire_within_the_period() -> None:
    owner, other = tenant(), tenant()
    given(owner, "30", effective_from=START)
    expiring(owner, MIDDLE)
    bought(owner, "5", effective_from=START + timedelta(hours=1), expires_at=END + SOON)
    given(other, "5")
    assert credits.edges([owner.key, other.key], START, END) == {owner.key: (START + timedelta(hours=1), MIDDLE)}


def test_an_audit_computes_again_what_was_applied_whatever_came_later() -> None:
    owner = tenant()
    given(owner, "30"), bought(owner, "20")
    one = charges(owner, line("100", tax_rate=D("0.19")), cut_at=(MIDDLE,))
    before = charges(owner, line("7"), period_start=START - timedelta(days=30), period_end=START)
    found = credits.apply_to_drafts([before, one])
    given(owner, "1000", priority=0), bought(owner, "500", priority=0)
    applied(charges(owner, line("50"), period_start=END, period_end=END + timedelta(days=30)))
    assert credits.again(one) == found[one.number]
    assert credits.again(before) == found[before.number]
    assert credits.cut_at(one.number) == (MIDDLE,)
    more = replace(one, lines=(line("101", tax_rate=D("0.19")),))
    assert credits.again(more).credits_applied == found[one.number].credits_applied  # all there was
    less = replace(one, lines=(line("10", tax_rate=D("0.19")),))
    assert credits.again(less) != found[one.number]


def test_an_audit_of_an_invoice_without_credit_finds_none() -> None:
    owner = tenant()
    one = charges(owner, line("100"))
    applied(one)
    given(owner, "1000")
    assert (credits.again(one), credits.cut_at(one.number)) == (credits.Applied(), ())
