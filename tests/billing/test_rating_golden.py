"""Golden cases, every one worked out by hand: charge models at their bounds, fees by days, discounts, commitments, included usage.

The tables are what is tested; how each number comes about stands beside it.
"""

from decimal import Decimal
from typing import Any

import pytest

from billing import rating
from billing.rating.terms import Allowance, AppliesTo, Discount, FlatFee, PercentageFee, Terms
from tests.billing.prices import agreed, metered, price, rate, sheet, tiers, used

# Up to 1M at 2.00 per million; from there to 3M at 1.50 and 5.00 for reaching it; beyond at 1.00.
TABLE = tiers((1_000_000, "2"), (3_000_000, "1.5", "5"), (None, "1"))

GRADUATED = [
    # tokens, exact amount, what is charged
    (1, "0.000002", "0.00"),
    (999_999, "1.999998", "2.00"),
    (1_000_000, "2", "2.00"),  # at the bound: still all in the first tier
    (1_000_001, "7.0000015", "7.00"),  # 2 + 5 + one token at 1.50 per million
    (2_999_999, "9.9999985", "10.00"),  # 2 + 5 + 1,999,999 x 1.50 / 10^6 = 2.9999985
    (3_000_000, "10", "10.00"),  # 2 + 5 + 3
    (3_000_001, "10.000001", "10.00"),
    (5_000_000, "12", "12.00"),  # 10 + 2M at 1.00
]
VOLUME = [
    (1, "0.000002", "0.00"),
    (999_999, "1.999998", "2.00"),
    (1_000_000, "2", "2.00"),
    (1_000_001, "6.5000015", "6.50"),  # all of it at 1.50, and 5
    (2_999_999, "9.4999985", "9.50"),
    (3_000_000, "9.5", "9.50"),
    (3_000_001, "3.000001", "3.00"),  # all of it at 1.00: less than before, which `volume_drops` says
    (5_000_000, "5", "5.00"),
]
PACKAGE = [
    # 4.00 for every started thousand
    (1, "4", "4.00"),
    (999, "4", "4.00"),
    (1_000, "4", "4.00"),
    (1_001, "8", "8.00"),
    (2_000, "8", "8.00"),
    (2_001, "12", "12.00"),
]


@pytest.mark.parametrize(("tokens", "exact", "amount"), GRADUATED)
def test_a_graduated_charge(tokens: int, exact: str, amount: str) -> None:
    book = sheet(price("input", charge_model="graduated", tiers=TABLE))
    (line,) = rate([used((tokens, 0, 0, 0, 0))], book)
    assert (line.amount_exact, str(line.amount)) == (Decimal(exact), amount)
    assert (line.model, line.tier, line.unit_amount) == ("m", "", None)


@pytest.mark.parametrize(("tokens", "exact", "amount"), VOLUME)
def test_a_volume_charge(tokens: int, exact: str, amount: str) -> None:
    book = sheet(price("input", charge_model="volume", tiers=TABLE))
    (line,) = rate([used((tokens, 0, 0, 0, 0))], book)
    assert (line.amount_exact, str(line.amount)) == (Decimal(exact), amount)


@pytest.mark.parametrize(("tokens", "exact", "amount"), PACKAGE)
def test_a_package_charge(tokens: int, exact: str, amount: str) -> None:
    book = sheet(price("input", "4", charge_model="package", per=1_000))
    (line,) = rate([used((tokens, 0, 0, 0, 0))], book)
    assert (line.amount_exact, str(line.amount)) == (Decimal(exact), amount)


@pytest.mark.parametrize("charge_model", ["per_unit", "graduated", "volume", "package"])
def test_no_usage_is_no_line_and_no_charge(charge_model: str) -> None:
    book = sheet(price("input", "4", charge_model=charge_model, tiers=TABLE))
    assert rate([used((0, 0, 0, 0, 0))], book) == ()


