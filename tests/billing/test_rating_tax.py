"""Which tax, at which rate, and how much."""

from datetime import date
from decimal import Decimal

import pytest

from billing import rating
from billing.rating.tax_rates import EU

TODAY = date(2026, 11, 25)
DE, FR, GR = "DE136695976", "FR40303265045", "EL094259216"

TREATMENTS = [
    # seller, buyer, the buyer's number, category, rate
    ("DE", "DE", DE, "S", "0.19"),  # at home, business or not
    ("DE", "DE", "", "S", "0.19"),
    ("DE", "FR", FR, "AE", "0"),  # a business in another country of the EU
    ("DE", "FR", "fr 40 303 265 045", "AE", "0"),
    ("DE", "GR", GR, "AE", "0"),  # whose numbers begin with EL
    ("DE", "FR", "", "S", "0.2"),  # a consumer there pays that country's tax
    ("DE", "FR", "FR40303265046", "S", "0.2"),  # wrong check digits
    ("DE", "FR", DE, "S", "0.2"),  # a number of another country
    ("DE", "FI", "", "S", "0.255"),
    ("DE", "US", "", "O", "0"),
    ("DE", "CH", "CHE-123.456.788", "O", "0"),
    ("GB", "GB", "", "S", "0.2"),
    ("GB", "DE", DE, "O", "0"),
    ("CH", "CH", "", "S", "0.081"),
    ("US", "US", "", "O", "0"),  # no rate is known
    ("US", "DE", DE, "O", "0"),
    ("DE", "", "", "O", "0"),  # nothing is known
    ("", "DE", DE, "O", "0"),
]


@pytest.mark.parametrize(("seller", "buyer", "number", "category", "rate"), TREATMENTS)
def test_what_seller_and_buyer_are_to_each_other_decides(
    seller: str, buyer: str, number: str, category: str, rate: str
) -> None:
    found = rating.tax_treatment(seller, buyer, number, "", TODAY)
    assert (found.category, found.rate) == (category, Decimal(rate))
    if category == "AE":
        assert "Reverse charge" in found.note


def test_an_exemption_is_printed_with_its_reason() -> None:
    found = rating.tax_treatment("DE", "DE", DE, "NATO forces", TODAY)
    assert (found.category, found.rate, found.note) == ("E", 0, "NATO forces")


def test_a_rate_is_that_of_the_day() -> None:
    days = [date(2025, 6, 30), date(2025, 7, 1)]
    assert [rating.tax_treatment("DE", "EE", "", "", day).rate for day in days] == [Decimal("0.22"), Decimal("0.24")]


def test_a_rate_that_was_set_holds_from_its_day_over_the_table() -> None:
    rates = [
        rating.CountryRate("DE", Decimal("0.16"), "USt", date(2026, 7, 1)),
        rating.CountryRate("DE", Decimal("0.17"), "USt", date(2026, 7, 1)),  # of two of a day the later
        rating.CountryRate("US", Decimal("0.08"), "Sales tax", date(2026, 7, 1)),
    ]
    assert rating.tax_treatment("DE", "DE", "", "", date(2026, 6, 30), rates).rate == Decimal("0.19")
    found = rating.tax_treatment("DE", "DE", "", "", date(2026, 7, 1), rates)
    assert (found.rate, found.name) == (Decimal("0.17"), "USt")
    assert rating.tax_treatment("US", "US", "", "", TODAY, rates).category == "S"


def test_a_rate_of_zero_that_was_set_is_zero_rated() -> None:
    rates = [rating.CountryRate("DE", Decimal(0), "VAT", date(2026, 7, 1))]
    assert rating.tax_treatment("DE", "DE", "", "", TODAY, rates).category == "Z"


def test_every_member_of_the_union_has_a_rate() -> None:
    assert len(EU) == 27
    for country in EU:
        found = rating.standard_rate(country, TODAY)
        assert found is not None
        assert Decimal("0.15") <= found.rate <= Decimal("0.27")


TAXES = [
    # rounded lines, rate, base, tax
    (["100.00", "-10.00"], "0.19", "90.00", "17.10"),
    (["0.05", "0.05"], "0.19", "0.10", "0.02"),  # once on the sum: 0.019; per line it would be 0.01 twice
    (["0.50"], "0.05", "0.50", "0.02"),  # 0.025: to the even cent
    (["-0.50"], "0.05", "-0.50", "-0.02"),
    (["100.00"], "0", "100.00", "0.00"),  # reverse charge
    (["12.34"], "0.255", "12.34", "3.15"),  # 3.1467
]


@pytest.mark.parametrize(("lines", "rate", "base", "tax"), TAXES)
def test_tax_is_of_the_sum_and_rounded_once(lines: list[str], rate: str, base: str, tax: str) -> None:
    (found,) = rating.taxes([(Decimal(rate), Decimal(line)) for line in lines], "EUR")
    assert (str(found.base), str(found.amount)) == (base, tax)
