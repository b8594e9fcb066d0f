"""Which months each tenant used anything in, as of a seal."""

from datetime import UTC, date, datetime, timedelta

import pytest

from metering import public as metering
from metering.clickhouse import client
from metering.contracts import SealInfo
from metering.models import Seal
from metering.months_used import months_used
from tests.metering.meter_rows import insert_meter_events
from tests.metering.rows import NOON, insert_requests, settled

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]


def seal() -> SealInfo:
    settled(datetime.now(UTC) + timedelta(hours=1))
    found = metering.seal_everything_before(datetime.now(UTC), wait_s=5).seal
    assert found is not None
    return found


def at(year: int, month: int, day: int = 1) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


def test_a_month_counts_once_by_its_first_day(tenant_key: str) -> None:
    times = (at(2025, 3), at(2025, 3, 31), at(2025, 5, 31), at(2025, 6) - timedelta(milliseconds=1))
    insert_requests(tenant_key, *({"id": str(n), "time": each} for n, each in enumerate(times)))
    assert months_used(seal())[tenant_key] == {date(2025, 3, 1), date(2025, 5, 1)}


def test_events_of_meters_count_as_requests_do(tenant_key: str) -> None:
    insert_requests(tenant_key, {"id": "1", "time": at(2025, 3)})
    insert_meter_events(tenant_key, "gpu.hours", {"id": "2", "data": {}, "time": at(2025, 4, 30)})
    insert_meter_events(tenant_key, "gpu.hours", {"id": "3", "data": {}, "time": at(2025, 9), "observed": True})
    assert months_used(seal())[tenant_key] == {date(2025, 3, 1), date(2025, 4, 1)}


def test_what_is_not_sealed_does_not_count(tenant_key: str) -> None:
    insert_requests(tenant_key, {"id": "1", "time": at(2025, 3)})
    first = seal()
    insert_requests(tenant_key, {"id": "2", "time": at(2025, 4), "ingested_at": first.watermark + timedelta(seconds=1)})
    insert_meter_events(
        tenant_key, "gpu.hours", {"id": "3", "data": {}, "time": at(2025, 5), "ingested_at": first.watermark}
    )
    assert months_used(first)[tenant_key] == {date(2025, 3, 1)}


def test_rows_of_an_abandoned_seal_do_not_count(tenant_key: str) -> None:
    abandoned = Seal.objects.create(watermark_from=NOON, watermark=NOON, state=Seal.State.ABANDONED)
    client.statement(
        "test_rows",
        "INSERT INTO usage_ledger (tenant, bucket, seal, requests) VALUES (%(tenant)s, '2025-03-01 00:00:00', %(seal)s, 1)",
        {"tenant": tenant_key, "seal": abandoned.pk},
    )
    assert tenant_key not in months_used(seal())


def test_one_tenant_alone_may_be_asked_for(tenant_key: str) -> None:
    for name in (tenant_key, f"{tenant_key}-2"):
        insert_requests(name, {"id": "1", "time": at(2025, 3)})
    assert months_used(seal(), tenant=tenant_key) == {tenant_key: {date(2025, 3, 1)}}
    assert months_used(seal(), tenant="nobody") == {}