PER_UNIT = [
    # price, per, quantity, exact amount, what is charged
    ("0.60", 1_000_000, 1_234_567, "0.7407402", "0.74"),
    ("0.002", 1, 1_234_567, "2469.134", "2469.13"),
    ("4", 1_000, 1_001, "4.004", "4.00"),
    ("1", 3, 10, "3.333333333333333333", "3.33"),  # endless: 18 digits are kept
    ("1", 3, 11, "3.666666666666666667", "3.67"),
    ("0.125", 1, 1, "0.125", "0.12"),  # halfway: to the even cent
    ("0.135", 1, 1, "0.135", "0.14"),
    ("0.000000000005", 1_000_000, 1, "0.000000000000000005", "0.00"),  # the smallest price of the smallest quantity
]


@pytest.mark.parametrize(("amount", "per", "quantity", "exact", "charged"), PER_UNIT)
def test_a_per_unit_charge(amount: str, per: int, quantity: int, exact: str, charged: str) -> None:
    (line,) = rate([used((quantity, 0, 0, 0, 0))], sheet(price("input", amount, per=per)))
    assert (line.amount_exact, str(line.amount)) == (Decimal(exact), charged)


def test_amounts_are_rounded_from_what_they_are_and_not_from_what_is_kept_of_them() -> None:
    """1 x 0.025 is a tie, and goes to the even cent. A little more is above it, though 18 digits do not show that."""
    book = sheet(price("meter:gpu_hours", "0.025", per=1, model="*"))
    (tie,) = rate([], book, meters=[metered("1")])
    (above,) = rate([], book, meters=[metered("1.000000000000000001")])
    assert (tie.amount_exact, str(tie.amount)) == (Decimal("0.025"), "0.02")
    assert (above.amount_exact, str(above.amount)) == (Decimal("0.025"), "0.03")


PERCENTAGE = [
    # rate, fixed, money, events, exact amount, what is charged
    ("0.029", "0.30", "1234.56", 7, "37.90224", "37.90"),  # 35.80224 + 2.10
    ("0.029", None, "1234.56", 7, "35.80224", "35.80"),
    ("0", "0.30", "1234.56", 7, "2.1", "2.10"),
    ("0.1", "0", "0.05", 1, "0.005", "0.00"),
]


@pytest.mark.parametrize(("share", "fixed", "money", "events", "exact", "charged"), PERCENTAGE)
def test_a_percentage_charge(share: str, fixed: str | None, money: str, events: int, exact: str, charged: str) -> None:
    each = None if fixed is None else Decimal(fixed)
    book = sheet(price("meter:sales", model="*", charge_model="percentage", rate=Decimal(share), fixed=each))
    (line,) = rate([], book, meters=[metered(money, meter="sales", events=events)])
    assert (line.amount_exact, str(line.amount), line.unit) == (Decimal(exact), charged, "USD")


FEES = [
    # fee, days that it held, days of the period, exact amount, what is charged
    ("100", 28, 28, "100", "100.00"),  # February
    ("100", 15, 28, "53.571428571428571429", "53.57"),
    ("100", 15, 29, "51.724137931034482759", "51.72"),  # February of a leap year
    ("100", 15, 30, "50", "50.00"),
    ("100", 15, 31, "48.387096774193548387", "48.39"),
    ("100", 1, 28, "3.571428571428571429", "3.57"),
    ("100", 1, 29, "3.448275862068965517", "3.45"),
    ("100", 1, 30, "3.333333333333333333", "3.33"),
    ("100", 1, 31, "3.225806451612903226", "3.23"),
    ("0.05", 15, 30, "0.025", "0.02"),  # halfway: to the even cent
    ("0.15", 15, 30, "0.075", "0.08"),
]


