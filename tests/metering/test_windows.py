"""Windows on the clock of a time zone, where clocks do strange things."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.windows import Edges, Steps, TooManyWindows, Whole, WindowSize, first_of_month, windows

HOUR_S = 3600
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def edges(size: WindowSize, zone: str, start: str, end: str) -> list[datetime]:
    found = windows(size, ZoneInfo(zone), at(start), at(end))
    assert isinstance(found, Edges)
    return [datetime.fromtimestamp(edge, UTC) for edge in found.edges_s]


def test_a_date_that_a_zone_skipped_has_no_window() -> None:
    found = edges(WindowSize.DAY, "Pacific/Apia", "2011-12-29T12:00", "2011-12-31T12:00")
    zone = ZoneInfo("Pacific/Apia")
    assert [edge.astimezone(zone).date() for edge in found[:2]] == [date(2011, 12, 29), date(2011, 12, 31)]


def test_where_midnight_is_skipped_the_day_begins_with_the_change() -> None:
    found = edges(WindowSize.DAY, "Africa/Cairo", "2024-04-25T12:00", "2024-04-26T12:00")
    assert found == [at("2024-04-24T22:00"), at("2024-04-25T22:00"), at("2024-04-26T21:00")]


def test_a_change_of_half_an_hour_makes_an_hour_of_half_its_length() -> None:
    found = edges(WindowSize.HOUR, "Australia/Lord_Howe", "2026-04-04T13:00", "2026-04-04T17:00")
    assert [(b - a) // timedelta(minutes=1) for a, b in pairwise(found)] == [60, 60, 30, 60, 60]


@given(
    st.sampled_from(ZONES),
    st.sampled_from([WindowSize.DAY, WindowSize.MONTH]),
    st.integers(0, 15 * 365 * 24),
    st.integers(1, 3000),
)
def test_windows_follow_each_other_and_hold_all_of_the_time(
    zone: str, size: WindowSize, first: int, hours: int
) -> None:
    start = at("2011-01-01T00:00") + timedelta(hours=first)
    end = start + timedelta(hours=hours)
    found = windows(size, ZoneInfo(zone), start, end)
    assert isinstance(found, Edges)
    assert found.edges_s[0] <= start.timestamp()
    assert found.edges_s[-1] >= end.timestamp()
    assert all(a < b == found.end(a) for a, b in pairwise(found.edges_s))
    local = [datetime.fromtimestamp(edge, ZoneInfo(zone)) for edge in found.edges_s]
    assert size is WindowSize.DAY or {moment.day for moment in local} == {1}


def test_equal_windows_need_no_list() -> None:
    zones = {"UTC": 0, "Asia/Kolkata": 1800, "Asia/Kathmandu": 2700, "America/St_Johns": 1800, "Europe/Berlin": 0}
    for zone, shift in zones.items():
        found = windows(WindowSize.HOUR, ZoneInfo(zone), at("2016-01-01T00:00"), at("2026-01-01T00:00"))
        assert found == Steps(HOUR_S, shift)
        assert windows(WindowSize.MINUTE, ZoneInfo(zone), at("2016-01-01T00:00"), at("2026-01-01T00:00")) == Steps(60)


def test_only_windows_on_the_edges_of_a_grain_fit_it() -> None:
    assert not Steps(60).fits(900)
    assert Steps(HOUR_S, 2700).fits(900)
    assert not Steps(HOUR_S, 600).fits(900)
    assert Edges((0, 900, 4500)).fits(900)
    assert not Edges((0, 60)).fits(900)
    assert Whole(1, 2).fits(900)


def test_more_windows_than_a_statement_holds_are_refused() -> None:
    with pytest.raises(TooManyWindows):
        windows(WindowSize.DAY, ZoneInfo("UTC"), at("1970-01-01T00:00"), at("2150-01-01T00:00"))


def test_a_month_begins_by_the_clock_of_the_zone() -> None:
    moment = at("2026-03-31T23:30")
    assert first_of_month(ZoneInfo("Europe/Berlin"), moment) == at("2026-03-31T22:00")
    assert first_of_month(ZoneInfo("UTC"), moment) == at("2026-03-01T00:00")
