"""`GET /api/v1/usage`: the shape that others script against, windows, groups, costs and pages."""

from datetime import timedelta
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from billing import pricebook
from metering import public as metering
from metering.contracts import TenantInfo
from metering.ledger import seal_usage
from tests.billing.api import get, key, rows_of
from tests.billing.conftest import NOON, Use

pytestmark = pytest.mark.usefixtures("settled", "prices")

MONTH = {"from": "2026-01-01", "to": "2026-02-01"}


def ask(tenant: TenantInfo, **query: str) -> dict[str, Any]:
    answer = get("/api/v1/usage", key(tenant.key), MONTH | query)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_the_answer_has_exactly_the_shape_that_others_script_against(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {"input_tokens": 18_059_974, "output_tokens": 245_896, "cached_input_tokens": 4})
    answer = ask(tenant, window="month", group_by="model")
    assert set(answer) == {"data", "as_of", "next"}
    assert answer["data"] == [
        {
            "window_start": "2026-01-01T00:00:00Z",
            "model": "m",
            "requests": 1,
            "input_tokens": 18_059_974,
            "cached_input_tokens": 4,
            "cache_write_tokens": 0,
            "output_tokens": 245_896,
            "reasoning_tokens": 0,
            "cost": "2.8565334",  # 18,059,970 x 0.15 + 4 x 0.075 + 245,896 x 0.60, in millionths
            "currency": "USD",
            "unpriced_tokens": 0,
        }
    ]
    assert answer["next"] is None
    assert answer["as_of"].endswith("Z")


def test_what_is_not_sealed_yet_is_in_the_answer_and_duplicates_are_not(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {})
    seal_usage(now=True)
    later = NOON + timedelta(days=900)  # after the seal's watermark
    use(
        tenant.key,
        {"id": "0", "ingested_at": later},
        {"id": "new", "ingested_at": later},
        {"id": "new", "ingested_at": later},
    )
    (row,) = ask(tenant)["data"]
    assert (row["requests"], row["input_tokens"]) == (2, 200)


def test_windows_and_groups(tenant: TenantInfo, use: Use) -> None:
    use(
        tenant.key,
        {"project": "a", "time": NOON},
        {"project": "a", "time": NOON + timedelta(minutes=59)},
        {"project": "b", "time": NOON + timedelta(minutes=60)},
        {"project": "b", "time": NOON + timedelta(days=1), "status": "error"},
    )
    hours = ask(tenant, window="hour", group_by="project")["data"]
    assert [(row["window_start"], row["project"], row["requests"]) for row in hours] == [
        ("2026-01-15T12:00:00Z", "a", 2),
        ("2026-01-15T13:00:00Z", "b", 1),
        ("2026-01-16T12:00:00Z", "b", 1),
    ]
    days = ask(tenant, window="day")["data"]
    assert [(row["window_start"], row["requests"]) for row in days] == [
        ("2026-01-15T00:00:00Z", 3),
        ("2026-01-16T00:00:00Z", 1),
    ]
    (whole,) = ask(tenant, window="total")["data"]
    assert (whole["window_start"], whole["requests"]) == ("2026-01-01T00:00:00Z", 4)
    repeated = get("/api/v1/usage", key(tenant.key), MONTH | {"group_by": ["project", "status,model"]}).json()["data"]
    assert [(row["project"], row["status"], row["model"]) for row in repeated] == [
        ("a", "ok", "m"),
        ("b", "error", "m"),
        ("b", "ok", "m"),
    ]


def test_failed_requests_are_counted_and_cost_nothing(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {"status": "error", "input_tokens": 1_000_000})
    (row,) = ask(tenant)["data"]
    assert (row["requests"], row["input_tokens"], row["cost"]) == (1, 1_000_000, "0")


def test_a_cost_that_is_not_known_is_null_and_says_of_how_much(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {}, {"model": "priceless", "input_tokens": 30, "output_tokens": 12})
    rows = {row["model"]: row for row in ask(tenant, group_by="model")["data"]}
    assert (rows["priceless"]["cost"], rows["priceless"]["unpriced_tokens"]) == (None, 42)
    assert (rows["m"]["cost"], rows["m"]["unpriced_tokens"]) == ("0.000021", 0)
    assert ask(tenant)["data"][0]["cost"] is None


