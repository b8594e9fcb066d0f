"""`GET /api/v1/leakage`: who may read it, what it answers, and what it refuses by name."""

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from metering import keys
from metering.accounts import create_tenant
from metering.contracts import Scope
from tests.metering.telemetry.reconciliation.test_report import ALL, MADE, REPORTED
from tests.metering.telemetry.reconciliation.windows import HOUR, hour_of, insert, recent_hour, settle

pytestmark = [pytest.mark.usefixtures("clickhouse"), pytest.mark.django_db]

PATH = "/api/v1/leakage"


@pytest.fixture
def node(tenant_key: str) -> str:
    """A node with two engines, one of which leaks, in the last two hours."""
    name = f"n-{tenant_key}"
    settle(recent_hour() + HOUR)
    for ago in range(2):
        insert(hour_of(name, recent_hour(ago), **MADE, **REPORTED))
        insert(hour_of(name, recent_hour(ago), engine="e2", **MADE, **ALL, event_requests=1000.0))
    return name


@pytest.fixture
def operator(db: None) -> str:
    return keys.issue_key(None, [Scope.USAGE_READ])


def get(token: str | None, **query: Any) -> HttpResponse:
    return Client().get(PATH, query, headers={"Authorization": f"Bearer {token}"} if token is not None else {})


def answer(token: str, **query: Any) -> dict[str, Any]:
    response = get(token, **query)
    assert response.status_code == 200, response.content
    found: dict[str, Any] = response.json()
    return found


def instant(moment: Any) -> str:
    return str(moment.isoformat().replace("+00:00", "Z"))


def test_no_key_a_wrong_one_and_a_revoked_one_are_401(node: str) -> None:
    revoked = keys.issue_key(None, [Scope.USAGE_READ])
    keys.revoke_key(revoked)
    for token in (None, "", "nonsense", revoked, "tw_000000000000_" + "x" * 43):
        response = get(token)
        assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer"), token
        assert response["Content-Type"] == "application/problem+json"


def test_a_tenants_key_is_403_whatever_its_scopes(node: str, tenant_key: str) -> None:
    create_tenant(tenant_key)
    everything = [scope.value for scope in Scope]
    response = get(keys.issue_key(tenant_key, everything), node=node)
    assert (response.status_code, node in response.content.decode()) == (403, False)


def test_an_operators_key_without_the_scope_is_403(node: str) -> None:
    others = [scope for scope in Scope if scope != Scope.USAGE_READ]
    assert get(keys.issue_key(None, others)).status_code == 403


def test_only_get_answers(operator: str) -> None:
    for method in ("post", "put", "patch", "delete"):
        response = getattr(Client(), method)(PATH, headers={"Authorization": f"Bearer {operator}"})
        assert response.status_code == 405, method


def test_by_default_it_is_the_last_day_by_node_and_engine(operator: str, node: str) -> None:
    found = answer(operator, node=node)
    assert set(found) == {"data", "total", "state", "to", "closed_until", "as_of", "next"}
    assert [(row["node"], row["engine"], row["hours"]) for row in found["data"]] == [(node, "e1", 2), (node, "e2", 2)]
    assert found["data"][0]["window_start"] == instant(recent_hour(23))
    assert (found["to"], found["closed_until"]) == (instant(recent_hour() + HOUR),) * 2
    assert [row["unbilled_share"] for row in found["data"]] == [0.02, 0.0]
    assert found["total"]["unbilled_share"] == 0.01


