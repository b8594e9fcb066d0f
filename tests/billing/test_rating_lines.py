"""Lines from usage: which price, which quantity, what is said. Worked out by hand."""

from decimal import Decimal

import pytest

from billing import rating
from tests.billing.prices import END, MIDDLE, START, price, rate, sheet, used


def quantities(lines: tuple[rating.Line, ...]) -> dict[str, Decimal]:
    return {str(line.kind): line.quantity for line in lines}


def test_tokens_are_partitioned_into_their_kinds() -> None:
    book = sheet(*(price(kind, "1") for kind in rating.Kind))
    lines = rate([used((100, 30, 20, 50, 10))], book)
    assert quantities(lines) == {"input": 50, "cached_input": 30, "cache_write": 20, "output": 40, "reasoning": 10}


def test_a_kind_with_no_tokens_has_no_line() -> None:
    lines = rate([used((100, 100, 0, 0, 0))], sheet(price("cached_input", "1")))
    assert quantities(lines) == {"cached_input": 100}


def test_a_part_larger_than_its_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than its whole"):
        rate([used((10, 8, 3, 0, 0))], sheet())


def test_reasoning_has_the_price_of_output_unless_it_has_its_own() -> None:
    usage = [used((0, 0, 0, 10, 4))]
    without = rate(usage, sheet(price("output", "8")))
    assert [(line.kind, line.unit_amount) for line in without] == [("output", 8), ("reasoning", 8)]
    assert "the price of output" in without[1].explanation
    own = rate(usage, sheet(price("output", "8"), price("reasoning", "9")))
    assert [line.unit_amount for line in own] == [8, 9]


def test_cached_input_does_not_silently_take_the_price_of_input() -> None:
    (_, cached) = rate([used((10, 5, 0, 0, 0))], sheet(price("input", "1")))
    assert cached.unpriced


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([("m", "batch", "1"), ("m", "", "2"), ("*", "batch", "3"), ("*", "", "4")], "1"),
        ([("m", "", "2"), ("*", "batch", "3"), ("*", "", "4")], "2"),
        ([("*", "batch", "3"), ("*", "", "4")], "3"),
        ([("*", "", "4")], "4"),
        ([("m", "standard", "1"), ("n", "batch", "2")], None),
    ],
)
def test_the_most_specific_price_wins(there: list[tuple[str, str, str]], expected: str | None) -> None:
    book = sheet(*(price("input", cost, model=model, tier=tier) for model, tier, cost in there))
    (line,) = rate([used((10, 0, 0, 0, 0), tier="batch")], book)
    assert line.unit_amount == (Decimal(expected) if expected else None)


def test_a_price_that_changes_within_the_period_splits_the_line() -> None:
    book = sheet(price("input", "1"), price("input", "2", effective_from=MIDDLE, version=2))
    lines = rate([used((10, 0, 0, 0, 0), end=MIDDLE), used((30, 0, 0, 0, 0), start=MIDDLE)], book)
    assert [(line.start, line.end, line.quantity, line.unit_amount) for line in lines] == [
        (START, MIDDLE, 10, 1),
        (MIDDLE, END, 30, 2),
    ]


def test_another_models_price_change_does_not_split_the_line() -> None:
    book = sheet(price("input", "1"), price("input", "2", model="other", effective_from=MIDDLE))
    lines = rate([used((10, 0, 0, 0, 0), end=MIDDLE), used((30, 0, 0, 0, 0), start=MIDDLE)], book)
    assert [(line.start, line.end, line.quantity) for line in lines] == [(START, END, 40)]


def test_of_prices_from_the_same_moment_the_higher_version_wins() -> None:
    book = sheet(price("input", "1", version=1), price("input", "2", version=2))
    held = book.rule(used((1, 0, 0, 0, 0)), "input", START)
    assert held is not None
    assert held.amount == 2


def test_a_sheet_as_of_an_older_version_does_not_know_later_prices() -> None:
    rows = (price("input", "1", version=1), price("input", "2", version=2))
    held = sheet(*rows, version=1).rule(used((1, 0, 0, 0, 0)), "input", START)
    assert held is not None
    assert held.amount == 1


def test_prices_of_another_currency_do_not_match() -> None:
    (line,) = rate([used((10, 0, 0, 0, 0))], sheet(price("input", "1", currency="EUR")))
    assert line.unpriced


def test_usage_without_a_price_is_a_line_without_an_amount() -> None:
    (line,) = rate([used((10, 0, 0, 0, 0))], sheet())
    assert (line.quantity, line.unit_amount, line.amount, line.amount_exact, line.residual) == (
        10,
        None,
        None,
        None,
        None,
    )
    assert line.unpriced


def test_failed_requests_are_shown_and_cost_nothing() -> None:
    book = sheet(price("input", "1000000"))
    billed, failed = rate([used((10, 0, 0, 0, 0)), used((7, 0, 0, 0, 0), status="error")], book)
    assert (billed.quantity, billed.amount) == (10, 10)
    assert (failed.quantity, failed.amount, failed.billed, failed.unpriced) == (7, 0, False, False)
    assert "not billed" in failed.explanation


def test_a_cancelled_streams_tokens_are_billed() -> None:
    book = sheet(price("output", "1"))
    (line,) = rate([used((0, 0, 0, 5, 0)), used((0, 0, 0, 7, 0), status="cancelled")], book)
    assert (line.quantity, line.billed) == (12, True)


def test_a_line_is_rounded_once_and_shows_what_rounding_left_out() -> None:
    """Azure's code trace, by hand: 18,059,974 x 0.15 / 10^6 = 2.7089961; 245,896 x 0.60 / 10^6 = 0.1475376."""
    book = sheet(price("input", "0.15"), price("output", "0.60"))
    lines = rate([used((18_059_974, 0, 0, 245_896, 0))], book)
    assert [(line.amount_exact, line.amount, line.residual) for line in lines] == [
        (Decimal("2.7089961"), Decimal("2.71"), Decimal("-0.0010039")),
        (Decimal("0.1475376"), Decimal("0.15"), Decimal("-0.0024624")),
    ]
    assert lines[0].explanation == "18,059,974 tokens x 0.15 USD per million"


def test_an_unknown_rating_version_is_refused() -> None:
    assert rating.rater(rating.RATING_VERSION) is rating.statement
    with pytest.raises(ValueError, match="rating version 999"):
        rating.rater(999)


def test_lines_of_version_one_begin_and_end_with_their_usage() -> None:
    """Another model's price changes in the middle, so usage was read in two pieces; this line's lies in the second."""
    book = sheet(price("input", "1"), price("input", "2", model="other", effective_from=MIDDLE))
    usage = [used((10, 0, 0, 0, 0), start=MIDDLE), used((5, 0, 0, 0, 0), status="error", end=MIDDLE)]
    agreement = rating.without_contract(START, END)
    old = rating.rater(1)(usage, (), agreement, book, START, END)
    assert [(line.start, line.end, line.key) for line in old] == [
        (MIDDLE, END, '["usage","m","standard","","",0,"input","billed","20261016T0000Z"]'),
        (START, MIDDLE, '["usage","m","standard","","",0,"input","free","20261001T0000Z"]'),
    ]
    new = rate(usage, book)
    assert [(line.quantity, line.amount) for line in old] == [(line.quantity, line.amount) for line in new]
    assert [line.start for line in new] == [START, START]
