"""When a series took a step that it has kept to since."""

import random

import pytest

from metering.causes.change import last_step


def noisy(level: float, count: int, rng: random.Random, share: float = 0.1) -> list[float]:
    return [max(rng.gauss(level, share * level), 0.0) for _ in range(count)]


@pytest.fixture
def rng() -> random.Random:
    return random.Random(4)  # noqa: S311 - no secret


def test_a_step_is_found_where_it_is(rng: random.Random) -> None:
    step = last_step([*noisy(100, 40, rng), *noisy(280, 20, rng)])
    assert step is not None
    assert step.at == 40
    assert step.ratio == pytest.approx(2.8, rel=0.1)


@pytest.mark.parametrize("after", [1, 2, 5])
def test_a_point_or_two_after_it_are_enough(after: int, rng: random.Random) -> None:
    step = last_step([*noisy(100, 60, rng), *noisy(250, after, rng)])
    assert step is not None
    assert step.at == 60


def test_a_step_down_is_one_as_well(rng: random.Random) -> None:
    step = last_step([*noisy(300, 40, rng), *noisy(100, 10, rng)])
    assert step is not None
    assert step.ratio == pytest.approx(1 / 3, rel=0.15)


def test_of_several_the_latest_counts(rng: random.Random) -> None:
    step = last_step([*noisy(100, 40, rng), *noisy(400, 40, rng), *noisy(900, 3, rng)])
    assert step is not None
    assert step.at == 80
    assert step.before == pytest.approx(400, rel=0.1)


def test_what_goes_on_as_before_has_no_step(rng: random.Random) -> None:
    for _ in range(50):
        found = last_step(noisy(100, 120, rng))
        assert found is None or found.ratio < 1.25


def test_a_spike_that_is_over_is_none(rng: random.Random) -> None:
    found = last_step([*noisy(100, 50, rng), *noisy(900, 5, rng), *noisy(100, 50, rng)])
    assert found is None or found.ratio < 1.25


def test_a_slow_rise_is_no_step_of_its_whole_height() -> None:
    found = last_step([100 + point for point in range(60)])
    assert found is None or found.ratio < 1.4


def test_from_nothing_is_infinitely_more() -> None:
    step = last_step([0.0] * 20 + [50.0, 55.0])
    assert step is not None
    assert (step.at, step.ratio) == (20, float("inf"))


@pytest.mark.parametrize("values", [[], [1.0], [0.0] * 10, [5.0] * 10, [0.0] * 60, [7.0] * 60])
def test_too_few_points_or_always_the_same_have_none(values: list[float]) -> None:
    assert last_step(values) is None
