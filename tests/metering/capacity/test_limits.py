"""What load a constraint takes, from readings at loads: known lines are found again, and what was not seen is not claimed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.capacity.limits import ESTIMATED, FAR, FEW, FLAT, KV_CACHE, QUEUE, UNSEEN, Blocks, limits, robust

DAYS = 21


def blocks(
    reading: object, *, highest: float = 1000.0, hours: int = DAYS * 24, seed: int = 1, name: str = KV_CACHE
) -> Blocks:
    """Loads of a daily rhythm, prefill and decode 3 to 1 with some play; `reading` is a function of both."""
    rng = np.random.Generator(np.random.PCG64(seed))
    at = np.arange(hours)
    total = highest * (0.55 + 0.4 * np.sin(at / 24 * 2 * np.pi)) * np.exp(rng.normal(0, 0.05, hours))
    share = 0.75 + rng.normal(0, 0.03, hours)
    prefill, decode = total * share, total * (1 - share)
    y = np.asarray(reading(prefill, decode, rng))  # type: ignore[operator]
    return Blocks(prefill, decode, {name: y}, np.full(hours, 60.0), at // 24)


@given(base=st.floats(0, 0.3), slope=st.floats(3e-4, 1e-3), seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_a_line_is_found_again_through_noise_and_outliers(base: float, slope: float, seed: int) -> None:
    def reading(prefill: np.ndarray, decode: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        y = base + slope * (prefill + decode) + rng.normal(0, 0.01, len(prefill))
        return np.where(rng.random(len(y)) < 0.05, y * 3, y)

    found = limits(blocks(reading, seed=seed))[KV_CACHE]
    assert found.state == ESTIMATED
    assert found.at == pytest.approx((1 - base) / slope, rel=0.1)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.at <= found.high
    assert found.minutes > 10_000


def test_prefill_and_decode_are_told_apart_where_their_mix_moves() -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    prefill, decode = rng.uniform(100, 1000, 500), rng.uniform(10, 300, 500)
    base, per_prefill, per_decode = robust(prefill, decode, 0.1 + 2e-4 * prefill + 1e-3 * decode)
    assert base == pytest.approx(0.1, abs=1e-6)
    assert (per_prefill, per_decode) == pytest.approx((2e-4, 1e-3), rel=1e-3)


def test_slopes_are_never_negative() -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    prefill, decode = rng.uniform(100, 1000, 200), rng.uniform(10, 300, 200)
    _, per_prefill, per_decode = robust(prefill, decode, 0.5 - 2e-4 * prefill + 1e-3 * decode)
    assert per_prefill == 0
    assert per_decode > 0


def test_a_limit_that_lies_far_above_all_load_is_not_claimed() -> None:
    found = limits(blocks(lambda p, d, rng: 1e-4 * (p + d) + rng.normal(0, 1e-4, len(p))))[KV_CACHE]
    assert found.state == FAR
    assert found.stretch == pytest.approx(10, rel=0.1)


def test_a_reading_that_does_not_rise_has_no_limit() -> None:
    found = limits(blocks(lambda p, d, rng: 0.2 + rng.normal(0, 0.01, len(p))))[KV_CACHE]
    assert found.state in {FLAT, FAR}
    assert limits(blocks(lambda p, d, rng: np.full(len(p), 0.3)))[KV_CACHE].state == FLAT


def test_few_minutes_are_not_enough() -> None:
    found = limits(blocks(lambda p, d, rng: 1e-3 * (p + d), hours=8))[KV_CACHE]
    assert (found.state, found.at) == (FEW, None)


def test_a_reading_that_nobody_tells_is_left_out() -> None:
    assert limits(blocks(lambda p, d, rng: np.full(len(p), np.nan))) == {}


def test_a_queue_counts_from_the_load_at_which_it_was_too_long() -> None:
    queued = limits(blocks(lambda p, d, rng: np.where(p + d > 800, 2.0, 0.0), name=QUEUE))[QUEUE]
    assert queued.state == ESTIMATED
    assert queued.at == pytest.approx(880, abs=100)
    never = limits(blocks(lambda p, d, rng: np.zeros(len(p)), name=QUEUE))[QUEUE]
    assert (never.state, never.line) == (UNSEEN, None)
    assert never.highest == pytest.approx(1000, rel=0.1)


def test_the_same_blocks_give_the_same_interval() -> None:
    seen = blocks(lambda p, d, rng: 8e-4 * (p + d) + rng.normal(0, 0.02, len(p)))
    assert limits(seen) == limits(seen)
