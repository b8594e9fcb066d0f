"""Joules per token by regression: busy energy above idle, window by window, on computed prompt tokens and output tokens.

Least squares through the origin with coefficients that are not negative: with two unknowns the solution is the free one, or one of the
two with the other at zero (the Karush-Kuhn-Tucker conditions of Lawson and Hanson, Solving Least Squares Problems, 1974, chapter 23).
Windows with something else in them (a model that loads, another process on the GPU) are outliers: they are weighed down as Huber does
(Robust Estimation of a Location Parameter, 1964), with the usual 1.345 for 95 % efficiency and the median absolute deviation.
"""

from dataclasses import dataclass

import numpy as np

from metering.telemetry.energy.arrays import Floats

HUBER = 1.345
MAD_TO_SIGMA = 1.4826  # of a normal distribution
MOST_ROUNDS = 50
CONVERGED = 1e-9
LEAST_WINDOWS = 30
LARGEST_RELATIVE_ERROR = 0.5  # of a coefficient; above it the data does not tell prompt from output


@dataclass(frozen=True)
class Observations:
    """By window: tokens of each kind, and joules above idle."""

    prefill: Floats
    decode: Floats
    joules: Floats

    def __len__(self) -> int:
        return len(self.joules)


@dataclass(frozen=True)
class Fit:
    """`*_error_j`: standard errors; None for a coefficient that is held at zero. `r_squared` is about the mean; None if nothing varies.

    `reason`: why it should not be used; empty if it should.
    """

    prefill_j: float
    decode_j: float
    prefill_error_j: float | None
    decode_error_j: float | None
    r_squared: float | None
    windows: int
    reason: str


def fit(seen: Observations) -> Fit:
    tokens = np.column_stack((seen.prefill, seen.decode))
    if len(seen) < LEAST_WINDOWS:
        return Fit(0.0, 0.0, None, None, None, len(seen), f"{len(seen)} windows; {LEAST_WINDOWS} are needed")
    found, weights = _robust(tokens, seen.joules)
    residual = seen.joules - tokens @ found
    errors = _errors(tokens, residual, weights, found > 0)
    prefill, decode = (float(value) for value in found)
    return Fit(prefill, decode, *errors, _r_squared(seen.joules, residual, weights), len(seen), _refused(found, errors))


def not_negative(tokens: Floats, joules: Floats) -> Floats:
    """The coefficients (prefill, decode) of the least sum of squares among those that are not negative."""
    candidates = [np.zeros(2), _alone(tokens, joules, 0), _alone(tokens, joules, 1)]
    free, *_ = np.linalg.lstsq(tokens, joules, rcond=None)
    if (free >= 0).all():
        candidates.append(np.asarray(free, dtype=np.float64))
    return min(candidates, key=lambda one: float(np.sum((joules - tokens @ one) ** 2)))


def _alone(tokens: Floats, joules: Floats, kind: int) -> Floats:
    found = np.zeros(2)
    squares = float(tokens[:, kind] @ tokens[:, kind])
    if squares > 0:
        found[kind] = max(float(tokens[:, kind] @ joules) / squares, 0.0)
    return found


def _robust(tokens: Floats, joules: Floats) -> tuple[Floats, Floats]:
    """The coefficients and the weight of each window."""
    weights = np.ones(len(joules))
    found = not_negative(tokens, joules)
    for _ in range(MOST_ROUNDS):
        residual = np.abs(joules - tokens @ found)
        scale = MAD_TO_SIGMA * float(np.median(residual))
        limit = HUBER * scale
        weights = np.where(residual > limit, limit / np.maximum(residual, 1e-300), 1.0) if scale > 0 else weights
        root = np.sqrt(weights)
        before, found = found, not_negative(tokens * root[:, None], joules * root)
        if np.abs(found - before).max() <= CONVERGED * max(float(np.abs(before).max()), 1e-300):
            break
    return found, weights


def _errors(
    tokens: Floats, residual: Floats, weights: Floats, free: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> tuple[float | None, float | None]:
    """Standard errors of the coefficients that are free: sqrt of the diagonal of s2 (X'WX)^-1."""
    chosen = tokens[:, free]
    errors: list[float | None] = [None, None]
    normal = chosen.T @ (chosen * weights[:, None])
    if not free.any() or np.linalg.matrix_rank(normal) < free.sum():
        return None, None
    variance = float(weights @ residual**2) / max(len(residual) - int(free.sum()), 1)
    for place, value in zip(np.flatnonzero(free), np.diag(np.linalg.inv(normal)), strict=True):
        errors[int(place)] = float(np.sqrt(max(variance * value, 0.0)))
    return errors[0], errors[1]


def _r_squared(joules: Floats, residual: Floats, weights: Floats) -> float | None:
    mean = float(np.average(joules, weights=weights))
    total = float(weights @ (joules - mean) ** 2)
    return 1 - float(weights @ residual**2) / total if total > 0 else None


def _refused(found: Floats, errors: tuple[float | None, float | None]) -> str:
    for name, value, error in zip(("prompt", "output"), found, errors, strict=True):
        if value <= 0:
            return f"{name} tokens came out at no energy: the windows do not tell prompt from output"
        if error is None or error > LARGEST_RELATIVE_ERROR * value:
            return f"the error of {name} tokens is more than {LARGEST_RELATIVE_ERROR:.0%} of their energy"
    return ""
