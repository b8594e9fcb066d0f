"""CloudEvents in HTTP's binary mode: attributes in `ce-` headers, the data as the body."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from metering import accounts, keys
from tests.metering.ingest.edge import CLOUDEVENT, NDJSON, Edge, cloudevent, event

DATA = {"model": "m", "input_tokens": 100, "output_tokens": 10}
HEADERS = {"ce-specversion": "1.0", "ce-type": "tallywatt.request", "ce-source": "gw", "ce-id": "e1"}


@pytest.fixture
def edge(db: None, clickhouse: None, spool: Path, tenant_key: str) -> Edge:
    accounts.create_tenant(tenant_key)
    return Edge(tenant_key, keys.issue_key(tenant_key, ["ingest"]))


def post(edge: Edge, data: Any = DATA, content_type: str = "application/json", **attributes: str) -> Any:
    return edge.post(data, content_type, **HEADERS | {f"ce-{name}": value for name, value in attributes.items()})


def rejected(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 400
    return [(each["field"], each["reason"]) for each in answer.json()["rejected"]]


def test_an_event_in_headers_and_body_is_taken(edge: Edge) -> None:
    assert post(edge, subject=edge.tenant, time="2026-01-31T12:00:00.123Z", traceparent="t").status_code == 204
    assert edge.stored("id, source, toString(time), input_tokens, output_tokens, attributes") == [
        ("e1", "gw", "2026-01-31 12:00:00.123", 100, 10, {"ce-traceparent": "t"})
    ]


def test_it_is_the_same_event_as_in_structured_mode(edge: Edge) -> None:
    assert post(edge, time="2026-01-31T12:00:00Z").status_code == 204
    assert edge.post(cloudevent("e1", time="2026-01-31T12:00:00Z"), CLOUDEVENT).status_code == 204
    first, second = edge.stored("id, source, tenant, time, time_given, model, input_tokens, output_tokens")
    assert first == second


def test_a_body_without_a_content_type_is_json(edge: Edge) -> None:
    """As cloudevents 1.x sends it through requests or httpx."""
    headers = HEADERS | {"Authorization": f"Bearer {edge.key}"}
    answer = Client().generic("POST", "/api/v1/events", json.dumps(DATA), content_type="", headers=headers)
    assert answer.status_code == 204
    assert edge.stored() == [("e1",)]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("a%20b", "a b"),
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("%2520", "%20"),
        ('"a \\"b\\" c"', 'a "b" c'),
        ('"a%20b"', "a b"),
        ("50%", "50%"),
        ("€".encode().decode("latin-1"), "€"),  # UTF-8 as it is, as a server reads it
        ("Köln", "Köln"),  # Latin-1 as it is, from http.client
    ],
)
def test_the_value_of_a_header_is_decoded_once(edge: Edge, sent: str, read: str) -> None:
    assert post(edge, id=sent).status_code == 204
    assert edge.stored() == [(read,)]


def test_a_header_that_is_not_utf_8_is_refused_and_kept(edge: Edge) -> None:
    assert rejected(post(edge, subject="%ff")) == [("subject", "malformed")]
    ((raw,),) = edge.quarantined("raw")
    assert json.loads(raw)["data"] == DATA


def test_what_is_refused_is_kept_as_json_that_can_be_sent_again(edge: Edge) -> None:
    assert rejected(post(edge, DATA | {"input_tokens": -1})) == [("input_tokens", "out_of_range")]
    ((raw,),) = edge.quarantined("raw")
    mended = json.loads(raw)
    mended["data"]["input_tokens"] = 1
    assert edge.post(mended, CLOUDEVENT).status_code == 204
    assert edge.stored("id, source, input_tokens") == [("e1", "gw", 1)]


@pytest.mark.parametrize(("body", "field", "reason"), [("{", "data", "malformed"), ("", "data", "missing_field")])
def test_a_body_that_is_not_json_is_a_bad_event(edge: Edge, body: str, field: str, reason: str) -> None:
    assert rejected(post(edge, body)) == [(field, reason)]
    assert len(edge.quarantined()) == 1


@pytest.mark.parametrize("depth", [300, 2000])
def test_deeply_nested_data_is_a_bad_event_and_kept(edge: Edge, depth: int) -> None:
    assert post(edge, '{"model":' + "[" * depth + "]" * depth + "}").status_code == 400
    assert len(edge.quarantined()) == 1


def test_data_that_is_not_json_by_its_content_type_is_415(edge: Edge) -> None:
    for kind in ("text/plain", "application/xml", NDJSON, "application/x-www-form-urlencoded"):
        assert post(edge, DATA, kind).status_code == 415
    assert post(edge, DATA, "application/vnd.usage+json; charset=utf-8").status_code == 204


def test_structured_mode_wins_over_headers(edge: Edge) -> None:
    assert post(edge, cloudevent("inside"), CLOUDEVENT).status_code == 204
    assert edge.stored() == [("inside",)]


def test_headers_without_a_specversion_are_not_read(edge: Edge) -> None:
    assert edge.post([event("line")], NDJSON, **{"ce-id": "x"}).status_code == 202
    assert edge.stored() == [("line",)]


def test_a_missing_attribute_is_named(edge: Edge) -> None:
    headers = {name: value for name, value in HEADERS.items() if name != "ce-id"}
    assert rejected(edge.post(DATA, "application/json", **headers)) == [("id", "missing_field")]


def test_a_header_for_the_data_is_not_the_data(edge: Edge) -> None:
    headers = HEADERS | {"ce-data": "[]", "ce-datacontenttype": "text/plain"}
    assert edge.post(DATA, "application/json", **headers).status_code == 204
    assert edge.stored("input_tokens, attributes") == [(100, {})]


def test_a_subject_in_a_header_gets_nobody_across_the_wall(edge: Edge) -> None:
    assert post(edge, subject="somebody-else").status_code == 403
    assert edge.stored() == []


def test_the_data_cannot_name_another_tenant_either(edge: Edge) -> None:
    assert post(edge, DATA | {"tenant": "somebody-else"}).status_code == 403
