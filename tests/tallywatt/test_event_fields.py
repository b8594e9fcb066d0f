"""The client checks names and types, and its fields are the server's."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from metering.ingest import fields as server_fields
from metering.ingest.schema import CANONICAL, STAMPED
from tallywatt import InvalidEvent, RequestEvent, arrow
from tallywatt import checks as client_checks
from tallywatt.events import NAMES, REQUIRED, OptionalFields, line_of, new_id

NEEDED: dict[str, Any] = {"model": "m", "input_tokens": 3, "output_tokens": 2}


def sent(**fields: Any) -> dict[str, Any]:
    return json.loads(line_of(NEEDED | fields)[1])


def test_the_fields_are_those_of_the_server() -> None:
    assert set(NAMES) == set(server_fields.FIELDS)
    needed = {name for name, (_, default) in server_fields.FIELDS.items() if default is server_fields.REQUIRED}
    assert set(REQUIRED) == needed | {"time"}
    assert set(OptionalFields.__annotations__) == set(NAMES) - set(REQUIRED)


def test_what_is_left_out_means_the_same_here_and_there() -> None:
    event = RequestEvent(**NEEDED)
    for name, (_, default) in server_fields.FIELDS.items():
        if name not in REQUIRED:
            value = getattr(event, name)
            assert value == default or (not value and not default), name


def test_choices_and_limits_are_those_of_the_server() -> None:
    assert client_checks.STATUSES == server_fields.STATUSES
    assert client_checks.TIERS == server_fields.TIERS
    assert client_checks.MOST_TOKENS == server_fields.MOST_TOKENS


def test_the_arrow_columns_are_those_of_the_spool_less_what_the_server_adds() -> None:
    added = {*STAMPED, "time_given", "observed"}
    assert {field.name: field.type for field in CANONICAL if field.name not in added} == arrow.COLUMNS


def test_a_full_event_passes_every_rule_of_the_server() -> None:
    event = sent(
        id="i",
        source="gateway",
        time=datetime(2026, 1, 31, 12, 0, 0, 123456, timezone(timedelta(hours=2))),
        tenant="acme",
        project="p",
        api_key_id="k",
        end_user="u",
        operation="completion",
        tier="batch",
        status="cancelled",
        finish_reason="stop",
        cached_input_tokens=1,
        cache_write_tokens=1,
        reasoning_tokens=1,
        queue_ms=0.5,
        ttft_ms=12,
        tpot_ms=3.25,
        e2e_ms=99.5,
        region="eu",
        cluster="c",
        node="n",
        engine="vllm",
        gpus=["GPU-1"],
        stream=True,
        attributes={"team": "ü"},
    )
    assert set(event) == set(NAMES)
    assert event["time"] == "2026-01-31T10:00:00.123Z"
    for name, value in event.items():
        rule, _ = server_fields.FIELDS[name]
        rule(value)


def test_defaults_do_not_travel() -> None:
    assert set(sent(stream=False, tier="standard", gpus=[], cached_input_tokens=0, project="")) == set(REQUIRED)


def test_an_id_and_a_time_are_made_up_and_ids_sort_by_time() -> None:
    ids = [new_id() for _ in range(3)]
    assert len(set(ids)) == 3
    assert ids[0][14] == "7"
    before = datetime.now(UTC)
    made = datetime.fromisoformat(sent()["time"])
    assert before - timedelta(milliseconds=1) <= made <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt_token": 1}, "there is no field 'prompt_token'"),
        ({"cached_tokens": 1}, "did you mean 'cached_input_tokens'"),
        ({"customer_reference": "x"}, "belongs in attributes"),
        ({"input_tokens": 5.0}, "input_tokens expected an int, got float 5.0"),
        ({"input_tokens": "5"}, "input_tokens expected an int"),
        ({"input_tokens": True}, "input_tokens expected an int"),
        ({"input_tokens": -1}, "input_tokens is -1"),
        ({"output_tokens": 2**40 + 1}, "output_tokens is"),
        ({"output_tokens": None}, "missing: output_tokens"),
        ({"model": ""}, "model must not be empty"),
        ({"id": ""}, "id must not be empty"),
        ({"model": b"m"}, "model expected text"),
        ({"end_user": "\ud800"}, "end_user is not valid Unicode"),
        ({"tier": "gold"}, "tier is 'gold', expected one of standard"),
        ({"ttft_ms": float("nan")}, "ttft_ms is nan"),
        ({"ttft_ms": "12"}, "ttft_ms expected milliseconds"),
        ({"stream": 1}, "stream expected True or False"),
        ({"gpus": "GPU-1"}, "gpus expected a list"),
        ({"gpus": [1]}, "gpus expected text"),
        ({"attributes": {"a": 1}}, "attributes expected text"),
        ({"attributes": ["a"]}, "attributes expected a mapping"),
        ({"time": datetime(2026, 1, 1)}, "time has no time zone"),  # noqa: DTZ001 - that is the point
        ({"time": "2026-01-01"}, "time expected an aware datetime"),
        ({"time": 10**18}, "which is no time"),
        ({"attributes": {"a": "x" * 300_000}}, "bytes, at most"),
    ],
)
def test_a_wrong_field_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidEvent, match=message):
        line_of(NEEDED | fields)


def test_an_event_as_an_object_is_checked_when_it_is_made() -> None:
    with pytest.raises(InvalidEvent, match="input_tokens expected an int"):
        RequestEvent(model="m", input_tokens=1.5, output_tokens=1)  # type: ignore[arg-type]


def test_whole_milliseconds_since_1970_are_a_time() -> None:
    assert sent(time=1_769_860_800_123)["time"] == "2026-01-31T12:00:00.123Z"


def test_what_an_engine_says_strangely_is_left_to_the_servers_quarantine() -> None:
    event = sent(finish_reason="brand_new", cached_input_tokens=9)
    assert (event["finish_reason"], event["cached_input_tokens"]) == ("brand_new", 9)
