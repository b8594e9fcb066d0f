"""What is refused is refused whole, under the sender's own name, and is never a 500."""

import json

import pytest
from django.db import InterfaceError
from django.test import Client

from metering import accounts, keys
from tests.metering.ingest.edge import CLOUDEVENT, CLOUDEVENTS, NDJSON, Edge, cloudevent, event


@pytest.fixture
def edge(db: None, clickhouse: None, spool: object, tenant_key: str) -> Edge:
    accounts.create_tenant(tenant_key)
    return Edge(tenant_key, keys.issue_key(tenant_key, ["ingest"]))


@pytest.mark.parametrize("depth", [250, 300, 900, 2000])
@pytest.mark.parametrize("content_type", [CLOUDEVENTS, CLOUDEVENT, NDJSON])
def test_deeply_nested_json_is_a_bad_event_and_kept(edge: Edge, depth: int, content_type: str) -> None:
    nested = json.dumps(cloudevent("x")).replace('"m"', "[" * depth + "]" * depth)
    body = f"[{nested}]" if content_type == CLOUDEVENTS else nested
    assert edge.post(body, content_type).status_code in {202, 400}
    assert len(edge.quarantined()) == 1


def test_quarantine_never_stands_under_the_name_of_another_tenant(edge: Edge) -> None:
    victim = f"{edge.tenant}-v"
    edge.post([event("x", tenant=victim)])
    edge.post([event("y", tenant=victim, input_tokens=-1)])
    assert edge.quarantined("tenant") == [(edge.tenant,), (edge.tenant,)]


def test_what_came_along_with_a_foreign_event_is_kept(edge: Edge) -> None:
    assert edge.post([event("ok"), event("x", tenant="victim")]).status_code == 403
    assert edge.quarantined("row, reason") == [(0, "foreign_tenant"), (1, "foreign_tenant")]


def test_another_fault_does_not_hide_that_an_event_names_another_tenant(edge: Edge) -> None:
    assert edge.post([event("ok"), event("x", tenant="victim", input_tokens=-1)]).status_code == 403
    assert edge.stored() == []


def test_an_unknown_attribute_of_a_cloudevent_is_refused_by_name(edge: Edge) -> None:
    answer = edge.post(cloudevent("x", end_user="y"), CLOUDEVENT)
    assert answer.status_code == 400
    assert [(each["field"], each["reason"]) for each in answer.json()["rejected"]] == [("end_user", "unknown_field")]


def test_attributes_that_say_how_an_event_travelled_are_accepted(edge: Edge) -> None:
    travelled = {"traceparent": "00-1-1-00", "datacontenttype": "application/json", "dataschema": None}
    assert edge.post(cloudevent("x", **travelled), CLOUDEVENT).status_code == 204


def test_another_method_is_a_problem_that_names_the_right_one(edge: Edge) -> None:
    answer = Client().get("/api/v1/events")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_database_connection_that_died_is_503(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(header: str | None) -> None:
        raise InterfaceError("connection already closed")

    monkeypatch.setattr(keys, "authenticate", away)
    assert edge.post([event()]).status_code == 503


@pytest.mark.parametrize("content_type", [CLOUDEVENTS, CLOUDEVENT, "application/json"])
def test_json_that_would_become_many_times_its_size_is_422(edge: Edge, content_type: str) -> None:
    body = b"[" + b"[]," * 2_600_000 + b"[]]"
    assert edge.post(body, content_type).status_code == 422


def test_a_line_longer_than_any_event_is_refused_without_reading_it(edge: Edge) -> None:
    body = json.dumps(event("good")).encode() + b"\n[" + b"[]," * 400_000 + b"[]]"
    answer = edge.post(body).json()
    assert (answer["accepted"], answer["rejected"][0]["index"], answer["rejected"][0]["reason"]) == (1, 1, "too_long")
