"""Annotations: put down, read back with the spans of alerts, withdrawn; by command and by API, for operators alone."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from metering import keys
from metering.accounts import create_tenant
from metering.annotations import AnnotationRefused, annotate, annotations, withdraw
from metering.models import AlertEvent, AlertRule, AlertState, Annotation

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
PATH = "/api/v1/annotations"
BODY = {"kind": "deploy", "text": "llama 2.1", "at": "2026-03-10T12:00:00Z", "model": "llama"}


def call(method: str, path: str, token: str | None, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    content = json.dumps(body) if body is not None else ""
    return Client().generic(method, path, content, content_type="application/json", headers=headers)


def test_what_is_put_down_is_read_back_in_its_range() -> None:
    made = annotate("deploy", "v2", by="ada", at=NOON, model="m")
    lasting = annotate("maintenance", "rack 4", by="ada", at=NOON - 5 * HOUR, until=NOON + HOUR)
    assert annotations(NOON - HOUR, NOON + HOUR) == (lasting, made)
    assert annotations(NOON + timedelta(seconds=1), NOON + HOUR) == (lasting,)
    assert annotations(NOON + HOUR, NOON + 2 * HOUR) == ()
    assert (made.kind, made.text, made.model, made.until, made.lasting) == ("deploy", "v2", "m", None, False)


def test_what_was_wrong_is_withdrawn_and_kept() -> None:
    made = annotate("note", "x", by="ada", at=NOON)
    assert made.id is not None
    assert withdraw(made.id, by="bob")
    assert not withdraw(made.id, by="bob")
    assert annotations(NOON - HOUR, NOON + HOUR) == ()
    assert Annotation.objects.get().withdrawn_by == "bob"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kind": "party"}, "kind"),
        ({"text": ""}, "text"),
        ({"text": "two\nlines"}, "text"),
        ({"text": "x" * 301}, "text"),
        ({"link": "javascript:alert(1)"}, "link"),
        ({"until": NOON}, "until"),
        ({"model": "a\x00b"}, "model"),
        ({"at": datetime.now(UTC) + timedelta(days=400)}, "at"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: dict[str, Any], field: str) -> None:
    with pytest.raises(AnnotationRefused) as caught:
        annotate(**({"kind": "note", "text": "x", "by": "ada", "at": NOON} | given))
    assert caught.value.field == field
    assert not Annotation.objects.exists()


def test_alerts_are_among_them_with_when_they_fired_and_ended() -> None:
    rule = AlertRule.objects.create(name="slow", measure="ttft_p95_ms", threshold=1.0, group_by="model", region="eu")

    def event(kind: str, at: datetime, group: str) -> None:
        AlertEvent.objects.create(rule=rule, rule_name="slow", group=group, kind=kind, at=at, text="x")

    event("fired", NOON - 3 * HOUR, "a")
    event("resolved", NOON, "a")
    event("fired", NOON - 2 * HOUR, "b")
    AlertState.objects.create(rule=rule, group="b", state="firing", since=NOON, fired_at=NOON - 2 * HOUR, seen_at=NOON)
    found = annotations(NOON - HOUR, NOON + HOUR)
    assert [(one.kind, one.text, one.at, one.until, one.lasting) for one in found] == [
        ("alert", "slow: a", NOON - 3 * HOUR, NOON, False),
        ("alert", "slow: b", NOON - 2 * HOUR, None, True),
    ]
    assert [(one.model, one.region) for one in found] == [("a", "eu"), ("b", "eu")]
    assert annotations(NOON - HOUR, NOON + HOUR, alerts=False) == ()


def test_the_command_prints_the_number() -> None:
    out = StringIO()
    call_command("annotate", "deploy", "v2", "--at", "2026-03-10T12:00Z", "--model", "m", stdout=out)
    row = Annotation.objects.get()
    assert out.getvalue().strip() == str(row.pk)
    assert (row.at, row.model, row.made_by) == (NOON, "m", "manage.py")
    call_command("annotate", "--withdraw", str(row.pk), stdout=out)
    assert annotations(NOON - HOUR, NOON + HOUR) == ()
    with pytest.raises(CommandError, match="withdrawn before"):
        call_command("annotate", "--withdraw", str(row.pk))
    with pytest.raises(CommandError, match="say what it was"):
        call_command("annotate")
    with pytest.raises(CommandError, match="until is not after"):
        call_command("annotate", "deploy", "v2", "--at", "2026-03-10T12:00Z", "--until", "2026-03-10T11:00Z")


def test_a_pipeline_says_what_it_did_and_everybody_may_read_it() -> None:
    write = keys.issue_key(None, ["annotations:write", "usage:read"])
    answer = call("POST", PATH, write, BODY)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["kind"], made["text"], made["at"], made["until"], made["model"]) == (
        "deploy",
        "llama 2.1",
        "2026-03-10T12:00:00Z",
        None,
        "llama",
    )
    asked = f"{PATH}?from=2026-03-10T00:00:00Z&to=2026-03-11"
    assert call("GET", asked, write).json() == {"data": [made]}
    assert call("DELETE", f"{PATH}/{made['id']}", write).status_code == 204
    assert call("DELETE", f"{PATH}/{made['id']}", write).status_code == 404
    assert call("GET", asked, write).json() == {"data": []}


@pytest.mark.parametrize(
    "body",
    [
        {},
        BODY | {"kind": "party"},
        BODY | {"at": "yesterday"},
        BODY | {"at": "2026-03-10T12:00:00"},
        BODY | {"text": 7},
        BODY | {"colour": "red"},
        BODY | {"until": "2026-03-10T11:00:00Z"},
        [],
    ],
)
def test_a_body_that_cannot_be_is_a_clear_400(body: Any) -> None:
    answer = call("POST", PATH, keys.issue_key(None, ["annotations:write"]), body)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert not Annotation.objects.exists()


def test_a_range_that_is_empty_or_endless_is_refused() -> None:
    read = keys.issue_key(None, ["usage:read"])
    for query in ("from=2026-03-10&to=2026-03-10", "from=2020-01-01&to=2026-01-01", "from=x"):
        assert call("GET", f"{PATH}?{query}", read).status_code == 400


def test_nobody_but_an_operators_key_with_its_scope_gets_in() -> None:
    create_tenant("wall")
    made = annotate("note", "x", by="ada", at=NOON)
    every = ["annotations:write", "usage:read", "finance:read", "ingest", "quarantine"]
    calls = [("GET", PATH, None), ("POST", PATH, BODY), ("DELETE", f"{PATH}/{made.id}", None)]
    for method, path, body in calls:
        assert call(method, path, None, body).status_code == 401
        assert call(method, path, "tw_nothing", body).status_code == 401
        assert call(method, path, keys.issue_key("wall", every), body).status_code == 403
        assert call(method, path, keys.issue_key(None, ["ingest"]), body).status_code == 403
    assert Annotation.objects.get().withdrawn_at is None


def test_many_groups_of_one_rule_at_once_are_one_mark() -> None:
    rule = AlertRule.objects.create(name="dark", measure="power_w", kind="absence", group_by="node")
    for number in range(60):
        for kind, at in (("fired", NOON), ("resolved", NOON + HOUR + timedelta(minutes=number))):
            AlertEvent.objects.create(rule=rule, rule_name="dark", group=f"n{number:02}", kind=kind, at=at, text="x")
    AlertEvent.objects.create(rule=rule, rule_name="dark", group="n07", kind="fired", at=NOON + 4 * HOUR, text="x")
    AlertEvent.objects.create(rule=rule, rule_name="dark", group="n07", kind="resolved", at=NOON + 5 * HOUR, text="x")
    found = annotations(NOON - HOUR, NOON + 9 * HOUR)
    assert [(one.text, one.at, one.until) for one in found] == [
        ("dark: n00, n01, n02 and 57 more", NOON, NOON + HOUR + timedelta(minutes=59)),
        ("dark: n07", NOON + 4 * HOUR, NOON + 5 * HOUR),
    ]
