"""`/api/v1/credits` and `/api/v1/credits/transactions`."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from billing import credits
from billing.models import CreditGrant
from metering.contracts import TenantInfo
from tests.billing.api import get, key, rows_of
from tests.billing.credit import MIDDLE, applied, bought, charges, expiring, given, left, line, tenant

pytestmark = pytest.mark.django_db
CREDITS, TRANSACTIONS = "/api/v1/credits", "/api/v1/credits/transactions"
PATHS = (CREDITS, TRANSACTIONS)


@pytest.fixture
def owner() -> TenantInfo:
    return tenant()


def test_balances_and_grants_with_what_is_left(owner: TenantInfo) -> None:
    launch = given(owner, "30", models_covered=["m"], expires_at=datetime(2999, 1, 1, tzinfo=UTC))
    bought(owner, "50"), expiring(owner, MIDDLE)
    given(owner, "7", effective_from=datetime(2998, 1, 1, tzinfo=UTC))
    applied(charges(owner, line("10", model="m")))
    answer = get(CREDITS, key(owner.key)).json()
    assert answer["balances"] == [
        {
            "tenant": owner.key,
            "currency": "USD",
            "available": "70.00",
            "promotional": "20.00",
            "prepaid": "50.00",
            "pending": "7.00",
            "expired": "80.00",
        }
    ]
    assert [(row["left"], row["status"]) for row in answer["data"]] == [
        ("7.00", "pending"),
        ("80.00", "expired"),
        ("50.00", "active"),
        ("20.00", "active"),
    ]
    row = answer["data"][-1]
    assert row | {"created_at": ""} == {
        "id": launch.pk,
        "tenant": owner.key,
        "name": "Launch credit",
        "kind": "promotional",
        "currency": "USD",
        "amount": "30.00",
        "left": "20.00",
        "status": "active",
        "priority": 50,
        "models": ["m"],
        "effective_from": None,
        "expires_at": "2999-01-01T00:00:00Z",
        "created_at": "",
    }
    assert answer["next"] is None


def test_every_use_of_a_grant_is_a_row(owner: TenantInfo) -> None:
    launch = given(owner, "30")
    one = charges(owner, line("10"))
    applied(one)
    credits.revoke(launch.pk, "a mistake", "ada")
    rows = get(TRANSACTIONS, key(owner.key)).json()["data"]
    assert [(row["type"], row["amount"], row["note"]) for row in rows] == [
        ("revoke", "-20.00", "a mistake"),
        ("apply", "-10.00", f"invoice {one.number}"),
        ("grant", "30.00", "Launch credit"),
    ]
    assert {row["grant"] for row in rows} == {launch.pk}
    assert rows[1]["reference"] == f"promotional:{one.number}"


@pytest.mark.parametrize("path", PATHS)
def test_pages_follow_each_other_without_gap(owner: TenantInfo, path: str) -> None:
    for amount in range(1, 6):
        given(owner, str(amount))
    token, seen, cursor = key(owner.key), [], None
    while True:
        answer = get(path, token, {"limit": "2"} | ({"cursor": cursor} if cursor else {})).json()
        seen += [row["amount"] for row in answer["data"]]
        cursor = answer["next"]
        if cursor is None:
            break
    assert seen == ["5.00", "4.00", "3.00", "2.00", "1.00"]


def test_as_csv(owner: TenantInfo) -> None:
    given(owner, "30", models_covered=["m", "n"])
    token = key(owner.key)
    (row,) = rows_of(get(CREDITS, token, {"format": "csv"}))
    assert (row["left"], row["models"], row["expires_at"]) == ("30.00", "m n", "")
    (entry,) = rows_of(get(TRANSACTIONS, token, {"format": "csv"}))
    assert (entry["type"], entry["amount"]) == ("grant", "30.00")


@pytest.mark.parametrize("path", PATHS)
def test_no_key_is_401_and_a_key_without_the_scope_403(owner: TenantInfo, path: str) -> None:
    for token in (None, "", "nonsense", "tw_x"):
        answer = get(path, token)
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
        assert answer["Content-Type"] == "application/problem+json"
    for whose in (owner.key, None):
        assert get(path, key(whose, "ingest", "usage:read")).status_code == 403
        assert get(path, key(whose, "finance:read")).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_another_tenants_credit_is_behind_a_wall(owner: TenantInfo, path: str) -> None:
    other = tenant()
    given(owner, "30"), given(other, "40")
    token = key(owner.key)
    for named in (other.key, "nobody"):
        assert get(path, token, {"tenant": named}).status_code == 403
    for query in ({}, {"tenant": owner.key}):
        answer = get(path, token, query).json()
        assert {row["tenant"] for row in answer["data"]} == {owner.key}
        assert {row["tenant"] for row in answer.get("balances", [])} <= {owner.key}
    operator = get(path, key(None), {"limit": "1"}).json()
    assert operator["data"][0]["tenant"] == other.key
    assert {row["tenant"] for row in get(path, token, {"cursor": operator["next"]}).json()["data"]} <= {owner.key}


@pytest.mark.parametrize("path", PATHS)
def test_an_operator_sees_all_and_may_ask_for_one(owner: TenantInfo, path: str) -> None:
    other = tenant()
    given(owner, "30"), given(other, "40")
    token = key(None)
    assert {row["tenant"] for row in get(path, token).json()["data"]} >= {owner.key, other.key}
    assert {row["tenant"] for row in get(path, token, {"tenant": owner.key}).json()["data"]} == {owner.key}
    assert get(path, token, {"tenant": "nobody"}).status_code == 404


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "query",
    [{"tenants": "x"}, {"limit": "0"}, {"limit": "x"}, {"cursor": "x"}, {"cursor": "IjB4MSI"}, {"format": "xml"}],
)
def test_what_is_not_understood_is_refused_by_name(owner: TenantInfo, path: str, query: dict[str, str]) -> None:
    answer = get(path, key(owner.key), query)
    assert answer.status_code == 400
    assert next(iter(query)) in answer.content.decode()


def test_nothing_can_be_written(owner: TenantInfo) -> None:
    for path in PATHS:
        assert Client().post(path, {}, headers={"Authorization": f"Bearer {key(None)}"}).status_code == 405


def test_the_command_grants_and_prints_the_id(owner: TenantInfo, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--tenant", owner.key, "--amount", "500", "--kind", "promotional", "--name", "Launch credit"]
    more = ["--model", "m", "--model", "n", "--expires-at", "2999-01-01", "--priority", "10", "--source", "deal-1"]
    call_command("grant_credit", *arguments, *more)
    call_command("grant_credit", *arguments, *more)
    grant = CreditGrant.objects.get(tenant=owner.key)
    assert capsys.readouterr().out == f"{grant.pk}\n" * 2
    assert (grant.models_covered, grant.priority, grant.created_by) == (["m", "n"], 10, "command")
    assert grant.expires_at == datetime(2999, 1, 1, tzinfo=UTC)
    assert left(grant) == [Decimal(500)]


@pytest.mark.parametrize(
    "change",
    [
        {"--tenant": "nobody"},
        {"--amount": "0"},
        {"--amount": "x"},
        {"--expires-at": "2020-01-01"},
        {"--kind": "carried"},
    ],
)
def test_the_command_says_what_is_wrong(owner: TenantInfo, change: dict[str, str]) -> None:
    usual = {"--tenant": owner.key, "--amount": "500", "--kind": "paid", "--name": "Prepaid"}
    with pytest.raises(CommandError):
        call_command("grant_credit", *(word for pair in (usual | change).items() for word in pair))
    assert not CreditGrant.objects.exists()
