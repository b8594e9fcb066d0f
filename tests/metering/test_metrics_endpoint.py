"""`GET /metrics`: who may read it, what it says, and that it answers while a server is down."""

import json
import re
import threading
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from config import settings as settings_module
from metering import ingest_health, live_difference
from metering.accounts import create_tenant
from metering.bounded import Bounded
from metering.clickhouse import client
from metering.contracts import Scope
from metering.ingest import counters, presence
from metering.ingest.spool import SpooledFile
from metering.keys import issue_key, revoke_key
from metering.models import IngestHost, Seal
from metering.moments import microseconds
from metering.redis_link import link
from tests.metering.rows import insert_requests, settled

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]


@pytest.fixture(autouse=True)
def empty() -> None:
    counters.circuit.close()
    for key in link().scan_iter("tallywatt:*"):
        link().delete(key)


@pytest.fixture
def key() -> str:
    return issue_key(None, [Scope.METRICS])


def scrape(key: str | None = None, **headers: str) -> Any:
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return Client().get("/metrics", headers=headers)


def samples(key: str) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    response = scrape(key)
    assert response.status_code == 200
    families = text_string_to_metric_families(response.content.decode())
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_it_wants_an_operators_key_with_the_scope(key: str, tenant_key: str) -> None:
    create_tenant(tenant_key)
    assert scrape(key).status_code == 200
    assert scrape().status_code == 401
    assert scrape()["WWW-Authenticate"].startswith("Bearer")
    assert scrape("tw_000000000000_" + "x" * 43).status_code == 401
    assert scrape(issue_key(None, [Scope.INGEST, Scope.USAGE_READ, Scope.FINANCE_READ])).status_code == 403
    tenants_own = scrape(issue_key(tenant_key, [Scope.METRICS]))
    assert tenants_own.status_code == 403
    assert "operator's key" in tenants_own.json()["detail"]
    revoke_key(key)
    assert scrape(key).status_code == 401


def test_it_may_be_opened_to_everybody(settings: Settings) -> None:
    settings.METRICS_OPEN = True
    assert scrape().status_code == 200


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_it_only_answers_get(key: str, method: str) -> None:
    response = getattr(Client(), method)("/metrics", headers={"Authorization": f"Bearer {key}"})
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")


def test_counts_of_ingest_have_their_labels(key: str) -> None:
    counters.requests_taken("ndjson", 5, {"malformed": 2}, 0.25)
    counters.refused(429)
    found = samples(key)
    assert found["tallywatt_ingest_events_total", "ndjson"] == 5
    assert found["tallywatt_ingest_rejected_total", "malformed"] == 2
    assert found["tallywatt_ingest_rejected_total", "too_old"] == 0
    assert found["tallywatt_ingest_refused_total", "429"] == 1
    assert found["tallywatt_ingest_request_seconds_count", "ndjson"] == 1
    assert found["tallywatt_ingest_request_seconds_sum", "ndjson"] == 0.25


def test_the_time_to_queryable_is_a_cumulative_histogram(key: str) -> None:
    now = datetime.now(UTC)
    stamps = (microseconds(now - timedelta(seconds=seconds)) for seconds in (0.1, 3, 10_000))
    counters.inserted([SpooledFile(Path("s-b.5.events.arrow"), stamp, 5, 1) for stamp in stamps], now)
    found = samples(key)
    name = "tallywatt_receipt_to_queryable_seconds"
    assert [found[f"{name}_bucket", edge] for edge in ("0.0625", "0.125", "2", "4", "4096", "+Inf")] == [
        0,
        5,
        5,
        10,
        10,
        15,
    ]
    assert (found[f"{name}_count",], found[f"{name}_sum",]) == (15, pytest.approx(5 * 10_003.1))


