"""`/api/v1/contracts` and `/api/v1/customers`: a tenant's own, everybody's for operators, and nobody else's."""

from dataclasses import dataclass
from datetime import date

import pytest
from django.utils import timezone

from billing import agreements
from billing.contract_terms import ContractInfo
from billing.terms_json import terms_from
from metering import public as metering
from tests.billing.agreed import contract
from tests.billing.api import get, key, rows_of
from tests.billing.test_agreements import EVERYTHING

pytestmark = pytest.mark.django_db

CONTRACTS, CUSTOMERS = "/api/v1/contracts", "/api/v1/customers"


@dataclass(frozen=True)
class Two:
    """Two tenants, each with a contract and a customer."""

    own: str
    other: str
    contract: ContractInfo
    others: ContractInfo


@pytest.fixture
def two(tenant_key: str) -> Two:
    own, other = f"{tenant_key}-1", f"{tenant_key}-2"
    made = []
    for name in (own, other):
        metering.create_tenant(name, name.upper())
        agreements.save_customer(
            name, actor="ada", legal_name=f"{name} GmbH", emails=[f"{name}@example.com", "b@example.com"]
        )
        made.append(contract(name, date(2026, 1, 31), EVERYTHING, time_zone="Europe/Berlin", note="a secret"))
    return Two(own, other, *made)


def test_a_contract_is_given_with_the_terms_of_today(two: Two) -> None:
    (row,) = get(CONTRACTS, key(two.own)).json()["data"]
    assert row == {
        "number": two.contract.number,
        "tenant": two.own,
        "currency": "USD",
        "time_zone": "Europe/Berlin",
        "anchor_day": 31,
        "starts_on": "2026-01-31",
        "ends_on": None,
        "state": "active",
        "revision": 1,
        "plan": "Scale",
        "price_book": "",
        "commitment": "1000",
        "period_start": row["period_start"],
        "period_end": row["period_end"],
    }
    assert row["period_start"] <= timezone.now().strftime("%Y-%m-%dT%H:%M:%SZ") < row["period_end"]


def test_one_contract_comes_with_all_its_revisions_and_without_our_notes(two: Two) -> None:
    agreements.end(two.contract.number, on=date(2026, 3, 1), actor="ann@provider", note="a secret")
    answer = get(f"{CONTRACTS}/{two.contract.number}", key(two.own))
    body = answer.json()
    assert (body["state"], body["ends_on"], body["period_start"]) == ("ended", "2026-03-01", None)
    assert [(each["number"], each["effective_on"], each["state"]) for each in body["revisions"]] == [
        (1, "2026-01-31", "active"),
        (2, "2026-03-01", "ended"),
    ]
    assert terms_from(body["revisions"][0]["terms"]) == EVERYTHING
    assert b"secret" not in answer.content
    assert b"ann@provider" not in answer.content


def test_a_contract_that_has_not_begun_waits(tenant_key: str) -> None:
    metering.create_tenant(tenant_key)
    contract(tenant_key, date(2099, 1, 1), EVERYTHING)
    (row,) = get(CONTRACTS, key(tenant_key)).json()["data"]
    assert (row["state"], row["plan"], row["period_end"]) == ("waiting", "Scale", None)


def test_a_customer_is_given_without_what_only_stripe_needs(two: Two) -> None:
    (row,) = get(CUSTOMERS, key(two.own)).json()["data"]
    assert (row["tenant"], row["legal_name"], row["emails"]) == (
        two.own,
        f"{two.own} GmbH",
        [f"{two.own}@example.com", "b@example.com"],
    )
    assert "stripe_customer" not in row


def test_csv_holds_a_row_each(two: Two) -> None:
    rows = rows_of(get(CONTRACTS, key(None), {"format": "csv"}))
    assert [(row["number"], row["ends_on"]) for row in rows] == [
        (two.contract.number, ""),
        (two.others.number, ""),
    ]
    assert rows_of(get(f"{CONTRACTS}/{two.contract.number}", key(None), {"format": "csv"}))[0]["tenant"] == two.own
    (row,) = rows_of(get(CUSTOMERS, key(two.own), {"format": "csv"}))
    assert row["emails"] == f"{two.own}@example.com b@example.com"


@pytest.mark.parametrize("path", [CONTRACTS, CUSTOMERS])
def test_pages_follow_each_other(two: Two, path: str) -> None:
    first = get(path, key(None), {"limit": 1}).json()
    second = get(path, key(None), {"limit": 1, "cursor": first["next"]}).json()
    assert [row["tenant"] for row in first["data"] + second["data"]] == [two.own, two.other]
    assert second["next"] is None
    assert get(path, key(None), {"cursor": "!"}).status_code == 400


def test_no_key_opens_anothers(two: Two) -> None:
    token = key(two.own)
    for path in (CONTRACTS, CUSTOMERS):
        assert [row["tenant"] for row in get(path, token).json()["data"]] == [two.own]
        assert get(path, token, {"tenant": two.other}).status_code == 403
        assert get(path, token, {"tenant": "nobody"}).status_code == 403
        assert get(path, key(None), {"tenant": "nobody"}).status_code == 404
        assert [row["tenant"] for row in get(path, key(None), {"tenant": two.other}).json()["data"]] == [two.other]
    assert get(f"{CONTRACTS}/{two.others.number}", token).status_code == 404
    assert get(f"{CONTRACTS}/{two.others.number}", key(None)).status_code == 200


def test_a_cursor_of_everybodys_shows_a_tenant_its_own_alone(two: Two) -> None:
    for path in (CONTRACTS, CUSTOMERS):
        cursor = get(path, key(None), {"limit": 1}).json()["next"]
        rows = get(path, key(two.own), {"cursor": cursor}).json()["data"]
        assert {row["tenant"] for row in rows} <= {two.own}


def test_without_a_key_or_its_scope_nothing_is_read(two: Two) -> None:
    for path in (CONTRACTS, CUSTOMERS, f"{CONTRACTS}/{two.contract.number}"):
        assert get(path, None).status_code == 401
        assert get(path, key(two.own, "usage:read", "ingest")).status_code == 403
        assert get(path, key(two.own, "finance:read")).status_code == 200


def test_what_is_unknown_is_refused_by_name(two: Two) -> None:
    assert get(CONTRACTS, key(None), {"state": "active"}).status_code == 400
    assert get(f"{CONTRACTS}/{two.contract.number}", key(None), {"x": "1"}).status_code == 400
    for number in ("CT-0", "%00", "a" * 400):
        assert get(f"{CONTRACTS}/{number}", key(None)).status_code == 404
