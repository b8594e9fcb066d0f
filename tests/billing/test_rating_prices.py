"""Which price applies: order, time, tiers that wait, and the explanation of it."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from billing import rating
from billing.rating.terms import Terms
from tests.billing.prices import DAY, END, MIDDLE, START, agreed, metered, price, rate, sheet, tiers, used

TABLE = tiers((1_000_000, "2"), (None, "1"))
BEYOND = 2**32 - 1


def like(**other: Any) -> rating.Asked:
    fields = {"model": "m", "tier": "batch", "operation": "chat", "region": "eu", "context_band": 256_000}
    return rating.Asked(**(fields | other))


# Each row is less specific than the one before it.
ORDER = [
    {"book": "acme", "model": "m"},
    {"book": "acme", "model": "*", "tier": "batch"},
    {"model": "m", "tier": "batch", "context_over": 200_000, "operation": "chat", "region": "eu"},
    {"model": "m", "tier": "batch", "context_over": 200_000, "operation": "chat"},
    {"model": "m", "tier": "batch", "context_over": 200_000, "region": "eu"},
    {"model": "m", "tier": "batch", "context_over": 200_000},
    {"model": "m", "tier": "batch", "context_over": 128_000, "operation": "chat", "region": "eu"},
    {"model": "m", "tier": "batch", "operation": "chat"},
    {"model": "m", "tier": "batch", "region": "eu"},
    {"model": "m", "tier": "batch"},
    {"model": "m", "context_over": 200_000},
    {"model": "m", "operation": "chat", "region": "eu"},
    {"model": "m"},
    {"model": "*", "tier": "batch", "context_over": 200_000},
    {"model": "*", "tier": "batch"},
    {"model": "*", "region": "eu"},
    {"model": "*"},
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_most_specific_price_wins(first: int) -> None:
    rules = [price("input", str(place), **row) for place, row in enumerate(ORDER) if place >= first]
    found = sheet(*reversed(rules)).rule(like(), "input", START)
    assert found is not None
    assert found.amount == first


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"context_band": 200_000}, "1"),  # at most 200,000 input tokens: not more than the threshold
        ({"context_band": 256_000}, "2"),
        ({"context_band": BEYOND}, "2"),
        ({"context_band": 0}, "1"),  # not asked for
        ({"region": "us"}, "1"),
        ({"region": ""}, "1"),
        ({"region": "us", "operation": "image"}, "3"),
    ],
)
def test_a_price_is_for_what_it_names(asked: dict[str, Any], expected: str) -> None:
    book = sheet(
        price("input", "1"),
        price("input", "2", context_over=200_000, region="eu"),
        price("input", "3", operation="image"),
    )
    found = book.rule(like(**asked), "input", START)
    assert found is not None
    assert found.amount == Decimal(expected)


def test_a_contracts_book_is_for_those_who_name_it() -> None:
    book = sheet(
        price("input", "1"), price("input", "2", book="acme", model="*"), price("input", "3", book="other", model="*")
    )
    found = {name: book.rule(like(), "input", START, book=name) for name in ("", "acme", "other")}
    assert [rule.amount for rule in found.values() if rule] == [1, 2, 3]


def test_a_book_that_a_contract_names_and_the_sheet_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="acme"):
        rate([used((1, 0, 0, 0, 0))], sheet(price("input", "1")), agreed((31, Terms(price_book="acme"))))


def test_a_book_that_changes_within_a_period_makes_two_lines() -> None:
    book = sheet(price("input", "1"), price("input", "2", book="acme"))
    agreement = agreed((15, Terms()), (16, Terms(price_book="acme")))
    usages = [used((10**6, 0, 0, 0, 0), end=MIDDLE), used((10**6, 0, 0, 0, 0), start=MIDDLE)]
    lines = rate(usages, book, agreement)
    assert [(line.unit_amount, line.quantity) for line in lines] == [(1, 10**6), (2, 10**6)]
    assert len({line.key for line in lines}) == 2
    assert "price book acme" in lines[1].explanation


def test_a_withdrawn_price_gives_way_to_a_less_specific_one() -> None:
    book = sheet(
        price("input", "1"),
        price("input", "2", tier="batch"),
        price("input", tier="batch", charge_model="withdrawn", effective_from=MIDDLE, version=2),
    )
    usages = [
        used((10, 0, 0, 0, 0), tier="batch", end=MIDDLE),
        used((20, 0, 0, 0, 0), tier="batch", start=MIDDLE),
    ]
    lines = rate(usages, book)
    assert [(line.quantity, line.unit_amount, line.start, line.end) for line in lines] == [
        (10, 2, START, MIDDLE),
        (20, 1, MIDDLE, END),
    ]
    assert len({line.key for line in lines}) == 2


def test_usage_whose_price_was_withdrawn_has_none() -> None:
    book = sheet(price("input", "1"), price("input", charge_model="withdrawn", effective_from=MIDDLE, version=2))
    lines = rate([used((10, 0, 0, 0, 0), end=MIDDLE), used((20, 0, 0, 0, 0), start=MIDDLE)], book)
    assert [line.unpriced for line in lines] == [False, True]
    assert rating.unpriced(lines) == (lines[1],)


def test_a_price_that_ends_and_comes_back_is_one_line() -> None:
    book = sheet(
        price("input", "1"),
        price("input", "2", tier="standard", effective_from=MIDDLE),
        price("input", tier="standard", charge_model="withdrawn", effective_from=MIDDLE + 5 * DAY),
    )
    edges = [START, MIDDLE, MIDDLE + 5 * DAY, END]
    usages = [used((10, 0, 0, 0, 0), start=start, end=end) for start, end in pairwise(edges)]
    assert [(line.unit_amount, line.quantity, line.start, line.end) for line in rate(usages, book)] == [
        (1, 20, START, END),
        (2, 10, MIDDLE, MIDDLE + 5 * DAY),
    ]


CHANGES = [
    # what holds when the period begins, what begins within it, whether it waits for the next one
    ("per_unit", "per_unit", False),
    ("per_unit", "graduated", True),
    ("graduated", "per_unit", True),
    ("graduated", "volume", True),
    ("package", "withdrawn", True),
    ("per_unit", "withdrawn", False),
    ("withdrawn", "graduated", False),  # nothing was counted under that key
    (None, "graduated", False),
]


@pytest.mark.parametrize(("before", "after", "waits"), CHANGES)
def test_a_change_of_tiers_waits_for_the_next_period(before: str | None, after: str, waits: bool) -> None:
    rows = [price("input", "1", charge_model=before, tiers=TABLE, version=1)] if before else []
    later = price("input", "2", charge_model=after, tiers=TABLE, effective_from=MIDDLE, version=2)
    book = sheet(*rows, later)
    held = book.rule(like(), "input", MIDDLE, period_start=START)
    expected = rows[0] if waits else (None if after == "withdrawn" else later)
    assert held is expected
    assert book.rule(like(), "input", END, period_start=END) is (None if after == "withdrawn" else later)


def test_no_tier_count_begins_anew_within_a_period() -> None:
    """One row after the other with tiers: the first counts all of the period."""
    book = sheet(
        price("input", charge_model="graduated", tiers=TABLE),
        price("input", charge_model="volume", tiers=TABLE, effective_from=MIDDLE, version=2),
        price("input", charge_model="graduated", tiers=tiers((None, "9")), effective_from=MIDDLE + DAY, version=3),
    )
    usages = [used((10**6, 0, 0, 0, 0), start=at) for at in (START, MIDDLE, MIDDLE + DAY)]
    (line,) = rate(usages, book)
    assert (line.quantity, line.amount) == (3 * 10**6, 4)


def test_tiers_count_everything_that_their_price_holds_for() -> None:
    """1.5M of two models, two tiers and reasoning, under one price for any: 2 + 0.5. What has a price of its own is not in it."""
    book = sheet(
        price("output", model="*", charge_model="graduated", tiers=TABLE),
        price("output", "7", model="special"),
    )
    usages = [
        used((0, 0, 0, 700_000, 200_000), model="a"),
        used((0, 0, 0, 300_000, 0), model="b"),
        used((0, 0, 0, 500_000, 0), model="b", tier="batch"),
        used((0, 0, 0, 1_000_000, 0), model="special"),
        used((0, 0, 0, 1_000_000, 0), model="a", status="error"),
    ]
    lines = rate(usages, book)
    assert [(line.model, line.kind, line.billed, line.quantity, line.amount) for line in lines] == [
        ("*", "output", True, 1_500_000, Decimal("2.50")),
        ("a", "output", False, 1_000_000, 0),
        ("special", "output", True, 1_000_000, 7),
    ]
    assert lines[0].detail["models"] == {"a": "700000", "b": "800000"}
    assert lines[0].explanation == "1,500,000 tokens, graduated, USD per million: 1,000,000 x 2; 500,000 x 1"


def test_requests_have_a_price_only_where_one_is_set() -> None:
    book = sheet(price("input", "1", model="*"), price("request", "0.002", per=1))
    usages = [used((10, 0, 0, 0, 0), requests=1_000), used((10, 0, 0, 0, 0), requests=1_000, model="n")]
    failed = [used((10, 0, 0, 0, 0), requests=5, status="error")]
    lines = rate(usages + failed, book)
    assert [(line.model, line.kind, line.billed, line.quantity) for line in lines] == [
        ("m", "input", True, 10),
        ("m", "request", True, 1_000),
        ("m", "input", False, 10),
        ("n", "input", True, 10),
    ]
    assert lines[1].explanation == "1,000 requests x 0.002 USD each"
    assert str(lines[1].amount) == "2.00"


def test_a_meter_is_priced_by_its_groups() -> None:
    book = sheet(
        price("meter:gpu_hours", "2", per=1, model="*"),
        price("meter:gpu_hours", "3.5", per=1, model="h200", region="eu"),
    )
    usages = [metered("1.5"), metered("2", model="h200", region="eu"), metered("1", model="h200", region="us")]
    lines = rate([], book, meters=usages)
    assert [(line.model, line.region, line.quantity, str(line.amount)) for line in lines] == [
        ("", "", Decimal("1.5"), "3.00"),
        ("h200", "", Decimal(1), "2.00"),
        ("h200", "eu", Decimal(2), "7.00"),
    ]
    assert lines[0].explanation == "1.5 units x 2 USD each (meter gpu_hours)"


def test_a_meter_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="gpu_hours measured -1"):
        rate([], sheet(price("meter:gpu_hours", "1", model="*")), meters=[metered("-1")])


def test_a_sheet_knows_what_it_asks_for() -> None:
    plain = sheet(price("input", "1"), price("output", "1", effective_from=MIDDLE))
    assert plain.dimensions() == ("model", "tier", "status")
    assert plain.meters() == ()
    assert plain.changes(START, END) == [MIDDLE]
    assert plain.changes(MIDDLE, END) == []
    assert not plain.tiered
    rich = sheet(
        price("input", "1", region="eu"),
        price("input", "1", context_over=200_000),
        price("meter:storage", "1"),
        price("output", charge_model="graduated", tiers=TABLE),
    )
    assert rich.dimensions() == ("model", "tier", "status", "region", "context_band")
    assert rich.meters() == ("storage",)
    assert rich.tiered


def test_a_version_that_the_sheet_is_not_as_of_is_not_in_it() -> None:
    rules = [price("input", "1"), price("input", "2", version=2), price("input", "3", book="acme")]
    assert [rule.amount for rule in rating.PriceSheet(rules, versions={"list": 1}, currency="USD")] == [1]
    assert list(rating.PriceSheet(rules, versions={"list": 0}, currency="USD")) == []


def test_the_key_of_a_line_says_what_it_is_of_and_from_when() -> None:
    book = sheet(
        price("input", "1", region="eu", operation="chat", context_over=200_000),
        price("input", "2", effective_from=MIDDLE),
        price("output", model="*", charge_model="graduated", tiers=TABLE, region="eu"),
    )
    here = {"region": "eu", "operation": "chat", "context_band": 256_000}
    usages = [
        used((5, 0, 0, 5, 0), **here),
        used((5, 0, 0, 0, 0), start=MIDDLE),
        used((5, 0, 0, 0, 0), status="error"),
    ]
    assert [line.key for line in rate(usages, book)] == [
        '["usage","*","","","eu",0,"output","billed","20261001T0000Z"]',
        '["usage","m","standard","chat","eu",200000,"input","billed","20261001T0000Z"]',
        '["usage","m","standard","","",0,"input","billed","20261016T0000Z"]',
        '["usage","m","standard","","",0,"input","free","20261001T0000Z"]',
    ]


def test_an_explanation_lists_every_candidate_with_its_reason() -> None:
    rows = {
        "winner": price("input", "1", tier="batch", version=2),
        "older": price("input", "9", tier="batch"),
        "later": price("input", "8", tier="batch", effective_from=END, version=3),
        "general": price("input", "2"),
        "any": price("input", "3", model="*"),
        "elsewhere": price("input", "4", region="us"),
        "short": price("input", "5", context_over=512_000),
        "standard": price("input", "6", tier="standard"),
        "gone": price("input", operation="chat", charge_model="withdrawn"),
        "other model": price("input", "7", model="n"),
    }
    names = {id(rule): name for name, rule in rows.items()}
    found = rating.explain(sheet(*rows.values()), like(), "input", START)
    assert found.winner is rows["winner"]
    assert [(names[id(one.rule)], one.outcome.value, one.reason) for one in found.candidates] == [
        ("later", "not_yet", "holds from 2026-11-01 00:00Z on"),
        ("winner", "won", "is the most specific that matches: book list, model m, tier batch"),
        ("older", "replaced", "another row of the same key holds since 1970-01-01 00:00Z (version 2)"),
        ("standard", "no_match", "tier standard is not batch"),
        ("short", "no_match", "not more than 512,000 input tokens"),
        ("gone", "withdrawn", "has no price any more, so a less specific one may apply"),
        ("elsewhere", "no_match", "region us is not eu"),
        ("general", "less_specific", "one that asks for more comes first: book list, model m, tier batch"),
        ("any", "less_specific", "one that asks for more comes first: book list, model m, tier batch"),
    ]


def test_an_explanation_of_reasoning_ends_with_the_price_of_output() -> None:
    own, output = price("reasoning", "9", model="*"), price("output", "8")
    found = rating.explain(sheet(own, output), like(), "reasoning", START)
    assert found.winner is own
    assert found.candidates[-1].reason == "the price of output is used only if there is none of reasoning"
    assert rating.explain(sheet(output), like(), "reasoning", START).winner is output


def test_an_explanation_says_what_waits_for_the_next_period() -> None:
    held = price("input", "1", tier="batch")
    waiting = price("input", tier="batch", charge_model="volume", tiers=TABLE, effective_from=MIDDLE, version=2)
    found = rating.explain(sheet(held, waiting), like(), "input", MIDDLE, period_start=START)
    assert [one.outcome.value for one in found.candidates] == ["waits", "won"]
    assert found.winner is held


def test_an_explanation_of_what_has_no_price_has_no_winner() -> None:
    found = rating.explain(
        sheet(price("input", "1", tier="standard")), like(), "input", datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert found.winner is None
    assert [one.outcome.value for one in found.candidates] == ["no_match"]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([], "at least one"),
        ([(10, "1")], "the last tier has no end"),
        ([(None, "1"), (None, "2")], "a tier without an end is the last one"),
        ([(10, "1"), (10, "1"), (None, "1")], "cannot follow"),
        ([(0, "1"), (None, "1")], "bounds rise from above 0"),
        ([(10, "-1"), (None, "1")], "below zero"),
        ([(10, "1", "-1"), (None, "1")], "below zero"),
    ],
)
def test_tiers_that_nothing_can_be_rated_with_are_named(rows: list[Any], problem: str) -> None:
    assert problem in "; ".join(rating.tier_problems(tiers(*rows)))


def test_a_volume_table_says_where_more_usage_costs_less() -> None:
    table = tiers((1_000_000, "2"), (3_000_000, "1.5", "5"), (None, "1"))
    assert rating.tier_problems(table) == ()
    assert rating.volume_drops(table, 1_000_000) == ("above 3,000,000 units the charge falls from 9.5 to 3",)
    assert rating.volume_drops(tiers((10, "1"), (20, "1"), (None, "1.5")), 1) == ()


def test_tiers_are_read_as_the_price_book_stores_them() -> None:
    rows = [{"up_to": 1_000_000, "amount": "2", "flat": "5"}, {"up_to": None, "amount": "1", "flat": "0"}]
    assert rating.tiers_of(rows) == tiers((1_000_000, "2", "5"), (None, "1"))
