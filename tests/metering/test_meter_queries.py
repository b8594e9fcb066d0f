"""What a meter says: exact, each event once, in windows of any time zone."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering import meter_usage, meters
from metering.clickhouse import client
from metering.meter_usage import InvalidQuery, MeterQuery, TooManyRows
from metering.meters import MeterInfo
from metering.windows import TooManyWindows, WindowSize
from tests.metering.meter_rows import define, insert_meter_events
from tests.metering.rows import NOON, insert_requests, seal_row

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ledger")]

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
BERLIN = ZoneInfo("Europe/Berlin")


def ask(**given: Any) -> MeterQuery:
    return MeterQuery(**({"start": NOON - 10 * DAY, "end": NOON + 10 * DAY} | given))


def value(meter: MeterInfo, tenant: str, **given: Any) -> Decimal | None:
    """Of the one row, or None if there is none."""
    rows = meter_usage.query(meter, ask(subjects=(tenant,), **given))
    assert len(rows) < 2
    return rows[0].value if rows else None


def values(tenant: str, meter: MeterInfo, *given: Any) -> None:
    insert_meter_events(tenant, meter.event_type, *({"id": str(n), "data": {"v": v}} for n, v in enumerate(given)))


@pytest.mark.parametrize(
    ("given", "total"),
    [
        ((0.1, 0.2), "0.3"),
        (("0.1", 0.2, 1), "1.3"),
        ((1e-9, "1e-9", "0.000000001"), "0.000000003"),
        ((2**64 - 1, 2**64 - 1), "36893488147419103230"),
        (("99999999999999999999999999999.999999999", "0.000000001"), "100000000000000000000000000000"),
        (("99999999999999999999999999999.999999999",) * 12, "1199999999999999999999999999999.999999988"),
        ((4503599627370495.5, "1.5e3"), "4503599627371995.5"),
        ((0, -0.0), "0"),
        ((*(0.1,) * 100,), "10"),
    ],
)
def test_a_sum_is_exact(tenant_key: str, given: tuple[Any, ...], total: str) -> None:
    meter = define()
    values(tenant_key, meter, *given)
    assert value(meter, tenant_key) == Decimal(total)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.decimals(min_value=0, max_value=Decimal(10) ** 28, places=9), min_size=1, max_size=30), st.booleans()
)
def test_any_decimals_add_up_exactly_as_text_and_as_numbers(given: list[Decimal], as_text: bool) -> None:
    meter = define()
    tenant = meter.slug
    if not as_text:
        given = [Decimal(repr(float(number % 2**20))).quantize(Decimal("1e-9")) for number in given]
    values(tenant, meter, *(format(number, "f") if as_text else float(number) for number in given))
    total = value(meter, tenant)
    assert total is not None
    assert Fraction(total) == sum(map(Fraction, given))  # a sum of Decimals would be rounded to 28 digits


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [("COUNT", 5), ("SUM", "16"), ("MAX", "7.5"), ("MIN", "-2"), ("UNIQUE_COUNT", 3), ("LATEST", "0")],
)
def test_every_aggregation_means_what_it_says(tenant_key: str, aggregation: str, expected: Any) -> None:
    meter = define(aggregation)
    found = enumerate((7.5, 3, "7.5", -2, 0) if aggregation != "UNIQUE_COUNT" else ("a", 3, "3", "a", "b"))
    insert_meter_events(
        tenant_key, meter.event_type, *({"id": str(n), "data": {"v": v}, "time": NOON + n * SECOND} for n, v in found)
    )
    assert value(meter, tenant_key) == Decimal(expected)


def test_of_the_latest_values_of_one_moment_the_last_to_arrive_counts(tenant_key: str) -> None:
    meter = define("LATEST")
    at = {"time": NOON}
    insert_meter_events(
        tenant_key,
        meter.event_type,
        {"id": "b", "data": {"v": 2}, "ingested_at": NOON + timedelta(seconds=2), **at},
        {"id": "c", "data": {"v": 3}, "ingested_at": NOON + timedelta(seconds=3), **at},
        {"id": "a", "data": {"v": 1}, "ingested_at": NOON + SECOND, **at},
    )
    assert value(meter, tenant_key) == 3


def test_text_numbers_and_flags_are_different_values_by_what_they_say(tenant_key: str) -> None:
    meter = define("UNIQUE_COUNT")
    values(tenant_key, meter, "a", "A", "", 5, "5", 5.0, True, "true", None)
    assert value(meter, tenant_key) == 5  # a, A, '', 5, true


def test_an_event_that_arrives_again_in_another_batch_is_counted_once_and_the_first_counts(tenant_key: str) -> None:
    meter = define()
    insert_meter_events(tenant_key, meter.event_type, {"id": "a", "data": {"v": 5}, "ingested_at": NOON + DAY})
    insert_meter_events(tenant_key, meter.event_type, {"id": "a", "data": {"v": 7}})
    insert_meter_events(tenant_key, meter.event_type, {"id": "a", "data": {"v": 9}, "source": "other"})
    assert value(meter, tenant_key) == 16


@pytest.mark.parametrize(("apart_ms", "total"), [(86_400_000, 1), (86_400_001, 2)])
def test_the_same_identity_is_one_event_within_24_hours(tenant_key: str, apart_ms: int, total: int) -> None:
    meter = define("COUNT")
    later = NOON + timedelta(milliseconds=apart_ms)
    insert_meter_events(
        tenant_key,
        meter.event_type,
        {"id": "a", "data": {}},
        {"id": "a", "data": {}, "time": later, "ingested_at": later},
    )
    assert value(meter, tenant_key) == total


def test_a_first_arrival_outside_of_the_time_asked_for_still_takes_the_place_of_a_later_one(tenant_key: str) -> None:
    meter = define("COUNT")
    later = NOON + timedelta(hours=3)
    insert_meter_events(
        tenant_key,
        meter.event_type,
        {"id": "a", "data": {}},
        {"id": "a", "data": {}, "time": later, "ingested_at": later},
    )
    assert value(meter, tenant_key, start=NOON + HOUR) is None


def test_the_same_identity_under_another_type_is_the_same_event(tenant_key: str) -> None:
    first, second = define("COUNT"), define("COUNT")
    insert_meter_events(tenant_key, first.event_type, {"id": "a", "data": {}})
    insert_meter_events(tenant_key, second.event_type, {"id": "a", "data": {}, "ingested_at": NOON + DAY})
    assert (value(first, tenant_key), value(second, tenant_key)) == (1, None)


def test_what_an_observing_key_sent_neither_counts_nor_hides_what_does(tenant_key: str) -> None:
    meter = define()
    insert_meter_events(
        tenant_key,
        meter.event_type,
        {"id": "a", "data": {"v": 5}, "observed": True},
        {"id": "a", "data": {"v": 7}, "ingested_at": NOON + DAY},
    )
    assert value(meter, tenant_key) == 7


def test_another_tenants_event_of_the_same_identity_is_another_event(tenant_key: str) -> None:
    meter = define()
    for tenant, number in ((tenant_key, 1), (f"{tenant_key}-2", 2)):
        insert_meter_events(tenant, meter.event_type, {"id": "a", "data": {"v": number}})
    assert value(meter, tenant_key) == 1
    rows = meter_usage.query(meter, ask(by_subject=True))
    assert {row.subject: row.value for row in rows} == {tenant_key: 1, f"{tenant_key}-2": 2}
    assert [(row.subject, row.value) for row in meter_usage.query(meter, ask())] == [(None, 3)]
    assert meter_usage.subjects(meter, NOON - DAY, NOON + DAY, None) == [tenant_key, f"{tenant_key}-2"]
    assert meter_usage.subjects(meter, NOON - DAY, NOON + DAY, tenant_key) == [tenant_key]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_splitting_order_and_duplication_of_events_gives_the_same_answer(data: st.DataObject) -> None:
    """The first arrivals are given; what comes again later may say anything, in any batch and any place of it."""
    meter = define(data.draw(st.sampled_from(["SUM", "COUNT", "MAX", "UNIQUE_COUNT", "LATEST"])), group_by={"g": "$.g"})
    tenant = meter.slug
    minutes = st.integers(0, 12 * 60)
    firsts = data.draw(st.lists(st.tuples(minutes, st.integers(0, 50), st.sampled_from("xy")), min_size=1, max_size=12))
    rows = [
        {
            "id": f"e{n}",
            "time": NOON + timedelta(minutes=at),
            "data": {"v": v, "g": g},
            "ingested_at": NOON + n * SECOND,
        }
        for n, (at, v, g) in enumerate(firsts)
    ]
    insert_meter_events(tenant, meter.event_type, *rows)
    question = {"size": WindowSize.HOUR, "group_by": ("g",)}
    expected = meter_usage.query(meter, ask(subjects=(tenant,), **question))
    again = data.draw(st.lists(st.tuples(st.sampled_from(rows), minutes, st.integers(0, 99)), max_size=12))
    repeats = [
        row | {"time": NOON + timedelta(minutes=at), "data": {"v": v, "g": "x"}, "ingested_at": NOON + DAY + n * SECOND}
        for n, (row, at, v) in enumerate(again)
    ]
    mixed = data.draw(st.permutations([*rows, *repeats]))
    cut = data.draw(st.integers(0, len(mixed)))
    other = define(meter.aggregation.value, group_by={"g": "$.g"})
    for part in (mixed[:cut], mixed[cut:]):
        if part:
            insert_meter_events(f"{tenant}-2", other.event_type, *part)
    found = meter_usage.query(other, ask(subjects=(f"{tenant}-2",), **question))
    assert [(r.window_start, r.value, r.groups) for r in found] == [
        (r.window_start, r.value, r.groups) for r in expected
    ]


def test_groups_and_filters_read_nested_values_of_any_scalar(tenant_key: str) -> None:
    meter = define(group_by={"kind": "$.gpu.type", "spot": "$.spot"})
    for n, data in enumerate(
        (
            {"v": 1, "gpu": {"type": "H200"}, "spot": True},
            {"v": 2, "gpu": {"type": "H200"}, "spot": False},
            {"v": 4, "gpu": {"type": "B'200\\%s"}},
            {"v": 8, "gpu": "H200", "spot": None},
            {"v": 16, "gpu": {"type": 200}, "spot": "true"},
        )
    ):
        insert_meter_events(tenant_key, meter.event_type, {"id": str(n), "data": data})
    rows = meter_usage.query(meter, ask(subjects=(tenant_key,), group_by=("kind",)))
    assert {row.groups["kind"]: row.value for row in rows} == {"H200": 3, "B'200\\%s": 4, "": 8, "200": 16}
    assert value(meter, tenant_key, filters={"spot": ("true",)}) == 17
    assert value(meter, tenant_key, filters={"spot": ("",), "kind": ("B'200\\%s", "")}) == 12
    assert value(meter, tenant_key, filters={"kind": ("nothing",)}) is None


def test_values_that_a_later_meter_cannot_read_are_left_out(tenant_key: str) -> None:
    counting = define("COUNT")
    values(tenant_key, counting, 1, "x", None, {"a": 1}, [1], True, "0.1234567891", 1e300, "2.5")
    meter = define(event_type=counting.event_type)
    assert value(meter, tenant_key) == Decimal("3.5")
    assert value(counting, tenant_key) == 9


def test_a_window_without_readable_values_has_no_row(tenant_key: str) -> None:
    counting = define("COUNT")
    values(tenant_key, counting, "x")
    for aggregation in ("SUM", "MAX", "LATEST"):
        assert value(define(aggregation, event_type=counting.event_type), tenant_key) is None


def test_days_of_a_time_zone_have_23_and_25_hours_when_its_clock_changes(tenant_key: str) -> None:
    meter = define("COUNT")
    starts = (datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 23, tzinfo=UTC))
    hours = [start + n * HOUR for start in starts for n in range(96)]
    insert_meter_events(tenant_key, meter.event_type, *({"id": f"{at}", "time": at, "data": {}} for at in hours))
    found = meter_usage.query(
        meter,
        ask(
            start=datetime(2026, 3, 1, tzinfo=UTC),
            end=datetime(2026, 11, 30, tzinfo=UTC),
            subjects=(tenant_key,),
            size=WindowSize.DAY,
            zone=BERLIN,
        ),
    )
    by_day = {row.window_start.astimezone(BERLIN).date().isoformat(): row for row in found}
    assert all(row.window_start.astimezone(BERLIN).hour == 0 == row.window_end.astimezone(BERLIN).hour for row in found)
    assert [by_day[day].value for day in ("2026-03-28", "2026-03-29", "2026-03-30")] == [24, 23, 24]
    assert [by_day[day].value for day in ("2026-10-24", "2026-10-25", "2026-10-26")] == [24, 25, 24]
    assert by_day["2026-10-25"].window_end - by_day["2026-10-25"].window_start == 25 * HOUR


@pytest.mark.parametrize(
    ("zone", "size", "start", "end"),
    [
        ("Asia/Kathmandu", WindowSize.HOUR, "2026-01-15T11:15:00", "2026-01-15T12:15:00"),
        ("Asia/Kathmandu", WindowSize.DAY, "2026-01-14T18:15:00", "2026-01-15T18:15:00"),
        ("America/New_York", WindowSize.MONTH, "2026-01-01T05:00:00", "2026-02-01T05:00:00"),
        ("Pacific/Kiritimati", WindowSize.DAY, "2026-01-15T10:00:00", "2026-01-16T10:00:00"),
        ("UTC", WindowSize.MINUTE, "2026-01-15T12:00:00", "2026-01-15T12:01:00"),
        ("UTC", WindowSize.MONTH, "2026-01-01T00:00:00", "2026-02-01T00:00:00"),
    ],
)
def test_windows_follow_the_clock_of_the_zone(
    tenant_key: str, zone: str, size: WindowSize, start: str, end: str
) -> None:
    meter = define("COUNT")
    insert_meter_events(tenant_key, meter.event_type, {"id": "a", "data": {}})
    (row,) = meter_usage.query(meter, ask(subjects=(tenant_key,), size=size, zone=ZoneInfo(zone)))
    assert (row.window_start, row.window_end) == (
        datetime.fromisoformat(f"{start}+00:00"),
        datetime.fromisoformat(f"{end}+00:00"),
    )


def test_the_time_asked_for_is_half_open_to_the_millisecond(tenant_key: str) -> None:
    meter = define("COUNT")
    insert_meter_events(
        tenant_key, meter.event_type, *({"id": str(n), "data": {}, "time": NOON + n * SECOND / 1000} for n in range(3))
    )
    rows = meter_usage.query(
        meter, ask(start=NOON + SECOND / 1000, end=NOON + 2 * SECOND / 1000, subjects=(tenant_key,))
    )
    assert [(row.window_start, row.window_end, row.value) for row in rows] == [
        (NOON + SECOND / 1000, NOON + 2 * SECOND / 1000, 1)
    ]


def test_a_group_that_the_meter_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidQuery, match="its groups: subject"):
        meter_usage.query(define(), ask(group_by=("model; DROP TABLE requests",)))
    with pytest.raises(InvalidQuery, match="filterGroupBy"):
        meter_usage.query(define(), ask(filters={"subject": ("a",)}))


def test_an_answer_has_a_largest_size(tenant_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = define("COUNT")
    insert_requests(tenant_key, *({"id": str(n), "time": NOON + n * HOUR} for n in range(4)))
    monkeypatch.setattr(meter_usage, "MAX_ROWS", 3)
    with pytest.raises(TooManyRows):
        meter_usage.query(meters.BUILT_IN["requests"], ask(subjects=(tenant_key,), size=WindowSize.HOUR))
    insert_meter_events(tenant_key, meter.event_type, *({"id": str(n), "data": {"g": n}} for n in range(4)))
    grouped = meters.update(meter.slug, description="", unit="", group_by={"g": "$.g"})
    assert grouped is not None
    with pytest.raises(client.ClickHouseRefused) as refused:
        meter_usage.query(grouped, ask(subjects=(tenant_key,), group_by=("g",)))
    assert refused.value.code == client.TOO_MANY_ROWS_OR_BYTES
    with pytest.raises(TooManyWindows):
        meter_usage.query(
            meter, ask(start=NOON - 5000 * DAY, zone=ZoneInfo("Australia/Lord_Howe"), size=WindowSize.HOUR)
        )


def built_in(slug: str, tenant: str, **given: Any) -> list[tuple[Any, ...]]:
    rows = meter_usage.query(meters.BUILT_IN[slug], ask(subjects=(tenant,), **given))
    return [(row.window_start, int(row.value), *row.groups.values()) for row in rows]


def test_the_built_in_meters_read_requests_each_once(tenant_key: str) -> None:
    insert_requests(tenant_key, {"id": "a", "model": "m1", "cached_input_tokens": 40})
    insert_requests(
        tenant_key,
        {"id": "a", "model": "m1", "input_tokens": 999, "ingested_at": NOON + HOUR},
        {"id": "b", "model": "m2", "input_tokens": 7, "status": "error", "time": NOON + 50 * MINUTE},
        {"id": "c", "model": "m1", "input_tokens": 1000, "observed": True},
    )
    start = NOON - 10 * DAY
    assert built_in("tokens_input", tenant_key) == [(start, 107)]
    assert built_in("tokens_cached_input", tenant_key) == [(start, 40)]
    assert built_in("requests", tenant_key, group_by=("model",)) == [(start, 1, "m1"), (start, 1, "m2")]
    assert built_in("tokens_input", tenant_key, filters={"status": ("ok",)}) == [(start, 100)]
    assert built_in("tokens_output", tenant_key, size=WindowSize.MINUTE) == [(NOON, 10), (NOON + 50 * MINUTE, 10)]
    assert built_in("requests", tenant_key, size=WindowSize.HOUR) == [(NOON, 2)]
    assert meter_usage.subjects(meters.BUILT_IN["requests"], NOON - DAY, NOON + DAY, tenant_key) == [tenant_key]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"])
@pytest.mark.parametrize("size", [WindowSize.HOUR, WindowSize.DAY, WindowSize.MONTH])
def test_a_built_in_meter_agrees_with_one_defined_over_the_same_events(
    tenant_key: str, zone: str, size: WindowSize
) -> None:
    meter = define()
    times = [NOON - 9 * DAY + n * timedelta(hours=5, minutes=7) for n in range(80)]
    insert_requests(tenant_key, *({"id": str(n), "time": at, "input_tokens": n} for n, at in enumerate(times)))
    insert_meter_events(
        tenant_key, meter.event_type, *({"id": str(n), "time": at, "data": {"v": n}} for n, at in enumerate(times))
    )
    question = ask(subjects=(tenant_key,), size=size, zone=ZoneInfo(zone))
    defined, over_requests = (meter_usage.query(m, question) for m in (meter, meters.BUILT_IN["tokens_input"]))
    assert defined == over_requests
    assert sum(row.value for row in defined) == sum(range(80))


def test_a_built_in_meter_stands_on_the_ledger_where_it_is_sealed(tenant_key: str) -> None:
    insert_requests(tenant_key, {"id": "a"}, {"id": "late", "ingested_at": NOON + DAY})
    seal = seal_row(NOON + HOUR)
    client.insert(
        "test_ledger",
        "usage_ledger",
        ("tenant", "bucket", "seal", "model", "requests", "input_tokens"),
        [[tenant_key], [NOON], [seal.id], ["m"], [1], [5]],
    )
    assert built_in("tokens_input", tenant_key, size=WindowSize.DAY, zone=BERLIN) == [(NOON - 13 * HOUR, 105)]
