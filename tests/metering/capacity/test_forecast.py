"""Forecasts of hourly demand: what they must keep to, and that they beat the seasonal-naive one on a year that they know nothing about."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.capacity import wire
from metering.capacity.backtest import forecast, score, trials
from metering.capacity.forecast import DAILY, SPARSE, WEEKLY, reach_days, shaped, started
from tests.backtest.year import year
from tests.metering.capacity.rows import weekly

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_less_than_three_days_of_demand_are_no_forecast() -> None:
    assert forecast(weekly(71), NOW) == (None, None)
    assert forecast(np.zeros(2000), NOW) == (None, None)


def test_hours_before_the_first_demand_are_no_history() -> None:
    values = np.concatenate([np.zeros(1000), weekly(60)])
    assert len(started(values)) == 60
    assert forecast(values, NOW) == (None, None)


@pytest.mark.parametrize(("days", "model"), [(3, DAILY), (13, DAILY), (14, WEEKLY), (60, WEEKLY)])
def test_the_days_of_the_week_are_known_from_two_weeks_on(days: int, model: str) -> None:
    made, judged = forecast(weekly(days * 24, 1e6), NOW)
    assert made is not None
    assert made.shape.model == model
    assert made.days == min(90, 2 * days)
    assert (judged is None) == (days < 22)


def test_demand_that_comes_now_and_then_is_forecast_by_its_mean() -> None:
    values = np.where(np.arange(40 * 24) % 24 == 9, 5000.0, 0.0)
    made, _ = forecast(values, NOW)
    assert made is not None
    assert made.shape.model == SPARSE
    assert made.shape.medians[:24].sum() == pytest.approx(5000, rel=0.02)


def test_a_rhythm_without_noise_is_repeated() -> None:
    hours = np.arange(56 * 24)
    values = 1e6 * (1 + 0.5 * np.sin(hours / 24 * 2 * np.pi)) * np.where((hours // 24) % 7 >= 5, 0.6, 1.0)
    made, judged = forecast(values, NOW)
    assert made is not None
    assert judged is not None
    assert made.shape.medians[:168] == pytest.approx(values[-168:], rel=0.05)


def test_growth_goes_on_for_a_while() -> None:
    made, _ = forecast(weekly(91 * 24, 1e6, growth_a_week=0.05), NOW)
    assert made is not None
    weeks = made.shape.medians[: 8 * 168].reshape(8, 168).sum(axis=1)
    assert (np.diff(weeks) > 0).all()
    assert weeks[1] / weeks[0] == pytest.approx(1.05, abs=0.02)


def test_an_outage_leaves_no_trace_in_the_profile() -> None:
    values = weekly(63 * 24, 1e6)
    broken = values.copy()
    broken[-170:-167] = 0
    one, other = shaped(values, 7), shaped(broken, 7)
    assert one is not None
    assert other is not None
    assert other.medians == pytest.approx(one.medians, rel=0.1)


@given(
    hours=st.integers(72, 24 * 70),
    seed=st.integers(0, 10_000),
    level=st.floats(1, 1e12),
    zeros=st.floats(0, 0.9),
)
@settings(max_examples=20, deadline=None)
def test_whatever_the_history_quantiles_are_in_order_and_never_negative(
    hours: int, seed: int, level: float, zeros: float
) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    values = weekly(hours, level, seed=seed) * (rng.random(hours) >= zeros)
    values[0] = level
    made, _ = forecast(values, NOW)
    assert made is not None
    low, lower, upper, high = (made.hours_at(index) for index in range(4))
    medians = made.shape.medians
    assert medians.shape == (made.days * 24,)
    assert np.isfinite(high).all()
    assert (low >= 0).all()
    slack = 1e-9 * level
    for less, more in ((low, lower), (lower, medians), (medians, upper), (upper, high)):
        assert (less <= more + slack).all()
    assert made.days == reach_days(hours)
    again = wire.read(wire.written(made))
    assert again.hours_at(3) == pytest.approx(high, rel=1e-3, abs=1e-5 * level)


def test_the_further_ahead_the_wider_is_the_interval() -> None:
    made, _ = forecast(weekly(60 * 24, 1e6), NOW)
    assert made is not None
    wide = np.log(made.peaks_at(3) / made.peaks_at(0))
    assert (np.diff(wide) >= -1e-3).all()  # the floor under the logarithm makes a little of it
    assert wide[-1] > wide[0]


def test_on_simulated_demand_it_beats_the_seasonal_naive_forecast_and_its_interval_holds() -> None:
    """The short form of `make backtest`: the last four weeks before two moments of the simulated years of three providers."""
    found = []
    for seed, days in ((1, 150), (2, 150), (3, 150), (1, 300), (2, 300), (3, 300)):
        values = year(seed).output_tokens[: days * 24]
        judged = score(values, trials(values))
        assert judged is not None
        found.append(judged)
    assert sum(one.wape for one in found) < 0.97 * sum(one.naive_wape for one in found)
    held = [one.coverage_90 for one in found if one.coverage_90 is not None]
    assert 0.8 < sum(held) / len(held) < 0.98


def test_the_simulated_year_is_the_same_each_time_and_no_two_seeds_are() -> None:
    one, again, other = year(5, days=20), year(5, days=20), year(6, days=20)
    assert (one.input_tokens == again.input_tokens).all()
    assert not (one.input_tokens == other.input_tokens).all()
