"""`GET /api/v1/margin` and `manage.py margin`: who may see margins, in what shape, and what is refused by name."""

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from metering import public as metering
from metering.contracts import Scope, TenantInfo
from tests.billing.api import get, key, rows_of
from tests.billing.conftest import MONTH, NOON, Use
from tests.billing.energy import USED, attributed, energy_costs_from_now_on, nobodys, settle

pytestmark = pytest.mark.usefixtures("only_own_rows", "settled", "prices")

PATH = "/api/v1/margin"
WHEN = {"from": "2026-01-01", "to": "2026-02-01"}


@pytest.fixture
def sold(tenant: TenantInfo, use: Use) -> TenantInfo:
    """A tenant with a margin of 4.8 USD, and idle time."""
    energy_costs_from_now_on()
    use(tenant.key, USED)
    attributed(NOON, tenant.key, kwh="1", gpu_hours="1")
    nobodys(NOON, idle_nkwh="0.5", idle_gpu_nh="1")
    return tenant


def ask(**query: str) -> dict[str, Any]:
    answer = get(PATH, key(None, "finance:read"), WHEN | query)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_no_key_a_wrong_one_and_a_revoked_one_are_401(sold: TenantInfo) -> None:
    revoked = key(None)
    metering.revoke_key(revoked.split("_")[1])
    for token in (None, "", "nonsense", revoked, "tw_000000000000_" + "x" * 43):
        answer = get(PATH, token)
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer"), token
        assert answer["Content-Type"] == "application/problem+json"


def test_a_tenants_key_is_403_even_for_its_own_margin(sold: TenantInfo) -> None:
    token = key(sold.key, *(scope.value for scope in Scope))
    for query in ({}, {"tenant": sold.key}, {"tenant": "nobody"}, {"format": "csv"}):
        answer = get(PATH, token, WHEN | query)
        assert (answer.status_code, "4.8" in answer.content.decode()) == (403, False), query


def test_an_operators_key_without_the_scope_is_403(sold: TenantInfo) -> None:
    others = [scope.value for scope in Scope if scope != Scope.FINANCE_READ]
    assert get(PATH, key(None, *others), WHEN).status_code == 403


def test_a_row_has_its_amounts_by_currency_and_the_margin(sold: TenantInfo) -> None:
    found = ask(window="month")
    assert set(found) == {"data", "total", "to", "closed_until", "as_of", "next"}
    idle, row = found["data"]
    assert row == {
        "window_start": "2026-01-01T00:00:00Z",
        "tenant": sold.key,
        "model": "m",
        "label": "",
        "requests": 1,
        "measured_requests": 1,
        "unpriced_tokens": 0,
        "energy_kwh": "1.000000000",
        "gpu_hours": "1.000000",
        "amounts": [{"currency": "USD", "revenue": "7.5", "energy_cost": "0.2", "gpu_cost": "2.5"}],
        "margin": "4.8",
        "margin_share": "0.64",
        "gaps": [],
        "simulated": False,
    }
    assert (idle["tenant"], idle["label"], idle["margin"], idle["margin_share"]) == ("", "idle", "-2.6", None)
    assert (found["total"]["margin"], found["to"]) == ("2.2", "2026-02-01T00:00:00Z")
    assert "tenant" not in found["total"]


def test_groups_tenants_and_pages(sold: TenantInfo) -> None:
    assert [row.get("model") for row in ask(group_by="tenant")["data"]] == [None, None]
    assert [row["label"] for row in ask(group_by="")["data"]] == ["", "idle"]
    assert [row["margin"] for row in ask(tenant=sold.key)["data"]] == ["4.8"]
    assert get(PATH, key(None), WHEN | {"tenant": "nobody"}).status_code == 404
    first = ask(limit="1")
    second = ask(limit="1", cursor=first["next"])
    assert [row["label"] for row in first["data"] + second["data"]] == ["idle", ""]
    assert (second["next"], second["total"]) == (None, first["total"])


def test_csv_has_one_line_for_each_currency_and_quantities_once(tenant_key: str, use: Use) -> None:
    energy_costs_from_now_on()
    euros = metering.create_tenant(tenant_key, currency="EUR")
    use(euros.key, USED)
    attributed(NOON, euros.key, kwh="1", gpu_hours="1")
    answer = get(PATH, key(None), WHEN | {"format": "csv"})
    lines = rows_of(answer)
    assert [(line["currency"], line["revenue"], line["energy_cost"]) for line in lines] == [
        ("EUR", "", "0"),
        ("USD", "0", "0.2"),
    ]
    assert [(line["requests"], line["energy_kwh"]) for line in lines] == [("1", "1.000000000"), ("", "")]
    assert {line["gaps"] for line in lines} == {"unpriced_usage currencies_differ"}


def test_without_bounds_it_is_the_month_up_to_the_latest_settled_hour(sold: TenantInfo) -> None:
    settle(NOON + timedelta(hours=1, minutes=20))
    found = get(PATH, key(None)).json()
    assert (found["to"], found["closed_until"]) == ("2026-01-15T13:00:00Z", "2026-01-15T13:20:00Z")
    assert found["data"][0]["window_start"] == "2026-01-01T00:00:00Z"
    assert found["total"]["margin"] == "2.2"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"form": "x"}, "form"),
        ({"from": "2026-01-15T12:30:00Z"}, "from"),
        ({"to": "2026-01-15T12:00:00.5Z"}, "to"),
        ({"from": "2026-02-01"}, "from"),
        ({"from": "1990-01-01"}, "to"),
        ({"window": "week"}, "window"),
        ({"group_by": "tier"}, "group_by"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"format": "xml"}, "format"),
    ],
)
def test_what_it_cannot_answer_is_400_and_named(query: dict[str, str], named: str) -> None:
    answer = get(PATH, key(None), WHEN | query)
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["parameter"] == named


def command(*arguments: str) -> tuple[list[str], str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("margin", *arguments, stdout=out, stderr=err)
    return out.getvalue().splitlines(), err.getvalue()


def test_the_command_prints_the_month_and_its_total(sold: TenantInfo) -> None:
    lines, said = command("--month", "2026-01")
    assert lines[0].startswith("window_start,tenant,model,label,")
    assert [line.split(",")[1:4] for line in lines[1:]] == [["", "m", "idle"], [sold.key, "m", ""], ["", "", ""]]
    assert ",2.2," in lines[-1]
    assert said == ""
    settle(NOON + timedelta(hours=1))
    assert "2026-01-15 13:00Z" in command("--month", "2026-01", "--tenant", sold.key)[1]


def test_the_command_refuses_what_it_cannot_answer(sold: TenantInfo) -> None:
    for arguments in (("--month", "January"), ("--month", "2026-01", "--tenant", "nobody")):
        with pytest.raises(CommandError):
            command(*arguments)
    settle(MONTH.start)
    with pytest.raises(CommandError, match="no hour of 2026-01 is settled"):
        command("--month", "2026-01")
