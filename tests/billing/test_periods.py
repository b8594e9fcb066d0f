"""Billing periods: anchors, time zones, and that they tile time."""

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import periods
from billing.contracts import Period
from billing.periods import Schedule, ZoneRefused, billing_period, midnight, period_of, periods_of, zone_named

UTC_ZONE = ZoneInfo("UTC")
ZONES = (
    "UTC",
    "Asia/Kathmandu",  # +05:45
    "Australia/Lord_Howe",  # summer time of half an hour
    "Pacific/Chatham",  # +12:45, +13:45
    "America/Santiago",  # clocks jump at midnight
    "Africa/Cairo",  # at midnight, and they were to change again at short notice
    "Asia/Beirut",
    "America/Havana",  # clocks jump at midnight, and go back at one
    "Europe/Berlin",
    "America/New_York",
    "Pacific/Kiritimati",  # +14
    "Pacific/Pago_Pago",  # -11
)
zones = st.sampled_from(ZONES).map(ZoneInfo)
days = st.dates(date(2000, 1, 1), date(2040, 12, 31))
anchors = st.integers(1, 31)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def period(anchor: int, zone: str, at: datetime) -> tuple[str, str]:
    found = billing_period(anchor, ZoneInfo(zone), at)
    return f"{found.start:%Y-%m-%dT%H:%M}", f"{found.end:%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize(
    ("anchor", "at", "start", "end"),
    [
        (1, utc(2026, 10, 1), "2026-10-01T00:00", "2026-11-01T00:00"),
        (1, utc(2026, 10, 31, 23, 59, 59), "2026-10-01T00:00", "2026-11-01T00:00"),
        (15, utc(2026, 10, 14, 23, 59), "2026-09-15T00:00", "2026-10-15T00:00"),
        (15, utc(2026, 10, 15), "2026-10-15T00:00", "2026-11-15T00:00"),
        (15, utc(2026, 12, 20), "2026-12-15T00:00", "2027-01-15T00:00"),
        # A shorter month's last day stands in, and the anchor is not forgotten.
        (31, utc(2026, 1, 31), "2026-01-31T00:00", "2026-02-28T00:00"),
        (31, utc(2026, 2, 28), "2026-02-28T00:00", "2026-03-31T00:00"),
        (31, utc(2026, 3, 31), "2026-03-31T00:00", "2026-04-30T00:00"),
        (30, utc(2028, 2, 29), "2028-02-29T00:00", "2028-03-30T00:00"),
        (29, utc(2026, 3, 1), "2026-02-28T00:00", "2026-03-29T00:00"),
    ],
)
def test_a_period_goes_from_anchor_to_anchor(anchor: int, at: datetime, start: str, end: str) -> None:
    assert period(anchor, "UTC", at) == (start, end)


@pytest.mark.parametrize(
    ("zone", "at", "start", "end"),
    [
        ("Asia/Kathmandu", utc(2026, 10, 10), "2026-09-30T18:15", "2026-10-31T18:15"),
        # 29 March: summer time begins, so the period is an hour shorter in UTC, and a day is a day.
        ("Europe/Berlin", utc(2026, 3, 10), "2026-02-28T23:00", "2026-03-31T22:00"),
        # Half an hour of summer time ends on 5 April.
        ("Australia/Lord_Howe", utc(2026, 4, 10), "2026-03-31T13:00", "2026-04-30T13:30"),
        ("Pacific/Chatham", utc(2026, 4, 10), "2026-03-31T10:15", "2026-04-30T11:15"),
    ],
)
def test_a_period_begins_at_local_midnight(zone: str, at: datetime, start: str, end: str) -> None:
    assert period(1, zone, at) == (start, end)


def test_where_clocks_jump_over_midnight_the_day_begins_with_the_jump() -> None:
    santiago = ZoneInfo("America/Santiago")  # 6 September 2026, 00:00 -> 01:00
    start = midnight(date(2026, 9, 6), santiago)
    assert start == utc(2026, 9, 6, 4)
    assert start.astimezone(santiago).hour == 1
    assert periods.local_day(start, santiago) == date(2026, 9, 6)
    assert periods.local_day(start - timedelta(microseconds=1), santiago) == date(2026, 9, 5)


def test_where_clocks_go_back_over_midnight_the_day_before_goes_on() -> None:
    santiago = ZoneInfo("America/Santiago")  # 5 April 2026, 00:00 -> 23:00 of the 4th
    start = midnight(date(2026, 4, 5), santiago)
    assert start == utc(2026, 4, 5, 4)
    assert periods.local_day(start - timedelta(minutes=90), santiago) == date(2026, 4, 4)


