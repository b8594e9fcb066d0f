"""OpenMeter's endpoints: shapes, CSV, who may see and change what, and clear refusals."""

import csv
import io
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client

from metering import accounts, keys, meter_usage, meters
from metering.meters import MeterInfo
from tests.metering.meter_rows import define, insert_meter_events
from tests.metering.rows import NOON, insert_requests

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ledger")]

METERS = "/api/v1/meters"
WHEN = {"from": "2026-01-15T00:00:00Z", "to": "2026-01-17T00:00:00Z"}
CREATE = {
    "eventType": "gpu.used",
    "aggregation": "SUM",
    "valueProperty": "$.gpu_hours",
    "groupBy": {"gpu": "$.gpu.type"},
}


@dataclass(frozen=True)
class Two:
    """Two tenants with usage of one meter, and keys: of the first tenant, and an operator's."""

    own: str
    other: str
    meter: MeterInfo
    key: str
    operator: str

    @property
    def query(self) -> str:
        return f"{METERS}/{self.meter.slug}/query"


@pytest.fixture
def two(tenant_key: str) -> Two:
    own, other = f"{tenant_key}-own", f"{tenant_key}-other"
    meter = define(group_by={"model": "$.model"})
    for tenant, value in ((own, 0.1), (other, 70)):
        accounts.create_tenant(tenant)
        insert_meter_events(
            tenant,
            meter.event_type,
            {"id": "a", "data": {"v": value, "model": "m1"}},
            {"id": "b", "data": {"v": 0.2, "model": 'm"2'}, "time": NOON + timedelta(hours=1)},
        )
    key, operator = keys.issue_key(own, ["usage:read"]), keys.issue_key(None, ["usage:read", "meters:write"])
    return Two(own, other, meter, key, operator)


def call(method: str, path: str, key: str | None, body: Any = None, query: Any = None, **headers: str) -> HttpResponse:
    named = {"Authorization": f"Bearer {key}"} if key is not None else {}
    content = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
    return Client().generic(method, path, query_params=query or {}, headers=named | headers, **content)


def get(path: str, key: str | None, query: Any = None, **headers: str) -> HttpResponse:
    return call("GET", path, key, None, query, **headers)


def rows(answer: HttpResponse) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content)["data"]


def test_a_query_answers_in_openmeters_shape_with_exact_numbers(two: Two) -> None:
    answer = get(two.query, two.key, WHEN)
    assert json.loads(answer.content, parse_float=str) == {
        "from": "2026-01-15T00:00:00Z",
        "to": "2026-01-17T00:00:00Z",
        "data": [
            {
                "value": "0.3",
                "windowStart": "2026-01-15T00:00:00Z",
                "windowEnd": "2026-01-17T00:00:00Z",
                "subject": two.own,
                "groupBy": {},
            }
        ],
    }


def test_windows_groups_and_filters_are_asked_for_as_openmeters_clients_do(two: Two) -> None:
    asked = WHEN | {"windowSize": "HOUR", "windowTimeZone": "Asia/Kolkata", "groupBy": "model"}
    found = [(row["windowStart"], row["windowEnd"], row["groupBy"]) for row in rows(get(two.query, two.key, asked))]
    assert found == [
        ("2026-01-15T11:30:00Z", "2026-01-15T12:30:00Z", {"model": "m1"}),
        ("2026-01-15T12:30:00Z", "2026-01-15T13:30:00Z", {"model": 'm"2'}),
    ]
    assert [row["value"] for row in rows(get(two.query, two.key, WHEN | {"filterGroupBy[model]": 'm"2'}))] == [0.2]


def test_an_operator_sees_everybody_together_apart_or_some(two: Two) -> None:
    assert [(row["subject"], row["value"]) for row in rows(get(two.query, two.operator, WHEN))] == [(None, 70.5)]
    apart = rows(get(two.query, two.operator, WHEN | {"groupBy": ["subject", "model"], "filterGroupBy[model]": "m1"}))
    assert {(row["subject"], row["value"]) for row in apart} == {(two.own, 0.1), (two.other, 70)}
    for named in ([two.own, two.other], f"{two.own},{two.other}"):
        both = rows(get(two.query, two.operator, WHEN | {"subject": named}))
        assert {(row["subject"], row["value"]) for row in both} == {(two.own, 0.3), (two.other, 70.2)}