def test_seals_spools_workers_and_tables_are_there(key: str, tenant_key: str) -> None:
    now = datetime.now(UTC)
    settled(now - timedelta(seconds=7), "host-a")
    waiting = {
        "pending_bytes": 30,
        "oldest_pending_at": now - timedelta(seconds=9),
        "kept_bytes": 4,
        "spool_max_bytes": 100,
    }
    IngestHost.objects.update(**waiting)
    counts = {"events": 10, "duplicates": 4, "conflicts": 1, "late": 3}
    state = {"state": Seal.State.COMPLETED, "completed_at": now}
    Seal.objects.create(watermark_from=now, watermark=now - timedelta(seconds=60), **counts, **state)
    presence.alive("worker@a")
    insert_requests(tenant_key, {"id": "a"})
    found = samples(key)
    assert [
        found[f"tallywatt_ingest_{name}_total",] for name in ("sealed_events", "duplicates", "conflicts", "late")
    ] == [10, 4, 1, 3]
    assert found["tallywatt_live_uncorrected_duplicates",] == 4
    assert 60 <= found["tallywatt_seal_watermark_age_seconds",] < 70
    assert found["tallywatt_spool_bytes", "host-a"] == 30
    assert found["tallywatt_spool_max_bytes", "host-a"] == 100
    assert found["tallywatt_spool_kept_bytes", "host-a"] == 4
    assert 9 <= found["tallywatt_spool_oldest_age_seconds", "host-a"] < 19
    assert 7 <= found["tallywatt_host_settled_age_seconds", "host-a"] < 17
    assert found["tallywatt_workers",] == 1
    assert found["tallywatt_clickhouse_rows", "requests"] >= 1
    assert found["tallywatt_clickhouse_parts", "requests"] >= 1
    assert found["tallywatt_clickhouse_merges",] >= 0
    assert {found["tallywatt_up", part] for part in ("postgresql", "redis", "clickhouse")} == {1}


def test_every_metric_says_what_it_is_and_openmetrics_parses(key: str) -> None:
    response = scrape(key, Accept="application/openmetrics-text; version=1.0.0")
    assert response["Content-Type"].startswith("application/openmetrics-text")
    families = list(open_families(response.content.decode()))
    assert len(families) > 15
    assert [
        family.name for family in families if not family.documentation or not family.name.startswith("tallywatt_")
    ] == []


def test_every_metric_is_documented(key: str) -> None:
    at = datetime.now(UTC)
    settled(at)
    amount = live_difference.Amount(1, 1)
    found = live_difference.LiveDifference(at, at, at, amount, amount, amount)
    link().set(live_difference.KEY, json.dumps(asdict(found), default=datetime.isoformat))
    Seal.objects.create(watermark_from=at, watermark=at, state=Seal.State.COMPLETED, completed_at=at)
    docs = Path(settings_module.BASE_DIR) / "docs"
    page = (docs / "ingest-health.md").read_text()
    pages = page + "".join((docs / name).read_text() for name in ("reconciliation.md", "saturation.md", "alerts.md"))
    names = re.findall(r"(?m)^# TYPE (\S+) ", scrape(key).content.decode())
    assert len(names) > 20
    assert [name for name in names if f"`{name}" not in pages] == []
    named = set(re.findall(r"`(tallywatt_[a-z_]+)", page))
    assert named <= set(names)


def test_without_redis_its_figures_are_absent_and_the_rest_is_there(key: str, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    found = samples(key)
    assert (found["tallywatt_up", "redis"], found["tallywatt_up", "clickhouse"]) == (0, 1)
    assert ("tallywatt_workers",) not in found
    assert ("tallywatt_clickhouse_merges",) in found


def test_without_clickhouse_its_figures_are_absent_and_the_rest_is_there(key: str, settings: Settings) -> None:
    settings.CLICKHOUSE_URL = "clickhouse://u:p@127.0.0.1:1/none"
    found = samples(key)
    assert (found["tallywatt_up", "clickhouse"], found["tallywatt_up", "postgresql"]) == (0, 1)
    assert ("tallywatt_clickhouse_merges",) not in found
    assert ("tallywatt_ingest_late_total",) in found


def test_a_clickhouse_that_hangs_does_not_hold_the_scrape(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    go, ended = threading.Event(), threading.Event()

    def hanging() -> None:
        go.wait(60)
        ended.set()

    monkeypatch.setattr(ingest_health, "_store", Bounded(hanging, 0.1))
    assert samples(key)["tallywatt_up", "clickhouse"] == 0
    assert not ended.is_set()
    go.set()


def test_a_key_works_for_what_its_scope_says_only(key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    assert Client().get("/api/v1/usage", headers=headers).status_code == 403
    response = Client().post("/api/v1/events", b"{}", content_type="application/x-ndjson", headers=headers)
    assert response.status_code == 403
    assert client.statement("test", "SELECT count() FROM requests WHERE tenant = ''") == [(0,)]
