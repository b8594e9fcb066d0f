"""API keys: what is stored, who is let in, and that a revocation holds at once."""

import hashlib

import pytest
from django.core.management import CommandError, call_command

from metering import accounts, keys
from metering.contracts import Scope
from metering.models import ApiKey

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant(tenant_key: str) -> str:
    return accounts.create_tenant(tenant_key).key


def header(token: str) -> str:
    return f"Bearer {token}"


def test_a_key_says_whose_it_is_and_what_it_may_do(tenant: str) -> None:
    token = keys.issue_key(tenant, ["usage:read", "ingest"], observing=True)
    credential = keys.authenticate(header(token))
    assert credential.tenant == tenant
    assert credential.scopes == {"ingest", "usage:read"}
    assert credential.observing


def test_an_operators_key_belongs_to_no_tenant() -> None:
    assert keys.authenticate(header(keys.issue_key(None, ["ingest"]))).tenant is None


def test_the_secret_is_not_stored(tenant: str) -> None:
    token = keys.issue_key(tenant, ["ingest"])
    secret = token.split("_", 2)[2]
    row = ApiKey.objects.get(prefix=token.split("_")[1])
    assert row.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in "".join(str(value) for value in vars(row).values())


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer tw_",
        "Basic dXNlcjpwdw==",
        "tw_000000000000_x",
        "Bearer tw_é_ü",
        "Bearer \x00",
    ],
)
def test_what_is_no_key_is_refused(value: str | None) -> None:
    with pytest.raises(keys.AuthenticationFailed):
        keys.authenticate(value)


def test_a_good_prefix_with_another_secret_is_refused(tenant: str) -> None:
    first, second = keys.issue_key(tenant, ["ingest"]), keys.issue_key(tenant, ["ingest"])
    mixed = f"tw_{first.split('_')[1]}_{second.split('_', 2)[2]}"
    with pytest.raises(keys.AuthenticationFailed, match="not known"):
        keys.authenticate(header(mixed))


def test_every_key_that_is_issued_can_be_used(tenant: str) -> None:
    for _ in range(50):  # a secret may hold _ and -, which also stand between the parts
        assert keys.authenticate(header(keys.issue_key(tenant, ["ingest"]))).tenant == tenant


@pytest.mark.parametrize("whole", [True, False])
def test_a_revoked_key_is_refused_at_once(tenant: str, whole: bool) -> None:
    token = keys.issue_key(tenant, ["ingest"])
    keys.authenticate(header(token))
    assert keys.revoke_key(token if whole else token.split("_")[1])
    with pytest.raises(keys.AuthenticationFailed, match="revoked"):
        keys.authenticate(header(token))


def test_a_missing_scope_is_refused_by_name(tenant: str) -> None:
    credential = keys.authenticate(header(keys.issue_key(tenant, ["ingest"])))
    keys.require(credential, Scope.INGEST)
    with pytest.raises(keys.PermissionRefused, match="usage:read"):
        keys.require(credential, Scope.USAGE_READ)


@pytest.mark.parametrize("scopes", [[], ["ingest", "root"]])
def test_unknown_or_no_scopes_are_refused(tenant: str, scopes: list[str]) -> None:
    with pytest.raises(ValueError, match="scopes"):
        keys.issue_key(tenant, scopes)


def test_the_command_prints_the_key_alone(tenant: str, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_api_key", tenant=tenant, scopes="ingest, usage:read")
    token = capsys.readouterr().out
    assert token.endswith("\n")
    assert token.count("\n") == 1
    assert keys.authenticate(header(token.strip())).scopes == {"ingest", "usage:read"}


def test_the_command_refuses_an_unknown_tenant() -> None:
    with pytest.raises(CommandError, match="no tenant 'nobody'"):
        call_command("create_api_key", tenant="nobody", scopes="ingest")


def test_the_command_refuses_a_tenant_that_is_there_already(tenant: str) -> None:
    with pytest.raises(CommandError, match="exists already"):
        call_command("create_tenant", tenant)


def test_the_command_refuses_a_tenant_key_with_a_slash() -> None:
    with pytest.raises(CommandError, match="letters, digits"):
        call_command("create_tenant", "a/b")


def test_the_command_revokes_once(tenant: str, capsys: pytest.CaptureFixture[str]) -> None:
    token = keys.issue_key(tenant, ["ingest"])
    call_command("revoke_api_key", token)
    with pytest.raises(CommandError, match="revoked before"):
        call_command("revoke_api_key", token)
