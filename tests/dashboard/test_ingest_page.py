"""The operators' ingest page: what is wrong comes first and in words, and every figure has its unit."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from pytest_django.fixtures import Settings

from dashboard.operator.ingest_findings import Finding, findings
from dashboard.operator.shelf import SHELF
from metering.ingest import counters, presence
from metering.ingest.counters import EDGES_S, Histogram, Snapshot, Tally
from metering.ingest.spool import SpooledFile
from metering.ingest_health import (
    CountersHealth,
    HostHealth,
    IngestHealth,
    LedgerHealth,
    Rejected,
    SealCounts,
    SealHealth,
    StoreHealth,
    TableHealth,
)
from metering.live_difference import Amount, LiveDifference
from metering.models import IngestHost, Seal
from metering.moments import microseconds
from metering.redis_link import link
from tests.dashboard.conftest import LogIn
from tests.metering.rows import empty_tables, settled

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOST = HostHealth(
    name="a",
    settled_before=NOW,
    published_at=NOW,
    silent=False,
    pending_files=1,
    pending_bytes=10,
    oldest_pending_at=NOW - timedelta(seconds=1),
    kept_bytes=0,
    spool_max_bytes=100,
)
SEALS = SealHealth(NOW - timedelta(minutes=14), NOW, SealCounts(), SealCounts(), 0)
COUNTERS = CountersHealth(Snapshot(Tally(), Tally(), Tally()), ("worker@a",), None)
STORE = StoreHealth((), (TableHealth("requests", 3, 2, 10, 1000),), 0, 0.0)


@pytest.fixture(autouse=True)
def empty() -> None:
    SHELF.clear()
    counters.circuit.close()
    for key in link().scan_iter("tallywatt:*"):
        link().delete(key)
    empty_tables("quarantine")


def health(**parts: Any) -> IngestHealth:
    """A healthy reading, with some parts replaced."""
    return replace(IngestHealth(NOW, LedgerHealth(SEALS, (HOST,)), COUNTERS, STORE), **parts)


def said(found: IngestHealth) -> list[tuple[str, str]]:
    return [(one.tone, one.text) for one in findings(found)]


def with_host(**fields: Any) -> IngestHealth:
    return health(ledger=LedgerHealth(SEALS, (replace(HOST, **fields),)))


def with_seals(**fields: Any) -> IngestHealth:
    return health(ledger=LedgerHealth(replace(SEALS, **fields), (HOST,)))


def with_counts(**fields: Any) -> IngestHealth:
    return health(counters=replace(COUNTERS, **fields))


def test_a_healthy_reading_has_no_finding() -> None:
    assert findings(health()) == []


def test_a_silent_host_is_named_with_what_to_do() -> None:
    found = findings(with_host(silent=True, published_at=NOW - timedelta(minutes=5)))
    assert [one.text for one in found] == ["Host a has been silent for 5 min and holds the seal."]
    assert "manage.py retire_host a" in found[0].advice


@pytest.mark.parametrize(("waiting", "tone"), [(69, None), (70, "warn"), (83, "warn"), (90, "bad")])
def test_a_filling_spool_is_told_in_per_cent(waiting: int, tone: str | None) -> None:
    expected = [(tone, f"The spool of host a is {waiting} % full.")] if tone else []
    assert said(with_host(pending_bytes=waiting)) == expected


def test_a_batch_that_waits_long_is_told() -> None:
    assert said(with_host(oldest_pending_at=NOW - timedelta(minutes=3))) == [
        ("bad", "On host a a batch has been waiting for 3 min.")
    ]


def test_a_ledger_that_falls_behind_is_told() -> None:
    assert said(with_seals(watermark=NOW - timedelta(minutes=45))) == [
        ("warn", "The ledger ends 45 min ago, at 11:15 UTC.")
    ]


def test_conflicts_lead_to_quarantine() -> None:
    found = findings(with_seals(day=SealCounts(10, 2, 2, 0)))
    assert [(one.text, one.quarantine) for one in found] == [
        ("Arrived again with other content in the last 24 h: 2 events.", True)
    ]


def test_a_missing_worker_is_told_once_something_was_accepted() -> None:
    alone = health(counters=replace(COUNTERS, workers=()))
    assert said(alone) == [("bad", "No worker has been heard of for half a minute.")]
    assert said(replace(alone, ledger=LedgerHealth(SEALS, ()))) == []


def test_refusals_for_want_of_room_are_told_and_wrong_keys_are_not() -> None:
    counts = Snapshot(Tally(), Tally(refused={"429": 1200, "401": 5}), Tally())
    assert said(with_counts(counts=counts)) == [
        ("warn", "Refused for want of room or over a rate limit (429) in the last hour: 1,200 requests.")
    ]


def test_slow_freshness_is_told() -> None:
    slow = [0] * (len(EDGES_S) + 1)
    slow[EDGES_S.index(8.0)] = 100
    counts = Snapshot(Tally(), Tally(), Tally(queryable=Histogram(tuple(slow))))
    assert said(with_counts(counts=counts)) == [
        ("warn", "One event in a hundred takes more than 8.0 s until queries see it.")
    ]


@pytest.mark.parametrize(
    ("live", "uncorrected", "text"),
    [
        (12, 2, "Live pages count 2 requests twice that the ledger counts once."),
        (12, 0, "Live pages count 2 requests more than the ledger."),
        (9, 0, "Live pages count 1 request fewer than the ledger."),
    ],
)
def test_a_difference_between_live_and_ledger_is_explained(live: int, uncorrected: int, text: str) -> None:
    found = LiveDifference(NOW, NOW, NOW, Amount(live, 0), Amount(8, 0), Amount(2, 0))
    reading = replace(
        with_counts(difference=found), ledger=LedgerHealth(replace(SEALS, uncorrected=uncorrected), (HOST,))
    )
    assert said(reading) == [("warn", text)]


def test_rejects_name_the_most_frequent_reason() -> None:
    store = replace(
        STORE, rejected=(Rejected("malformed", 1, 90), Rejected("too_old", 1200, 1300), Rejected("x", 0, 5))
    )
    assert said(health(store=store)) == [("warn", "Rejected in the last hour: 1,201 events, 1,200 of them as too old.")]


@pytest.mark.parametrize(("parts", "tone"), [(299, None), (300, "warn"), (1000, "bad")])
def test_too_many_parts_are_told(parts: int, tone: str | None) -> None:
    store = replace(STORE, tables=(TableHealth("requests", 4000, parts, 10, 1000),))
    assert [one.tone for one in findings(health(store=store))] == ([tone] if tone else [])


def test_what_is_down_comes_before_what_is_only_unusual() -> None:
    found = findings(replace(with_seals(day=SealCounts(10, 2, 2, 0)), store=None, counters=None))
    assert [one.tone for one in found] == ["bad", "bad", "warn"]
    assert {one.text for one in found[:2]} == {"ClickHouse does not answer.", "Redis does not answer."}
    assert isinstance(found[0], Finding)


def opened(log_in: LogIn) -> str:
    response = log_in("operator").get(reverse("operator-ingest"))
    assert response.status_code == 200
    return str(response.content.decode())


def tile(page: str, key: str) -> str:
    found = re.search(rf'data-tile="{key}">(.*?)</div>', page, re.DOTALL)
    assert found is not None
    return re.sub(r"<[^>]+>", " ", found.group(1))


def test_the_page_shows_the_figures_with_units(log_in: LogIn) -> None:
    now = datetime.now(UTC)
    settled(now - timedelta(seconds=2), "host <a>")
    IngestHost.objects.update(pending_bytes=50, pending_files=3, spool_max_bytes=1000, kept_bytes=1_400_000)
    counts = {"events": 40, "duplicates": 12, "conflicts": 4, "late": 1234}
    state = {"state": Seal.State.COMPLETED, "completed_at": now, "corrected_at": now}
    Seal.objects.create(watermark_from=now, watermark=now - timedelta(minutes=9), **counts, **state)
    counters.requests_taken("ndjson", 5000, {}, 0.004)
    counters.refused(429)
    stamp = microseconds(now - timedelta(seconds=0.3))
    counters.inserted([SpooledFile(Path("s-b.100.events.arrow"), stamp, 100, 1)], now)
    presence.alive("worker@a")
    page = opened(log_in)
    assert "5,000" in tile(page, "accepted")
    assert "12" in tile(page, "duplicates")
    assert "1,234" in tile(page, "late")
    assert re.search(r"9\s+min ago", tile(page, "watermark"))
    assert re.search(r"375\s+ms", tile(page, "queryable-p50"))
    assert re.search(r"5\s+% full", tile(page, "spool"))
    assert "worker@a" in tile(page, "workers")
    assert "host &lt;a&gt;" in page
    assert "1.4 MB" in page
    assert "429 no room" in page
    assert "Arrived again with other content in the last 24 h: 4 events." in page


def test_all_is_well_is_said_when_it_is(log_in: LogIn) -> None:
    settled(datetime.now(UTC))
    presence.alive("worker@a")
    assert "All is well." in opened(log_in)


def test_before_the_first_event_the_page_says_where_to_begin(log_in: LogIn) -> None:
    page = opened(log_in)
    assert "No event has arrived yet" in page
    assert "No host has accepted an event yet." in page


def test_the_page_says_what_is_down_and_shows_the_rest(log_in: LogIn, settings: Settings) -> None:
    settled(datetime.now(UTC), "host-a")
    settings.CLICKHOUSE_URL = "clickhouse://u:p@127.0.0.1:1/none"
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    page = opened(log_in)
    assert "ClickHouse does not answer." in page
    assert "Redis does not answer." in page
    assert "All is well" not in page
    assert "host-a" in page
