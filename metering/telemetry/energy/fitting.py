"""What tokens cost, by regression: energy above idle of busy windows, on computed prompt tokens, these times the context before them,
output tokens, and the time in which no prompt was computed.

A decode step draws about the same whatever its batch: that time stands for the steps, and output tokens for what each adds to one. A
prompt token's coefficient is all that it costs above idle; idle power for as long as its prefill takes, by least squares of that time's
idle energy on prompt tokens, is added to it, because what is divided has its baseline in it.

Least squares with coefficients that are not negative: the best of the free solutions with some of them at zero that is not negative
(the Karush-Kuhn-Tucker conditions of Lawson and Hanson, Solving Least Squares Problems, 1974, chapter 23). Windows with something else
in them (a model that loads, another process on the GPU) are outliers: they are weighed down as Huber does (Robust Estimation of a
Location Parameter, 1964), with the usual 1.345 for 95 % efficiency and the median absolute deviation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from metering.telemetry.energy.arrays import Bools, Floats, Ints

HUBER = 1.345
MAD_TO_SIGMA = 1.4826  # of a normal distribution
MOST_ROUNDS = 50
CONVERGED = 1e-9
LEAST_WINDOWS = 30
LARGEST_RELATIVE_ERROR = 0.5  # of what a prompt token costs; above it the data does not tell prompt from output
TINY = 1e-300


@dataclass(frozen=True)
class Observations:
    """By window: prompt tokens, these times their context, output tokens, busy GPU-seconds in which no prompt was computed, joules above
    idle, and joules that idling would have taken while prompts were computed."""

    prefill: Floats
    prefill_context: Floats
    decode: Floats
    decoding_s: Floats
    joules: Floats
    prompting_idle_j: Floats

    def __len__(self) -> int:
        return len(self.joules)


@dataclass(frozen=True)
class Fitted:
    """A coefficient and its standard error; None for one that is held at zero, or that the data leaves open."""

    value: float = 0.0
    error: float | None = None


@dataclass(frozen=True)
class Fit:
    """`prefill_j` has idle power in it; `decode_w` is of one GPU above idle. `r_squared` is about the mean; None if nothing varies.

    `reason`: why it should not be used; empty if it should.
    """

    prefill_j: Fitted
    prefill_context_j: Fitted
    decode_j: Fitted
    decode_w: Fitted
    r_squared: float | None
    windows: int
    reason: str


def fit(seen: Observations) -> Fit:
    """Without the context where the data does not tell it from the tokens themselves."""
    if len(seen) < LEAST_WINDOWS:
        nothing = (Fitted(),) * 4
        return Fit(*nothing, None, len(seen), f"{len(seen)} windows; {LEAST_WINDOWS} are needed")
    found = _fit(seen, seen.prefill_context)
    if not found.reason:
        return found
    plain = _fit(seen, np.zeros(len(seen)))
    return found if plain.reason else plain


def _fit(seen: Observations, context: Floats) -> Fit:
    columns = np.column_stack((seen.prefill, context, seen.decode, seen.decoding_s))
    values, weights = _robust(columns, seen.joules)
    residual = seen.joules - columns @ values
    errors = _errors(columns, residual, weights, values > 0)
    prompt, per_context, output, decoding = (
        Fitted(float(value), error) for value, error in zip(values, errors, strict=True)
    )
    prefill = _with_idle(prompt, seen)
    return Fit(
        prefill,
        per_context,
        output,
        decoding,
        _r_squared(seen.joules, residual, weights),
        len(seen),
        _refused(prompt, prefill),
    )


def not_negative(columns: Floats, joules: Floats) -> Floats:
    """The coefficients of the least sum of squares among those that are not negative."""
    size = np.maximum(np.sqrt((columns**2).mean(axis=0)), TINY)  # columns of one size, so that rank means something
    scaled = columns / size
    best = min(_candidates(scaled, joules), key=lambda one: float(np.sum((joules - scaled @ one) ** 2)))
    return np.asarray(best / size, dtype=np.float64)


def _candidates(columns: Floats, joules: Floats) -> Iterator[Floats]:
    count = columns.shape[1]
    yield np.zeros(count)
    for size in range(1, count + 1):
        for chosen in combinations(range(count), size):
            if not columns[:, chosen].any(axis=0).all():
                continue
            solved, *_ = np.linalg.lstsq(columns[:, chosen], joules, rcond=None)
            if (solved >= 0).all():
                found = np.zeros(count)
                found[list(chosen)] = solved
                yield found


def _robust(columns: Floats, joules: Floats) -> tuple[Floats, Floats]:
    """The coefficients and the weight of each window."""
    weights = np.ones(len(joules))
    found = not_negative(columns, joules)
    for _ in range(MOST_ROUNDS):
        residual = np.abs(joules - columns @ found)
        limit = HUBER * MAD_TO_SIGMA * float(np.median(residual))
        if limit > 0:
            weights = np.where(residual > limit, limit / np.maximum(residual, TINY), 1.0)
        root = np.sqrt(weights)
        before, found = found, not_negative(columns * root[:, None], joules * root)
        if (np.abs(found - before) <= CONVERGED * np.maximum(np.abs(before), TINY)).all():
            break
    return found, weights


def _errors(columns: Floats, residual: Floats, weights: Floats, free: Bools) -> list[float | None]:
    """Standard errors of the coefficients that are free: sqrt of the diagonal of s2 (X'WX)^-1."""
    errors: list[float | None] = [None] * columns.shape[1]
    places: Ints = np.flatnonzero(free)
    if not len(places):
        return errors
    size = np.maximum(np.sqrt((columns[:, places] ** 2).mean(axis=0)), TINY)
    chosen = columns[:, places] / size
    normal = chosen.T @ (chosen * weights[:, None])
    if np.linalg.matrix_rank(normal) < len(places):
        return errors
    variance = float(weights @ residual**2) / max(len(residual) - len(places), 1)
    for place, value in zip(places, np.diag(np.linalg.inv(normal)) / size**2, strict=True):
        errors[int(place)] = float(np.sqrt(max(variance * value, 0.0)))
    return errors


def _with_idle(prompt: Fitted, seen: Observations) -> Fitted:
    """What a prompt token costs with what idling takes meanwhile; the errors of both are taken to be independent."""
    squares = float(seen.prefill @ seen.prefill)
    if prompt.error is None or squares <= 0:
        return prompt
    idle = float(seen.prefill @ seen.prompting_idle_j) / squares
    residual = seen.prompting_idle_j - idle * seen.prefill
    error = np.sqrt(float(residual @ residual) / max(len(seen) - 1, 1) / squares)
    return Fitted(prompt.value + idle, float(np.hypot(prompt.error, error)))


def _r_squared(joules: Floats, residual: Floats, weights: Floats) -> float | None:
    mean = float(np.average(joules, weights=weights))
    total = float(weights @ (joules - mean) ** 2)
    return 1 - float(weights @ residual**2) / total if total > 0 else None


def _refused(above_idle: Fitted, prefill: Fitted) -> str:
    if above_idle.value <= 0:
        return "prompt tokens came out at no energy: the windows do not tell prompt from output"
    if prefill.error is None or prefill.error > LARGEST_RELATIVE_ERROR * prefill.value:
        return f"the error of prompt tokens is more than {LARGEST_RELATIVE_ERROR:.0%} of their energy"
    return ""
