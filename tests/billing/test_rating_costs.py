"""What each piece of usage cost of its line: exact, and summing to the line."""

from decimal import Decimal
from typing import Any

import pytest

from billing import rating
from billing.rating.terms import Allowance, Terms
from tests.billing.prices import END, MIDDLE, START, agreed, metered, price, sheet, tiers, used

TABLE = tiers((1_000_000, "2"), (None, "1"))


def costed(
    usages: list[rating.Usage],
    book: rating.PriceSheet,
    agreement: rating.Agreement | None = None,
    meters: list[rating.MeterUsage] | None = None,
) -> list[list[rating.Part]]:
    return rating.costed(usages, meters or [], agreement or rating.without_contract(START, END), book, START, END)


def costs(found: list[list[rating.Part]]) -> list[Decimal | None]:
    return [part.cost for parts in found for part in parts]


def test_a_piece_costs_its_quantity_times_the_price() -> None:
    book = sheet(price("input", "0.15"), price("output", "0.60"))
    found = costed([used((7, 0, 0, 3, 0)), used((1, 0, 0, 0, 0))], book)
    assert [[(part.kind, part.quantity, part.cost) for part in parts] for parts in found] == [
        [("input", 7, Decimal("0.00000105")), ("output", 3, Decimal("0.0000018"))],
        [("input", 1, Decimal("0.00000015"))],
    ]


def test_parts_are_in_the_order_asked_for_and_meters_come_last() -> None:
    book = sheet(price("input", "1"), price("meter:gpu_hours", "2", per=1, model="*"))
    found = costed([used((0, 0, 0, 0, 0)), used((10**6, 0, 0, 0, 0))], book, meters=[metered("1.5")])
    assert [[str(part.cost) for part in parts] for parts in found] == [[], ["1.000000"], ["3.0"]]


def test_what_is_not_billed_costs_nothing_and_what_has_no_price_has_no_cost() -> None:
    book = sheet(price("input", "1"))
    found = costed([used((10, 0, 0, 0, 0), status="error"), used((0, 0, 0, 5, 0))], book)
    assert [(part.billed, part.cost) for parts in found for part in parts] == [(False, 0), (True, None)]


def test_a_tiered_charge_is_shared_out_by_quantity() -> None:
    """3M cost 2 + 2 = 4: of a third and of two thirds."""
    book = sheet(price("input", charge_model="graduated", tiers=TABLE))
    found = costs(costed([used((10**6, 0, 0, 0, 0)), used((2 * 10**6, 0, 0, 0, 0))], book))
    assert found == [Decimal("1.333333333333333333"), Decimal("2.666666666666666667")]


def test_what_is_included_is_shared_out_among_what_it_is_for() -> None:
    """1M of m is included of 2M, in two pieces; nothing of n is."""
    book = sheet(price("input", "1", model="*"))
    terms = Terms(allowances=(Allowance("a", "m", "input", "", Decimal(10**6)),))
    pieces = [used((500_000, 0, 0, 0, 0)), used((1_500_000, 0, 0, 0, 0)), used((10**6, 0, 0, 0, 0), model="n")]
    assert costs(costed(pieces, book, agreed((31, terms)))) == [Decimal("0.25"), Decimal("0.75"), 1]


def test_a_part_says_which_line_it_is_on() -> None:
    book = sheet(price("input", "1"), price("input", "2", effective_from=MIDDLE))
    pieces = [used((1, 0, 0, 0, 0)), used((1, 0, 0, 0, 0), start=MIDDLE)]
    lines = rating.statement(pieces, (), rating.without_contract(START, END), book, START, END)
    assert [parts[0].line_key for parts in costed(pieces, book)] == [line.key for line in lines]


@pytest.mark.parametrize(
    "rule",
    [
        {"amount": "1", "per": 3},
        {"charge_model": "package", "amount": "4", "per": 1_000},
        {"charge_model": "volume", "tiers": TABLE},
    ],
)
def test_costs_sum_to_the_exact_amount_of_the_line(rule: dict[str, Any]) -> None:
    book = sheet(price("input", rule.pop("amount", None), **rule))
    pieces = [used((number, 0, 0, 0, 0)) for number in (1, 1, 5, 700)]
    (line,) = rating.statement(pieces, (), rating.without_contract(START, END), book, START, END)
    assert sum(cost for cost in costs(costed(pieces, book)) if cost) == line.amount_exact


def test_a_piece_on_its_own_has_a_cost_only_where_the_rest_does_not_matter() -> None:
    (part,) = rating.parts(used((7, 0, 0, 0, 0)), sheet(price("input", "1")))
    assert part.cost == Decimal("0.000007")
    with pytest.raises(ValueError, match="tiers"):
        rating.parts(used((7, 0, 0, 0, 0)), sheet(price("input", charge_model="volume", tiers=TABLE)))
