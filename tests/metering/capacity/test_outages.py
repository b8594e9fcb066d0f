"""What is an outage in a history of demand and what is not, and what a forecast makes of it."""

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pytest

from metering.capacity.backtest import forecast
from metering.capacity.outages import LONGEST_YET_H, bridged
from metering.capacity.seasons import DAY_H, WEEK_H
from tests.backtest.year import year

Floats = npt.NDArray[np.float64]
NOW = datetime(2026, 3, 2, tzinfo=UTC)
LAST = slice(29 * DAY_H, 30 * DAY_H)  # of a forecast, a day a month ahead


def demand(days: int, requests_h: float = 500.0) -> Floats:
    """Input tokens, output tokens and requests of each hour of a simulated provider."""
    found = year(4)
    columns = np.stack([found.input_tokens, found.output_tokens, found.requests], axis=1)[: days * DAY_H]
    return columns * requests_h / columns[:, 2].mean()


def down(hours: Floats, length_h: int, *, ended_h: int) -> Floats:
    """The same with nothing in `length_h` hours up to `ended_h` before the end."""
    found = hours.copy()
    end = len(found) - ended_h
    found[end - length_h : end] = 0
    return found


@pytest.mark.parametrize("length_h", [12, 24, 48])
@pytest.mark.parametrize("ended_h", [0, 24, 10 * DAY_H, 30 * DAY_H])
def test_after_an_outage_the_forecast_is_nearly_what_it_would_have_been(length_h: int, ended_h: int) -> None:
    whole = demand(56)
    hours, count = bridged(down(whole, length_h, ended_h=ended_h))
    assert count == length_h
    made, (usual, _) = forecast(hours[:, 1], NOW)[0], forecast(whole[:, 1], NOW)
    assert made is not None
    assert usual is not None
    assert made.shape.medians[LAST].mean() == pytest.approx(usual.shape.medians[LAST].mean(), rel=0.25)
    assert made.hours_at(3)[LAST].max() == pytest.approx(usual.hours_at(3)[LAST].max(), rel=0.35)


def test_with_little_history_the_days_around_tell() -> None:
    whole = demand(9)
    hours, count = bridged(down(whole, 20, ended_h=30))
    assert count == 20
    assert hours.sum(axis=0) == pytest.approx(whole.sum(axis=0), rel=0.15)


def test_nothing_but_the_outage_is_changed_and_what_was_given_stays() -> None:
    given = down(demand(40), 30, ended_h=100)
    before = given.copy()
    hours, _ = bridged(given)
    out = slice(len(given) - 130, len(given) - 100)
    assert (given == before).all()
    assert (np.delete(hours, out, axis=0) == np.delete(given, out, axis=0)).all()
    assert (hours[out] > 0).all()


def test_a_simulated_year_with_its_short_outages_and_holidays_is_left_alone() -> None:
    whole = demand(365)
    assert bridged(whole)[1] == 0


def test_a_trickle_of_checks_during_an_outage_is_no_demand() -> None:
    given = down(demand(40), 30, ended_h=100)
    given[-130:-100] = (20, 5, 2)
    assert bridged(given)[1] == 30


def test_nights_and_weekends_without_a_request_are_as_they_are() -> None:
    at = np.arange(60 * DAY_H)
    working = (at % DAY_H >= 8) & (at % DAY_H < 18) & (at // DAY_H % 7 < 5)
    given = np.where(working, 200.0, 0.0)[:, None] * np.array([1000.0, 200.0, 1.0])
    hours, count = bridged(given)
    assert count == 0
    assert (hours == given).all()


def test_few_requests_leave_hours_out_by_chance() -> None:
    rng = np.random.Generator(np.random.PCG64(7))
    requests = rng.poisson(0.7, 60 * DAY_H).astype(np.float64)
    given = requests[:, None] * np.array([1000.0, 200.0, 1.0])
    assert bridged(given)[1] == 0


def test_who_has_sent_nothing_for_days_has_gone() -> None:
    whole = demand(40)
    assert bridged(down(whole, LONGEST_YET_H, ended_h=0))[1] == LONGEST_YET_H
    assert bridged(down(whole, LONGEST_YET_H + 1, ended_h=0))[1] == 0
    assert bridged(down(whole, WEEK_H + 1, ended_h=50))[1] == 0
    assert bridged(down(whole, WEEK_H, ended_h=50))[1] == WEEK_H


def test_an_hour_or_no_history_at_all_is_no_outage() -> None:
    assert bridged(np.zeros((0, 3)))[1] == 0
    assert bridged(demand(1)[:1])[1] == 0
