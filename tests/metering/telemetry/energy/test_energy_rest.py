"""Idle power: measured at rest, remembered for a day, and what stands in for it."""

import math

import pytest

from metering.telemetry.energy.arrays import Ints, floats
from metering.telemetry.energy.rest import IdlePower, RestingHour, idle_power

HOUR = 500_000  # hours since the epoch


def starts(*minutes: int) -> Ints:
    import numpy as np

    return np.array([HOUR * 3600 + minute * 60 for minute in minutes], dtype=np.int64)


def power(before: list[RestingHour], joules: list[float], seconds: list[float], lowest: list[float]) -> IdlePower:
    return idle_power(before, floats(joules), floats(seconds), floats(lowest), starts(*range(len(joules))))


def test_it_is_the_mean_power_at_rest_so_far() -> None:
    found = power([], [6000, 0, 1800], [60, 0, 20], [100, 400, 90])
    assert list(found.power_w) == pytest.approx([100, 100, 7800 / 80])
    assert found.measured.all()


def test_hours_before_count_for_a_day() -> None:
    before = [RestingHour(HOUR - 24, 500, 10, 50), RestingHour(HOUR - 25, 10_000, 10, 10)]
    assert list(power(before, [0], [0], [300]).power_w) == [50]


def test_gpus_that_never_rest_have_the_lowest_power_seen_and_say_so() -> None:
    found = power([RestingHour(HOUR - 1, 0, 0, 350)], [0, 0], [0, 0], [400, 300])
    assert list(found.power_w) == [350, 300]
    assert not found.measured.any()


def test_gpus_of_which_nothing_is_known_have_none() -> None:
    assert list(power([], [0], [0], [math.inf]).power_w) == [0]


def test_a_span_that_crosses_an_hour_remembers_for_each_of_its_hours() -> None:
    before = [RestingHour(HOUR - 24, 100, 1, 100)]
    found = idle_power(before, floats([0, 0]), floats([0, 0]), floats([math.inf] * 2), starts(59, 60))
    assert list(found.measured) == [True, False]
