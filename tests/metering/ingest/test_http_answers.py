"""Answers of `POST /api/v1/events` that depend on more than the body: databases away, limits on answers, parameters of headers."""

import gzip
from pathlib import Path

import orjson
import pytest
from django.db import OperationalError

from metering import accounts, keys
from tests.metering.ingest.edge import CLOUDEVENT, CLOUDEVENTS, Edge, cloudevent, event


@pytest.fixture
def edge(db: None, clickhouse: None, spool: Path, tenant_key: str) -> Edge:
    accounts.create_tenant(tenant_key)
    return Edge(tenant_key, keys.issue_key(tenant_key, ["ingest"]))


def test_a_lost_database_is_503_with_retry_after_and_tells_nothing_of_it(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(header: str | None) -> None:
        raise OperationalError("connection refused: host=10.0.0.1")

    monkeypatch.setattr(keys, "authenticate", away)
    answer = edge.post([event()])
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    assert b"10.0.0.1" not in answer.content


def test_at_most_a_thousand_rejects_are_listed_and_all_are_kept(edge: Edge) -> None:
    answer = edge.post(b"{}\n" * 1500)
    assert len(answer.json()["rejected"]) == 1000
    assert edge.quarantined("row")[-1] == (1499,)


def test_parameters_of_the_content_type_are_no_obstacle(edge: Edge) -> None:
    assert edge.post(cloudevent(), "application/json; charset=utf-8").status_code == 204


def test_a_gzip_body_of_several_members_is_read_whole(edge: Edge) -> None:
    body = b"".join(gzip.compress(orjson.dumps(event(name)) + b"\n") for name in "ab")
    headers = {"Content-Encoding": "gzip"}
    assert edge.post(body, **headers).json()["accepted"] == 2


@pytest.mark.parametrize("name", ["id", "source", "tenant"])
def test_data_that_contradicts_its_envelope_is_refused(edge: Edge, name: str) -> None:
    data = {"model": "m", "input_tokens": 1, "output_tokens": 1, name: "other"}
    answer = edge.post(cloudevent(subject=edge.tenant, data=data), CLOUDEVENT)
    assert answer.status_code in {400, 403}
    assert edge.stored() == []


def test_the_bytes_of_a_refused_cloudevent_are_kept_as_json(edge: Edge) -> None:
    bad = cloudevent("bad", data={"model": "m", "input_tokens": -1, "output_tokens": 1})
    assert edge.post([cloudevent("good"), bad], CLOUDEVENTS).status_code == 400
    ((raw,),) = edge.quarantined("raw")
    assert orjson.loads(raw) == bad
    assert edge.stored() == [("good",)]
