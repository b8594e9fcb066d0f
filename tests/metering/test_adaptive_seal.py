"""Sealing in steps: a large provider's bucket is sealed before it ends, and no seal holds much more than its limit."""

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django.fixtures import Settings

from metering import ledger
from metering.clickhouse import client
from metering.models import Seal
from metering.usage import ledger_differences, sealed_usage
from tests.metering.rows import NOON, empty_tables, insert_requests, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ledger")]

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
LIMIT = 3


@pytest.fixture(autouse=True)
def nothing_before(ledger: object, settings: Settings) -> None:
    settings.SEAL_MAX_EVENTS = LIMIT
    empty_tables("requests", "usage_ledger", "quarantine")


def arrive(tenant: str, start: datetime, count: int, *, apart: timedelta = SECOND, first: int = 0) -> None:
    """Events `first`, `first + 1`... of one tenant, each `apart` after the one before."""
    moments = [start + apart * number for number in range(count)]
    insert_requests(tenant, *({"id": str(first + n), "time": at, "ingested_at": at} for n, at in enumerate(moments)))


def steps() -> list[tuple[datetime, datetime, int]]:
    rows = Seal.objects.filter(state=Seal.State.COMPLETED).order_by("id")
    return [(row.watermark_from, row.watermark, row.events) for row in rows]


def requests(tenant: str) -> int:
    seal = ledger.latest_seal()
    assert seal is not None
    found = sealed_usage(NOON - DAY, NOON + DAY, tenant=tenant, group_by=(), window="total", as_of=seal)
    return found[0].requests if found else 0


def now_is(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(ledger.timezone, "now", lambda: moment)


def test_a_seal_of_many_events_is_made_in_steps_that_join(tenant_key: str) -> None:
    arrive(tenant_key, NOON, 10)
    settled(NOON + DAY)
    outcome = ledger.seal_usage(now=True)
    assert (outcome.events, outcome.advanced, outcome.late) == (10, True, 0)
    assert [events for _, _, events in steps()] == [3, 3, 3, 1]
    assert [begin for begin, _, _ in steps()[1:]] == [until for _, until, _ in steps()[:-1]]
    assert outcome.seal is not None
    assert outcome.seal.watermark == steps()[-1][1] == NOON + DAY
    assert requests(tenant_key) == 10
    assert ledger_differences(NOON - DAY, NOON + DAY, tenant=tenant_key, as_of=outcome.seal) == []


def test_a_second_with_more_events_than_the_limit_is_not_cut(tenant_key: str) -> None:
    arrive(tenant_key, NOON, 8, apart=timedelta(milliseconds=10))
    arrive(tenant_key, NOON + SECOND, 2, first=8)
    settled(NOON + DAY)
    assert ledger.seal_usage(now=True).events == 10
    assert [events for _, _, events in steps()] == [9, 1]  # one more joined the eight


def test_a_bucket_with_more_events_than_the_limit_is_sealed_before_it_ends(
    tenant_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_is(monkeypatch, NOON + timedelta(minutes=5))
    arrive(tenant_key, NOON + SECOND, LIMIT + 1)
    settled(NOON + timedelta(minutes=4))
    outcome = ledger.seal_usage()
    assert outcome.events == LIMIT + 1
    assert steps()[-1][1] == NOON + timedelta(minutes=4)


def test_a_bucket_with_no_more_than_the_limit_waits_for_its_end(
    tenant_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_is(monkeypatch, NOON + timedelta(minutes=5))
    arrive(tenant_key, NOON + SECOND, LIMIT)
    settled(NOON + timedelta(minutes=4))
    outcome = ledger.seal_usage()
    assert (outcome.events, steps()[-1][1]) == (0, NOON)
    now_is(monkeypatch, NOON + timedelta(minutes=16))
    settled(NOON + timedelta(minutes=16))
    assert ledger.seal_usage().events == LIMIT
    assert steps()[-1][1] == NOON + timedelta(minutes=15)


def test_what_is_not_settled_neither_counts_nor_is_sealed(tenant_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now_is(monkeypatch, NOON + timedelta(minutes=5))
    arrive(tenant_key, NOON + SECOND, 10)
    settled(NOON + 2 * SECOND)
    assert ledger.seal_usage().events == 0
    settled(NOON + 6 * SECOND)
    assert ledger.seal_usage().events == 5


def test_a_duplicate_across_steps_is_found(tenant_key: str) -> None:
    arrive(tenant_key, NOON, 4)
    arrive(tenant_key, NOON + 4 * SECOND, 4)  # the same ids again
    settled(NOON + DAY)
    outcome = ledger.seal_usage(now=True)
    assert (outcome.events, outcome.duplicates) == (4, 4)
    assert requests(tenant_key) == 4


def test_observing_keys_events_do_not_fill_a_seal(tenant_key: str) -> None:
    insert_requests(tenant_key, *({"id": str(n), "observed": True} for n in range(10)))
    arrive(tenant_key, NOON, LIMIT)
    settled(NOON + DAY)
    ledger.seal_usage(now=True)
    assert len(steps()) == 1


def test_steps_before_a_failure_stay_sealed_and_the_next_run_goes_on(
    tenant_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(tenant_key, NOON, 10)
    settled(NOON + DAY)
    real = ledger._seal
    calls = []

    def failing(begin: datetime, until: datetime) -> ledger.SealOutcome:
        calls.append(begin)
        if len(calls) == 3:
            raise client.ClickHouseUnavailable("gone")
        return real(begin, until)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_seal", failing)
        with pytest.raises(client.ClickHouseUnavailable):
            ledger.seal_usage(now=True)
    assert requests(tenant_key) == 6
    assert ledger.seal_usage(now=True).events == 4
    assert requests(tenant_key) == 10


def test_an_event_whose_bucket_was_sealed_before_is_late_and_its_duplicates_are_not(tenant_key: str) -> None:
    quarter = timedelta(minutes=15)
    settled(NOON + quarter)
    ledger.seal_usage(now=True)
    at = {"ingested_at": NOON + quarter + SECOND}
    insert_requests(
        tenant_key,
        {"id": "late", "time": NOON} | at,
        {"id": "late", "time": NOON, "ingested_at": NOON + quarter + 2 * SECOND},
        {"id": "last moment of the sealed bucket", "time": NOON + quarter - timedelta(milliseconds=1)} | at,
        {"id": "in the open bucket", "time": NOON + quarter} | at,
    )
    settled(NOON + DAY)
    outcome = ledger.seal_usage(now=True)
    assert (outcome.events, outcome.duplicates, outcome.late) == (3, 1, 2)
    assert Seal.objects.order_by("-id")[0].late + Seal.objects.order_by("-id")[1].late == 2


def test_nothing_is_late_for_the_first_seal(tenant_key: str) -> None:
    insert_requests(tenant_key, {"id": "old", "time": NOON - 400 * DAY})
    settled(datetime.now(UTC))
    assert ledger.seal_usage(now=True).late == 0


def test_ten_years_of_use_may_arrive_at_once(tenant_key: str, settings: Settings) -> None:
    settings.SEAL_MAX_EVENTS = 1000
    for year in range(2016, 2026):
        months = [NOON.replace(year=year, month=month) for month in range(1, 13)]
        insert_requests(tenant_key, *({"id": str(moment), "time": moment} for moment in months))
    settled(NOON + DAY)
    assert ledger.seal_usage(now=True).events == 120