def test_a_price_change_counts_from_its_moment_whatever_the_window(tenant: TenantInfo, use: Use) -> None:
    pricebook.set_price(model="m", kind="input", per_million="1000", currency="USD", effective_from=NOON)
    times = (NOON - timedelta(milliseconds=1), NOON)
    use(tenant.key, *({"time": at, "input_tokens": 1000, "output_tokens": 0} for at in times))
    assert [row["cost"] for row in ask(tenant, window="day")["data"]] == ["1.00015"]
    assert [row["cost"] for row in ask(tenant, window="total")["data"]] == ["1.00015"]
    assert [row["cost"] for row in ask(tenant, window="hour")["data"]] == ["0.00015", "1"]


def test_bounds_are_half_open_and_may_lie_inside_a_bucket(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, *({"time": NOON + timedelta(minutes=minute)} for minute in (6, 7, 51, 52)))
    seal_usage(now=True)
    rows = ask(tenant, **{"from": "2026-01-15T12:07:00Z", "to": "2026-01-15T13:52:00+01:00"})["data"]
    assert [(row["window_start"], row["requests"]) for row in rows] == [("2026-01-15T12:07:00Z", 2)]


def test_currencies_are_kept_apart(use: Use, clickhouse: None, tenant_key: str) -> None:
    for name, currency in (("a", "USD"), ("b", "EUR")):
        metering.create_tenant(f"{tenant_key}-{name}", currency=currency)
        use(f"{tenant_key}-{name}", {"project": tenant_key})
    rows = get("/api/v1/usage", key(None), MONTH | {"group_by": "project,currency"}).json()["data"]
    found = {row["currency"]: row["requests"] for row in rows if row["project"] == tenant_key}
    assert found == {"USD": 1, "EUR": 1}


def test_pages_hold_every_row_once_also_when_usage_arrives_between_them(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, *({"project": f"p{n}"} for n in range(5)))
    token, query = key(tenant.key), MONTH | {"group_by": "project", "limit": "2"}
    seen: list[str] = []
    cursor = None
    while True:
        page = get("/api/v1/usage", token, query | ({"cursor": cursor} if cursor else {})).json()
        seen += [row["project"] for row in page["data"]]
        if (cursor := page["next"]) is None:
            break
        use(tenant.key, {"id": f"new-{cursor}", "project": "p0"}, {"id": f"first-{cursor}", "project": "o"})
    assert seen == ["p0", "p1", "p2", "p3", "p4"]


@pytest.mark.parametrize("how", [({"format": "csv"}, {}), ({}, {"Accept": "text/csv"})])
def test_csv_holds_the_same_rows(tenant: TenantInfo, use: Use, how: tuple[dict[str, str], dict[str, str]]) -> None:
    use(tenant.key, {"project": 'a "quoted", name'}, {"project": "é", "model": "priceless"})
    query = MONTH | {"window": "day", "group_by": "project"}
    answer = get("/api/v1/usage", key(tenant.key), query | how[0], **how[1])
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    shown = get("/api/v1/usage", key(tenant.key), query).json()["data"]
    assert rows_of(answer) == [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in shown
    ]