def test_a_row_has_both_sides_and_both_differences(operator: str, node: str) -> None:
    (row,) = answer(operator, node=node, engine="e1", group_by="", **{"from": instant(recent_hour())})["data"]
    assert row == {
        "window_start": instant(recent_hour()),
        "hours": 1,
        "incomplete_hours": 0,
        "incomplete": {},
        "engine_requests": 1000.0,
        "engine_input_tokens": 900_000.0,
        "engine_cached_tokens": 300_000.0,
        "engine_output_tokens": 100_000.0,
        "aborted_requests": 20.0,
        "event_requests": 980.0,
        "event_input_tokens": 882_000.0,
        "event_cached_tokens": 294_000.0,
        "event_output_tokens": 98_000.0,
        "unbilled_requests": 20.0,
        "unbilled_input_tokens": 18_000.0,
        "unbilled_output_tokens": 2_000.0,
        "unbilled_tokens": 20_000.0,
        "unbilled_share": 0.02,
        "unbilled_requests_share": 0.02,
        "phantom_requests": 0.0,
        "phantom_input_tokens": 0.0,
        "phantom_output_tokens": 0.0,
        "phantom_tokens": 0.0,
        "phantom_share": 0.0,
        "phantom_requests_share": 0.0,
        "simulated": False,
    }


def test_hours_and_pages(operator: str, node: str) -> None:
    asked = {"node": node, "window": "hour", "group_by": "engine", "limit": "3"}
    first = answer(operator, **asked)
    second = answer(operator, **asked, cursor=first["next"])
    rows = [(row["window_start"], row["engine"]) for row in first["data"] + second["data"]]
    assert rows == [(instant(recent_hour(ago)), engine) for ago in (1, 0) for engine in ("e1", "e2")]
    assert second["next"] is None
    assert first["total"] == second["total"]


def test_the_state_is_of_the_fleet_and_says_what_to_do(operator: str, node: str) -> None:
    state = answer(operator, node="elsewhere")["state"]
    assert (state["at"], state["alert_share"], state["min_tokens"]) == (instant(recent_hour() + HOUR), 0.01, 100_000)
    (alert,) = [one for one in state["alerts"] if one["node"] == node]
    assert alert | {"model": "m"} == {
        "node": node,
        "engine": "e1",
        "model": "m",
        "kind": "unbilled",
        "since": instant(recent_hour(1)),
        "since_before": False,
        "until": instant(recent_hour() + HOUR),
        "tokens": 40_000.0,
        "share": 0.02,
        "simulated": False,
    }
    (finding,) = [one for one in state["findings"] if node in one["text"]]
    assert (finding["tone"], "2.0 %" in finding["text"], "clients went away" in finding["advice"]) == (
        "bad",
        True,
        True,
    )


def test_nothing_known_is_an_empty_answer(operator: str) -> None:
    found = answer(operator, node="nowhere")
    assert (found["data"], found["total"]["hours"], found["total"]["unbilled_share"]) == ([], 0, None)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"form": "x"}, "form"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-20T10:30:00Z"}, "from"),
        ({"to": "2026-11-20T10:00:01Z"}, "to"),
        ({"from": "2026-11-20T10:00:00Z", "to": "2026-11-20T10:00:00Z"}, "from"),
        ({"window": "minute"}, "window"),
        ({"group_by": "node,tenant"}, "group_by"),
        ({"limit": "0"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"cursor": "%%%"}, "cursor"),
        ({"cursor": "WzFd"}, "cursor"),
        ({"node": ["a", "b"]}, "node"),
        ({"node": "a\x00"}, "node"),
        ({"engine": "e" * 201}, "engine"),
        ({"format": "xml"}, "format"),
    ],
)
def test_what_it_cannot_answer_is_400_and_named(operator: str, query: dict[str, Any], named: str) -> None:
    response = get(operator, **query)
    assert response.status_code == 400, response.content
    assert response.json()["errors"][0]["parameter"] == named


def test_a_time_that_clickhouse_has_no_name_for_is_only_empty(operator: str) -> None:
    assert answer(operator, **{"from": "2199-01-01", "to": "2199-12-01"})["data"] == []
    assert answer(operator, **{"from": "1970-01-01", "to": "1970-01-02"})["data"] == []


def test_more_hours_than_an_answer_can_hold_are_422(operator: str, node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.telemetry.reconciliation.reading.MAX_ROWS", 3)
    response = get(operator, node=node)
    assert (response.status_code, response["Content-Type"]) == (422, "application/problem+json")
