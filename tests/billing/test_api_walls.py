"""Tenants are walls: every endpoint, with every key that must not open it."""

from dataclasses import dataclass

import pytest

from metering import public as metering
from metering.contracts import TenantInfo
from tests.billing.api import get, key
from tests.billing.conftest import Use, close

pytestmark = pytest.mark.usefixtures("settled", "prices")

USAGE, INVOICES = "/api/v1/usage", "/api/v1/invoices"


@dataclass(frozen=True)
class Two:
    """Two tenants with an invoice each."""

    own: TenantInfo
    other: TenantInfo
    own_number: str
    other_number: str

    def paths(self) -> list[str]:
        return [USAGE, INVOICES, f"{INVOICES}/{self.own_number}/lines"]


@pytest.fixture
def two(tenant_key: str, clickhouse: None, use: Use) -> Two:
    own, other = metering.create_tenant(f"{tenant_key}-own"), metering.create_tenant(f"{tenant_key}-other")
    use(own.key, {"input_tokens": 1_000_000})
    use(other.key, {"input_tokens": 7_000_000})
    first, second = close(own, other)
    assert first.number is not None
    assert second.number is not None
    return Two(own, other, first.number, second.number)


def needed(path: str) -> str:
    return "usage:read" if path == USAGE else "finance:read"


def test_no_key_a_wrong_one_and_a_revoked_one_are_401_with_a_challenge(two: Two) -> None:
    revoked = key(two.own.key)
    metering.revoke_key(revoked.split("_")[1])
    stolen = key(two.own.key).rsplit("_", 1)[0] + "_" + "0" * 43
    for path in two.paths():
        for token in (None, "", "nonsense", "tw_x", revoked, stolen):
            answer = get(path, token)
            assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer"), (path, token)
            assert answer["Content-Type"] == "application/problem+json"


def test_a_key_without_the_scope_is_403(two: Two) -> None:
    for path in two.paths():
        others = {"ingest", "usage:read", "finance:read"} - {needed(path)}
        assert get(path, key(two.own.key, *others)).status_code == 403, path
        assert get(path, key(None, *others)).status_code == 403, path
        assert get(path, key(two.own.key, needed(path))).status_code == 200, path


def test_naming_another_tenant_is_403_and_naming_oneself_is_not(two: Two) -> None:
    token = key(two.own.key)
    for path in (USAGE, INVOICES):
        for named in (two.other.key, "nobody"):
            assert get(path, token, {"tenant": named}).status_code == 403, path
        assert get(path, token, {"tenant": two.own.key}).status_code == 200, path


def test_another_tenants_invoice_is_404_as_one_that_does_not_exist_is(two: Two) -> None:
    token = key(two.own.key)
    foreign = get(f"{INVOICES}/{two.other_number}/lines", token)
    missing = get(f"{INVOICES}/TW-1999-000001/lines", token)
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert foreign.json()["detail"].replace(two.other_number, "N") == missing.json()["detail"].replace(
        "TW-1999-000001", "N"
    )


def test_a_tenants_key_gets_its_own_rows_only(two: Two) -> None:
    token = key(two.own.key)
    when = {"from": "2026-01-01", "to": "2026-02-01"}
    assert [row["input_tokens"] for row in get(USAGE, token, when).json()["data"]] == [1_000_000]
    assert [row["tenant"] for row in get(INVOICES, token).json()["data"]] == [two.own.key]


def test_a_cursor_of_another_tenant_opens_nothing(two: Two) -> None:
    operator = get(INVOICES, key(None), {"limit": "1"}).json()
    assert [row["number"] for row in operator["data"]] == [max(two.own_number, two.other_number)]
    mine = get(INVOICES, key(two.own.key), {"cursor": operator["next"]}).json()
    assert {row["tenant"] for row in mine["data"]} <= {two.own.key}


def test_only_operators_may_group_by_tenant(two: Two) -> None:
    when = {"from": "2026-01-01", "to": "2026-02-01", "group_by": "tenant"}
    assert get(USAGE, key(two.own.key), when).status_code == 400
    found = {row["tenant"]: row["input_tokens"] for row in get(USAGE, key(None), when).json()["data"]}
    assert (found[two.own.key], found[two.other.key]) == (1_000_000, 7_000_000)


def test_an_operator_sees_all_and_may_ask_for_one(two: Two) -> None:
    token = key(None)
    assert {row["tenant"] for row in get(INVOICES, token).json()["data"]} == {two.own.key, two.other.key}
    assert [row["tenant"] for row in get(INVOICES, token, {"tenant": two.own.key}).json()["data"]] == [two.own.key]
    assert get(INVOICES, token, {"tenant": "nobody"}).status_code == 404
    assert get(f"{INVOICES}/{two.other_number}/lines", token).status_code == 200
