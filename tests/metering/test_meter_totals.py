"""What meters measured as of a seal: exact, each event once, the same for ever."""

from datetime import timedelta
from decimal import Decimal

import pytest

from metering.contracts import SealInfo
from metering.meter_totals import MeterTotal, UnknownMeter, meter_totals
from metering.meters import MeterInfo
from metering.usage import pieces
from tests.metering.meter_rows import define, insert_meter_events
from tests.metering.rows import NOON, seal_row

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ledger")]

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START, END = NOON - DAY, NOON + DAY


@pytest.fixture
def seal(db: None) -> SealInfo:
    return seal_row(NOON + HOUR)


def quantities(meter: MeterInfo, tenant: str, seal: SealInfo) -> list[tuple[Decimal, int]]:
    return [(row.quantity, row.events) for row in meter_totals(START, END, tenant, [meter.slug], seal)]


def test_a_total_is_exact_and_counts_each_event_once(tenant_key: str, seal: SealInfo) -> None:
    meter = define()
    late = NOON + timedelta(minutes=1)
    insert_meter_events(
        tenant_key,
        meter.event_type,
        {"id": "a", "data": {"v": "0.1"}},
        {"id": "a", "data": {"v": "0.7"}, "ingested_at": late},
        {"id": "b", "data": {"v": 0.2}},
    )
    assert quantities(meter, tenant_key, seal) == [(Decimal("0.3"), 2)]


def test_what_arrives_after_the_watermark_changes_nothing(tenant_key: str, seal: SealInfo) -> None:
    meter = define()
    insert_meter_events(tenant_key, meter.event_type, {"id": "a", "data": {"v": 1}})
    before = quantities(meter, tenant_key, seal)
    insert_meter_events(
        tenant_key,
        meter.event_type,
        {"id": "b", "data": {"v": 5}, "ingested_at": NOON + HOUR},
        {"id": "a", "data": {}, "ingested_at": NOON + HOUR},
    )
    assert before == [(Decimal(1), 1)]
    assert [row.quantity for row in meter_totals(START, END, tenant_key, [meter.slug], seal_row(NOON + 2 * HOUR))] == [
        6
    ]


def test_what_arrived_since_an_earlier_seal_can_be_asked_for(tenant_key: str, seal: SealInfo) -> None:
    meter = define()
    insert_meter_events(
        tenant_key,
        meter.event_type,
        {"id": "a", "data": {"v": 1}},
        {"id": "b", "data": {"v": 5}, "ingested_at": NOON + HOUR},
        {"id": "a", "data": {"v": 9}, "ingested_at": NOON + HOUR},
    )
    found = meter_totals(START, END, tenant_key, [meter.slug], seal_row(NOON + 2 * HOUR), after=seal)
    assert [(row.quantity, row.events) for row in found] == [(5, 1)]


@pytest.mark.parametrize(
    ("aggregation", "quantity"), [("SUM", "9"), ("COUNT", "3"), ("MAX", "5"), ("UNIQUE_COUNT", "2"), ("LATEST", "2")]
)
def test_every_aggregation_of_a_meter_can_be_billed(
    tenant_key: str, seal: SealInfo, aggregation: str, quantity: str
) -> None:
    meter = define(aggregation)
    rows = [{"id": str(n), "data": {"v": v}, "time": NOON + n * timedelta(seconds=1)} for n, v in enumerate((2, 5, 2))]
    insert_meter_events(tenant_key, meter.event_type, *rows)
    assert quantities(meter, tenant_key, seal) == [(Decimal(quantity), 3)]


def test_groups_of_the_meter_that_a_price_can_name_are_kept_apart(tenant_key: str, seal: SealInfo) -> None:
    meter = define(group_by={"model": "$.model", "region": "$.where", "job": "$.job"})
    data = [
        {"v": 1, "model": "m", "where": "eu", "job": "x"},
        {"v": 2, "model": "m", "where": "eu", "job": "y"},
        {"v": 4},
    ]
    insert_meter_events(tenant_key, meter.event_type, *({"id": str(n), "data": row} for n, row in enumerate(data)))
    found = meter_totals(START, END, None, [meter.slug], seal, tenants=[tenant_key])
    assert found == [
        MeterTotal(tenant_key, meter.slug, START, Decimal(4), 1),
        MeterTotal(tenant_key, meter.slug, START, Decimal(3), 2, model="m", region="eu"),
    ]


def test_windows_cut_the_time_and_one_tenant_sees_its_own(tenant_key: str, seal: SealInfo) -> None:
    meter = define()
    insert_meter_events(tenant_key, meter.event_type, {"id": "a", "data": {"v": 1}, "time": NOON - HOUR})
    insert_meter_events(tenant_key, meter.event_type, {"id": "b", "data": {"v": 2}})
    insert_meter_events(f"{tenant_key}-2", meter.event_type, {"id": "b", "data": {"v": 4}})
    found = meter_totals(START, END, tenant_key, [meter.slug], seal, window=pieces([START, NOON, END]))
    assert [(row.window_start, row.quantity) for row in found] == [(START, 1), (NOON, 2)]
    everybody = meter_totals(START, END, None, [meter.slug], seal)
    assert {(row.tenant, row.quantity) for row in everybody} == {(tenant_key, 3), (f"{tenant_key}-2", 4)}


@pytest.mark.parametrize("slug", ["no_such_meter", "requests", "tokens_input"])
def test_an_unknown_meter_and_a_built_in_one_are_refused(seal: SealInfo, slug: str) -> None:
    with pytest.raises(UnknownMeter, match=slug):
        meter_totals(START, END, None, [slug], seal)
