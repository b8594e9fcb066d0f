"""Series of minutes that end now."""

from datetime import UTC, datetime, timedelta

import pytest

from metering.causes.minutes import Minutes
from metering.telemetry.spans import MINUTE

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(("second", "recent_s", "length"), [(0, -60, 60), (29, -60, 89), (30, 0, 30), (59, 0, 59)])
def test_the_last_point_is_half_a_minute_long_at_least(second: int, recent_s: int, length: float) -> None:
    minutes = Minutes.until(NOON + timedelta(seconds=second))
    assert minutes.recent == NOON + timedelta(seconds=recent_s)
    assert minutes.lengths_s[-1] == length
    assert set(minutes.lengths_s[:-1]) == {60.0}


def test_amounts_are_added_up_by_point_and_the_rest_is_the_last() -> None:
    minutes = Minutes.until(NOON + timedelta(seconds=20), timedelta(minutes=3))
    rows = [(minutes.from_s, 60), (minutes.from_s + 60, 120), (minutes.from_s + 120, 70), (minutes.from_s + 180, 10)]
    assert minutes.sums(rows) == [60, 120, 80]
    assert minutes.rates(rows) == [1, 2, 1]
    assert minutes.at(1) == minutes.start + MINUTE