@pytest.mark.parametrize(("fee", "days", "period_days", "exact", "charged"), FEES)
def test_a_flat_fee_by_days(fee: str, days: int, period_days: int, exact: str, charged: str) -> None:
    terms = Terms(flat_fees=(FlatFee("platform", "Platform", Decimal(fee)),))
    (line,) = rate([], sheet(), agreed((days, terms), period_days=period_days))
    assert (line.amount_exact, str(line.amount), line.quantity) == (Decimal(exact), charged, days)


def test_a_plan_that_changes_costs_each_for_its_days() -> None:
    """10 of 31 days at 31.00 are 10.00, 21 at 62.00 are 42.00; what did not change is one line."""
    small = Terms(flat_fees=(FlatFee("seat", "Seat", Decimal(31)), FlatFee("support", "Support", Decimal(5))))
    large = Terms(flat_fees=(FlatFee("seat", "Seat", Decimal(62)), FlatFee("support", "Support", Decimal(5))))
    lines = rate([], sheet(), agreed((10, small), (21, large)))
    assert [(line.explanation, str(line.amount)) for line in lines] == [
        ("Seat: 31 USD x 10 of 31 days", "10.00"),
        ("Seat: 62 USD x 21 of 31 days", "42.00"),
        ("Support: 5 USD", "5.00"),
    ]


def test_a_pause_costs_no_fee() -> None:
    """11 active days of 31, in two parts, at 31.00."""
    fee = (FlatFee("seat", "Seat", Decimal(31)),)
    running, paused = Terms(flat_fees=fee), Terms(active=False, flat_fees=fee)
    (line,) = rate([], sheet(), agreed((5, running), (20, paused), (6, running)))
    assert (str(line.amount), line.explanation) == ("11.00", "Seat: 31 USD x 11 of 31 days")


def amounts(lines: tuple[rating.Line, ...], kind: str) -> list[str]:
    return [str(line.amount) for line in lines if line.type == kind]


def used_for(dollars: str, **other: Any) -> rating.Usage:
    """Usage of so much, at 1 USD for a million tokens."""
    return used((int(Decimal(dollars) * 10**6), 0, 0, 0, 0), **other)


DOLLAR = price("input", "1", model="*")
TEN = Discount("ten", "Ten off", AppliesTo.USAGE, share=Decimal("0.1"))
FLAT = Discount("flat", "25 off", AppliesTo.USAGE, amount=Decimal(25))
ALL = Discount("all", "A fifth off", AppliesTo.ALL, share=Decimal("0.2"))
OF_FEES = Discount("fees", "Half the fees", AppliesTo.FEES, share=Decimal("0.5"))
OF_M = Discount("m", "Half of m", AppliesTo.USAGE, model="m", share=Decimal("0.5"))
FEE = FlatFee("platform", "Platform", Decimal(100))

DISCOUNTS = [
    # discounts in order, usage of m and of n, the discounts' amounts; with a fee of 100.00
    ((TEN,), "200", "0", ["-20.00"]),
    ((TEN, FLAT, ALL), "200", "0", ["-20.00", "-25.00", "-51.00"]),  # 20 % of (200 - 20 - 25) + 100 = 255
    ((ALL, TEN), "200", "0", ["-60.00", "-16.00"]),  # a fifth of 300, 40 of it off usage; a tenth of 160
    ((OF_FEES, ALL), "200", "0", ["-50.00", "-50.00"]),  # a fifth of 200 + 50
    ((FLAT,), "10", "0", ["-10.00"]),  # never more than there is
    ((TEN, FLAT), "25", "0", ["-2.50", "-22.50"]),
    ((OF_M, TEN), "100", "50", ["-50.00", "-10.00"]),  # a tenth of 50 + 50
    ((TEN, OF_M), "100", "50", ["-15.00", "-45.00"]),  # half of m's 100 - 10
    ((OF_M,), "0", "50", []),
]


