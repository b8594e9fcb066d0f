"""Quarantine's endpoints: what they answer, and that tenants are walls on every one of them."""

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings

from metering import keys
from metering.accounts import create_tenant
from metering.models import QuarantineDecision
from metering.quarantine.decisions import discard
from tests.metering.ingest.edge import event
from tests.metering.quarantined import NOON, found, put, stored

pytestmark = [pytest.mark.usefixtures("ledger", "spool"), pytest.mark.django_db]

LIST = "/api/v1/quarantine"


def path(name: tuple[str, int, str], *more: str) -> str:
    return "/".join((LIST, name[0], str(name[1]), name[2], *more))


def call(
    method: str, where: str, token: str | None, given: Mapping[str, Any] | None = None, raw: bytes | None = None
) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    if method == "GET":
        return Client().get(where, dict(given or {}), headers=headers)
    content = raw if raw is not None else json.dumps(given or {}).encode()
    return Client().post(where, content, content_type="application/json", headers=headers)


@dataclass(frozen=True)
class Two:
    """Two tenants, each with a key and an entry that a second look would take; and an operator's key."""

    own: str
    other: str
    own_key: str
    other_key: str
    operator: str
    own_entry: tuple[str, int, str]
    other_entry: tuple[str, int, str]

    def calls(self, name: tuple[str, int, str]) -> list[tuple[str, str, dict[str, Any]]]:
        """Every endpoint, about this entry."""
        return [
            ("GET", LIST, {}),
            ("GET", path(name), {}),
            ("POST", path(name, "replay"), {}),
            ("POST", path(name, "discard"), {}),
            ("POST", f"{LIST}/replay", {"text": name[0]}),
            ("POST", f"{LIST}/discard", {"text": name[0]}),
        ]


@pytest.fixture
def two(tenant_key: str, db: None) -> Two:
    own, other = tenant_key, f"{tenant_key}-o"
    tokens, names = {}, {}
    for tenant in (own, other):
        create_tenant(tenant)
        tokens[tenant] = keys.issue_key(tenant, ["quarantine"])
        raw = json.dumps(event(f"e-{tenant}")).encode()
        row = {"api_key": tokens[tenant].split("_")[1], "raw": raw, "message": f"secret of {tenant}"}
        (names[tenant],) = put(tenant, row)
    operator = keys.issue_key(None, ["quarantine"])
    return Two(own, other, tokens[own], tokens[other], operator, names[own], names[other])


def problem(response: HttpResponse) -> dict[str, Any]:
    assert response["Content-Type"] == "application/problem+json", response.content
    found: dict[str, Any] = json.loads(response.content)
    assert found["status"] == response.status_code
    return found


def test_no_key_a_wrong_one_and_a_revoked_one_are_401(two: Two) -> None:
    revoked = keys.issue_key(two.own, ["quarantine"])
    keys.revoke_key(revoked)
    stolen = two.own_key.rsplit("_", 1)[0] + "_" + "0" * 43
    for method, where, given in two.calls(two.own_entry):
        for token in (None, "", "nonsense", revoked, stolen):
            response = call(method, where, token, given)
            assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer"), where
            problem(response)


def test_a_key_without_the_scope_is_403(two: Two) -> None:
    others = [scope.value for scope in keys.Scope if scope.value != "quarantine"]
    for token in (keys.issue_key(two.own, others), keys.issue_key(None, others)):
        for method, where, given in two.calls(two.own_entry):
            assert call(method, where, token, given).status_code == 403, where


def test_a_tenants_key_decides_nothing_not_even_about_its_own(two: Two) -> None:
    for name in (two.own_entry, two.other_entry):
        for method, where, given in two.calls(name):
            if method == "POST":
                assert "operator" in problem(call(method, where, two.own_key, given))["detail"]
    assert not QuarantineDecision.objects.exists()
    assert stored(two.own) == stored(two.other) == []


def test_a_tenants_key_lists_and_opens_its_own_alone(two: Two) -> None:
    response = call("GET", LIST, two.own_key, {"state": "all"})
    shown = response.json()
    assert [row["batch"] for row in shown["data"]] == [two.own_entry[0]]
    assert shown["counts"]["by_tenant"] == {two.own: 1}
    assert two.other not in response.content.decode().replace(two.own, "")
    assert call("GET", path(two.own_entry), two.own_key).status_code == 200
    assert call("GET", LIST, two.own_key, {"tenant": two.own}).status_code == 200