def test_csv_without_rows_still_has_its_header_and_with_a_limit_names_the_next_page(
    tenant: TenantInfo, use: Use
) -> None:
    empty = get("/api/v1/usage", key(tenant.key), MONTH | {"format": "csv"})
    assert empty.content.startswith(b"window_start,requests,input_tokens,")
    use(tenant.key, *({"project": f"p{n}"} for n in range(3)))
    query = MONTH | {"format": "csv", "group_by": "project"}
    assert len(rows_of(get("/api/v1/usage", key(tenant.key), query))) == 3
    first = get("/api/v1/usage", key(tenant.key), query | {"limit": "2"})
    assert len(rows_of(first)) == 2
    address = first["Link"].removeprefix("<http://testserver").split(">")[0]
    assert [row["project"] for row in rows_of(get(address, key(tenant.key)))] == ["p2"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"from": "2026-02-01", "to": "2026-01-01"}, "from"),
        ({"from": "2026-01-01", "to": "2026-01-01"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-01-01T00:00:00"}, "to"),
        ({"from": "0001-01-01T00:00:00+14:00"}, "from"),
        ({"from": "1000-01-01", "to": "2026-01-01"}, "to"),
        ({"window": "week"}, "window"),
        ({"group_by": "end_user"}, "group_by"),
        ({"group_by": "model; DROP TABLE requests"}, "group_by"),
        ({"limit": "0"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "10001"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"cursor": "%%%"}, "cursor"),
        ({"cursor": "bm90IGpzb24"}, "cursor"),
        ({"cursor": "eyJhIjoxfQ"}, "cursor"),  # {"a":1}
        ({"cursor": "WzEsMiwzXQ"}, "cursor"),  # [1,2,3]
        ({"model": "m"}, "model"),
        ({"window": ["day", "hour"]}, "window"),
        ({"format": "xml"}, "format"),
        ({"tenant": "a\x00b"}, "tenant"),
    ],
)
def test_a_wrong_parameter_is_400_and_named(
    tenant: TenantInfo, use: Use, query: dict[str, Any], parameter: str
) -> None:
    use(tenant.key, {})
    answer = get("/api/v1/usage", key(tenant.key), MONTH | query)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json"), answer.content
    problem = answer.json()
    assert (problem["status"], problem["errors"][0]["parameter"]) == (400, parameter)


def test_an_unknown_group_is_answered_with_those_there_are(tenant: TenantInfo) -> None:
    answer = get("/api/v1/usage", key(tenant.key), {"group_by": "colour"})
    assert "project, api_key_id, model, operation, tier, region, status, context_band" in answer.json()["detail"]


def test_a_plus_that_was_not_escaped_is_understood(tenant: TenantInfo, use: Use) -> None:
    use(tenant.key, {})
    answer = get("/api/v1/usage?from=2026-01-01T00:00:00+00:00&to=2026-02-01", key(tenant.key))
    assert [row["requests"] for row in answer.json()["data"]] == [1]


def test_without_bounds_it_is_this_month_so_far(tenant: TenantInfo) -> None:
    assert get("/api/v1/usage", key(tenant.key)).json()["data"] == []


def test_other_methods_and_formats_are_refused_as_problems(tenant: TenantInfo) -> None:
    answer = get("/api/v1/usage", key(tenant.key), Accept="application/pdf")
    assert (answer.status_code, answer["Content-Type"]) == (406, "application/problem+json")


def test_a_database_that_does_not_answer_is_503_and_says_when_to_come_back(
    tenant: TenantInfo, settings: Settings
) -> None:
    token = key(tenant.key)
    settings.CLICKHOUSE_URL = "clickhouse://user:secret@127.0.0.1:1/nowhere"
    answer = get("/api/v1/usage", token)
    assert (answer.status_code, answer["Content-Type"], answer["Retry-After"]) == (503, "application/problem+json", "5")
    assert b"secret" not in answer.content


def test_more_rows_than_an_answer_can_hold_are_422(
    tenant: TenantInfo, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(tenant.key, *({"project": f"p{n}"} for n in range(3)))
    monkeypatch.setattr("metering.usage.MAX_ROWS", 2)
    answer = get("/api/v1/usage", key(tenant.key), MONTH | {"group_by": "project"})
    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
    assert "fewer groups" in answer.json()["detail"]


def test_usage_of_a_tenant_that_is_not_in_the_list_is_shown_without_a_currency(use: Use, tenant_key: str) -> None:
    use(tenant_key, {})
    rows = get("/api/v1/usage", key(None), MONTH | {"group_by": "tenant"}).json()["data"]
    (row,) = [row for row in rows if row["tenant"] == tenant_key]
    assert (row["requests"], row["currency"], row["cost"], row["unpriced_tokens"]) == (1, "XXX", None, 110)