def test_the_same_question_may_come_as_json(two: Two) -> None:
    body = WHEN | {
        "windowSize": "DAY",
        "subject": [two.own],
        "groupBy": ["model"],
        "filterGroupBy": {"model": ["m1", 'm"2']},
        "clientId": "x",
    }
    found = rows(call("POST", two.query, two.operator, body))
    assert [(row["groupBy"], row["value"]) for row in found] == [({"model": 'm"2'}, 0.2), ({"model": "m1"}, 0.1)]
    assert rows(call("POST", two.query, two.operator, body | {"filterGroupBy": {"model": []}})) == []


def test_csv_has_openmeters_columns_and_all_digits(two: Two) -> None:
    answer = get(
        two.query, two.operator, WHEN | {"groupBy": ["model", "subject"], "windowSize": "DAY"}, Accept="text/csv"
    )
    assert (answer["Content-Type"], answer["Content-Disposition"]) == (
        "text/csv; charset=utf-8",
        f'attachment; filename="{two.meter.slug}.csv"',
    )
    found = list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))
    assert list(found[0]) == ["window_start", "window_end", "subject", "model", "value"]
    assert {(row["subject"], row["model"], row["value"]) for row in found} == {
        (two.own, "m1", "0.1"),
        (two.own, 'm"2', "0.2"),
        (two.other, "m1", "70"),
        (two.other, 'm"2', "0.2"),
    }
    assert get(two.query, two.operator, WHEN | {"format": "csv"}).content.startswith(
        b"window_start,window_end,subject,value"
    )


def test_large_and_small_values_keep_their_digits(two: Two) -> None:
    big = "99999999999999999999999999999.999999999"
    insert_meter_events(two.own, two.meter.event_type, {"id": "big", "data": {"v": big}})
    assert b'"value":100000000000000000000000000000.299999999' in get(two.query, two.key, WHEN).content


def test_the_built_in_meters_are_listed_and_queried_like_any_other(two: Two) -> None:
    insert_requests(
        two.own, {"id": "a", "model": "m1"}, {"id": "a", "model": "m1", "ingested_at": NOON + timedelta(hours=1)}
    )
    listed = {meter["slug"]: meter for meter in json.loads(get(METERS, two.key).content)}
    assert listed["tokens_input"]["eventType"] == "tallywatt.request"
    assert listed["tokens_input"]["groupBy"]["model"] == "$.model"
    asked = WHEN | {"groupBy": "model", "windowSize": "DAY"}
    assert [(row["groupBy"], row["value"]) for row in rows(get(f"{METERS}/tokens_input/query", two.key, asked))] == [
        ({"model": "m1"}, 100)
    ]
    assert json.loads(get(f"{METERS}/requests/subjects", two.key, WHEN).content) == [two.own]


def test_without_times_this_month_is_meant(two: Two) -> None:
    body = json.loads(get(two.query, two.key).content)
    assert body["from"].endswith("-01T00:00:00Z")
    assert body["data"] == []


def test_a_meter_is_created_read_changed_and_archived_by_an_operator(two: Two) -> None:
    slug = f"m_{uuid4().hex[:12]}"
    created = call("POST", METERS, two.operator, CREATE | {"slug": slug, "windowSize": "MINUTE", "unit": "h"})
    assert created.status_code == 201, created.content
    made = json.loads(created.content)
    assert (made["slug"], made["eventType"], made["valueProperty"], made["unit"]) == (
        slug,
        "gpu.used",
        "$.gpu_hours",
        "h",
    )
    for name in (slug, made["id"]):
        assert json.loads(get(f"{METERS}/{name}", two.key).content) == made
    changed = call("PUT", f"{METERS}/{slug}", two.operator, {"description": "GPU", "groupBy": {"pool": "$.pool"}})
    assert json.loads(changed.content)["groupBy"] == {"pool": "$.pool"}
    gone = call("DELETE", f"{METERS}/{slug}", two.operator)
    assert (gone.status_code, gone.content) == (204, b"")
    assert call("DELETE", f"{METERS}/{slug}", two.operator).status_code == 404
    assert slug not in {meter["slug"] for meter in json.loads(get(METERS, two.key).content)}
    listed = json.loads(get(METERS, two.key, {"includeDeleted": "true"}).content)
    assert next(meter for meter in listed if meter["slug"] == slug)["deletedAt"]
    assert rows(get(f"{METERS}/{slug}/query", two.key, WHEN)) == []


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"slug": "GPU"}, "slug"),
        ({"slug": 5}, "slug"),
        ({"slug": None}, "slug"),
        ({"aggregation": "AVG"}, "aggregation"),
        ({"eventType": "tallywatt.request"}, "eventType"),
        ({"valueProperty": "$.a[*]"}, "valueProperty"),
        ({"groupBy": {"a b": "$.a"}}, "groupBy"),
        ({"groupBy": ["a"]}, "groupBy"),
        ({"groupBy": {"a": 1}}, "groupBy"),
        ({"metadata": {}}, "metadata"),
    ],
)
def test_a_definition_that_cannot_be_is_a_400_that_names_the_field(
    two: Two, change: dict[str, Any], parameter: str
) -> None:
    answer = call("POST", METERS, two.operator, CREATE | {"slug": "good_slug"} | change)
    assert answer.status_code == 400
    assert json.loads(answer.content)["errors"][0]["parameter"] == parameter
    assert meters.find("good_slug") is None