def test_another_tenants_entry_is_404_as_one_that_does_not_exist_is(two: Two) -> None:
    missing = (str(uuid.uuid4()), *two.other_entry[1:])
    foreign = problem(call("GET", path(two.other_entry), two.own_key))
    nothing = problem(call("GET", path(missing), two.own_key))
    assert (foreign["status"], nothing["status"]) == (404, 404)
    assert foreign["detail"].replace(two.other_entry[0], "X") == nothing["detail"].replace(missing[0], "X")


def test_naming_another_tenant_is_403_and_a_foreign_cursor_opens_nothing(two: Two) -> None:
    assert call("GET", LIST, two.own_key, {"tenant": two.other}).status_code == 403
    put(two.other, {}, {}, {})
    page = call("GET", LIST, two.operator, {"tenant": two.other, "limit": "2"}).json()
    mine = call("GET", LIST, two.own_key, {"cursor": page["next"]}).json()
    assert {row["tenant"] for row in mine["data"]} <= {two.own}


def test_what_an_operators_key_sent_about_a_tenant_is_not_the_tenants_to_read(two: Two) -> None:
    """Its bytes may be a whole batch, of other tenants too."""
    (name,) = put(two.own, {"api_key": two.operator.split("_")[1], "message": "from the gateway"})
    assert call("GET", path(name), two.own_key).status_code == 404
    assert "gateway" not in call("GET", LIST, two.own_key).content.decode()
    assert call("GET", path(name), two.operator).status_code == 200


def test_a_tenant_sees_what_was_decided_but_not_by_whom_or_why(two: Two) -> None:
    discard(found(two.own_entry), "ann@provider", "customer is behind on payments")
    for where in (path(two.own_entry), LIST):
        shown = call("GET", where, two.own_key, {"state": "all"} if where == LIST else {}).content.decode()
        assert "discarded" in shown
        assert "ann@provider" not in shown
        assert "payments" not in shown
    assert call("GET", path(two.own_entry), two.operator).json()["decision"]["decided_by"] == "ann@provider"


def test_an_operator_sees_all_with_bytes_and_reason(two: Two) -> None:
    shown = call("GET", path(two.other_entry), two.operator).json()
    assert (shown["tenant"], shown["state"], shown["decision"]) == (two.other, "open", None)
    assert base64.b64decode(shown["raw_base64"]) == found(two.other_entry).raw
    assert shown["rendering"]["kind"] == "json"
    assert shown["ingested_at"] == "2026-01-15T12:00:00Z"
    assert not shown["truncated"]
    both = call("GET", LIST, two.operator, {"text": two.own}).json()
    assert {row["tenant"] for row in both["data"]} == {two.own, two.other}


def test_bytes_that_are_no_text_are_shown_as_a_dump(two: Two) -> None:
    (name,) = put(two.own, {"raw": b"\xff\x00\x01"})
    shown = call("GET", path(name), two.operator).json()
    assert base64.b64decode(shown["raw_base64"]) == b"\xff\x00\x01"
    assert shown["rendering"]["kind"] == "hex"


def test_pages_follow_each_other(two: Two) -> None:
    put(two.own, *({} for _ in range(7)))
    seen, after = [], ""
    for _ in range(10):
        page = call("GET", LIST, two.operator, {"tenant": two.own, "limit": "3", "cursor": after}).json()
        seen += [row["batch"] for row in page["data"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 8


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"state": "closed"}, "state"),
        ({"colour": "red"}, "colour"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "\u0663"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"from": "yesterday"}, "from"),
        ({"to": "0001-01-01"}, "to"),
        ({"text": "a\x00"}, "text"),
        ({"reason": ["a", "b"]}, "reason"),
    ],
)
def test_a_parameter_that_cannot_be_meant_is_400_by_name(two: Two, given: dict[str, Any], name: str) -> None:
    response = call("GET", LIST, two.operator, given)
    assert response.status_code == 400
    assert problem(response)["errors"][0]["parameter"] == name


@pytest.mark.parametrize("name", [("x", "0", "y"), (str(uuid.uuid4()), "-1", "y"), (str(uuid.uuid4()), "9" * 30, "y")])
def test_a_name_that_no_entry_can_have_is_404(two: Two, name: tuple[str, str, str]) -> None:
    assert call("GET", "/".join((LIST, *name)), two.operator).status_code == 404
    assert call("POST", "/".join((LIST, *name, "replay")), two.operator).status_code == 404


def test_a_replay_answers_with_the_batch_that_it_became(two: Two) -> None:
    response = call("POST", path(two.own_entry, "replay"), two.operator)
    assert response.status_code == 200, response.content
    assert stored(two.own, "id, toString(batch), time") == [(f"e-{two.own}", response.json()["batch"], NOON)]
    again = call("POST", path(two.own_entry, "replay"), two.operator)
    assert again.status_code == 409
    assert f"tw_{two.operator.split('_')[1]}" in problem(again)["detail"]
    assert call("POST", path(two.own_entry, "discard"), two.operator).status_code == 409