@pytest.mark.parametrize(("discounts", "of_m", "of_n", "expected"), DISCOUNTS)
def test_discounts_stack_in_order(discounts: tuple[Discount, ...], of_m: str, of_n: str, expected: list[str]) -> None:
    terms = Terms(flat_fees=(FEE,), discounts=discounts)
    lines = rate([used_for(of_m), used_for(of_n, model="n")], sheet(DOLLAR), agreed((31, terms)))
    assert amounts(lines, "discount") == expected


def test_a_discount_of_half_a_cent_is_a_line_of_nothing() -> None:
    lines = rate([used_for("0.05")], sheet(DOLLAR), agreed((31, Terms(discounts=(TEN,)))))
    assert [(line.amount_exact, line.amount) for line in lines if line.type == "discount"] == [(Decimal("-0.005"), 0)]


def test_a_discount_of_a_part_of_the_period_is_off_that_parts_usage() -> None:
    """20.00 in the first 10 days, 80.00 in the 21 after: a tenth of 80.00; and 31.00 for a whole period are 21.00 for 21 days."""
    fixed = Discount("fixed", "31 off", AppliesTo.USAGE, amount=Decimal(31))
    agreement = agreed((10, Terms()), (21, Terms(discounts=(TEN, fixed))))
    first, second = (one.start for one in agreement.stretches)
    lines = rate([used_for("20", start=first), used_for("80", start=second)], sheet(DOLLAR), agreement)
    assert amounts(lines, "usage") == ["100.00"]
    assert amounts(lines, "discount") == ["-8.00", "-21.00"]


COMMITMENTS = [
    # committed for a period, active days of 30, discount, usage, the true-up
    ("1000", 30, (), "0", ["1000.00"]),
    ("1000", 30, (), "999.99", ["0.01"]),
    ("1000", 30, (), "1000", []),
    ("1000", 30, (), "1200", []),
    ("1000", 15, (), "0", ["500.00"]),
    ("1000", 15, (), "499.99", ["0.01"]),
    ("1000", 15, (), "500", []),
    ("1000", 10, (), "0", ["333.33"]),
    ("1000", 20, (), "666.67", []),  # 666.666... were committed
    ("1000", 20, (), "666.66", ["0.01"]),  # 0.00666... is missing, so a cent
    ("1000", 30, (TEN,), "1100", ["10.00"]),  # 990.00 after the discount
    ("0", 30, (), "0", []),
]


@pytest.mark.parametrize(("committed", "days", "discounts", "usage", "expected"), COMMITMENTS)
def test_a_commitment_met_and_missed(
    committed: str, days: int, discounts: tuple[Discount, ...], usage: str, expected: list[str]
) -> None:
    terms = Terms(commitment=Decimal(committed), discounts=discounts)
    lines = rate([used_for(usage)], sheet(DOLLAR), agreed((days, terms), period_days=30))
    assert amounts(lines, "commitment") == expected


def test_a_commitment_that_changes_is_the_sum_of_its_parts() -> None:
    """300 x 10/30 + 600 x 20/30 = 500; paused days commit to nothing; fees do not count towards it."""
    agreement = agreed(
        (10, Terms(commitment=Decimal(300), flat_fees=(FEE,))), (20, Terms(commitment=Decimal(600))), period_days=30
    )
    assert amounts(rate([used_for("120")], sheet(DOLLAR), agreement), "commitment") == ["380.00"]
    paused = agreed(
        (10, Terms(commitment=Decimal(300))), (20, Terms(active=False, commitment=Decimal(300))), period_days=30
    )
    assert amounts(rate([used_for("120")], sheet(DOLLAR), paused), "commitment") == []


PERCENTAGE_FEES = [
    # rate, least for a period, days of 30 that it held, usage then, the fee
    ("0.05", "0", 30, "200", ["10.00"]),
    ("0.05", "20", 30, "200", ["20.00"]),
    ("0.05", "20", 30, "400", ["20.00"]),
    ("0.05", "20", 30, "400.20", ["20.01"]),
    ("0.05", "20", 15, "200", ["10.00"]),
    ("0.05", "20", 15, "0", ["10.00"]),
    ("0.05", "0", 30, "0", []),
]


