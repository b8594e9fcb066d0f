"""Leakage on `/metrics`: the latest complete hour of each engine, what is on alert, and a bound on how many series there are."""

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from metering import keys
from metering.clickhouse.client import ClickHouseUnavailable
from metering.contracts import Scope
from metering.telemetry.reconciliation import prometheus
from tests.metering.rows import empty_tables
from tests.metering.telemetry.reconciliation.test_report import ALL, MADE, REPORTED
from tests.metering.telemetry.reconciliation.windows import HOUR, hour_of, insert, recent_hour, settle

pytestmark = [pytest.mark.usefixtures("clickhouse"), pytest.mark.django_db]

Samples = dict[tuple[str, ...], float]


@pytest.fixture
def node(tenant_key: str) -> str:
    """The only node that there is: e1 leaks 2 %, e2 nothing, and e3 was complete an hour ago."""
    empty_tables("energy_windows")
    name = f"n-{tenant_key}"
    settle(recent_hour() + HOUR)
    insert(hour_of(name, recent_hour(), **MADE, **REPORTED))
    insert(hour_of(name, recent_hour(), engine="e2", **MADE, **ALL))
    insert(hour_of(name, recent_hour(1), engine="e3", **MADE, **ALL))
    insert(hour_of(name, recent_hour(), engine="e3", engine_gap_s=60.0, **MADE))
    return name


def samples() -> Samples:
    """By the name after `tallywatt_leakage_` and the labels' values, in order of the labels' names: engine, kind, model, node."""
    token = keys.issue_key(None, [Scope.METRICS])
    response = Client().get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200
    families = text_string_to_metric_families(response.content.decode())
    return {
        (one.name.removeprefix("tallywatt_leakage_"), *one.labels.values()): one.value
        for family in families
        for one in family.samples
        if one.name.startswith("tallywatt_leakage_")
    }


def test_each_engine_has_its_latest_complete_hour(node: str) -> None:
    found = samples()
    assert found["tokens", "e1", "unbilled", "m", node] == pytest.approx(20_000)
    assert found["share", "e1", "unbilled", "m", node] == pytest.approx(0.02)
    assert found["tokens", "e1", "phantom", "m", node] == pytest.approx(0, abs=1e-6)
    assert found["share", "e3", "unbilled", "m", node] == pytest.approx(0, abs=1e-9)


def test_the_fleets_share_is_of_the_engines_that_could_be_compared(node: str) -> None:
    found = samples()
    assert found["compared_engines",] == 2
    assert found["fleet_share", "unbilled"] == pytest.approx(0.01)
    assert found["fleet_tokens", "unbilled"] == pytest.approx(20_000)


def test_an_engine_on_alert_is_one_and_others_are_absent(node: str) -> None:
    found = samples()
    assert {key: value for key, value in found.items() if key[0] == "alert"} == {
        ("alert", "e1", "unbilled", "m", node): 1
    }


def test_only_the_worst_engines_have_series_of_their_own(node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "MOST_ENGINES", 1)
    found = samples()
    assert {key[1] for key in found if key[0] == "tokens"} == {"e1"}
    assert found["compared_engines",] == 2


def test_before_anything_is_settled_and_while_clickhouse_does_not_answer_it_is_absent(
    node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object, **__: object) -> None:
        raise ClickHouseUnavailable("made for the test")

    monkeypatch.setattr("metering.telemetry.reconciliation.reading.client.run", unavailable)
    assert samples() == {}
