"""`GET /api/v1/alerts` and its history: for operators' keys alone; and the counters of /metrics."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from metering import keys
from metering.accounts import create_tenant
from metering.models import AlertEvent, AlertRule, AlertState
from tests.metering.alerts.alert_rows import silence

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clickhouse")]
PATHS = ("/api/v1/alerts", "/api/v1/alerts/events")


@pytest.fixture
def firing() -> AlertState:
    AlertRule.objects.all().delete()
    rule = AlertRule.objects.create(
        name="Slow", measure="ttft_p95_ms", threshold=500.0, group_by="model", severity="page"
    )
    now = datetime.now(UTC)
    AlertEvent.objects.create(rule=rule, rule_name="Slow", group="m", kind="fired", at=now, text="m: 900 ms", value=900)
    return AlertState.objects.create(
        rule=rule, group="m", state="firing", since=now, fired_at=now, seen_at=now, value=900.0
    )


def get(path: str, token: str | None) -> Any:
    return Client().get(path, headers={"Authorization": f"Bearer {token}"} if token else {})


def test_what_fires_now_and_what_has_happened(firing: AlertState) -> None:
    key = keys.issue_key(None, ["usage:read"])
    now = datetime.now(UTC)
    silence(None, now - timedelta(hours=1), now + timedelta(hours=1))
    (found,) = get(PATHS[0], key).json()["data"]
    assert (found["name"], found["group"], found["state"], found["value"]) == ("Slow", "m", "firing", "900 ms")
    assert (found["severity"], found["silenced"], found["rule"]) == ("page", True, firing.rule_id)
    (event,) = get(PATHS[1], key).json()["data"]
    assert (event["kind"], event["text"], event["name"]) == ("fired", "m: 900 ms", "Slow")
    assert get(f"{PATHS[1]}?from=2020-01-01&to=2020-02-01", key).json() == {"data": []}


@pytest.mark.parametrize("query", ["from=x", "from=2026-03-10&to=2026-03-10", "from=2020-01-01&to=2026-01-01"])
def test_a_range_that_cannot_be_is_a_problem(query: str) -> None:
    answer = get(f"{PATHS[1]}?{query}", keys.issue_key(None, ["usage:read"]))
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", PATHS)
def test_nobody_but_an_operators_key_with_its_scope_gets_in(path: str, firing: AlertState) -> None:
    create_tenant("walled")
    every = ["annotations:write", "usage:read", "finance:read", "ingest", "quarantine"]
    assert get(path, None).status_code == 401
    assert get(path, "tw_nothing").status_code == 401
    assert get(path, keys.issue_key("walled", every)).status_code == 403
    assert get(path, keys.issue_key(None, ["ingest"])).status_code == 403
    assert Client().post(path, headers={"Authorization": f"Bearer {keys.issue_key(None, every)}"}).status_code == 405


def test_prometheus_hears_of_it(firing: AlertState, settings: Any) -> None:
    settings.METRICS_OPEN = True
    AlertRule.objects.update(evaluated_at=datetime.now(UTC) - timedelta(seconds=30))
    shown = Client().get("/metrics").content.decode()
    assert 'tallywatt_alerts{rule="Slow",severity="page",state="firing"} 1.0' in shown
    assert 'tallywatt_alert_events_total{kind="fired"} 1.0' in shown
    assert "tallywatt_alert_notices_waiting 0.0" in shown
    assert "tallywatt_alert_evaluated_age_seconds 3" in shown
