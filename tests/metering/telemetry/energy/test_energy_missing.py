"""Tokens that no event accounts for: what lasts counts, what is made good does not."""

import pytest

from metering.telemetry.energy.arrays import floats
from metering.telemetry.energy.missing import missing

LOOK = 4


def of(engine: list[float], events: list[float]) -> list[float]:
    return missing(floats(engine), floats(events), LOOK).tolist()


def test_an_engine_and_events_that_agree_miss_nothing() -> None:
    assert of([100] * 12, [100] * 12) == [0] * 12


def test_tokens_that_no_event_ever_claims_are_missing_in_their_window() -> None:
    events = [100] * 12
    events[5] = 60
    assert of([100] * 12, events) == [0] * 5 + [40] + [0] * 6


@pytest.mark.parametrize("later", range(1, LOOK + 1))
def test_tokens_that_events_claim_a_little_later_are_not_missing(later: int) -> None:
    events = [100] * 20
    events[6] -= 40
    events[6 + later] += 40
    assert of([100] * 20, events) == [0] * 20


def test_tokens_that_events_claim_too_late_are_missing_and_then_claimed_twice() -> None:
    events = [100] * 20
    events[6] -= 40
    events[6 + LOOK + 1] += 40
    assert sum(of([100] * 20, events)) == 40


@pytest.mark.parametrize("earlier", range(1, LOOK + 1))
def test_tokens_that_events_claim_a_little_early_are_not_missing_when_the_engine_catches_up(earlier: int) -> None:
    events = [100] * 20
    events[10] -= 40
    events[10 - earlier] += 40
    assert of([100] * 20, events) == [0] * 20


def test_events_that_claim_more_than_the_engine_made_make_nothing_missing_elsewhere() -> None:
    events = [100] * 20
    events[8] += 500
    assert of([100] * 20, events) == [0] * 20


def test_one_lasting_loss_is_found_among_noise_that_is_made_good() -> None:
    engine = [1000.0] * 40
    events = list(engine)
    for window, noise in ((3, 30), (4, -30), (9, -20), (10, 20), (25, 15), (27, -15)):
        events[window] += noise
    events[17] -= 200
    found = of(engine, events)
    assert found[17] == pytest.approx(200)
    assert sum(found) == pytest.approx(200)


def test_no_more_is_missing_than_the_engine_made_in_the_window() -> None:
    found = of([0, 0, 500, 0, 0, 0, 0, 0, 0, 0], [0] * 10)
    assert found == [0, 0, 500, 0, 0, 0, 0, 0, 0, 0]
    assert sum(of([0] * 10, [0, 50, -50, 0, 0, 0, 0, 0, 0, -100])) == 0
