"""`GET /api/v1/saturation` and its history: who may read them, what they answer, and what they refuse by name."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from metering import keys
from metering.accounts import create_tenant
from metering.contracts import Scope
from metering.telemetry import rollups
from metering.telemetry.spans import Span
from tests.metering.telemetry.sample_rows import (
    MINUTE,
    SECOND,
    every,
    insert_engines,
    insert_gpus,
    own_node,
    recent_hour,
)

pytestmark = [pytest.mark.usefixtures("clickhouse"), pytest.mark.django_db]

NOW_PATH, HISTORY_PATH = "/api/v1/saturation", "/api/v1/saturation/history"
START = recent_hour()
FULL = {"running": 10.0, "waiting": 5.0, "kv_cache_usage": 0.99}
CALM = {"running": 10.0, "waiting": 0.0, "kv_cache_usage": 0.45}


@pytest.fixture
def node() -> str:
    """A node with two engines, of which one is bound, now and in the two minutes from START on."""
    name = own_node()
    now = datetime.now(UTC)
    for start, end in ((START, START + 2 * MINUTE), (now - 50 * SECOND, now)):
        for time in every(10 * SECOND, start, end):
            insert_engines(name, {"time": time, "region": name, "gpus": ["a", "b", "c"]} | FULL)
            insert_engines(name, {"time": time, "region": name, "gpus": ["d"], "engine": "e1", "model": "m2"} | CALM)
    insert_gpus(name, {"time": now, "gpu": "a", "power_w": 400.0}, {"time": now, "gpu": "b", "power_w": 250.0})
    rollups.write(Span(START, START + 2 * MINUTE))
    return name


@pytest.fixture
def operator(db: None) -> str:
    return keys.issue_key(None, [Scope.USAGE_READ])


def get(token: str | None, path: str = NOW_PATH, **query: Any) -> HttpResponse:
    return Client().get(path, query, headers={"Authorization": f"Bearer {token}"} if token is not None else {})


def answer(token: str, path: str = NOW_PATH, **query: Any) -> dict[str, Any]:
    response = get(token, path, **query)
    assert response.status_code == 200, response.content
    found: dict[str, Any] = response.json()
    return found


def history(token: str, **query: Any) -> dict[str, Any]:
    times = {"from": START.isoformat(), "to": (START + 2 * MINUTE).isoformat()}
    return answer(token, HISTORY_PATH, **(times | query))


@pytest.mark.parametrize("path", [NOW_PATH, HISTORY_PATH])
def test_only_an_operators_key_with_the_scope_reads_it(path: str, tenant_key: str) -> None:
    create_tenant(tenant_key)
    revoked = keys.issue_key(None, [Scope.USAGE_READ])
    keys.revoke_key(revoked)
    for token in (None, "nonsense", revoked):
        assert get(token, path).status_code == 401
    assert get(keys.issue_key(tenant_key, [scope.value for scope in Scope]), path).status_code == 403
    others = [scope for scope in Scope if scope != Scope.USAGE_READ]
    assert get(keys.issue_key(None, others), path).status_code == 403
    assert get(keys.issue_key(None, [Scope.USAGE_READ]), path).status_code == 200


@pytest.mark.parametrize("path", [NOW_PATH, HISTORY_PATH])
def test_only_get_answers(operator: str, path: str) -> None:
    for method in ("post", "put", "patch", "delete"):
        response = getattr(Client(), method)(path, headers={"Authorization": f"Bearer {operator}"})
        assert response.status_code == 405, method


def test_every_engine_says_what_binds_it(operator: str, node: str) -> None:
    found = answer(operator, node=node)
    bound, calm = found["data"]
    assert found["points"]["kv_cache_usage"] == 0.9
    assert (bound["engine"], bound["score"], bound["constraint"], bound["bound"]) == ("e0", 1.0, "kv_cache", True)
    assert (bound["gpus"], bound["gpu_weight"], bound["up"]) == (["a", "b", "c"], 3.0, True)
    assert bound["readings"] == {"kv_cache_usage": pytest.approx(0.99), "waiting_per_running": 0.5}
    assert "dram_active" in bound["missing"]
    assert datetime.fromisoformat(bound["since"]) < datetime.now(UTC)
    assert (calm["engine"], calm["score"], calm["bound"], calm["since"]) == ("e1", pytest.approx(0.5), False, None)


@pytest.mark.parametrize("group", ["node", "region"])
def test_a_group_is_the_mean_by_gpus_with_its_worst_engine(operator: str, node: str, group: str) -> None:
    (found,) = answer(operator, node=node, group_by=group)["data"]
    assert found[group] == node
    assert (found["engines"], found["gpus"], found["score"]) == (2, 4.0, pytest.approx(0.875))
    assert found["bound"] == [{"constraint": "kv_cache", "share": 0.75}]
    assert (found["worst"]["engine"], found["constraint"]) == ("e0", "kv_cache")


def test_models_are_narrowed_like_engines(operator: str, node: str) -> None:
    found = answer(operator, node=node, model="m2", group_by="model")["data"]
    assert [(row["model"], row["engines"], row["constraint"]) for row in found] == [("m2", 1, "")]


def test_history_is_by_window_and_group(operator: str, node: str) -> None:
    found = history(operator, node=node, group_by="engine,node")
    assert [(row["window_start"], row["node"], row["engine"], row["constraint"]) for row in found["data"]] == [
        (instant(START), node, "e0", "kv_cache"),
        (instant(START), node, "e1", ""),
        (instant(START + MINUTE), node, "e0", "kv_cache"),
        (instant(START + MINUTE), node, "e1", ""),
    ]
    (total,) = history(operator, node=node, window="total")["data"]
    assert (total["engines"], total["score"]) == (2, pytest.approx(0.875))
    assert total["bound"] == [{"constraint": "kv_cache", "share": 0.75}]
    assert total["worst"] == {"node": node, "engine": "e0"}


def test_pages_of_history_hold_every_row_once(operator: str, node: str) -> None:
    seen, cursor = [], ""
    while True:
        found = history(operator, node=node, group_by="engine", limit=3, **({"cursor": cursor} if cursor else {}))
        seen += [(row["window_start"], row["engine"]) for row in found["data"]]
        cursor = found["next"]
        if cursor is None:
            break
    assert seen == [(instant(time), name) for time in (START, START + MINUTE) for name in ("e0", "e1")]


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        (NOW_PATH, {"group_by": "tenant"}, "group_by"),
        (NOW_PATH, {"from": "2026-01-01"}, "from"),
        (NOW_PATH, {"node": ["a", "b"]}, "node"),
        (NOW_PATH, {"format": "xml"}, "format"),
        (HISTORY_PATH, {"group_by": "node,tenant"}, "group_by"),
        (HISTORY_PATH, {"window": "week"}, "window"),
        (HISTORY_PATH, {"from": "yesterday"}, "from"),
        (HISTORY_PATH, {"from": "2026-01-01T00:00:30Z"}, "from"),
        (HISTORY_PATH, {"from": "2026-01-01T00:30:00Z", "window": "hour"}, "from"),
        (HISTORY_PATH, {"from": "2026-01-01T01:00:00Z", "window": "day"}, "from"),
        (HISTORY_PATH, {"from": "2026-01-02", "to": "2026-01-02"}, "from"),
        (HISTORY_PATH, {"limit": "0"}, "limit"),
        (HISTORY_PATH, {"cursor": "e30"}, "cursor"),
        (HISTORY_PATH, {"model": "x" * 201}, "model"),
        (HISTORY_PATH, {"teh": "1"}, "teh"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_400_and_named(
    operator: str, path: str, query: dict[str, Any], named: str
) -> None:
    response = get(operator, path, **query)
    assert response.status_code == 400, response.content
    assert response.json()["errors"][0]["parameter"] == named


def test_more_than_an_answer_holds_is_422(operator: str, node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.telemetry.fleet_history.MOST_POINTS", 3)
    query = {"from": START.isoformat(), "to": (START + 2 * MINUTE).isoformat(), "node": node, "group_by": "engine"}
    assert get(operator, HISTORY_PATH, **query).status_code == 422


def test_the_fleet_is_in_the_metrics(node: str) -> None:
    token = keys.issue_key(None, [Scope.METRICS])
    text = Client().get("/metrics", headers={"Authorization": f"Bearer {token}"}).content.decode()
    labels = f'engine="e0",model="m",node="{node}"'
    assert f"tallywatt_saturation_score{{{labels}}} 1.0" in text
    assert f'tallywatt_saturation_bound{{constraint="kv_cache",{labels}}} 1.0' in text
    assert f"tallywatt_engine_up{{{labels}}} 1.0" in text
    assert f'tallywatt_gpu_power_watts{{node="{node}"}} 650.0' in text
    assert f'engine="e1",model="m2",node="{node}"}} 1.0' in text


def instant(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
