"""Burning credit down: order, validity, scope."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import rating
from tests.billing.prices import DAY, END, MIDDLE, START

BEFORE = datetime(2026, 1, 1, tzinfo=UTC)


def grant(number: int, left: str, **other: Any) -> rating.GrantLeft:
    return rating.GrantLeft(
        **({"id": number, "left": Decimal(left), "priority": 50, "kind": "paid", "effective_from": BEFORE} | other)
    )


def cell(line: str, amount: str, **other: Any) -> rating.Cell:
    return rating.Cell(
        **({"line_key": line, "model": "m", "start": START, "end": END, "amount": Decimal(amount)} | other)
    )


def burnt(cells: list[rating.Cell], *grants: rating.GrantLeft) -> list[tuple[int, str, str]]:
    return [(one.grant_id, one.line_key, str(one.amount)) for one in rating.burn(cells, grants, "USD")]


FIRST = cell("a", "40.00", end=MIDDLE)
SECOND = cell("a", "60.00", start=MIDDLE)


def test_a_grant_pays_until_it_is_used_up() -> None:
    assert burnt([cell("a", "10.00"), cell("b", "20.00")], grant(1, "25.00")) == [(1, "a", "10.00"), (1, "b", "15.00")]


def test_a_grant_that_expires_within_the_period_pays_for_usage_before_it_expires() -> None:
    """50.00 that expire in the middle pay the 40.00 before it, and 10.00 are left to expire."""
    assert burnt([FIRST, SECOND], grant(1, "50.00", expires_at=MIDDLE)) == [(1, "a", "40.00")]


def test_a_grant_pays_for_nothing_from_before_it_began() -> None:
    assert burnt([FIRST, SECOND], grant(1, "50.00", effective_from=MIDDLE)) == [(1, "a", "50.00")]
    assert burnt([FIRST], grant(1, "50.00", effective_from=MIDDLE)) == []


def test_what_expires_first_burns_first_and_the_rest_is_for_others() -> None:
    grants = (grant(1, "100.00"), grant(2, "30.00", expires_at=MIDDLE), grant(3, "30.00", expires_at=END))
    assert burnt([FIRST, SECOND], *grants) == [(2, "a", "30.00"), (3, "a", "30.00"), (1, "a", "40.00")]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"priority": 1}, {"priority": 2, "expires_at": END}),
        ({"expires_at": END}, {}),
        ({"expires_at": END}, {"expires_at": END + DAY}),
        ({"effective_from": BEFORE}, {"effective_from": START}),
        ({}, {}),  # the lower id
    ],
)
def test_the_order_of_grants(earlier: dict[str, Any], later: dict[str, Any]) -> None:
    grants = (grant(2, "1.00", **later), grant(1, "1.00", **earlier))
    assert [one[0] for one in burnt([cell("a", "5.00")], *grants)] == [1, 2]


def test_a_grant_for_a_model_pays_for_that_model_alone() -> None:
    cells = [cell("a", "10.00"), cell("b", "10.00", model="n")]
    assert burnt(cells, grant(1, "50.00", models=frozenset({"n"}))) == [(1, "b", "10.00")]


def test_a_cell_that_reaches_over_an_expiry_is_not_paid() -> None:
    assert burnt([cell("a", "10.00")], grant(1, "50.00", expires_at=MIDDLE)) == []


@pytest.mark.parametrize("amount", ["-1.00", "0.001"])
def test_amounts_that_credit_cannot_pay_are_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        rating.burn([cell("a", amount)], [grant(1, "5.00")], "USD")
    with pytest.raises(ValueError, match="not an amount"):
        rating.burn([cell("a", "5.00")], [grant(1, amount)], "USD")


EDGES = [START + 5 * number * DAY for number in range(7)]
AMOUNTS = st.integers(0, 10_000).map(lambda cents: Decimal(cents).scaleb(-2))
MODELS = ("m", "n")


@st.composite
def cells(draw: st.DrawFn) -> list[rating.Cell]:
    spans = [
        (line, model, start, end)
        for line, model in (("a", "m"), ("b", "n"), ("c", "m"))
        for start, end in pairwise(EDGES)
    ]
    return [rating.Cell(*span, draw(AMOUNTS)) for span in spans if draw(st.booleans())]


@st.composite
def grants(draw: st.DrawFn) -> list[rating.GrantLeft]:
    found = []
    for number in range(draw(st.integers(0, 5))):
        begins, ends = sorted(draw(st.lists(st.sampled_from(EDGES), min_size=2, max_size=2, unique=True)))
        expires = draw(st.sampled_from([None, ends]))
        scope = frozenset(draw(st.sets(st.sampled_from(MODELS))))
        found.append(rating.GrantLeft(number, draw(AMOUNTS), draw(st.integers(0, 2)), "paid", begins, expires, scope))
    return found


@given(cells(), grants())
def test_no_grant_pays_more_than_it_holds_or_for_what_it_does_not_cover(
    usage: list[rating.Cell], held: list[rating.GrantLeft]
) -> None:
    burns = rating.burn(usage, held, "USD")
    assert burns == rating.burn(list(reversed(usage)), list(reversed(held)), "USD")
    assert all(one.amount > 0 for one in burns)
    for one in held:
        mine = [burn for burn in burns if burn.grant_id == one.id]
        assert sum(burn.amount for burn in mine) <= one.left
        for burn in mine:
            scope = sum(each.amount for each in usage if each.line_key == burn.line_key and _covered(each, one))
            assert burn.amount <= scope
    for line in {each.line_key for each in usage}:
        paid = sum(burn.amount for burn in burns if burn.line_key == line)
        assert paid <= sum(each.amount for each in usage if each.line_key == line)


@given(cells(), grants())
def test_no_credit_is_held_back_that_could_pay(usage: list[rating.Cell], held: list[rating.GrantLeft]) -> None:
    """With a single grant: it pays all that it covers, or all that it holds."""
    for one in held:
        covered = sum((each.amount for each in usage if _covered(each, one)), Decimal(0))
        assert sum(burn.amount for burn in rating.burn(usage, [one], "USD")) == min(covered, one.left)


def _covered(each: rating.Cell, one: rating.GrantLeft) -> bool:
    """Said again, in other words than the code's."""
    begun, over = one.effective_from <= each.start, one.expires_at is not None and one.expires_at < each.end
    return begun and not over and (not one.models or each.model in one.models)