def test_a_slug_that_is_taken_is_409_and_a_built_in_meter_stays_as_it_is(two: Two) -> None:
    assert call("POST", METERS, two.operator, CREATE | {"slug": two.meter.slug}).status_code == 409
    assert call("PUT", f"{METERS}/requests", two.operator, {}).status_code == 403
    assert call("DELETE", f"{METERS}/tokens_input", two.operator).status_code == 403


@pytest.mark.parametrize("body", [b"[1]", b"{", b'{"slug": NaN}', b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_json_object_is_400(two: Two, body: bytes) -> None:
    for path in (METERS, two.query):
        answer = Client().post(
            path, body, content_type="application/json", headers={"Authorization": f"Bearer {two.operator}"}
        )
        assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


def test_another_content_type_is_415_and_a_huge_body_413(two: Two) -> None:
    headers = {"Authorization": f"Bearer {two.operator}"}
    assert Client().post(METERS, "a=b", content_type="text/plain", headers=headers).status_code == 415
    huge = json.dumps({"slug": "x" * 2**20})
    assert Client().post(METERS, huge, content_type="application/json", headers=headers).status_code == 413


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"groupBy": "nothing"}, "groupBy"),
        ({"groupBy": "model,nothing"}, "groupBy"),
        ({"filterGroupBy[nothing]": "x"}, "filterGroupBy"),
        ({"filterGroupBy[subject]": "x"}, "filterGroupBy"),
        ({"filterGroupBy": "{'model': 'x'}"}, "filterGroupBy"),
        ({"filterGroupBy[model]": "a\x00"}, "filterGroupBy"),
        ({"windowSize": "SECOND"}, "windowSize"),
        ({"windowSize": "day"}, "windowSize"),
        ({"windowTimeZone": "Mars/Olympus"}, "windowTimeZone"),
        ({"windowTimeZone": "../../etc/passwd"}, "windowTimeZone"),
        ({"windowTimeZone": "Europe"}, "windowTimeZone"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-01-15T00:00:00"}, "from"),
        ({"from": "0001-01-01T00:00:00+00:00"}, "from"),
        ({"to": ["2026-01-15", "2026-01-16"]}, "to"),
        ({"from": "2026-01-17T00:00:00Z"}, "from"),
        ({"from": "1990-01-01"}, "from"),
        ({"filterCustomerId": "x"}, "filterCustomerId"),
        ({"format": "xml"}, "format"),
    ],
)
def test_a_question_that_cannot_be_answered_is_a_400_that_names_the_parameter(
    two: Two, query: dict[str, Any], parameter: str
) -> None:
    answer = get(two.query, two.key, WHEN | query)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert json.loads(answer.content)["errors"][0]["parameter"] == parameter


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"from": 5}, "from"),
        ({"subject": [5]}, "subject"),
        ({"groupBy": {"a": "b"}}, "groupBy"),
        ({"filterGroupBy": ["model"]}, "filterGroupBy"),
        ({"filterGroupBy": {"model": [None]}}, "filterGroupBy"),
        ({"filterGroupBy": {"model": ["x"] * 101}}, "filterGroupBy"),
        ({"advancedMeterGroupByFilters": {}}, "advancedMeterGroupByFilters"),
    ],
)
def test_a_question_as_json_is_checked_as_strictly(two: Two, body: dict[str, Any], parameter: str) -> None:
    answer = call("POST", two.query, two.key, WHEN | body)
    assert answer.status_code == 400, answer.content
    assert json.loads(answer.content)["errors"][0]["parameter"] == parameter


def test_more_rows_or_windows_than_an_answer_holds_are_422(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_usage, "MAX_ROWS", 1)
    for path in (two.query, f"{METERS}/requests/query"):
        insert_requests(two.own, {"id": "a"}, {"id": "b", "time": NOON + timedelta(hours=2)})
        answer = get(path, two.key, WHEN | {"windowSize": "HOUR"})
        assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
        assert "shorter time" in json.loads(answer.content)["detail"]
    long = {"from": "2014-01-01", "to": "2026-01-01", "windowSize": "HOUR", "windowTimeZone": "Australia/Lord_Howe"}
    assert get(two.query, two.key, long).status_code == 422


