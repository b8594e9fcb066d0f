"""`POST /api/v1/events`: what is taken, what is refused, and that neither is ever lost."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering import accounts, keys
from metering.ingest import local
from metering.models import ApiKey
from tests.metering.ingest.edge import CLOUDEVENT, CLOUDEVENTS, NDJSON, Edge, cloudevent, event, gzipped


@pytest.fixture
def edge(db: None, clickhouse: None, spool: Path, tenant_key: str) -> Edge:
    accounts.create_tenant(tenant_key)
    return Edge(tenant_key, keys.issue_key(tenant_key, ["ingest"]))


def test_ndjson_is_answered_with_a_receipt_and_stored(edge: Edge) -> None:
    answer = edge.post([event("a", ttft_ms=12.5, gpus=["g0"], attributes={"k": "v"}), event("b")])
    assert answer.status_code == 202
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (2, [])
    assert edge.stored("id, toString(batch), row, ttft_ms, gpus, attributes, status, tier") == [
        ("a", answer.json()["batch"], 0, 12.5, ["g0"], {"k": "v"}, "ok", "standard"),
        ("b", answer.json()["batch"], 1, None, [], {}, "ok", "standard"),
    ]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (cloudevent("a"), CLOUDEVENT),
        ([cloudevent("a")], CLOUDEVENTS),
        (cloudevent("a"), "application/json"),
        ([cloudevent("a")], "application/json"),
        (cloudevent("a"), "application/cloudevents+json; charset=utf-8"),
    ],
)
def test_cloudevents_are_answered_204_as_the_openmeter_client_expects(edge: Edge, body: Any, content_type: str) -> None:
    assert edge.post(body, content_type).status_code == 204
    assert edge.stored("id, source, input_tokens") == [("a", "gw", 100)]


def test_the_envelopes_subject_and_time_are_the_tenant_and_the_time(edge: Edge) -> None:
    sent = cloudevent("a", subject=edge.tenant, time="2026-01-31T14:00:00.123456+02:00")
    assert edge.post(sent, CLOUDEVENT).status_code == 204
    assert edge.stored("tenant, time, time_given") == [
        (edge.tenant, datetime(2026, 1, 31, 12, 0, 0, 123000, tzinfo=UTC), True)
    ]


def test_litellms_events_are_decoded(edge: Edge) -> None:
    usage = {"model": "gpt", "cost": 0.01, "prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57}
    assert edge.post(cloudevent("a", type="litellm_tokens", data=usage), CLOUDEVENT).status_code == 204
    assert edge.stored("model, input_tokens, output_tokens") == [("gpt", 50, 7)]


def test_an_event_without_a_time_gets_its_arrival(edge: Edge) -> None:
    edge.post([event("a")])
    ((time, given, ingested_at),) = edge.stored("time, time_given, ingested_at")
    assert not given
    assert timedelta(0) <= ingested_at - time < timedelta(milliseconds=1)


def test_batches_that_become_one_group_are_all_there(edge: Edge) -> None:
    for name in ("a", "b", "c"):
        assert edge.post([event(f"{name}1"), event(f"{name}2")]).status_code == 202
    assert edge.stored() == [("a1",), ("a2",), ("b1",), ("b2",), ("c1",), ("c2",)]
    assert local.spool().pending() == []


def test_one_bad_event_does_not_take_its_batch_with_it(edge: Edge) -> None:
    answer = edge.post([event("a"), event("b", input_tokens=-1), event("c")])
    assert answer.status_code == 202
    assert answer.json()["rejected"] == [
        {
            "index": 1,
            "field": "input_tokens",
            "reason": "out_of_range",
            "message": "input_tokens is -1, a count cannot be negative",
        }
    ]
    assert edge.stored() == [("a",), ("c",)]
    assert edge.quarantined() == [(1, "out_of_range", "input_tokens")]


def test_cloudevents_with_a_bad_one_are_400_and_list_both(edge: Edge) -> None:
    bad = cloudevent("b")
    del bad["data"]["model"]
    answer = edge.post([cloudevent("a"), bad], CLOUDEVENTS)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["accepted"] == 1
    assert [(r["index"], r["field"], r["reason"]) for r in answer.json()["rejected"]] == [(1, "model", "missing_field")]
    assert edge.stored() == [("a",)]


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"id": None}, "id", "missing_field"),
        ({"id": ""}, "id", "out_of_range"),
        ({"id": 7}, "id", "wrong_type"),
        ({"id": "x" * 129}, "id", "too_long"),
        ({"model": None}, "model", "missing_field"),
        ({"input_tokens": None}, "input_tokens", "missing_field"),
        ({"input_tokens": -1}, "input_tokens", "out_of_range"),
        ({"input_tokens": 5.7}, "input_tokens", "wrong_type"),
        ({"input_tokens": 5.0}, "input_tokens", "wrong_type"),
        ({"input_tokens": "5"}, "input_tokens", "wrong_type"),
        ({"input_tokens": True}, "input_tokens", "wrong_type"),
        ({"input_tokens": 2**40 + 1}, "input_tokens", "out_of_range"),
        ({"input_tokens": [1]}, "input_tokens", "wrong_type"),
        ({"output_tokens": 10**30}, "output_tokens", "wrong_type"),
        ({"cached_input_tokens": 101}, "cached_input_tokens", "invariant"),
        ({"cached_input_tokens": 60, "cache_write_tokens": 41}, "cached_input_tokens", "invariant"),
        ({"reasoning_tokens": 11}, "reasoning_tokens", "invariant"),
        ({"ttft_ms": -0.1}, "ttft_ms", "out_of_range"),
        ({"ttft_ms": "fast"}, "ttft_ms", "wrong_type"),
        ({"status": "fine"}, "status", "out_of_range"),
        ({"tier": "gold"}, "tier", "out_of_range"),
        ({"stream": 1}, "stream", "wrong_type"),
        ({"gpus": "g0"}, "gpus", "wrong_type"),
        ({"attributes": {"k": 1}}, "attributes", "wrong_type"),
        ({"attributes": {str(n): "v" for n in range(33)}}, "attributes", "too_long"),
        ({"tokens": 5}, "tokens", "unknown_field"),
        ({"time": "1970-01-01T00:00:00Z"}, "time", "too_old"),
        ({"time": (NOW + timedelta(days=365)).isoformat()}, "time", "in_future"),
        ({"time": "2026-01-01T00:00:00"}, "time", "malformed"),
        ({"time": "yesterday"}, "time", "malformed"),
        ({"time": 1.5}, "time", "wrong_type"),
        ({"time": 10**20}, "time", "wrong_type"),
    ],
)
def test_a_broken_field_is_refused_by_name_and_kept(
    edge: Edge, fields: dict[str, Any], field: str, reason: str
) -> None:
    answer = edge.post([event("bad") | fields, event("good")])
    assert answer.status_code == 202
    assert [(r["index"], r["field"], r["reason"]) for r in answer.json()["rejected"]] == [(0, field, reason)]
    assert edge.stored() == [("good",)]
    assert edge.quarantined("field, reason") == [(field, reason)]


@pytest.mark.parametrize("largest", [2**40, 0])
def test_the_bounds_themselves_are_taken(edge: Edge, largest: int) -> None:
    answer = edge.post([event("a", input_tokens=largest, cached_input_tokens=largest)])
    assert answer.json()["rejected"] == []
    assert edge.stored("input_tokens, cached_input_tokens") == [(largest, largest)]


def test_a_truncated_last_line_is_kept_in_quarantine_and_the_rest_taken(edge: Edge) -> None:
    answer = edge.post(json.dumps(event("a")) + '\n{"id": "b", "mod')
    assert answer.status_code == 202
    assert edge.stored() == [("a",)]
    assert edge.quarantined("row, reason, raw") == [(1, "malformed", '{"id": "b", "mod')]


@pytest.mark.parametrize("content_type", [CLOUDEVENT, CLOUDEVENTS, "application/json"])
def test_a_truncated_body_is_400_and_kept_in_quarantine(edge: Edge, content_type: str) -> None:
    answer = edge.post('[{"specversion": "1.0", "id"', content_type)
    assert answer.status_code == 400
    assert "not JSON" in answer.json()["detail"] or "holds" in answer.json()["detail"]
    assert edge.quarantined("reason, raw") == [("malformed", '[{"specversion": "1.0", "id"')]


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"specversion": "0.3"}, "specversion", "out_of_range"),
        ({"id": None}, "id", "missing_field"),
        ({"source": ""}, "source", "missing_field"),
        ({"type": "api-calls"}, "type", "unknown_type"),
        ({"data": None}, "data", "missing_field"),
        ({"data": "text"}, "data", "wrong_type"),
        ({"data": None, "data_base64": "%%%"}, "data_base64", "malformed"),
        ({"data": {"id": "other"}}, "data.id", "invariant"),
    ],
)
def test_a_broken_cloudevent_is_refused_by_name(edge: Edge, change: dict[str, Any], field: str, reason: str) -> None:
    answer = edge.post(cloudevent("a") | change, CLOUDEVENT)
    assert answer.status_code == 400
    assert [(r["field"], r["reason"]) for r in answer.json()["rejected"]] == [(field, reason)]


def test_gzip_is_inflated(edge: Edge) -> None:
    answer = edge.post(gzipped(json.dumps(event("a"))), **{"Content-Encoding": "gzip"})
    assert answer.status_code == 202
    assert edge.stored() == [("a",)]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"not gzip", {"Content-Encoding": "gzip"}, 400),
        (gzipped("{}" * 1000)[:-12], {"Content-Encoding": "gzip"}, 400),
        (b"x", {"Content-Encoding": "br"}, 415),
        (b"\n\n", {}, 400),
    ],
)
def test_a_body_that_cannot_be_read_is_a_clear_4xx(
    edge: Edge, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = edge.post(body, **headers)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_a_small_body_that_inflates_beyond_the_limit_is_413(edge: Edge, settings: Any) -> None:
    settings.INGEST_MAX_INFLATED_BYTES = 100_000
    assert edge.post(gzipped(" " * 10_000_000), **{"Content-Encoding": "gzip"}).status_code == 413


def test_a_body_over_the_limit_is_413(edge: Edge, settings: Any) -> None:
    settings.INGEST_MAX_BODY_BYTES = 1000
    assert edge.post(b"x" * 1001).status_code == 413


def test_too_many_events_are_422(edge: Edge, settings: Any) -> None:
    settings.INGEST_MAX_EVENTS = 2
    assert edge.post([event(str(n)) for n in range(3)]).status_code == 422
    assert edge.stored() == []


@pytest.mark.parametrize("content_type", ["text/csv", "application/xml", "multipart/form-data; boundary=x"])
def test_another_content_type_is_415(edge: Edge, content_type: str) -> None:
    answer = edge.post("x", content_type)
    assert answer.status_code == 415
    assert NDJSON in answer.json()["detail"]


def test_a_full_spool_is_429_with_retry_after(edge: Edge, settings: Any) -> None:
    edge.post([event("a")])
    settings.SPOOL_MAX_BYTES = 1
    answer = edge.post([event("b")])
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    settings.SPOOL_MAX_BYTES = 10**9
    assert edge.stored() == [("a",)]


def test_no_key_and_bad_keys_are_401(edge: Edge) -> None:
    for key in ("", "tw_x", edge.key[:-1], edge.key[:-1] + ("A" if edge.key[-1] != "A" else "B"), "Basic abc"):
        answer = edge.post([event()], key=key)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_key_is_401_at_once(edge: Edge) -> None:
    assert edge.post([event("a")]).status_code == 202
    assert keys.revoke_key(edge.key)
    answer = edge.post([event("b")])
    assert answer.status_code == 401
    assert "revoked" in answer.json()["detail"]


def test_a_key_without_the_scope_is_403(edge: Edge) -> None:
    reader = keys.issue_key(edge.tenant, ["usage:read"])
    answer = edge.post([event()], key=reader)
    assert answer.status_code == 403
    assert "ingest" in answer.json()["detail"]


def test_naming_another_tenant_is_403_takes_nothing_and_is_kept(edge: Edge, tenant_key: str) -> None:
    other = accounts.create_tenant(f"{tenant_key}-other").key
    assert edge.post([event("a"), event("b", tenant=other)]).status_code == 403
    assert edge.post(cloudevent("c", subject=other), CLOUDEVENT).status_code == 403
    assert edge.stored() == []
    assert Edge(other, edge.key).stored() == []
    assert {reason for (reason,) in edge.quarantined("reason")} == {"foreign_tenant"}


def test_an_operators_key_names_the_tenant_of_each_event(edge: Edge) -> None:
    operator = keys.issue_key(None, ["ingest"])
    answer = edge.post([event("a", tenant=edge.tenant), event("b"), event("c", tenant="nobody-here")], key=operator)
    assert [(r["index"], r["reason"]) for r in answer.json()["rejected"]] == [
        (1, "missing_field"),
        (2, "unknown_tenant"),
    ]
    assert edge.stored() == [("a",)]


def test_an_observing_keys_events_are_marked(edge: Edge) -> None:
    observer = keys.issue_key(edge.tenant, ["ingest"], observing=True)
    edge.post([event("a")], key=observer)
    assert edge.stored("id, observed") == [("a", True)]


def test_only_post_is_answered(edge: Edge) -> None:
    assert Client().get("/api/v1/events").status_code == 405


def test_the_secret_itself_is_not_stored(edge: Edge) -> None:
    row = ApiKey.objects.get(prefix=edge.key.split("_")[1])
    assert edge.key.split("_", 2)[2] not in "".join(str(value) for value in vars(row).values())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["id", "source", "time", "tenant", "model", "input_tokens", "attributes", "gpus", "data", "specversion"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(min_size=1, max_size=200)
    | st.lists(st.dictionaries(names | st.text(), json_values, max_size=6), max_size=3).map(
        lambda v: json.dumps(v).encode()
    ),
    content_type=st.sampled_from([NDJSON, CLOUDEVENT, CLOUDEVENTS, "application/json"]),
)
def test_no_body_whatever_is_a_500_and_none_is_lost(edge: Edge, body: bytes, content_type: str) -> None:
    before = len(local.spool().pending())
    answer = edge.post(body, content_type)
    assert answer.status_code in {202, 204, 400, 403}
    if body.strip() and answer.status_code != 204 and "no events" not in answer.content.decode():
        assert len(local.spool().pending()) > before
