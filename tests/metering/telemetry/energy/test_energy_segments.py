"""What a GPU burned between its samples, and in windows whose edges lie between them."""

import math

import numpy as np
import pytest

from metering.telemetry.energy.arrays import edges
from metering.telemetry.energy.segments import Segments, cut, segments
from tests.metering.telemetry.energy.hand import NAN, Reading, drawing, readings


def of(*samples: Reading) -> Segments:
    return segments(readings(*samples))


def in_windows(found: Segments, windows: int) -> list[float]:
    pieces = cut(found, edges(0, windows))
    return [float(pieces.energy_j[pieces.window == window].sum()) for window in range(windows)]


def test_energy_is_the_difference_of_the_counter() -> None:
    found = of((0, 100, NAN), (10, 600, NAN), (20, 1600, NAN))
    assert list(found.energy_j) == [500, 1000]
    assert not found.by_power.any()
    assert not found.gap.any()


def test_a_segment_across_an_edge_is_shared_out_by_time() -> None:
    found = of((50, 0, NAN), (70, 1000, NAN), (110, 1400, NAN), (125, 1550, NAN))
    assert in_windows(found, 2) == pytest.approx([500, 500 + 400 + 150 * 10 / 15])
    assert list(np.diff(found.burned_before(edges(0, 2)))) == pytest.approx([500, 1000])


def test_a_counter_that_resets_gives_way_to_the_trapezoid_of_power() -> None:
    found = of((0, 9000, 100), (10, 10, 300), (20, 3010, 300))
    assert list(found.energy_j) == [2000, 3000]
    assert list(found.by_power) == [True, False]


def test_a_counter_that_resets_without_power_counts_what_it_shows_since() -> None:
    found = of((0, 9000, NAN), (10, 250, NAN))
    assert list(found.energy_j) == [250]
    assert list(found.by_power) == [True]


def test_a_counter_that_runs_backwards_by_little_is_not_taken_for_a_new_one() -> None:
    found = of((0, 9_000_000, NAN), (10, 8_999_990, NAN))
    assert list(found.energy_j) == [0]


def test_a_counter_that_leaps_ahead_is_not_believed() -> None:
    found = of((0, 0, 200), (10, 1e12, 200), (20, 4000, 200))
    assert list(found.energy_j) == [2000, 2000]
    assert list(found.by_power) == [True, True]


def test_power_alone_is_integrated_and_one_reading_of_two_is_a_rectangle() -> None:
    found = of((0, NAN, 100), (10, NAN, 300), (20, 5, NAN), (30, 1005, NAN))
    assert list(found.energy_j) == [2000, 3000, 1000]
    assert list(found.by_power) == [True, True, False]


def test_a_sample_without_counter_and_power_says_nothing() -> None:
    assert list(of((0, 0, NAN), (10, NAN, NAN), (20, 800, NAN)).energy_j) == [800]
    assert len(of((0, NAN, NAN)).energy_j) == 0


def test_samples_more_than_thirty_seconds_apart_leave_a_gap() -> None:
    steady = drawing(100, 60)
    just = of(*steady, (90, 1e6 + 9000, NAN), (100, 1e6 + 10000, NAN))
    more = of(*steady, (90.5, 1e6 + 9000, NAN), (100, 1e6 + 10000, NAN))
    assert not just.gap.any()
    assert list(np.flatnonzero(more.gap)) == [6]


def test_a_slow_exporter_has_a_gap_after_three_of_its_intervals_and_never_beyond_three_minutes() -> None:
    slow = drawing(100, 240, step=40)
    assert not of(*slow, (360, 2e6, 100), (400, 2e6, 100)).gap.any()
    assert of(*slow, (361, 2e6, 100), (400, 2e6, 100)).gap.sum() == 1
    slowest = drawing(100, 900, step=90)
    assert of(*slowest, (1080.5, 2e6, 100)).gap.sum() == 1


def test_samples_more_than_a_day_apart_are_not_joined() -> None:
    found = of((0, 0, NAN), (86_401, 1e6, NAN))
    assert list(found.energy_j) == [0]
    assert len(cut(found, edges(0, 2)).energy_j) == 0


def test_a_gap_of_hours_is_spread_evenly_over_its_windows() -> None:
    found = of((-3600, 0, NAN), (3600, 720_000, NAN))
    assert in_windows(found, 3) == pytest.approx([6000, 6000, 6000])
    assert found.gap.all()


def test_the_order_of_samples_does_not_matter_and_a_moment_counts_once() -> None:
    samples = [(0, 0.0, 1.0), (10, 500.0, 2.0), (25, 900.0, 3.0), (31, 1400.0, 4.0)]
    expected = of(*samples)
    for shuffled in (samples[::-1], [samples[2], samples[0], samples[3], samples[1]], [*samples, samples[1]]):
        found = of(*shuffled)
        assert list(found.edges_s) == list(expected.edges_s)
        assert list(found.energy_j) == list(expected.energy_j)


def test_windows_before_the_first_sample_and_after_the_last_have_nothing() -> None:
    assert in_windows(of((70, 0, NAN), (80, 100, NAN), (100, 300, NAN)), 3) == pytest.approx([0, 300, 0])
    assert in_windows(of((500, 0, NAN), (510, 100, NAN)), 3) == [0, 0, 0]
    assert math.isclose(sum(in_windows(of((70, 0, NAN)), 3)), 0)
