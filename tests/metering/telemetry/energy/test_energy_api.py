"""`GET /api/v1/energy`: who may read it, what it answers, and what it refuses by name."""

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from metering import keys
from metering.accounts import create_tenant
from metering.contracts import Scope
from metering.telemetry.energy import prices, writing
from tests.metering.telemetry.energy.scene import Scene

pytestmark = [pytest.mark.usefixtures("clickhouse"), pytest.mark.django_db]

PATH = "/api/v1/energy"


@pytest.fixture
def scene(tenant_key: str) -> Scene:
    """A minute at 360 W: half of it one request, half idle; the region is named after the node."""
    found = Scene(tenant_key)
    found.steady_gpu(60, 360, region=found.node, name="H100")
    found.quiet_engine(60, region=found.node, model="m")
    found.request(40, 30, ttft_ms=1000.0, model="m")
    writing.write(found.span(1))
    return found


@pytest.fixture
def operator(db: None) -> str:
    return keys.issue_key(None, [Scope.USAGE_READ])


def get(token: str | None, **query: Any) -> HttpResponse:
    named = {"from" if name == "start" else "to" if name == "end" else name: value for name, value in query.items()}
    return Client().get(PATH, named, headers={"Authorization": f"Bearer {token}"} if token is not None else {})


def answer(token: str, scene: Scene, **query: Any) -> dict[str, Any]:
    start = scene.start.isoformat()
    response = get(token, **({"start": start, "end": scene.at(3600).isoformat(), "node": scene.node} | query))
    assert response.status_code == 200, response.content
    found: dict[str, Any] = response.json()
    return found


def test_no_key_and_a_wrong_one_are_401(scene: Scene) -> None:
    for token in (None, "nonsense"):
        assert get(token).status_code == 401


def test_a_revoked_key_is_401(operator: str) -> None:
    keys.revoke_key(operator.split("_")[1])
    assert get(operator).status_code == 401


def test_a_key_without_the_scope_is_403() -> None:
    assert get(keys.issue_key(None, [Scope.INGEST, Scope.FINANCE_READ])).status_code == 403


def test_a_tenants_key_is_403_also_for_itself(tenant_key: str) -> None:
    create_tenant(tenant_key)
    token = keys.issue_key(tenant_key, [Scope.USAGE_READ])
    assert get(token).status_code == 403
    assert get(token, tenant=tenant_key).status_code == 403


def test_rows_have_energy_as_decimal_strings_and_idle_time_beside(operator: str, scene: Scene) -> None:
    found = answer(operator, scene, group_by="tenant")
    own, idle = found["data"]
    assert (own["tenant"], own["label"], own["requests"]) == (scene.tenant, "", 1)
    assert (own["joules"], own["kwh"]) == ("10800", "0.003")
    assert own["joules_per_output_token"] == pytest.approx(1080)
    assert (own["energy_cost"], own["unpriced_kwh"]) == (None, "0.003")
    assert (own["co2_g"], own["co2_unknown_kwh"]) == (None, "0.003")
    assert (idle["label"], idle["tenant"], idle["joules"]) == ("idle", "", "10800")
    assert idle["joules_per_output_token"] is None
    assert found["total"]["joules"] == "21600"
    assert found["next"] is None


def test_costs_are_by_currency(operator: str, scene: Scene) -> None:
    prices.set_energy_price(region=scene.node, per_kwh="0.2", currency="EUR")
    prices.set_gpu_price(product="H100", region=scene.node, per_gpu_hour="3.6", currency="USD")
    prices.set_carbon_intensity(region=scene.node, g_per_kwh="100")
    total = answer(operator, scene)["total"]
    assert (total["energy_cost"], total["unpriced_kwh"]) == ({"EUR": "0.0012"}, "0")
    assert float(total["gpu_cost"]["USD"]) == pytest.approx(0.06, abs=1e-8)
    assert (total["co2_g"], total["co2_unknown_kwh"]) == ("0.6", "0")


def test_pages_follow_one_another(operator: str, scene: Scene) -> None:
    whole = answer(operator, scene, group_by="tenant,engine")["data"]
    first = answer(operator, scene, group_by="tenant,engine", limit=1)
    second = answer(operator, scene, group_by="tenant,engine", limit=1, cursor=first["next"])
    assert [*first["data"], *second["data"]] == whole
    assert second["next"] is None


def test_by_default_it_is_the_month_of_the_latest_settled_hour(operator: str, scene: Scene) -> None:
    found = get(operator)
    assert found.status_code == 200
    assert found.json()["closed_until"] is None


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"group_by": "nothing"}, "group_by"),
        ({"window": "minute"}, "window"),
        ({"start": "2026-11-20T10:30:00Z"}, "from"),
        ({"start": "yesterday"}, "from"),
        ({"start": "2026-11-20", "end": "2026-11-20"}, "from"),
        ({"start": "1990-01-01", "end": "2026-11-20"}, "to"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "%%%"}, "cursor"),
        ({"unknown": "x"}, "unknown"),
        ({"node": "n" * 300}, "node"),
        ({"node": "a\x00"}, "node"),
        ({"format": "xml"}, "format"),
    ],
)
def test_what_it_does_not_know_is_refused_by_name(operator: str, query: dict[str, str], named: str) -> None:
    response = get(operator, **query)
    assert response.status_code == 400, response.content
    assert response.json()["errors"][0]["parameter"] == named


def test_a_parameter_given_twice_is_refused(operator: str) -> None:
    response = Client().get(f"{PATH}?window=day&window=hour", headers={"Authorization": f"Bearer {operator}"})
    assert response.status_code == 400
