"""Adjustments: what a period costs now, less what was billed for it."""

from decimal import Decimal

from billing import rating
from billing.rating.terms import AppliesTo, Discount, FlatFee, Terms
from tests.billing.prices import MIDDLE, agreed, price, rate, sheet, tiers, used

ORIGIN = "TW-2026-000007"
BOOK = sheet(price("input", "1"), price("output", "2"))


def adjusted(billed: tuple[rating.Line, ...], now: tuple[rating.Line, ...]) -> tuple[rating.Line, ...]:
    return rating.adjustments(billed, now, ORIGIN, "USD")


def shown(lines: tuple[rating.Line, ...]) -> list[tuple[str, str, str, str]]:
    return [(str(line.type), line.kind, rating.plain(line.quantity), str(line.amount)) for line in lines]


def test_late_usage_is_the_difference_of_two_ratings() -> None:
    """0.4 cents were billed as 0.00; with 0.4 more it is 0.8, so a cent: the delta on its own would have been nothing."""
    before = rate([used((4_000, 0, 0, 0, 0))], BOOK)
    now = rate([used((4_000, 0, 0, 0, 0)), used((4_000, 0, 0, 0, 0))], BOOK)
    (line,) = adjusted(before, now)
    assert (line.quantity, line.amount, line.amount_exact, line.origin) == (
        4_000,
        Decimal("0.01"),
        Decimal("0.004"),
        ORIGIN,
    )
    assert line.key == now[0].key
    assert line.residual == Decimal("-0.006")
    assert line.explanation == (
        "Of TW-2026-000007, m standard input: 4,000 tokens more: 0.01 USD in all, 0.00 were billed"
    )
    assert line.detail == {"corrects": "usage"}


def test_usage_that_nobody_had_billed_is_a_line() -> None:
    before = rate([used((10**6, 0, 0, 0, 0))], BOOK)
    now = rate([used((10**6, 0, 0, 10**6, 0))], BOOK)
    assert shown(adjusted(before, now)) == [("adjustment", "output", "1000000", "2.00")]


def test_less_than_was_billed_is_a_negative_adjustment() -> None:
    """Volume tiers: one token more, and all of it is at a lower price."""
    book = sheet(price("input", charge_model="volume", tiers=tiers((1_000_000, "2"), (None, "1"))))
    before, now = (rate([used((tokens, 0, 0, 0, 0))], book) for tokens in (1_000_000, 1_500_000))
    (line,) = adjusted(before, now)
    assert (line.quantity, line.amount) == (500_000, Decimal("-0.50"))
    gone = adjusted(before, ())
    assert shown(gone) == [("adjustment", "input", "-1000000", "-2.00")]
    assert "1,000,000 tokens less" in gone[0].explanation


def test_nothing_new_is_no_adjustment() -> None:
    lines = rate([used((10**6, 0, 0, 10**6, 0)), used((5, 0, 0, 0, 0), status="error")], BOOK)
    assert adjusted(lines, lines) == ()


def test_late_failures_owe_nothing() -> None:
    before = rate([used((10, 0, 0, 0, 0))], BOOK)
    now = rate([used((10, 0, 0, 0, 0)), used((99, 0, 0, 0, 0), status="error")], BOOK)
    assert adjusted(before, now) == ()


def test_a_second_adjustment_starts_from_the_first() -> None:
    first, second, third = (rate([used((tokens, 0, 0, 0, 0))], BOOK) for tokens in (10**6, 3 * 10**6, 4 * 10**6))
    once = adjusted(first, second)
    assert shown(once) == [("adjustment", "input", "2000000", "2.00")]
    assert shown(adjusted((*first, *once), third)) == [("adjustment", "input", "1000000", "1.00")]
    assert adjusted((*first, *once), second) == ()


def test_adjustments_of_another_invoice_are_not_this_ones() -> None:
    before, now = (rate([used((tokens, 0, 0, 0, 0))], BOOK) for tokens in (10**6, 2 * 10**6))
    other = rating.adjustments(before, now, "TW-2026-000001", "USD")
    assert shown(adjusted((*before, *other), now)) == [("adjustment", "input", "1000000", "1.00")]


def test_late_usage_takes_discounts_and_commitments_along() -> None:
    """70 of 100 were used: a tenth off is 63, 37 were missing. With 50 more: 120, 108 after the discount, nothing is missing."""
    ten = Discount("ten", "Ten off", AppliesTo.USAGE, share=Decimal("0.1"))
    terms = Terms(commitment=Decimal(100), discounts=(ten,), flat_fees=(FlatFee("seat", "Seat", Decimal(31)),))
    before, now = (rate([used((tokens * 10**6, 0, 0, 0, 0))], BOOK, agreed((31, terms))) for tokens in (70, 120))
    found = adjusted(before, now)
    assert [(line.detail["corrects"], str(line.amount)) for line in found] == [
        ("usage", "50.00"),
        ("discount", "-5.00"),
        ("commitment", "-37.00"),
    ]


def test_late_usage_without_a_price_blocks() -> None:
    before = rate([used((10**6, 0, 0, 0, 0))], BOOK)
    now = rate([used((10**6, 0, 5, 0, 0)), used((5, 0, 0, 0, 0))], BOOK)
    found = adjusted(before, now)
    assert [(line.kind, line.unpriced) for line in found if line.unpriced] == [("cache_write", True)]
    assert rating.unpriced(found)


def test_late_usage_in_one_of_two_prices_corrects_that_line() -> None:
    book = sheet(price("input", "1"), price("input", "2", effective_from=MIDDLE))
    before = rate([used((10**6, 0, 0, 0, 0)), used((10**6, 0, 0, 0, 0), start=MIDDLE)], book)
    now = rate([used((10**6, 0, 0, 0, 0)), used((2 * 10**6, 0, 0, 0, 0), start=MIDDLE)], book)
    (line,) = adjusted(before, now)
    assert (line.key, line.start, str(line.amount)) == (before[1].key, MIDDLE, "2.00")


def test_credits_of_a_period_are_not_rated_again() -> None:
    lines = rate([used((10**6, 0, 0, 0, 0))], BOOK)
    credit = rating.Line(
        type=rating.LineType.SERVICE_CREDIT,
        key='["service_credit","p95"]',
        start=lines[0].start,
        end=lines[0].end,
        explanation="",
        amount_exact=Decimal(-1),
        amount=Decimal(-1),
    )
    assert adjusted((*lines, credit), lines) == ()