def test_a_replay_that_is_still_bad_is_422_with_field_and_reason(two: Two) -> None:
    bad = json.dumps(event(input_tokens=-5))
    response = call("POST", path(two.own_entry, "replay"), two.operator, {"raw": bad})
    assert response.status_code == 422
    (fault,) = problem(response)["refused"]
    assert (fault["index"], fault["field"], fault["reason"]) == (0, "input_tokens", "out_of_range")
    assert found(two.own_entry).state == "open"
    assert stored(two.own) == []


def test_edited_bytes_are_text_or_base64_and_never_both(two: Two) -> None:
    fixed = json.dumps(event("fixed"))
    encoded = base64.b64encode(fixed.encode()).decode()
    where = path(two.own_entry, "replay")
    for body, name in (
        ({"raw": fixed, "raw_base64": encoded}, "raw"),
        ({"raw": {"id": 1}}, "raw"),
        ({"raw_base64": "%%%"}, "raw_base64"),
        ({"bytes": fixed}, "bytes"),
    ):
        response = call("POST", where, two.operator, body)
        assert response.status_code == 400
        assert problem(response)["errors"][0]["parameter"] == name
    for raw in (b"[]", b"{", b"\xff", b"[" * 5000):
        assert call("POST", where, two.operator, raw=raw).status_code == 400
    assert call("POST", where, two.operator, raw=b" " * (2**20 + 1)).status_code == 413
    assert call("POST", where, two.operator, {"raw_base64": encoded}).status_code == 200
    assert stored(two.own) == [("fixed",)]
    assert found(two.own_entry).decision.edited  # type: ignore[union-attr]


def test_a_discard_keeps_its_note_and_its_bytes(two: Two) -> None:
    assert call("POST", path(two.own_entry, "discard"), two.operator, {"note": "x" * 1001}).status_code == 400
    assert call("POST", path(two.own_entry, "discard"), two.operator, {"note": "load test"}).status_code == 200
    shown = call("GET", path(two.own_entry), two.operator).json()
    assert (shown["state"], shown["decision"]["note"]) == ("discarded", "load test")
    assert shown["raw_base64"]


def test_everything_is_never_meant_by_leaving_something_out(two: Two) -> None:
    for action in ("replay", "discard"):
        for given in ({}, {"all": False}, {"note": "x"} if action == "discard" else {"cursor": ""}):
            response = call("POST", f"{LIST}/{action}", two.operator, given)
            assert response.status_code == 400, (action, given)
        assert call("POST", f"{LIST}/{action}", two.operator, {"state": "all", "tenant": two.own}).status_code == 400
        assert call("POST", f"{LIST}/{action}", two.operator, {"tenant": 7}).status_code == 400
        assert call("POST", f"{LIST}/{action}", two.operator, {"tenant": "\x00"}).status_code == 400
    assert not QuarantineDecision.objects.exists()


def test_all_that_match_are_replayed_or_discarded_in_one_call(two: Two) -> None:
    put(two.own, *({"raw": json.dumps(event(f"b{n}")).encode(), "reason": "too_old"} for n in range(3)))
    put(two.own, {"reason": "too_old"})
    answer = call("POST", f"{LIST}/replay", two.operator, {"tenant": two.own, "reason": "too_old"}).json()
    assert answer == {
        "replayed": 3,
        "refused": 1,
        "refused_by_reason": {"missing_field": 1},
        "already_decided": 0,
        "stopped": "",
        "next": None,
    }
    assert stored(two.own) == [("b0",), ("b1",), ("b2",)]
    answer = call("POST", f"{LIST}/discard", two.operator, {"tenant": two.own, "note": "the rest"}).json()
    assert (answer["discarded"], answer["next"]) == (2, None)
    assert call("GET", LIST, two.operator, {"tenant": two.own}).json()["counts"]["total"] == 0
    assert found(two.other_entry).state == "open"


def test_a_full_spool_is_429_and_the_entry_stays_open(two: Two, settings: Settings) -> None:
    assert call("POST", path(two.other_entry, "replay"), two.operator).status_code == 200
    settings.SPOOL_MAX_BYTES = 1
    response = call("POST", path(two.own_entry, "replay"), two.operator)
    assert (response.status_code, response["Retry-After"]) == (429, "5")
    assert found(two.own_entry).state == "open"
    bulk = call("POST", f"{LIST}/replay", two.operator, {"tenant": two.own}).json()
    assert bulk["replayed"] == 0
    assert bulk["stopped"]
