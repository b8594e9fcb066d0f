"""Rate limits per key and per tenant: one sender's flood is a 429 for that sender alone."""

from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from metering import accounts, keys
from metering.ingest import limiter
from metering.models import ApiKey, Tenant
from metering.redis_link import link
from tests.metering.ingest.edge import Edge, event


@pytest.fixture
def edge(db: None, clickhouse: None, spool: Path, tenant_key: str) -> Edge:
    accounts.create_tenant(tenant_key)
    return Edge(tenant_key, keys.issue_key(tenant_key, ["ingest"]))


@pytest.fixture(autouse=True)
def redis_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter._Pause, "until", 0.0)


def many(count: int) -> list[dict[str, object]]:
    return [event(f"e{number}") for number in range(count)]


def test_past_its_burst_a_key_is_429_with_the_seconds_to_wait(edge: Edge) -> None:
    ApiKey.objects.update(ingest_events_per_s=10)  # a burst of 100
    assert edge.post(many(150)).status_code == 202  # any size gets in while the bucket is not empty
    answer = edge.post(many(1))
    assert answer.status_code == 429
    assert 4 <= int(answer.headers["Retry-After"]) <= 6  # 50 events of debt at 10 a second
    assert "limited to 10 events/s" in answer.json()["detail"]
    assert len(edge.stored()) == 150


def test_the_debt_is_paid_off_with_time(edge: Edge) -> None:
    ApiKey.objects.update(ingest_events_per_s=1000)
    credential = keys.authenticate(f"Bearer {edge.key}")
    limiter.charge(credential, 10_100)
    with pytest.raises(limiter.RateLimited) as refused:
        limiter.charge(credential, 0)
    assert refused.value.retry_after_s == 1
    link().hincrby(f"tallywatt:rate:key:{credential.prefix}", "at", -200)
    limiter.charge(credential, 0)


def test_all_keys_of_a_tenant_share_the_tenants_limit_and_other_tenants_do_not(edge: Edge) -> None:
    Tenant.objects.update(ingest_events_per_s=1)
    other_key = keys.issue_key(edge.tenant, ["ingest"])
    accounts.create_tenant(f"{edge.tenant}-2")
    stranger = keys.issue_key(f"{edge.tenant}-2", ["ingest"])
    assert edge.post(many(100)).status_code == 202
    assert edge.post(many(1), key=other_key).status_code == 429
    assert edge.post(many(1), key=stranger).status_code == 202


def test_an_operators_key_is_not_held_up_by_a_tenants_limit(edge: Edge) -> None:
    Tenant.objects.update(ingest_events_per_s=1)
    gateway = keys.issue_key(None, ["ingest"])
    for _ in range(3):
        assert edge.post([event("x", tenant=edge.tenant)] * 50, key=gateway).status_code == 202


def test_a_default_holds_for_those_without_a_limit_of_their_own_and_0_is_none(edge: Edge, settings: Settings) -> None:
    settings.INGEST_EVENTS_PER_S_PER_KEY = 1
    assert edge.post(many(20)).status_code == 202
    assert edge.post(many(1)).status_code == 429
    call_command("set_rate_limit", key=edge.key.split("_")[1], events_per_s=0)
    assert edge.post(many(1)).status_code == 202


def test_without_redis_nothing_is_limited_and_nothing_is_slow(edge: Edge, settings: Settings) -> None:
    ApiKey.objects.update(ingest_events_per_s=1)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    for _ in range(5):
        assert edge.post(many(30)).status_code == 202
    assert limiter._Pause.until > 0
