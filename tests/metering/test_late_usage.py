"""What arrived late: for times that an earlier seal had covered, by tenant and month of use."""

from datetime import UTC, datetime, timedelta

import pytest

from metering import ledger
from metering.late import LateUsage, late_usage
from metering.models import Seal
from tests.metering.meter_rows import define, insert_meter_events
from tests.metering.rows import NOON, empty_tables, insert_requests, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ledger")]

DAY, HOUR, QUARTER = timedelta(days=1), timedelta(hours=1), timedelta(minutes=15)
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nothing_before(ledger: object) -> None:
    """A seal covers all tenants, so what other tests left behind would be counted here too."""
    empty_tables("requests", "usage_ledger")


def seal(until: datetime) -> int:
    settled(until)
    found = ledger.seal_usage(now=True).seal
    assert found is not None
    return found.id


def test_nothing_is_late_that_the_earlier_seal_had(tenant_key: str) -> None:
    insert_requests(tenant_key, {"id": "a"})
    first = seal(NOON + DAY)
    insert_requests(tenant_key, {"id": "b", "time": NOON + 30 * DAY, "ingested_at": NOON + 30 * DAY})
    second = seal(NOON + 31 * DAY)
    assert late_usage(first, second, FEBRUARY) == []


def test_late_events_are_told_by_tenant_and_month_with_the_quarters_that_they_lie_in(tenant_key: str) -> None:
    insert_requests(tenant_key, {"id": "a"})
    first = seal(NOON + DAY)
    late = NOON + 20 * DAY
    insert_requests(
        tenant_key,
        {"id": "b", "time": NOON + timedelta(minutes=7), "ingested_at": late},
        {"id": "c", "time": NOON + HOUR, "ingested_at": late},
        {"id": "d", "time": NOON - 30 * DAY, "ingested_at": late},
        {"id": "a", "ingested_at": late},
    )
    insert_requests(f"{tenant_key}-other", {"id": "b", "ingested_at": late})
    second = seal(late + HOUR)
    watermark = late + HOUR
    december = LateUsage(tenant_key, NOON - 30 * DAY, NOON - 30 * DAY + QUARTER, watermark, 1)
    january = LateUsage(tenant_key, NOON, NOON + HOUR + QUARTER, watermark, 2)
    other = LateUsage(f"{tenant_key}-other", NOON, NOON + QUARTER, watermark, 1)
    assert late_usage(first, second, FEBRUARY) == [december, january, other]
    assert late_usage(first, second, FEBRUARY, tenants=[tenant_key]) == [december, january]
    assert late_usage(first, second, datetime(2026, 1, 1, tzinfo=UTC)) == [december]
    assert late_usage(second, second, FEBRUARY) == []


def test_from_the_beginning_everything_counts(tenant_key: str) -> None:
    insert_requests(tenant_key, {"id": "a"})
    first = seal(NOON + DAY)
    assert [row.events for row in late_usage(0, first, FEBRUARY)] == [1]


def test_rows_of_an_abandoned_seal_are_not_late_usage(tenant_key: str) -> None:
    insert_requests(tenant_key, {"id": "a"})
    first = seal(NOON + DAY)
    Seal.objects.filter(pk=first).update(state=Seal.State.ABANDONED)
    second = seal(NOON + 2 * DAY)
    assert [(row.events, row.arrived_before) for row in late_usage(0, second, FEBRUARY)] == [(1, NOON + 2 * DAY)]


def test_events_of_the_meters_that_are_named_count_too(tenant_key: str) -> None:
    meter, other = define(), define()
    first = seal(NOON + DAY)
    arrived = NOON + DAY + timedelta(minutes=1)
    insert_meter_events(tenant_key, meter.event_type, {"id": "a", "data": {"v": 1}})
    insert_meter_events(tenant_key, meter.event_type, {"id": "b", "data": {"v": 1}, "ingested_at": arrived})
    insert_meter_events(tenant_key, other.event_type, {"id": "c", "data": {"v": 1}, "ingested_at": arrived})
    second = seal(NOON + 2 * DAY)
    found = late_usage(first, second, FEBRUARY, slugs=[meter.slug, "no_such_meter", "requests"])
    assert found == [LateUsage(tenant_key, NOON, NOON + QUARTER, arrived + timedelta(microseconds=1), 1)]
    assert late_usage(first, second, FEBRUARY) == []
