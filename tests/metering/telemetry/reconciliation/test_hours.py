"""The comparison of engine hours, as sums of values."""

import pytest

from metering.telemetry.reconciliation.hours import Counted, Incomplete, Leakage, excess, leakage, reasons_for
from tests.metering.telemetry.reconciliation.engine_hours import hour


def test_two_percent_without_events_are_two_percent_exactly() -> None:
    found = leakage([hour(0, 100_000, 98_000), hour(1, 300_000, 294_000, engine="e2")])
    assert (found.unbilled.tokens, found.unbilled_share) == (8_000, 0.02)
    assert (found.phantom.tokens, found.phantom_share) == (0, 0)


def test_tokens_of_events_that_no_engine_counted_are_phantom_and_a_share_of_the_events() -> None:
    found = leakage([hour(0, 90_000, 100_000)])
    assert (found.phantom.tokens, found.phantom_share) == (10_000, 0.1)
    assert (found.unbilled.tokens, found.unbilled_share) == (0, 0)


def test_excess_never_makes_up_for_shortage_in_another_hour_or_engine() -> None:
    found = leakage([hour(0, 1000, 900), hour(1, 1000, 1100), hour(0, 1000, 950, engine="e2")])
    assert (found.unbilled.tokens, found.phantom.tokens) == (150, 100)


def test_excess_of_output_never_makes_up_for_shortage_of_input() -> None:
    sides = {"engine_side": Counted(input=1000, output=100), "event_side": Counted(input=900, output=200)}
    found = leakage([hour(0, 0, **sides)])
    assert (found.unbilled.input, found.unbilled.output, found.phantom.output) == (100, 0, 100)
    assert (found.unbilled_share, found.phantom_share) == (100 / 1100, 100 / 1100)


def test_what_only_one_side_knows_to_be_cached_is_no_leak() -> None:
    sides = {"engine_side": Counted(input=1000, cached=600), "event_side": Counted(input=1000, cached=0)}
    found = leakage([hour(0, 0, **sides)])
    assert (found.unbilled.tokens, found.phantom.tokens) == (0, 0)
    assert (found.engine_side.cached, found.event_side.cached) == (600, 0)


def test_requests_are_compared_as_tokens_are() -> None:
    sides = {"engine_side": Counted(requests=1000), "event_side": Counted(requests=980)}
    found = leakage([hour(0, 0, aborted=20, **sides)])
    assert (found.unbilled.requests, found.unbilled_requests_share, found.aborted) == (20, 0.02, 20)
    assert found.unbilled_share is None


def test_an_incomplete_hour_is_in_no_figure_and_its_reasons_are_counted() -> None:
    both = (Incomplete.RESTART, Incomplete.SAMPLES)
    found = leakage([hour(0, 100, 98), hour(1, 5_000, 0, incomplete=both), hour(2, 9, 1, incomplete=both[:1])])
    assert (found.hours, found.incomplete_hours) == (1, 2)
    assert found.reasons == ((Incomplete.RESTART, 2), (Incomplete.SAMPLES, 1))
    assert (found.engine_side.tokens, found.unbilled.tokens, found.unbilled_share) == (100, 2, 0.02)


def test_without_any_complete_hour_there_is_no_share() -> None:
    found = leakage([hour(0, 100, 0, incomplete=(Incomplete.OPEN,))])
    assert (found.unbilled_share, found.phantom_share, found.engine_side.tokens) == (None, None, 0)
    assert leakage([]) == Leakage()


def test_sums_of_parts_are_the_sum_of_all() -> None:
    hours = [hour(n, 1000 + n, 990 + 3 * n, engine=f"e{n % 3}") for n in range(24)]
    parts = [leakage(hours[:7]), leakage(hours[7:])]
    whole = leakage(hours)
    assert whole.hours == sum(part.hours for part in parts)
    for side in ("engine_side", "event_side", "unbilled", "phantom"):
        assert getattr(whole, side) == getattr(parts[0], side) + getattr(parts[1], side)


def test_one_simulated_hour_marks_the_sum_even_if_it_is_incomplete() -> None:
    assert leakage([hour(0, 1), hour(1, 1, simulated=True, incomplete=(Incomplete.OPEN,))]).simulated
    assert not leakage([hour(0, 1)]).simulated


def test_excess_is_never_negative() -> None:
    assert excess(Counted(5, 1, 2, 1), Counted(3, 2, 2, 4)) == Counted(2, 0, 0, 0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ()),
        ({"settled": False}, ()),
        ({"restarts": 1}, (Incomplete.RESTART,)),
        ({"gap_s": 0.5}, (Incomplete.SAMPLES,)),
        ({"windows": 59}, (Incomplete.WINDOWS,)),
        ({"windows": 59, "settled": False}, (Incomplete.OPEN,)),
        ({"windows": 10, "restarts": 2, "gap_s": 90.0}, (Incomplete.RESTART, Incomplete.SAMPLES, Incomplete.WINDOWS)),
    ],
)
def test_every_reason_that_keeps_an_hour_from_being_compared_is_named(
    given: dict[str, int], expected: tuple[Incomplete, ...]
) -> None:
    usual = {"windows": 60, "restarts": 0, "gap_s": 0.0, "settled": True}
    assert reasons_for(**(usual | given)) == expected
