"""From well to pending to firing and back, with a clock of the test's own."""

from datetime import UTC, datetime, timedelta

import pytest

from metering.alerts.machine import CALMED, FIRED, FIRING, FORGOTTEN, PENDING, RESOLVED, Condition, Held, advance, spans

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def above(threshold: float = 10.0, clear: float | None = None, minutes: int = 3) -> Condition:
    return Condition(False, True, threshold, threshold if clear is None else clear, minutes * MINUTE)


def run(condition: Condition, values: list[float | None]) -> list[tuple[str, str]]:
    """After each minute: the state ('' for well) and the transition."""
    held: Held | None = None
    found = []
    for number, value in enumerate(values):
        held, transition = advance(held, condition, value, START + number * MINUTE)
        found.append((held.state if held else "", transition))
    return found


def test_it_fires_once_it_has_held_for_as_long_as_asked() -> None:
    assert run(above(), [9, 11, 12, 13, 14, 15]) == [
        ("", ""),
        (PENDING, PENDING),
        (PENDING, ""),
        (PENDING, ""),
        (FIRING, FIRED),
        (FIRING, ""),
    ]


def test_for_no_minutes_it_fires_at_once() -> None:
    assert run(above(minutes=0), [11]) == [(FIRING, FIRED)]


def test_a_value_at_the_threshold_is_not_beyond_it() -> None:
    assert run(above(minutes=0), [10.0]) == [("", "")]


def test_what_was_only_pending_never_fires() -> None:
    assert run(above(), [11, 12, 9, 11]) == [(PENDING, PENDING), (PENDING, ""), ("", CALMED), (PENDING, PENDING)]


def test_it_ends_at_the_clear_value_and_not_before() -> None:
    assert run(above(clear=5, minutes=0), [11, 9, 6, 5]) == [
        (FIRING, FIRED),
        (FIRING, ""),
        (FIRING, ""),
        ("", RESOLVED),
    ]


def test_below_is_the_same_the_other_way_round() -> None:
    condition = Condition(False, False, 0.5, 0.9, timedelta(0))
    assert run(condition, [0.6, 0.4, 0.8, 0.9]) == [("", ""), (FIRING, FIRED), (FIRING, ""), ("", RESOLVED)]


def test_no_value_changes_nothing_for_an_hour() -> None:
    held, transition = advance(Held(FIRING, START, START, 11.0, START), above(), None, START + FORGOTTEN)
    assert (held and held.state, held and held.value, transition) == (FIRING, 11.0, "")
    held, transition = advance(held, above(), None, START + FORGOTTEN + MINUTE)
    assert (held, transition) == (None, RESOLVED)


def test_no_value_does_not_make_pending_into_firing() -> None:
    assert run(above(minutes=1), [11, None, None]) == [(PENDING, PENDING), ("", CALMED), ("", "")]


def test_absence_waits_for_no_value_and_ends_with_one() -> None:
    condition = Condition(True, True, 0, 0, 2 * MINUTE)
    assert run(condition, [1.0, None, None, None, None, 0.0]) == [
        ("", ""),
        (PENDING, PENDING),
        (PENDING, ""),
        (FIRING, FIRED),
        (FIRING, ""),
        ("", RESOLVED),
    ]


@pytest.mark.parametrize(
    ("values", "expected"), [([9, 9], []), ([11, 11, 11, 11, 4, 11], [(3, 4)]), ([11] * 5, [(3, None)])]
)
def test_spans_are_what_would_have_fired(values: list[float], expected: list[tuple[int, int | None]]) -> None:
    points = [(START + number * MINUTE, value) for number, value in enumerate(values)]
    found = spans(above(), points)
    assert found == [(START + a * MINUTE, None if b is None else START + b * MINUTE) for a, b in expected]
