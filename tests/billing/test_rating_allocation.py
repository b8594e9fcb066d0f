"""Splitting an amount by weights: every cent once, whatever the weights."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import rating
from billing.rating.allocation import spread

GOLDEN = [
    # total, weights, currency, parts
    ("10.00", ["1", "1", "1"], "USD", ["3.34", "3.33", "3.33"]),  # the cent that is left goes to the first
    ("0.05", ["1", "1"], "USD", ["0.03", "0.02"]),
    ("1.00", ["1", "2", "3"], "USD", ["0.17", "0.33", "0.50"]),  # 16.67, 33.33, 50: the largest remainder gets it
    ("-10.00", ["1", "1", "1"], "USD", ["-3.34", "-3.33", "-3.33"]),
    ("0", ["1", "2"], "USD", ["0", "0"]),
    ("7", ["0.5", "0", "0.5"], "JPY", ["4", "0", "3"]),
    ("0.005", ["1", "1"], "KWD", ["0.003", "0.002"]),
    ("1.00", ["0", "0"], "USD", ["0.50", "0.50"]),
    ("1.00", ["0.000000000000000001"], "USD", ["1.00"]),
    ("0", [], "USD", []),
]


@pytest.mark.parametrize(("total", "weights", "currency", "parts"), GOLDEN)
def test_an_amount_is_split_by_largest_remainder(
    total: str, weights: list[str], currency: str, parts: list[str]
) -> None:
    assert rating.allocate(Decimal(total), [Decimal(one) for one in weights], currency) == tuple(map(Decimal, parts))


@pytest.mark.parametrize(
    ("total", "weights", "problem"),
    [("1", [], "nothing to give"), ("1", ["1", "-1"], "below zero"), ("0.001", ["1", "1"], "places")],
)
def test_what_cannot_be_split_is_refused(total: str, weights: list[str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        rating.allocate(Decimal(total), [Decimal(one) for one in weights], "USD")


CENTS = st.integers(-(10**20), 10**20).map(lambda cents: Decimal(cents).scaleb(-2))
WEIGHTS = st.lists(st.decimals(0, 10**12, places=6), min_size=1, max_size=30)


@given(CENTS, WEIGHTS)
def test_parts_sum_to_the_total_and_are_within_a_cent_of_their_share(total: Decimal, weights: list[Decimal]) -> None:
    parts = rating.allocate(total, weights, "USD")
    assert sum(map(Fraction, parts)) == Fraction(total)
    whole = sum(map(Fraction, weights))
    for part, weight in zip(parts, weights, strict=True):
        share = Fraction(total) * Fraction(weight) / whole if whole else Fraction(total) / len(weights)
        assert abs(Fraction(part) - share) < Fraction(1, 100)
        assert part == 0 or (part > 0) == (total > 0)


@given(CENTS, WEIGHTS)
def test_splitting_is_stable(total: Decimal, weights: list[Decimal]) -> None:
    """The same again, in other units of weight, and with others beside them that weigh nothing."""
    parts = rating.allocate(total, weights, "USD")
    assert parts == rating.allocate(total, weights, "USD")
    assert parts == rating.allocate(total, [weight.scaleb(3) for weight in weights], "USD")
    if any(weights):
        assert rating.allocate(total, [*weights, Decimal(0)], "USD") == (*parts, 0)


@given(st.decimals(0, 10**12, places=18), WEIGHTS)
def test_exact_amounts_are_split_to_the_last_digit_that_is_kept(total: Decimal, weights: list[Decimal]) -> None:
    assert sum(map(Fraction, spread(total, weights, 18))) == Fraction(total)