def test_a_day_that_a_zone_left_out_is_billed_without_a_gap() -> None:
    apia = ZoneInfo("Pacific/Apia")  # 30 December 2011 did not happen
    assert midnight(date(2011, 12, 30), apia) == midnight(date(2011, 12, 31), apia)
    first = billing_period(30, apia, utc(2011, 12, 20))
    assert billing_period(30, apia, first.end).start == first.end


def test_a_zone_whose_midnights_are_on_no_quarter_of_an_hour_is_refused() -> None:
    with pytest.raises(ZoneRefused, match="not on a quarter of an hour"):
        midnight(date(1971, 1, 1), ZoneInfo("Africa/Monrovia"))  # -00:44:30 until 1972
    assert midnight(date(2026, 1, 1), ZoneInfo("Africa/Monrovia")) == utc(2026, 1, 1)


@pytest.mark.parametrize(
    "name", ["", "Berlin", "../etc/passwd", "Factory", "localtime", "GMT+1", "europe/berlin", "A\x00"]
)
def test_a_word_that_names_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ZoneRefused, match="not a time zone"):
        zone_named(name)


def test_the_first_period_begins_with_the_contract_and_the_last_ends_with_it() -> None:
    schedule = Schedule(1, UTC_ZONE, date(2026, 1, 20), date(2026, 3, 10))
    assert [str(each) for each in periods_of(schedule, utc(2030, 1, 1))] == [
        "2026-01-20 to 2026-02-01",
        "2026-02-01 to 2026-03-01",
        "2026-03-01 to 2026-03-10",
    ]


def test_periods_that_have_not_ended_are_not_among_them() -> None:
    schedule = Schedule(15, UTC_ZONE, date(2026, 1, 15))
    assert len(list(periods_of(schedule, utc(2026, 3, 14, 23, 59)))) == 1
    assert len(list(periods_of(schedule, utc(2026, 3, 15)))) == 2


def test_a_moment_outside_of_a_schedule_has_no_period() -> None:
    schedule = Schedule(1, UTC_ZONE, date(2026, 1, 20), date(2026, 3, 10))
    for at in (utc(2026, 1, 19, 23, 59), utc(2026, 3, 10)):
        with pytest.raises(ValueError, match="not within"):
            period_of(schedule, at)


def test_a_period_is_shown_by_its_first_and_last_local_day() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert periods.shown(Period(utc(2026, 1, 31, 23), utc(2026, 2, 28, 23)), berlin) == "2026-02-01 to 2026-02-28"


@settings(deadline=None)  # a busy machine is no failure
@given(anchors, zones, days)
def test_whole_periods_tile_time(anchor: int, zone: ZoneInfo, day: date) -> None:
    at = midnight(day, zone)
    found = billing_period(anchor, zone, at)
    assert found.start <= at < found.end
    assert billing_period(anchor, zone, found.start) == found
    assert billing_period(anchor, zone, found.end).start == found.end
    assert billing_period(anchor, zone, found.start - timedelta(microseconds=1)).end == found.start
    assert 28 <= periods.period_days(anchor, zone, at) <= 31
    assert periods.days_between(found.start, found.end, zone) == periods.period_days(anchor, zone, at)


@settings(deadline=None)  # a busy machine is no failure
@given(anchors, zones, days, st.integers(1, 900))
def test_the_periods_of_a_schedule_tile_it_from_start_to_end(
    anchor: int, zone: ZoneInfo, day: date, length: int
) -> None:
    schedule = Schedule(anchor, zone, day, day + timedelta(days=length))
    found = list(periods_of(schedule, utc(2100, 1, 1)))
    assert found[0].start == schedule.start
    assert found[-1].end == schedule.end
    assert all(before.end == after.start for before, after in itertools.pairwise(found))
    assert all(each.start < each.end for each in found)
    assert sum(periods.days_between(each.start, each.end, zone) for each in found) == length


@settings(deadline=None)  # a busy machine is no failure
@given(zones, days, st.integers(0, 24 * 3600 - 1))
def test_every_moment_lies_in_exactly_one_local_day(zone: ZoneInfo, day: date, second: int) -> None:
    at = midnight(day, zone) + timedelta(seconds=second)
    found = periods.local_day(at, zone)
    assert midnight(found, zone) <= at < midnight(found + timedelta(days=1), zone)


@settings(deadline=None)  # a busy machine is no failure
@given(anchors, zones, days)
def test_the_anchor_is_the_day_of_the_month_or_the_months_last(anchor: int, zone: ZoneInfo, day: date) -> None:
    first = periods.anchor_before(day, anchor)
    assert first <= day < periods.anchor_after(day, anchor)
    assert first.day == anchor or (first.day < anchor and (first + timedelta(days=1)).day == 1)
