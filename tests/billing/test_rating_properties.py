"""What holds for any usage and any prices."""

import random
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing import rating
from tests.billing.prices import price, rate, sheet, used

COUNTS = st.integers(0, 2**40)


@st.composite
def tokens(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    cached, written, uncached, reasoning, visible = (draw(COUNTS) for _ in range(5))
    return (cached + written + uncached, cached, written, reasoning + visible, reasoning)


PRICES = st.decimals(min_value=0, max_value=10**6, places=12, allow_nan=False, allow_infinity=False)
BOOKS = st.lists(PRICES, min_size=5, max_size=5).map(
    lambda found: sheet(*(price(str(kind), str(cost)) for kind, cost in zip(rating.Kind, found, strict=True)))
)


@given(tokens())
def test_the_partition_adds_up(counts: tuple[int, int, int, int, int]) -> None:
    parts = rating.partition(rating.Tokens(*counts))
    assert sum(parts.values()) == counts[0] + counts[3]
    assert min(parts.values()) >= 0


@given(st.lists(tokens(), min_size=1, max_size=6), BOOKS)
def test_lines_hold_every_token_and_amounts_are_exact(usages: list[tuple[int, ...]], book: rating.PriceSheet) -> None:
    lines = rate([used(counts) for counts in usages], book)  # type: ignore[arg-type]
    assert sum(line.quantity for line in lines) == sum(counts[0] + counts[3] for counts in usages)
    for line in lines:
        assert line.amount_exact is not None
        assert line.amount is not None
        assert line.residual is not None
        assert line.unit_amount is not None
        assert Fraction(line.amount_exact) == Fraction(line.unit_amount) * Fraction(line.quantity) / 10**6
        assert Fraction(line.amount) + Fraction(line.residual) == Fraction(line.amount_exact)
        assert abs(line.residual) <= Decimal("0.005")


@given(st.lists(tokens(), min_size=1, max_size=6), BOOKS, st.randoms(use_true_random=False))
def test_splitting_and_shuffling_usage_changes_no_charge(
    usages: list[tuple[int, ...]], book: rating.PriceSheet, chance: random.Random
) -> None:
    pieces = [used(part) for counts in usages for part in _split(counts, chance)]  # type: ignore[arg-type]
    chance.shuffle(pieces)
    whole = tuple(sum(counts[i] for counts in usages) for i in range(5))
    assert rate(pieces, book) == rate([used(whole)], book)  # type: ignore[arg-type]


@given(st.lists(tokens(), min_size=1, max_size=6), BOOKS)
def test_the_costs_of_parts_add_up_to_the_exact_amounts_of_the_lines(
    usages: list[tuple[int, ...]], book: rating.PriceSheet
) -> None:
    pieces = [used(counts) for counts in usages]  # type: ignore[arg-type]
    costs = sum(Fraction(part.cost or 0) for one in pieces for part in rating.parts(one, book))
    assert costs == sum(Fraction(line.amount_exact or 0) for line in rate(pieces, book))


def _split(counts: tuple[int, ...], chance: random.Random) -> list[tuple[int, ...]]:
    """Two requests whose tokens, kind by kind, add up to the one."""
    whole = rating.partition(rating.Tokens(*counts))
    one = {kind: chance.randint(0, quantity) for kind, quantity in whole.items()}
    other = {kind: quantity - one[kind] for kind, quantity in whole.items()}
    return [_joined(one), _joined(other)]


def _joined(parts: dict[rating.Kind, int]) -> tuple[int, ...]:
    kind = rating.Kind
    cached, written, reasoning = parts[kind.CACHED_INPUT], parts[kind.CACHE_WRITE], parts[kind.REASONING]
    return (parts[kind.INPUT] + cached + written, cached, written, parts[kind.OUTPUT] + reasoning, reasoning)
