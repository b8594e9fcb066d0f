"""CloudEvents allows attributes beyond its own: they are kept with a request, and never mistaken for one of ours."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from metering import accounts, keys, meters
from tests.metering.ingest.edge import CLOUDEVENT, CLOUDEVENTS, Edge, cloudevent


@pytest.fixture
def edge(db: None, clickhouse: None, spool: Path, tenant_key: str) -> Edge:
    accounts.create_tenant(tenant_key)
    return Edge(tenant_key, keys.issue_key(tenant_key, ["ingest"]))


def rejected(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 400
    return [(each["field"], each["reason"]) for each in answer.json()["rejected"]]


def test_extensions_of_a_request_are_kept_among_its_attributes(edge: Edge) -> None:
    extensions = {
        "traceparent": "00-1-2-01",
        "partitionkey": "p",
        "retries": 3,
        "sampled": True,
        "comexampleunset": None,
    }
    assert edge.post(cloudevent("a", dataschema="urn:s", **extensions), CLOUDEVENT).status_code == 204
    assert edge.stored("attributes") == [
        (
            {
                "ce-dataschema": "urn:s",
                "ce-partitionkey": "p",
                "ce-retries": "3",
                "ce-sampled": "true",
                "ce-traceparent": "00-1-2-01",
            },
        )
    ]


def test_they_stand_beside_the_attributes_of_the_data(edge: Edge) -> None:
    data = {"model": "m", "input_tokens": 1, "output_tokens": 1, "attributes": {"team": "x"}}
    assert edge.post(cloudevent("a", data=data, traceparent="t"), CLOUDEVENT).status_code == 204
    assert edge.stored("attributes") == [({"ce-traceparent": "t", "team": "x"},)]


def test_one_event_of_a_batch_may_have_them_and_another_not(edge: Edge) -> None:
    assert (
        edge.post([cloudevent("a"), cloudevent("b", tracestate="s"), cloudevent("c")], CLOUDEVENTS).status_code == 204
    )
    assert edge.stored("id, attributes") == [("a", {}), ("b", {"ce-tracestate": "s"}), ("c", {})]


def test_attributes_that_contradict_an_extension_are_refused(edge: Edge) -> None:
    data = {"model": "m", "input_tokens": 1, "output_tokens": 1, "attributes": {"ce-team": "x"}}
    answer = edge.post(cloudevent("a", data=data, team="y"), CLOUDEVENT)
    assert rejected(answer) == [("data.attributes.ce-team", "invariant")]


@pytest.mark.parametrize("name", ["Team", "my_team", "my-team", "a" * 21, "", "größe", "data_base65"])
def test_a_name_that_is_none_in_cloudevents_is_refused_by_name(edge: Edge, name: str) -> None:
    assert rejected(edge.post(cloudevent("a", **{name: "x"}), CLOUDEVENT)) == [(name, "unknown_field")]


@pytest.mark.parametrize(
    ("value", "reason"), [(1.5, "wrong_type"), ([], "wrong_type"), ({}, "wrong_type"), ("x" * 1025, "too_long")]
)
def test_a_value_that_no_extension_can_have_is_refused(edge: Edge, value: Any, reason: str) -> None:
    assert rejected(edge.post(cloudevent("a", team=value), CLOUDEVENT)) == [("team", reason)]


def test_more_than_32_attributes_in_all_are_refused(edge: Edge) -> None:
    own = {f"k{n}": "v" for n in range(31)}
    data = {"model": "m", "input_tokens": 1, "output_tokens": 1, "attributes": own}
    assert edge.post(cloudevent("a", data=data, one="1"), CLOUDEVENT).status_code == 204
    assert rejected(edge.post(cloudevent("b", data=data, one="1", two="2"), CLOUDEVENT)) == [("attributes", "too_long")]


def test_the_event_of_a_meter_may_have_extensions(edge: Edge) -> None:
    meters.create(edge.tenant.replace("-", "_"), event_type=edge.tenant, aggregation="SUM", value_path="$.hours")
    sent = cloudevent("a", type=edge.tenant, data={"hours": 1}, traceparent="00-1-2-01")
    assert edge.post(sent, CLOUDEVENT).status_code == 204
    assert rejected(edge.post(sent | {"id": "b", "Bad": 1}, CLOUDEVENT)) == [("Bad", "unknown_field")]


def test_a_trace_context_that_differs_on_a_retry_makes_no_conflict(edge: Edge) -> None:
    for trace in ("1", "2"):
        sent = cloudevent("a", time="2026-01-01T00:00:00Z", traceparent=trace)
        assert edge.post(sent, CLOUDEVENT).status_code == 204
    assert edge.quarantined() == []


def test_data_in_base64_is_read_and_stands_alone(edge: Edge) -> None:
    sent = cloudevent("a")
    encoded = base64.b64encode(json.dumps(sent["data"]).encode()).decode()
    alone = {name: value for name, value in sent.items() if name != "data"} | {"data_base64": encoded}
    assert edge.post(alone, CLOUDEVENT).status_code == 204
    assert rejected(edge.post(sent | {"id": "b", "data_base64": encoded}, CLOUDEVENT)) == [("data_base64", "invariant")]
    assert edge.stored("id, input_tokens") == [("a", 100)]


def test_litellms_older_envelopes_are_understood(edge: Edge) -> None:
    """Its subject was a list of one, and on Python 3.10 its time has no offset though it is UTC."""
    usage = {"model": "gpt", "cost": 1e-05, "prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57}
    sent = cloudevent("a", type="litellm_tokens", subject=[edge.tenant], time="2026-01-31T12:00:00.123456", data=usage)
    assert edge.post(sent, CLOUDEVENT).status_code == 204
    assert edge.stored("input_tokens, output_tokens, attributes, toString(time)") == [
        (50, 7, {"cost": "1e-05"}, "2026-01-31 12:00:00.123")
    ]


def test_a_list_as_litellms_subject_gets_nobody_across_the_wall(edge: Edge) -> None:
    usage = {"model": "gpt", "prompt_tokens": 50, "completion_tokens": 7}
    sent = cloudevent("a", type="litellm_tokens", subject=["somebody-else"], data=usage)
    assert edge.post(sent, CLOUDEVENT).status_code == 403


def test_litellms_token_details_lie_inside_its_totals(edge: Edge) -> None:
    usage = {
        "model": "gpt",
        "prompt_tokens": 50,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 30, "cache_creation_tokens": 5, "audio_tokens": None},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    assert edge.post(cloudevent("a", type="litellm_tokens", data=usage), CLOUDEVENT).status_code == 204
    columns = "input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens"
    assert edge.stored(columns) == [(50, 30, 5, 7, 4)]


@pytest.mark.parametrize(
    ("fault", "field", "reason"),
    [
        ({"cached_tokens": 5}, "cached_tokens", "unknown_field"),
        ({"input_tokens": 9}, "data.prompt_tokens", "invariant"),
        ({"cost": [1]}, "data.cost", "wrong_type"),
        ({"prompt_tokens": "50"}, "input_tokens", "wrong_type"),
        ({"prompt_tokens": None}, "input_tokens", "missing_field"),
        ({"prompt_tokens_details": [1]}, "data.prompt_tokens_details", "wrong_type"),
    ],
)
def test_what_is_wrong_in_litellms_usage_is_named(edge: Edge, fault: dict[str, Any], field: str, reason: str) -> None:
    usage = {"model": "gpt", "prompt_tokens": 50, "completion_tokens": 7} | fault
    assert rejected(edge.post(cloudevent("a", type="litellm_tokens", data=usage), CLOUDEVENT)) == [(field, reason)]
