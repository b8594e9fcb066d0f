"""Joules per token by regression: on data whose coefficients are known, and on data from which nothing can be told."""

import dataclasses

import numpy as np
import pytest

from metering.telemetry.energy.arrays import floats
from metering.telemetry.energy.coefficients import (
    ASSUMED_DECODE_J,
    ASSUMED_ID,
    ASSUMED_PREFILL_J,
    Book,
    Coefficients,
)
from metering.telemetry.energy.fitting import Observations, fit, not_negative

PREFILL_J, CONTEXT_J, DECODE_J, DECODE_W, IDLE_W = 0.02, 1e-6, 0.2, 250.0, 100.0


def windows(count: int = 200, noise: float = 0.01, seed: int = 1, context_j: float = CONTEXT_J) -> Observations:
    """Of one GPU that is always busy and computes 10,000 prompt tokens a second."""
    random = np.random.default_rng(seed)
    prefill, decode = random.uniform(1e4, 3e5, count), random.uniform(1e3, 6e4, count)
    context, prompting_s = prefill * random.uniform(500, 8000, count), prefill / 10_000
    joules = PREFILL_J * prefill + context_j * context + DECODE_J * decode + DECODE_W * (60 - prompting_s)
    scattered = joules * (1 + noise * random.standard_normal(count))
    return Observations(prefill, context, decode, 60 - prompting_s, scattered, IDLE_W * prompting_s)


def test_it_finds_the_coefficients_that_made_the_data_within_their_errors() -> None:
    found = fit(windows())
    assert found.reason == ""
    assert found.windows == 200
    truth = PREFILL_J + IDLE_W / 10_000, CONTEXT_J, DECODE_J, DECODE_W
    for one, true in zip(
        (found.prefill_j, found.prefill_context_j, found.decode_j, found.decode_w), truth, strict=True
    ):
        assert one.error is not None
        assert abs(one.value - true) < 4 * one.error < 0.3 * true
    assert found.r_squared is not None
    assert found.r_squared > 0.99


def test_data_without_noise_is_fitted_exactly() -> None:
    found = fit(windows(noise=0))
    values = [one.value for one in (found.prefill_j, found.prefill_context_j, found.decode_j, found.decode_w)]
    assert values == pytest.approx([PREFILL_J + IDLE_W / 10_000, CONTEXT_J, DECODE_J, DECODE_W])
    assert found.r_squared == pytest.approx(1)


def test_standard_errors_are_as_wide_as_the_estimates_scatter() -> None:
    estimates, errors = [], []
    for seed in range(200):
        found = fit(windows(count=60, seed=seed))
        estimates.append(found.decode_j.value)
        errors.append(found.decode_j.error or 0.0)
    assert np.std(estimates) == pytest.approx(np.mean(errors), rel=0.5)


def test_a_few_windows_with_something_else_in_them_do_not_pull_it_away() -> None:
    seen = windows()
    seen.joules[::20] += 50_000
    found = fit(seen)
    assert found.decode_j.value == pytest.approx(DECODE_J, rel=0.05)
    assert found.prefill_j.value == pytest.approx(PREFILL_J + IDLE_W / 10_000, rel=0.1)


def test_coefficients_are_not_negative_and_the_best_that_are_not() -> None:
    tokens = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    joules = floats([3, 2, 1])
    assert not_negative(tokens, joules).tolist() == pytest.approx([0, 2])
    assert not_negative(tokens[:, ::-1], joules).tolist() == pytest.approx([2, 0])
    assert not_negative(tokens, -joules).tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(20))
def test_no_other_coefficients_that_are_not_negative_leave_less(seed: int) -> None:
    random = np.random.default_rng(seed)
    tokens, joules = random.uniform(0, 1, (12, 2)), random.uniform(-1, 1, 12)
    best = float(np.sum((joules - tokens @ not_negative(tokens, joules)) ** 2))
    for other in np.stack(np.meshgrid(np.linspace(0, 3, 61), np.linspace(0, 3, 61)), axis=-1).reshape(-1, 2):
        assert best <= float(np.sum((joules - tokens @ other) ** 2)) + 1e-12


def test_too_few_windows_are_not_fitted() -> None:
    found = fit(windows(count=29))
    assert found.reason == "29 windows; 30 are needed"


def test_prompt_and_output_that_always_come_together_cannot_be_told_apart() -> None:
    decode, nothing = np.linspace(100, 200, 100), np.zeros(100)
    found = fit(Observations(8 * decode, nothing, decode, nothing, 3 * decode, nothing))
    assert found.reason


def test_prompts_that_come_out_at_nothing_are_a_reason_not_to_use_a_fit() -> None:
    seen = windows()
    found = fit(dataclasses.replace(seen, joules=DECODE_J * seen.decode))
    assert "prompt" in found.reason
    assert found.decode_j.value == pytest.approx(DECODE_J, rel=0.01)


def test_output_that_costs_nothing_beyond_its_steps_is_none() -> None:
    """A decode step costs the same whatever its batch."""
    seen = windows(noise=0)
    found = fit(dataclasses.replace(seen, joules=seen.joules - DECODE_J * seen.decode))
    assert found.reason == ""
    assert found.decode_j.value == pytest.approx(0, abs=1e-9)
    assert found.decode_w.value == pytest.approx(DECODE_W)


def test_where_all_prompts_are_equally_long_their_context_is_left_out() -> None:
    seen = windows(context_j=0)
    found = fit(dataclasses.replace(seen, prefill_context=1000 * seen.prefill))
    assert found.reason == ""
    assert found.prefill_j.value == pytest.approx(PREFILL_J + IDLE_W / 10_000, rel=0.1)
    assert found.prefill_context_j.value == 0


def test_a_large_error_is_a_reason_not_to_use_a_fit() -> None:
    seen = windows(count=40, noise=0)
    seen.joules[:] = np.abs(seen.joules + np.random.default_rng(3).normal(0, 60_000, 40))
    assert fit(seen).reason


def test_windows_without_any_energy_fit_nothing() -> None:
    found = fit(dataclasses.replace(windows(), joules=np.zeros(200)))
    assert found.reason
    assert found.r_squared is None


def test_before_there_is_a_fit_coefficients_are_assumed_ones() -> None:
    found = Book().at("m", "H100", False, 1_000)
    assert (found.id, found.prefill_j, found.decode_j) == (ASSUMED_ID, ASSUMED_PREFILL_J, ASSUMED_DECODE_J)
    assert found.prefill_context_j == 0
    assert 0.07 < ASSUMED_DECODE_J < 0.46
    assert 4 < ASSUMED_DECODE_J / ASSUMED_PREFILL_J < 20


def test_of_several_fits_the_latest_that_had_begun_counts() -> None:
    rows = [
        Coefficients(n, "m", "g", False, float(n), 0.0, 1.0, at) for n, at in ((1, 0), (2, 100), (4, 100), (3, 200))
    ]
    book = Book.of(rows)
    assert [book.at("m", "g", False, at).id for at in (-1, 0, 99, 100, 199, 200)] == [0, 1, 1, 4, 4, 3]
    assert book.at("m", "other", False, 500).id == ASSUMED_ID
