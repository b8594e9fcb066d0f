"""Golden cases, worked out by hand, of per-unit amounts, rounding and tax."""

from decimal import Decimal

import pytest

from billing import rating
from billing.rating import exact, per_unit


@pytest.mark.parametrize(
    ("quantity", "per_million", "amount"),
    [
        (1, "0.15", "0.00000015"),
        (1_000_000, "0.15", "0.15"),
        (18_059_974, "3", "54.179922"),
        (245_896, "15", "3.68844"),
        (54_098_411, "0.3", "16.2295233"),
        # 765431616543209.18744 (620,000,000 x the price) and a millionth of it: more digits than Decimal keeps.
        (620_000_000_000_001, "1234567.123456789012", "765431616543210.422007123456789012"),
        (5, "0", "0"),
    ],
)
def test_an_amount_is_quantity_times_price_to_the_last_digit(quantity: int, per_million: str, amount: str) -> None:
    assert per_unit.amount(quantity, Decimal(per_million)) == Decimal(amount)


def test_an_operation_that_would_lose_a_digit_raises() -> None:
    with pytest.raises(ArithmeticError):
        exact.times(Decimal(10**60 + 1), Decimal(10**100 + 1))


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("0.125", "USD", "0.12"),
        ("0.135", "USD", "0.14"),
        ("0.1250000000000000000001", "USD", "0.13"),
        ("2.5", "JPY", "2"),
        ("3.5", "JPY", "4"),
        ("1.0005", "KWD", "1.000"),
        ("1.0015", "KWD", "1.002"),
        ("0.00000015", "EUR", "0.00"),
        ("123456789012345678901234.565", "USD", "123456789012345678901234.56"),
    ],
)
def test_rounding_is_half_even_to_the_minor_unit(amount: str, currency: str, rounded: str) -> None:
    assert str(rating.rounded(Decimal(amount), currency)) == rounded


@pytest.mark.parametrize("currency", ["XAU", "XXX", "usd", "QQQ", ""])
def test_a_currency_without_a_minor_unit_is_refused(currency: str) -> None:
    with pytest.raises(rating.UnknownCurrency):
        rating.minor_digits(currency)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1E+3", "1000"),
        ("1.500", "1.5"),
        ("0E-18", "0"),
        ("-0.00", "0"),
        ("0.00000015", "0.00000015"),
        ("-2.50", "-2.5"),
    ],
)
def test_a_plain_number_has_no_exponent_and_no_padding(amount: str, text: str) -> None:
    assert rating.plain(Decimal(amount)) == text


def test_tax_is_taken_once_per_rate_on_the_sum_of_rounded_lines() -> None:
    low, high = Decimal("0.07"), Decimal("0.19")
    lines = [(high, Decimal("0.05")), (low, Decimal("10.00")), (high, Decimal("0.05"))]
    taxes = rating.taxes(lines, "EUR")
    # Per line, 19 % of 0.05 would be 0.01 twice; of their sum 0.10 it is 0.019, rounded once.
    assert [(tax.rate, tax.base, tax.amount) for tax in taxes] == [
        (low, Decimal("10.00"), Decimal("0.70")),
        (high, Decimal("0.10"), Decimal("0.02")),
    ]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("input", "input"),
        ("uncached_input", "input"),
        ("input_tokens", "input"),
        ("Cached", "cached_input"),
        ("cached-input", "cached_input"),
        ("cached_input_tokens", "cached_input"),
        ("cache_write", "cache_write"),
        ("output_tokens", "output"),
        ("reasoning_tokens", "reasoning"),
    ],
)
def test_a_kind_is_known_by_its_other_names(word: str, kind: str) -> None:
    assert rating.kind_named(word) == kind


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="input, cached_input, cache_write, output, reasoning"):
        rating.kind_named("gpu")
