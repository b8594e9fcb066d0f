"""Events of meters: what is taken, what is refused and why, and that they arrive once."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from metering import accounts, keys, meter_usage, meters
from metering.clickhouse import client
from metering.contracts import RejectReason, Scope
from metering.ingest import local, meter_checking
from metering.ingest.drain import drain
from metering.ingest.meter_checking import MeterRefused
from metering.meter_usage import MeterQuery
from metering.meters import MeterInfo
from tests.metering.ingest.edge import CLOUDEVENT, CLOUDEVENTS, Edge
from tests.metering.meter_rows import define

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]

Refused = Callable[[dict[str, Any]], MeterRefused]


@pytest.fixture(autouse=True)
def no_meter_of_a_rolled_back_test() -> Iterator[None]:
    meters.forget()
    yield
    meters.forget()


@pytest.fixture
def edge(tenant_key: str, spool: Path) -> Edge:
    accounts.create_tenant(tenant_key)
    return Edge(tenant_key, keys.issue_key(tenant_key, [Scope.INGEST]))


@dataclass
class Sent:
    meter: MeterInfo

    def event(self, identity: str = "e1", data: Any = None, **envelope: Any) -> dict[str, Any]:
        given = {"v": 1} if data is None else data
        base = {"specversion": "1.0", "type": self.meter.event_type, "source": "billing-agent", "id": identity}
        return base | {"data": given} | envelope


def stored(tenant: str, columns: str = "id") -> list[tuple[Any, ...]]:
    drain(local.spool())
    sql = f"SELECT {columns} FROM meter_events WHERE tenant = %(tenant)s ORDER BY id, ingested_at"
    return client.statement("test_stored", sql, {"tenant": tenant})


def row(meter: MeterInfo, data: Any, **given: Any) -> dict[str, Any]:
    return meter_checking.row({"type": meter.event_type, "id": "e", "source": "s", "data": data} | given)


def refusal(meter: MeterInfo, data: Any, **given: Any) -> tuple[str, RejectReason]:
    with pytest.raises(MeterRefused) as refused:
        row(meter, data, **given)
    assert refused.value.field.split(".")[0] in str(refused.value)
    return refused.value.field, refused.value.reason


def test_an_event_of_a_meter_is_stored_as_it_was_sent(edge: Edge) -> None:
    sent = Sent(define(group_by={"gpu": "$.gpu.type"}))
    data = {"v": 0.1, "gpu": {"type": "H200"}, "note": "ünïcode", "more": [1, {"a": None}]}
    answer = edge.post(sent.event(data=data, time="2026-01-15T12:00:00.123456Z"), CLOUDEVENT)
    assert answer.status_code == 204, answer.content
    columns = "id, source, type, time, time_given, observed, data"
    ((identity, source, kind, time, given, observed, text),) = stored(edge.tenant, columns)
    assert (identity, source, kind) == ("e1", "billing-agent", sent.meter.event_type)
    assert (time, given, observed) == (datetime(2026, 1, 15, 12, 0, 0, 123000, tzinfo=UTC), True, False)
    assert json.loads(text) == data


def test_a_batch_takes_requests_and_meters_together_and_refuses_each_event_by_name(edge: Edge) -> None:
    sent = Sent(define(group_by={"gpu": "$.gpu.type"}))
    request = {"specversion": "1.0", "type": "tallywatt.request", "source": "gw", "id": "r1"}
    batch = [
        sent.event("good", {"v": "2.5"}),
        request | {"data": {"model": "m", "input_tokens": 1, "output_tokens": 1}},
        sent.event("bad", {"v": -1}),
        sent.event("worse", {"v": 1, "gpu": {"type": ["H200"]}}),
        sent.event("foreign type", type="nobody.reads.this"),
    ]
    answer = edge.post(batch, CLOUDEVENTS)
    assert answer.status_code == 400
    assert [(r["index"], r["field"], r["reason"]) for r in answer.json()["rejected"]] == [
        (2, "data.v", "out_of_range"),
        (3, "data.gpu.type", "wrong_type"),
        (4, "type", "unknown_type"),
    ]
    assert stored(edge.tenant) == [("good",)]
    assert edge.stored() == [("r1",)]
    assert edge.quarantined() == [
        (2, "out_of_range", "data.v"),
        (3, "wrong_type", "data.gpu.type"),
        (4, "unknown_type", "type"),
    ]


def test_what_is_sent_twice_is_stored_twice_and_counted_once(edge: Edge) -> None:
    sent = Sent(define())
    for _ in range(2):
        assert edge.post([sent.event("a", {"v": 1.5}), sent.event("a", {"v": 1.5})], CLOUDEVENTS).status_code == 204
    assert len(stored(edge.tenant)) == 4
    now = datetime.now(UTC)
    ask = MeterQuery(now.replace(year=now.year - 1), now.replace(year=now.year + 1), subjects=(edge.tenant,))
    assert [str(row.value) for row in meter_usage.query(sent.meter, ask)] == ["1.5"]


def test_a_key_of_one_tenant_sends_nothing_for_another(edge: Edge) -> None:
    sent = Sent(define())
    assert edge.post(sent.event(subject="somebody-else"), CLOUDEVENT).status_code == 403
    assert edge.post(sent.event(subject=edge.tenant), CLOUDEVENT).status_code == 204
    assert stored(edge.tenant) == [("e1",)]


def test_a_new_meter_takes_events_at_once_and_an_archived_one_no_more(edge: Edge) -> None:
    sent = Sent(define())
    assert edge.post(sent.event(), CLOUDEVENT).status_code == 204
    meters.archive(sent.meter.slug)
    answer = edge.post(sent.event("e2"), CLOUDEVENT)
    assert answer.status_code == 400
    assert sent.meter.event_type in answer.json()["rejected"][0]["message"]


@pytest.mark.parametrize(
    "value",
    [
        0,
        1,
        2**63,
        2**64 - 1,
        0.1,
        1e-9,
        1.5e3,
        5.0,
        "0",
        "12.5",
        "1e-9",
        "2E+2",
        "0.500000000000",
        "9" * 29 + "." + "9" * 9,
    ],
)
def test_a_number_that_is_kept_exactly_is_taken(value: Any) -> None:
    assert json.loads(row(define(), {"v": value})["data"]) == {"v": value}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "missing_field"),
        (True, "wrong_type"),
        ([1], "wrong_type"),
        ({"a": 1}, "wrong_type"),
        ("", "wrong_type"),
        ("a", "wrong_type"),
        ("1,5", "wrong_type"),
        (" 1", "wrong_type"),
        ("1\n", "wrong_type"),
        ("+1", "wrong_type"),
        ("NaN", "wrong_type"),
        ("Infinity", "wrong_type"),
        ("0x10", "wrong_type"),
        ("\u0661", "wrong_type"),
        ("1_000", "wrong_type"),
        (float("nan"), "out_of_range"),
        (float("inf"), "out_of_range"),
        (0.1 + 0.2, "out_of_range"),
        ("0.1234567891", "out_of_range"),
        (1e-10, "out_of_range"),
        ("1e-99", "out_of_range"),
        (2.0**53, "out_of_range"),
        (1e22, "out_of_range"),
        (10**29, "out_of_range"),
        ("1" + "0" * 29, "out_of_range"),
        ("1e99", "out_of_range"),
        (-1, "out_of_range"),
        ("-0.5", "out_of_range"),
    ],
)
def test_a_number_that_could_not_be_added_up_exactly_is_refused(value: Any, reason: str) -> None:
    assert refusal(define(), {"v": value}) == ("data.v", RejectReason(reason))


@pytest.mark.parametrize("aggregation", ["MAX", "MIN", "LATEST"])
def test_only_what_is_summed_up_cannot_be_negative(aggregation: str) -> None:
    assert row(define(aggregation), {"v": -1.5})["data"] == '{"v":-1.5}'


def test_a_unique_count_takes_any_scalar_and_demands_one() -> None:
    meter = define("UNIQUE_COUNT")
    for value in ("", "a", 1, 0.1 + 0.2, True):
        assert row(meter, {"v": value})
    assert refusal(meter, {"v": {}}) == ("data.v", RejectReason.WRONG_TYPE)
    assert refusal(meter, {"v": "x" * 1025}) == ("data.v", RejectReason.TOO_LONG)
    assert refusal(meter, {}) == ("data.v", RejectReason.MISSING_FIELD)


def test_every_meter_of_the_type_must_be_able_to_read_the_event() -> None:
    counting = define("COUNT", group_by={"g": "$.g"})
    assert row(counting, {})["data"] == "{}"
    define(event_type=counting.event_type, value_path="$.nested.v")
    assert refusal(counting, {}) == ("data.nested.v", RejectReason.MISSING_FIELD)
    assert refusal(counting, {"nested": {"v": 1}, "g": {}}) == ("data.g", RejectReason.WRONG_TYPE)
    assert row(counting, {"nested": {"v": 1}, "g": None})


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        ({"id": None}, "id", "missing_field"),
        ({"id": "x" * 129}, "id", "too_long"),
        ({"id": 5}, "id", "wrong_type"),
        ({"source": "x" * 129}, "source", "too_long"),
        ({"time": "yesterday"}, "time", "malformed"),
        ({"tenant": "no/slash"}, "tenant", "out_of_range"),
        ({"type": "x" * 129}, "type", "wrong_type"),
        ({"type": None}, "type", "wrong_type"),
        ({"type": "nobody.reads.this"}, "type", "unknown_type"),
        ({"data": None}, "data", "wrong_type"),
        ({"data": [1]}, "data", "wrong_type"),
        ({"data": {"v": 1, "x": "y" * 65536}}, "data", "too_long"),
        ({"data": {"v": 1, "x": "\ud800"}}, "data", "malformed"),
        ({"data": {"v": 1, "x": 2**64}}, "data", "malformed"),
    ],
)
def test_an_envelope_or_data_that_breaks_a_rule_is_refused_by_field(
    given: dict[str, Any], field: str, reason: str
) -> None:
    assert refusal(define(), **({"data": {"v": 1}} | given)) == (field, RejectReason(reason))


def test_data_of_any_depth_is_an_answer_and_no_fault() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = {"a": deep}
    assert refusal(define(), {"v": 1, "deep": deep}) == ("data", RejectReason.MALFORMED)
