"""`POST /lago/api/v1/events` and `/batch`: what Lago's clients send, and the answers that they can read."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from metering import accounts, keys, meters
from metering.clickhouse import client
from metering.ingest import announce, local
from metering.ingest.drain import drain
from metering.ingest.spool import SpoolFull
from tests.metering.ingest.edge import Edge

USAGE = {"model": "m", "prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57, "response_cost": 0.001}
CANONICAL = {"model": "m", "input_tokens": 100, "output_tokens": 10}


@pytest.fixture
def edge(db: None, clickhouse: None, spool: Path, tenant_key: str) -> Edge:
    accounts.create_tenant(tenant_key)
    return Edge(tenant_key, keys.issue_key(tenant_key, ["ingest"]))


def post(edge: Edge, body: Any, path: str = "events", *, key: str | None = None, **headers: str) -> Any:
    token = edge.key if key is None else key
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    body = body if isinstance(body, str | bytes) else json.dumps(body)
    return Client().post(f"/lago/api/v1/{path}", body, content_type="application/json", headers=headers)


def sent(edge: Edge, identity: str = "t1", **fields: Any) -> dict[str, Any]:
    """An event as lago-python-client writes it: what was not given is null."""
    nothing = {"timestamp": None, "precise_total_amount_cents": None}
    own = {"transaction_id": identity, "external_subscription_id": edge.tenant, "code": "tokens", "properties": USAGE}
    return nothing | own | fields


def single(edge: Edge, *words: Any, **fields: Any) -> dict[str, Any]:
    return {"event": sent(edge, *words, **fields)}


def refused(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 422, answer.content
    error = answer.json()
    assert (error["status"], error["error"], error["code"]) == (422, HTTP_422, "validation_errors")
    return error["error_details"]


HTTP_422 = "Unprocessable Entity"


def test_an_event_is_taken_and_shown_as_lago_shows_it(edge: Edge) -> None:
    answer = post(edge, single(edge, timestamp=1767225600.123, precise_total_amount_cents="12.5"))
    assert answer.status_code == 200
    shown = answer.json()["event"]
    assert uuid.UUID(shown.pop("lago_id"))
    assert datetime.now(UTC) - datetime.fromisoformat(shown.pop("created_at")) < timedelta(minutes=1)
    assert shown == {
        "transaction_id": "t1",
        "lago_customer_id": None,
        "lago_subscription_id": None,
        "external_subscription_id": edge.tenant,
        "code": "tokens",
        "timestamp": "2026-01-01T00:00:00.123Z",
        "precise_total_amount_cents": "12.5",
        "properties": USAGE,
    }
    assert edge.stored("id, source, model, input_tokens, output_tokens, toString(time), attributes") == [
        (
            "t1",
            "lago",
            "m",
            50,
            7,
            "2026-01-01 00:00:00.123",
            {"precise_total_amount_cents": "12.5", "response_cost": "0.001"},
        )
    ]


def test_what_litellms_callback_sends_is_taken(edge: Edge) -> None:
    event = {"transaction_id": "t", "external_subscription_id": edge.tenant, "code": "anything", "properties": USAGE}
    assert post(edge, {"event": event}).status_code == 200
    assert edge.stored("input_tokens, output_tokens, time_given") == [(50, 7, False)]


def test_canonical_properties_are_taken_too(edge: Edge) -> None:
    properties = CANONICAL | {"cached_input_tokens": 60, "project": "search", "attributes": {"a": "b"}}
    assert post(edge, single(edge, code="tallywatt.request", properties=properties)).status_code == 200
    assert edge.stored("input_tokens, cached_input_tokens, project, attributes") == [(100, 60, "search", {"a": "b"})]


def test_a_batch_is_taken_in_one_request(edge: Edge) -> None:
    answer = post(edge, {"events": [sent(edge, f"t{n}") for n in range(250)]}, "events/batch")
    assert answer.status_code == 200
    assert [each["transaction_id"] for each in answer.json()["events"]] == [f"t{n}" for n in range(250)]
    assert len(edge.stored()) == 250


def test_sent_again_it_is_the_same_event(edge: Edge) -> None:
    first, second = (post(edge, single(edge, timestamp=1767225600)).json()["event"] for _ in range(2))
    assert first["lago_id"] == second["lago_id"]
    assert edge.stored("id, source") == [("t1", "lago")] * 2  # the ledger counts one: same identity, same content


def test_the_event_of_a_meter_is_told_by_its_code(edge: Edge) -> None:
    code = edge.tenant.replace("-", "_")
    meters.create(code, event_type=code, aggregation="SUM", value_path="$.hours")
    event = single(edge, code=code, properties={"hours": "1.5"}, precise_total_amount_cents="3", timestamp="1767225600")
    assert post(edge, event).status_code == 200
    assert set(refused(post(edge, single(edge, "t2", code=code, properties={"hours": "x"})))) == {"properties.hours"}
    drain(local.spool())
    sql = "SELECT type, id, source, toString(time), data FROM meter_events WHERE tenant = %(tenant)s"
    ((kind, identity, source, time, data),) = client.statement("test_lago", sql, {"tenant": edge.tenant})
    assert (kind, identity, source, time) == (code, "t1", "lago", "2026-01-01 00:00:00.000")
    assert json.loads(data) == {"hours": "1.5", "precise_total_amount_cents": "3"}


@pytest.mark.parametrize(
    ("timestamp", "stored"),
    [
        (1767225600, "2026-01-01 00:00:00.000"),
        ("1767225600", "2026-01-01 00:00:00.000"),
        (1767225600.001, "2026-01-01 00:00:00.001"),
        ("1767225600.0019", "2026-01-01 00:00:00.001"),
        (1767225600.999, "2026-01-01 00:00:00.999"),
        ("1767225600.999999999", "2026-01-01 00:00:00.999"),
    ],
)
def test_seconds_become_milliseconds_exactly(edge: Edge, timestamp: Any, stored: str) -> None:
    assert post(edge, single(edge, timestamp=timestamp)).status_code == 200
    assert edge.stored("toString(time)") == [(stored,)]


def test_the_valid_events_of_a_batch_are_taken_and_the_others_named(edge: Edge) -> None:
    bad = sent(edge, "bad", properties=USAGE | {"prompt_tokens": -1})
    answer = post(edge, {"events": [sent(edge, "a"), bad, sent(edge, ""), sent(edge, "b")]}, "events/batch")
    assert refused(answer) == {
        "1": {"properties.input_tokens": ["input_tokens is -1, a count cannot be negative"]},
        "2": {"transaction_id": ["transaction_id is required, as text that is not empty"]},
    }
    assert edge.stored() == [("a",), ("b",)]


def test_a_refused_event_is_kept_so_that_it_can_be_sent_again(edge: Edge) -> None:
    bad = sent(edge, "bad", properties=USAGE | {"prompt_tokens": -1})
    post(edge, {"events": [sent(edge, "a"), bad]}, "events/batch")
    ((raw,),) = edge.quarantined("raw")
    mended = json.loads(raw)
    mended["event"]["properties"]["prompt_tokens"] = 1
    assert post(edge, mended).status_code == 200
    assert edge.stored("id, input_tokens") == [("a", 50), ("bad", 1)]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"transaction_id": None}, "transaction_id"),
        ({"transaction_id": 5}, "transaction_id"),
        ({"transaction_id": "x" * 129}, "transaction_id"),
        ({"code": None}, "code"),
        ({"code": "nobody-reads-this", "properties": {"gb": 1}}, "code"),
        ({"properties": [1]}, "properties"),
        ({"properties": {"model": "m", "input_tokens": 1}}, "code"),
        ({"code": "tallywatt.request", "properties": {"model": "m", "input_tokens": 1}}, "properties.output_tokens"),
        ({"properties": CANONICAL | {"type": "x"}}, "properties.type"),
        ({"properties": CANONICAL | {"cached": 1}}, "cached"),
        ({"properties": CANONICAL | {"prompt_tokens": 99}}, "properties.prompt_tokens"),
        ({"properties": CANONICAL | {"id": "other"}}, "properties.id"),
        ({"properties": CANONICAL | {"source": "other"}}, "properties.source"),
        ({"timestamp": "2026-01-01T00:00:00Z"}, "timestamp"),
        ({"timestamp": "1e9"}, "timestamp"),
        ({"timestamp": "NaN"}, "timestamp"),
        ({"timestamp": "\uff11\uff17"}, "timestamp"),
        ({"timestamp": True}, "timestamp"),
        ({"timestamp": -1}, "timestamp"),
        ({"timestamp": 1767225600123}, "timestamp"),
        ({"timestamp": 1e308}, "timestamp"),
        ({"timestamp": 0}, "timestamp"),
        ({"precise_total_amount_cents": [1]}, "precise_total_amount_cents"),
        ({"external_customer_id": "another"}, "external_customer_id"),
        ({"external_subscription_id": 5}, "external_subscription_id"),
        ({"lago_id": "x"}, "lago_id"),
    ],
)
def test_what_is_wrong_is_said_in_lagos_names(edge: Edge, fields: dict[str, Any], name: str) -> None:
    assert set(refused(post(edge, single(edge, **fields)))) == {name}
    assert edge.stored() == []


@pytest.mark.parametrize("body", ["", "{", "[]", "5", "null", '{"events": []}', '{"event": {}, "events": []}', "\xff"])
def test_a_body_that_is_no_event_is_a_bad_request(edge: Edge, body: str) -> None:
    answer = post(edge, body)
    assert answer.status_code in {400, 422}
    assert answer.json()["status"] == answer.status_code


@pytest.mark.parametrize("event", [None, 5, "x", []])
def test_an_event_that_is_no_object_is_refused(edge: Edge, event: Any) -> None:
    assert refused(post(edge, {"event": event})) == {"base": ["an event is an object"]}


@pytest.mark.parametrize("depth", [300, 900])
def test_deeply_nested_properties_are_a_bad_event_and_kept(edge: Edge, depth: int) -> None:
    body = json.dumps(single(edge)).replace('"m"', "[" * depth + "]" * depth)
    assert set(refused(post(edge, body))) == {"properties"}
    assert len(edge.quarantined()) == 1


def test_too_many_events_at_once_are_refused_whole(edge: Edge, settings: Settings) -> None:
    settings.INGEST_MAX_EVENTS = 3
    answer = post(edge, {"events": [sent(edge, f"t{n}") for n in range(4)]}, "events/batch")
    assert answer.status_code == 422
    assert edge.stored() == []


def test_a_full_spool_says_in_lagos_header_when_to_come_back(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*words: Any, **options: Any) -> None:
        raise SpoolFull("the spool is full")

    monkeypatch.setattr(type(local.spool()), "accept_all", full)
    answer = post(edge, single(edge))
    assert (answer.status_code, answer.json()["error"]) == (429, "Too Many Requests")
    assert answer.headers["X-RateLimit-Reset"] == answer.headers["Retry-After"]


@pytest.mark.parametrize("path", ["events/t1", "customers", "events/estimate_fees"])
def test_the_rest_of_lagos_api_is_lagos_404(edge: Edge, path: str) -> None:
    answer = post(edge, {}, path)
    assert (answer.status_code, answer.json()["status"]) == (404, 404)


def test_another_method_is_405(edge: Edge) -> None:
    answer = Client().get("/lago/api/v1/events", headers={"Authorization": f"Bearer {edge.key}"})
    assert (answer.status_code, answer.headers["Allow"], answer.json()["status"]) == (405, "POST", 405)


@pytest.mark.parametrize("path", ["events", "events/batch"])
def test_without_a_good_key_it_is_401(edge: Edge, path: str) -> None:
    body = single(edge) if path == "events" else {"events": [sent(edge)]}
    for key in ("", "wrong", "tw_000000000000_" + "x" * 43):
        answer = post(edge, body, path, key=key)
        assert (answer.status_code, answer.json()["error"]) == (401, "Unauthorized")
    assert edge.stored() == []


@pytest.mark.parametrize("path", ["events", "events/batch"])
def test_a_key_without_the_scope_is_403(edge: Edge, path: str) -> None:
    body = single(edge) if path == "events" else {"events": [sent(edge)]}
    answer = post(edge, body, path, key=keys.issue_key(edge.tenant, ["usage:read"]))
    assert (answer.status_code, answer.json()["error"]) == (403, "Forbidden")


@pytest.mark.parametrize("name", ["external_subscription_id", "external_customer_id", "properties"])
def test_naming_another_tenant_refuses_the_whole_request(edge: Edge, name: str) -> None:
    victim = f"{edge.tenant}-v"
    accounts.create_tenant(victim)
    foreign = sent(edge, "b", external_subscription_id=None)
    foreign[name] = CANONICAL | {"tenant": victim} if name == "properties" else victim
    answer = post(edge, {"events": [sent(edge, "a"), foreign]}, "events/batch")
    assert answer.status_code == 403
    assert edge.stored() == []
    assert Edge(victim, edge.key).stored() == []


def test_the_meters_event_of_another_tenant_refuses_the_whole_request_too(edge: Edge) -> None:
    code = edge.tenant.replace("-", "_")
    meters.create(code, event_type=code, aggregation="COUNT")
    assert post(edge, single(edge, code=code, external_subscription_id="other")).status_code == 403


def test_a_key_of_one_tenant_need_not_name_it(edge: Edge) -> None:
    answer = post(edge, single(edge, external_subscription_id=None))
    assert answer.json()["event"]["external_subscription_id"] == edge.tenant
    assert edge.stored() == [("t1",)]


@pytest.mark.parametrize("name", ["external_subscription_id", "external_customer_id"])
def test_an_operators_key_writes_for_the_tenant_that_is_named(edge: Edge, name: str) -> None:
    operator = keys.issue_key(None, ["ingest"])
    named = single(edge, **{"external_subscription_id": None} | {name: edge.tenant})
    assert post(edge, named, key=operator).json()["event"]["external_subscription_id"] == edge.tenant
    assert edge.stored() == [("t1",)]
    for missing in (None, "nobody-here"):
        answer = post(edge, single(edge, external_subscription_id=missing), key=operator)
        assert set(refused(answer)) == {"external_subscription_id"}


def test_the_worker_hears_of_what_was_taken(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Callable[[], None] | None] = []
    monkeypatch.setattr(announce, "ready", lambda: heard.append(None))
    post(edge, single(edge))
    assert len(heard) == 1
