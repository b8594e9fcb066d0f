"""Joules per token by regression: on data whose coefficients are known, and on data from which nothing can be told."""

import numpy as np
import pytest

from metering.telemetry.energy.arrays import Floats, floats
from metering.telemetry.energy.coefficients import (
    ASSUMED_DECODE_J,
    ASSUMED_ID,
    ASSUMED_PREFILL_J,
    Book,
    Coefficients,
)
from metering.telemetry.energy.fitting import Fit, Observations, fit, not_negative

PREFILL_J, DECODE_J = 0.02, 0.2


def windows(count: int = 200, noise: float = 0.02, seed: int = 1) -> tuple[Floats, Floats, Floats]:
    random = np.random.default_rng(seed)
    prefill, decode = random.uniform(1e4, 3e5, count), random.uniform(1e3, 6e4, count)
    joules = PREFILL_J * prefill + DECODE_J * decode
    return prefill, decode, joules * (1 + noise * random.standard_normal(count))


def fitted(prefill: Floats, decode: Floats, joules: Floats) -> Fit:
    return fit(Observations(prefill, decode, joules))


def test_it_finds_the_coefficients_that_made_the_data_within_their_errors() -> None:
    found = fitted(*windows())
    assert found.reason == ""
    assert found.windows == 200
    assert found.prefill_error_j is not None
    assert found.decode_error_j is not None
    assert abs(found.prefill_j - PREFILL_J) < 4 * found.prefill_error_j < 0.1 * PREFILL_J
    assert abs(found.decode_j - DECODE_J) < 4 * found.decode_error_j < 0.1 * DECODE_J
    assert found.r_squared is not None
    assert found.r_squared > 0.99


def test_data_without_noise_is_fitted_exactly() -> None:
    found = fitted(*windows(noise=0))
    assert (found.prefill_j, found.decode_j) == (pytest.approx(PREFILL_J), pytest.approx(DECODE_J))
    assert found.r_squared == pytest.approx(1)


def test_standard_errors_are_as_wide_as_the_estimates_scatter() -> None:
    estimates, errors = [], []
    for seed in range(200):
        found = fitted(*windows(count=60, seed=seed))
        estimates.append(found.decode_j)
        errors.append(found.decode_error_j or 0.0)
    assert np.std(estimates) == pytest.approx(np.mean(errors), rel=0.5)


def test_a_few_windows_with_something_else_in_them_do_not_pull_it_away() -> None:
    prefill, decode, joules = windows()
    joules[::20] += 50_000
    found = fitted(prefill, decode, joules)
    assert found.decode_j == pytest.approx(DECODE_J, rel=0.05)
    assert found.prefill_j == pytest.approx(PREFILL_J, rel=0.1)


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
    found = fitted(*windows(count=29))
    assert found.reason == "29 windows; 30 are needed"


def test_prompt_and_output_that_always_come_together_cannot_be_told_apart() -> None:
    decode = np.linspace(100, 200, 100)
    found = fitted(8 * decode, decode, 3 * decode)
    assert found.reason


def test_a_coefficient_that_comes_out_at_nothing_is_not_used() -> None:
    prefill, decode, _ = windows()
    found = fitted(prefill, decode, DECODE_J * decode)
    assert "prompt" in found.reason
    assert found.decode_j == pytest.approx(DECODE_J, rel=0.01)


def test_a_large_error_is_a_reason_not_to_use_a_fit() -> None:
    prefill, decode, joules = windows(count=40, noise=0)
    joules += np.random.default_rng(3).normal(0, 30_000, 40)
    assert fitted(prefill, decode, np.abs(joules)).reason


def test_windows_without_any_energy_fit_nothing() -> None:
    prefill, decode, _ = windows()
    found = fitted(prefill, decode, np.zeros(200))
    assert found.reason
    assert found.r_squared is None


def test_before_there_is_a_fit_coefficients_are_assumed_ones() -> None:
    found = Book().at("m", "H100", False, 1_000)
    assert (found.id, found.prefill_j, found.decode_j) == (ASSUMED_ID, ASSUMED_PREFILL_J, ASSUMED_DECODE_J)
    assert 0.07 < ASSUMED_DECODE_J < 0.46
    assert 4 < ASSUMED_DECODE_J / ASSUMED_PREFILL_J < 20


def test_of_several_fits_the_latest_that_had_begun_counts() -> None:
    rows = [Coefficients(n, "m", "g", False, float(n), 1.0, at) for n, at in ((1, 0), (2, 100), (4, 100), (3, 200))]
    book = Book.of(rows)
    assert [book.at("m", "g", False, at).id for at in (-1, 0, 99, 100, 199, 200)] == [0, 1, 1, 4, 4, 3]
    assert book.at("m", "other", False, 500).id == ASSUMED_ID