@pytest.mark.parametrize(("share", "least", "days", "usage", "expected"), PERCENTAGE_FEES)
def test_a_percentage_fee(share: str, least: str, days: int, usage: str, expected: list[str]) -> None:
    terms = Terms(percentage_fees=(PercentageFee("support", "Support", Decimal(share), Decimal(least)),))
    lines = rate([used_for(usage)], sheet(DOLLAR), agreed((days, terms), period_days=30))
    assert amounts(lines, "percentage_fee") == expected


def test_a_percentage_fee_is_of_usage_before_discounts() -> None:
    terms = Terms(percentage_fees=(PercentageFee("support", "Support", Decimal("0.05")),), discounts=(TEN, OF_FEES))
    lines = rate([used_for("200")], sheet(DOLLAR), agreed((31, terms)))
    assert amounts(lines, "percentage_fee") == ["10.00"]
    assert amounts(lines, "discount") == ["-20.00", "-5.00"]


INCLUDED = [
    # included, days of 30, tokens, covered, charged at 1 USD per million
    (2_000_000, 30, 1_999_999, 1_999_999, "0.00"),
    (2_000_000, 30, 2_000_000, 2_000_000, "0.00"),
    (2_000_000, 30, 3_500_000, 2_000_000, "1.50"),
    (2_000_000, 15, 3_500_000, 1_000_000, "2.50"),
    (1_000_000, 10, 3_500_000, 333_333, "3.17"),  # whole tokens, rounded down: 3,166,667 are charged
]


@pytest.mark.parametrize(("included", "days", "tokens", "covered", "charged"), INCLUDED)
def test_included_usage_is_not_charged(included: int, days: int, tokens: int, covered: int, charged: str) -> None:
    terms = Terms(allowances=(Allowance("starter", "*", "input", "", Decimal(included)),))
    (line,) = rate([used((tokens, 0, 0, 0, 0))], sheet(DOLLAR), agreed((days, terms), period_days=30))
    assert (line.quantity, line.included, str(line.amount)) == (tokens, covered, charged)


def test_tiers_count_what_is_charged() -> None:
    """2.5M with 1.5M included: one million, all of it in the first tier."""
    book = sheet(price("input", charge_model="graduated", tiers=TABLE))
    terms = Terms(allowances=(Allowance("starter", "*", "input", "", Decimal(1_500_000)),))
    (line,) = rate([used((2_500_000, 0, 0, 0, 0))], book, agreed((31, terms)))
    assert (line.included, str(line.amount)) == (1_500_000, "2.00")


def test_an_allowance_covers_what_it_names_and_no_more() -> None:
    book = sheet(DOLLAR, price("output", "1", model="*"))
    terms = Terms(allowances=(Allowance("a", "m", "output", "batch", Decimal(10**6)),))
    usages = [
        used((10**6, 0, 0, 10**6, 0), tier="batch"),
        used((0, 0, 0, 10**6, 0), tier="standard"),
        used((0, 0, 0, 10**6, 0), tier="batch", model="n"),
    ]
    lines = rate(usages, book, agreed((31, terms)))
    assert [(line.model, line.tier, line.kind) for line in lines if line.included] == [("m", "batch", "output")]


def test_output_that_is_included_may_be_reasoning_where_that_has_outputs_price() -> None:
    terms = Terms(allowances=(Allowance("a", "*", "output", "", Decimal(15)),))
    usage = [used((0, 0, 0, 20, 10))]
    lines = rate(usage, sheet(price("output", "1")), agreed((31, terms)))
    assert [(line.kind, line.included) for line in lines] == [("output", 10), ("reasoning", 5)]
    lines = rate(usage, sheet(price("output", "1"), price("reasoning", "2")), agreed((31, terms)))
    assert [(line.kind, line.included) for line in lines] == [("output", 10), ("reasoning", 0)]