def reading(two: Two) -> list[tuple[str, str, Any]]:
    one = f"{METERS}/{two.meter.slug}"
    return [
        ("GET", METERS, None),
        ("GET", one, None),
        ("GET", two.query, None),
        ("POST", two.query, WHEN),
        ("GET", f"{one}/subjects", None),
    ]


def writing(two: Two) -> list[tuple[str, str, Any]]:
    one = f"{METERS}/{two.meter.slug}"
    return [("POST", METERS, CREATE | {"slug": "w"}), ("PUT", one, {"unit": "stolen"}), ("DELETE", one, None)]


def test_no_key_a_wrong_one_and_a_revoked_one_are_401_with_a_challenge(two: Two) -> None:
    revoked = keys.issue_key(two.own, ["usage:read"])
    keys.revoke_key(revoked)
    stolen = two.operator.rsplit("_", 1)[0] + "_" + "0" * 43
    for method, path, body in reading(two) + writing(two):
        for key in (None, "", "nonsense", revoked, stolen):
            answer = call(method, path, key, body)
            assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer"), (method, path, key)
            assert answer["Content-Type"] == "application/problem+json"


def test_a_key_without_the_scope_is_403(two: Two) -> None:
    every = {"ingest", "usage:read", "finance:read", "meters:write"}
    for asked, needed in ((reading(two), "usage:read"), (writing(two), "meters:write")):
        for method, path, body in asked:
            for owner in (two.own, None):
                answer = call(method, path, keys.issue_key(owner, every - {needed}), body)
                assert answer.status_code == 403, (method, path, owner)


def test_no_tenants_key_changes_a_meter_whatever_its_scopes(two: Two) -> None:
    key = keys.issue_key(two.own, ["usage:read", "meters:write"])
    for method, path, body in writing(two):
        assert call(method, path, key, body).status_code == 403, (method, path)
    assert meters.find(two.meter.slug) == two.meter
    assert meters.find("w") is None


def test_naming_another_subject_is_403_in_every_way_of_naming_it(two: Two) -> None:
    for named in (two.other, [two.own, two.other], f"{two.own},{two.other}", "nobody"):
        assert get(two.query, two.key, WHEN | {"subject": named}).status_code == 403, named
        body = WHEN | {"subject": named if isinstance(named, list) else [named]}
        assert call("POST", two.query, two.key, body).status_code == 403, named
    assert [row["value"] for row in rows(get(two.query, two.key, WHEN | {"subject": two.own}))] == [0.3]


def test_a_tenants_key_never_gets_anothers_rows(two: Two) -> None:
    insert_requests(two.other, {"id": "a"})
    for query in (WHEN, WHEN | {"groupBy": "subject"}, WHEN | {"subject": ""}, WHEN | {"groupBy": "model"}):
        for path in (two.query, f"{METERS}/requests/query"):
            assert {row["subject"] for row in rows(get(path, two.key, query))} <= {two.own}, (path, query)
    assert json.loads(get(f"{METERS}/{two.meter.slug}/subjects", two.key, WHEN).content) == [two.own]
    assert json.loads(get(f"{METERS}/requests/subjects", two.key, WHEN).content) == []
    assert json.loads(get(f"{METERS}/{two.meter.slug}/subjects", two.operator, WHEN).content) == [two.other, two.own]


@pytest.mark.parametrize("name", ["nothing", "0", "99999999", "9" * 30, "%27", "a%00b"])
def test_a_meter_that_does_not_exist_is_404(two: Two, name: str) -> None:
    for path in (f"{METERS}/{name}", f"{METERS}/{name}/query", f"{METERS}/{name}/subjects"):
        assert get(path, two.key).status_code == 404, path
    assert get(two.query, two.operator, WHEN | {"subject": "nobody"}).status_code == 404


def test_the_endpoints_are_in_the_openapi_document(two: Two) -> None:
    document = json.loads(Client().get("/api/schema/", headers={"Accept": "application/json"}).content)
    assert set(document["paths"][f"{METERS}/{{name}}/query"]) == {"get", "post"}
    parameters = {parameter["name"] for parameter in document["paths"][f"{METERS}/{{name}}/query"]["get"]["parameters"]}
    assert parameters >= {"from", "to", "windowSize", "windowTimeZone", "subject", "groupBy", "filterGroupBy"}
    assert {"get", "put", "delete"} == set(document["paths"][f"{METERS}/{{name}}"])
