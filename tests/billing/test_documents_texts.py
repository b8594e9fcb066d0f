"""How documents write numbers, days and names."""

from datetime import date
from decimal import Decimal

import pytest

from billing.documents import texts
from billing.documents.reference import country_name


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        ("0.00", "0.00"),
        ("1204.5", "1,204.5"),
        ("-12.00", "\N{MINUS SIGN}12.00"),
        ("123456789012345.670", "123,456,789,012,345.670"),
        ("3384", "3,384"),
    ],
)
def test_money_keeps_the_digits_that_it_carries(amount: str, written: str) -> None:
    assert texts.money(Decimal(amount)) == written


@pytest.mark.parametrize(
    ("amount", "per", "digits", "written"),
    [
        ("0.60", 1_000_000, 2, "0.60 / 1M"),
        ("0.6", 1_000_000, 2, "0.60 / 1M"),
        ("0.000000000123", 1_000_000, 2, "0.000000000123 / 1M"),
        ("5", 1, 2, "5.00"),
        ("5", 1, 0, "5"),
        ("1.5", 1_000, 0, "1.5 / 1K"),
        ("2", 500, 3, "2.000 / 500"),
    ],
)
def test_a_price_shows_every_digit_and_at_least_the_currencys(amount: str, per: int, digits: int, written: str) -> None:
    assert texts.price(Decimal(amount), per, digits).replace("\u202f", " ") == written


@pytest.mark.parametrize(
    ("first", "last", "written"),
    [
        (date(2026, 11, 1), date(2026, 11, 30), "1 to 30 November 2026"),
        (date(2026, 11, 15), date(2026, 12, 14), "15 November to 14 December 2026"),
        (date(2026, 12, 31), date(2027, 1, 30), "31 December 2026 to 30 January 2027"),
        (date(2026, 11, 7), date(2026, 11, 7), "7 November 2026"),
    ],
)
def test_days_name_as_much_of_the_first_as_differs(first: date, last: date, written: str) -> None:
    assert texts.days(first, last) == written


def test_text_keeps_no_character_that_turns_it_around_or_that_no_font_draws() -> None:
    assert texts.printable("a\x07b\u202ec\u2066d\ue000e\tf\r\n g\u2028h") == "abcde f g h"
    assert texts.printable("שלום 株式会社 Ünï") == "שלום 株式会社 Ünï"


def test_shares_ibans_and_words() -> None:
    assert texts.share(Decimal("0.19")).replace("\u202f", " ") == "19 %"
    assert texts.share(Decimal("0.077")).replace("\u202f", " ") == "7.7 %"
    assert texts.grouped("DE89370400440532013000") == "DE89 3704 0044 0532 0130 00"
    assert texts.words("cached_input") == "Cached input"


def test_a_code_that_is_no_country_stands_as_it_is() -> None:
    assert (country_name("DE"), country_name("ZZ"), country_name("")) == ("Germany", "ZZ", "")
