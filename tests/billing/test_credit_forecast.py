"""How long credit lasts at a pace."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.credit_forecast import FARTHEST_DAYS, Forecast, Reserve, forecast
from billing.rating import BEGINNING

TODAY = datetime(2026, 11, 25, tzinfo=UTC)
D = Decimal


def reserve(left: str, *, before_tax: bool = False, begins: int | None = None, ends: int | None = None) -> Reserve:
    """`begins`, `ends`: days from today."""
    return Reserve(
        D(left),
        before_tax,
        BEGINNING if begins is None else TODAY + timedelta(days=begins),
        None if ends is None else TODAY + timedelta(days=ends),
    )


def days(found: Forecast) -> int | None:
    return None if found.used_up_on is None else (found.used_up_on - TODAY).days


@pytest.mark.parametrize(
    ("reserves", "tax", "lasts"),
    [
        ([], "0", 0),
        ([reserve("9.99")], "0", 0),
        ([reserve("10")], "0", 1),
        ([reserve("95")], "0", 9),
        ([reserve("95", before_tax=True)], "0.19", 9),  # tax lies on what it leaves alone
        ([reserve("119")], "0.19", 10),
        ([reserve("30", before_tax=True), reserve("23.80")], "0.19", 5),
        ([reserve("5", before_tax=True), reserve("5.95")], "0.19", 1),  # both on one day
        ([reserve("1000", ends=3), reserve("20")], "0", 5),
        ([reserve("1000", begins=2), reserve("20")], "0", 102),
        ([reserve("1000", begins=2)], "0", 0),
        ([reserve("1000000")], "0", None),
    ],
)
def test_a_day_at_a_time_in_the_order_of_burning(reserves: list[Reserve], tax: str, lasts: int | None) -> None:
    assert days(forecast(reserves, D("10"), D(tax), TODAY)) == lasts


def test_what_expires_before_it_can_be_used_is_said() -> None:
    found = forecast([reserve("100", ends=3), reserve("50")], D("10"), D("0"), TODAY)
    assert found == Forecast(TODAY + timedelta(days=8), D("70"))


@pytest.mark.parametrize(("due", "lasts"), [("0", 10), ("35", 6), ("100", 0), ("101", 0)])
def test_what_was_used_and_is_not_invoiced_yet_is_paid_first(due: str, lasts: int) -> None:
    assert days(forecast([reserve("100")], D("10"), D("0"), TODAY, due=D(due))) == lasts


def test_without_usage_credit_lasts_and_what_expires_within_a_year_expires() -> None:
    found = forecast([reserve("100", ends=3), reserve("7", ends=FARTHEST_DAYS + 1)], D("0"), D("0.19"), TODAY)
    assert found == Forecast(None, D("100"))
