"""Spans are whole minutes; adding, taking away and cutting them loses none."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.telemetry.spans import MINUTE, Span, blocks, merged, minute_of, without

START = datetime(2026, 1, 1, tzinfo=UTC)


def span(start: int, end: int) -> Span:
    return Span(START + start * MINUTE, START + end * MINUTE)


def held(spans: list[Span]) -> set[datetime]:
    return {each.start + offset * MINUTE for each in spans for offset in range(each.minutes)}


SPANS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda at: span(at[0], sum(at))), max_size=6)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (START, START),
        (START + MINUTE, START),
        (START + timedelta(seconds=1), START + MINUTE),
        (START, START + timedelta(minutes=1, microseconds=1)),
    ],
)
def test_a_span_is_whole_minutes_and_at_least_one(start: datetime, end: datetime) -> None:
    with pytest.raises(ValueError, match="whole minutes"):
        Span(start, end)


def test_the_minute_of_a_moment_begins_at_or_before_it() -> None:
    assert minute_of(START + timedelta(seconds=59, microseconds=999_999)) == START


@given(SPANS)
def test_merging_keeps_every_minute_and_leaves_no_two_that_meet(spans: list[Span]) -> None:
    found = merged(spans)
    assert held(found) == held(spans)
    assert all(one.end < other.start for one, other in pairwise(found))


@given(SPANS, SPANS)
def test_taking_away_leaves_exactly_the_other_minutes(spans: list[Span], taken: list[Span]) -> None:
    left = merged(spans)
    for each in taken:
        left = without(left, each)
    assert held(left) == held(spans) - held(taken)


@given(SPANS, st.integers(1, 30))
def test_blocks_are_the_same_minutes_in_small_pieces(spans: list[Span], most: int) -> None:
    found = list(blocks(merged(spans), most))
    assert held(found) == held(spans)
    assert sum(each.minutes for each in found) == len(held(spans))
    assert all(each.minutes <= most for each in found)
