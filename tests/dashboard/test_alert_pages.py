"""The pages of alerts: what fires, rules and their form, channels, silences, by an operator's hand."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from dashboard.operator.shelf import SHELF
from metering.models import (
    AlertChannel,
    AlertEvent,
    AlertNotice,
    AlertRule,
    AlertSilence,
    AlertState,
    Annotation,
)
from tests.dashboard.conftest import LogIn
from tests.metering.rows import insert_requests

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clickhouse")]
LIST = "operator-alerts"


@pytest.fixture(autouse=True)
def fresh() -> None:
    SHELF.clear()
    AlertRule.objects.all().delete()


@pytest.fixture
def operator(log_in: LogIn) -> Client:
    return log_in("operator")


def fields(**changed: str) -> dict[str, str]:
    given = {
        "name": "Slow models",
        "measure": "ttft_p95_ms",
        "kind": "threshold",
        "direction": "above",
        "threshold": "500",
        "clear": "400",
        "for_minutes": "5",
        "group_by": "model",
        "severity": "page",
        "advice": "Look at <the> engines.",
    }
    return given | changed


def firing(**changed: Any) -> AlertState:
    rule = AlertRule.objects.create(
        name="Slow", measure="ttft_p95_ms", threshold=500.0, group_by="model", severity="page"
    )
    now = datetime.now(UTC)
    given = {"group": "m<1>", "state": "firing", "since": now, "fired_at": now, "seen_at": now, "value": 900.0}
    return AlertState.objects.create(rule=rule, **(given | changed))


def page(client: Client, name: str = LIST, *args: object) -> str:
    answer = client.get(reverse(name, args=args))
    assert answer.status_code == 200
    return answer.content.decode()


def test_without_anything_it_says_what_to_do(operator: Client) -> None:
    shown = page(operator)
    assert "There are no rules yet: make one" in shown
    assert "No channel yet, so nobody is told of anything" in shown
    assert "Nothing has fired yet." in shown


def test_what_fires_is_on_top_with_its_value_and_names_are_text(operator: Client) -> None:
    firing()
    shown = page(operator)
    assert "Firing: " in shown
    assert "m&lt;1&gt;" in shown
    assert "900 ms" in shown
    assert "1 firing" in shown
    assert "Slow tell" not in shown
    assert "<strong>1 rule tells nobody</strong>: Slow." in shown
    assert re.search(r'id="alerts-firing">1<span class="unseen"> firing</span>', shown)


def test_a_rule_is_made_changed_turned_off_and_deleted(operator: Client) -> None:
    channel = AlertChannel.objects.create(name="mail", kind="email", target="a@example.org")
    made = operator.post(reverse("operator-alert-new"), fields() | {"channels": str(channel.pk)})
    rule = AlertRule.objects.get()
    assert made["Location"] == reverse("operator-alert-rule", args=[str(rule.pk)])
    assert (rule.threshold, rule.clear, rule.for_minutes, list(rule.channels.all())) == (500.0, 400.0, 5, [channel])
    assert "Time to first token, p95 above 500 ms for 5 min, by model" in page(
        operator, "operator-alert-rule", str(rule.pk)
    )
    operator.post(reverse("operator-alert-edit", args=[rule.pk]), fields(threshold="1,500", clear="", model="m"))
    rule.refresh_from_db()
    assert (rule.threshold, rule.clear, rule.model, rule.channels.count()) == (1500.0, None, "m", 0)
    operator.post(reverse("operator-alert-enable", args=[rule.pk]), {"enabled": "0"})
    assert "This rule is off." in page(operator, "operator-alert-rule", str(rule.pk))
    assert "turned it off" in page(operator)
    operator.post(reverse("operator-alert-delete", args=[rule.pk]))
    assert not AlertRule.objects.exists()
    assert operator.get(reverse("operator-alert-rule", args=[str(rule.pk)])).status_code == 404


def test_a_share_is_written_in_per_cent_and_kept_as_a_share(operator: Client) -> None:
    operator.post(reverse("operator-alert-new"), fields(measure="error_ratio", threshold="5", clear="2"))
    rule = AlertRule.objects.get()
    assert (rule.threshold, rule.clear) == (0.05, 0.02)
    assert 'value="5"' in page(operator, "operator-alert-edit", rule.pk)
    assert "above 5 %" in page(operator)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": ""}, "name: "),
        ({"measure": "nothing"}, "Choose what the rule watches."),
        ({"threshold": ""}, "A threshold is missing."),
        ({"threshold": "many"}, "is no number."),
        ({"threshold": "nan"}, "is no number."),
        ({"clear": "600"}, "fire and clear for ever"),
        ({"direction": "below", "clear": "400"}, "fire and clear for ever"),
        ({"group_by": "node"}, "cannot be told by node"),
        ({"measure": "temperature_c", "group_by": "", "tenant": "t"}, "cannot be narrowed to one tenant"),
        ({"for_minutes": "100000"}, "for minutes: "),
        ({"severity": "loud"}, "severity: "),
        ({"measure": "budget_burn", "group_by": ""}, "by a rule of kind burn only"),
        ({"kind": "burn"}, "by a rule of kind threshold or absence only"),
        ({"measure": "gpus_gone", "kind": "absence", "group_by": ""}, "of kind threshold only"),
        ({"model": "a\x00b"}, "NUL"),
    ],
)
def test_what_makes_no_rule_is_said_and_nothing_typed_is_lost(
    operator: Client, changed: dict[str, str], message: str
) -> None:
    answer = operator.post(reverse("operator-alert-new"), fields(**changed))
    assert answer.status_code == 422
    shown = answer.content.decode()
    assert message in shown
    assert "Look at &lt;the&gt; engines." in shown
    assert not AlertRule.objects.exists()


def test_two_rules_of_one_name_are_refused(operator: Client) -> None:
    operator.post(reverse("operator-alert-new"), fields())
    assert operator.post(reverse("operator-alert-new"), fields()).status_code == 422


def test_the_form_says_when_the_rule_would_have_fired_and_saves_nothing(operator: Client) -> None:
    begin = (datetime.now(UTC) - timedelta(hours=5)).replace(minute=0, second=0, microsecond=0)
    rows = [
        {
            "id": f"a{n}",
            "time": begin + timedelta(minutes=n),
            "ingested_at": begin,
            "model": "tried",
            "ttft_ms": 900.0 if 20 <= n < 60 else 100.0,
        }
        for n in range(100)
    ]
    insert_requests("t", *rows)
    shown = operator.post(reverse("operator-alert-new"), fields(model="tried", **{"try": "1"})).content.decode()
    assert re.search(r"would have fired 1\s+time, in 1 group", shown)
    assert not AlertRule.objects.exists()
    shown = operator.post(
        reverse("operator-alert-new"), fields(model="tried", threshold="2000", clear="", **{"try": "1"})
    ).content.decode()
    assert "would not have fired" in shown
    shown = operator.post(
        reverse("operator-alert-new"), fields(measure="event_age_s", group_by="", **{"try": "1"})
    ).content.decode()
    assert "on what has been kept since" in shown


def test_a_rules_page_draws_its_measure_and_threshold(operator: Client) -> None:
    now = datetime.now(UTC)
    insert_requests(
        "t",
        {"id": "drawn", "time": now - timedelta(minutes=10), "ingested_at": now, "model": "drawn", "ttft_ms": 777.0},
    )
    operator.post(reverse("operator-alert-new"), fields(model="drawn"))
    shown = page(operator, "operator-alert-rule", str(AlertRule.objects.get().pk))
    found = re.search(r'"chart-rule": ?\{.*', shown)
    assert found
    assert '"name": "drawn"' in found.group() or '"name":"drawn"' in found.group()
    assert "500" in found.group()


def test_an_alert_is_acknowledged_once_by_name(operator: Client) -> None:
    state = firing()
    operator.post(reverse("operator-alert-acknowledge", args=[state.rule_id]))
    shown = page(operator)
    assert "looks after it" in shown
    assert AlertEvent.objects.get().kind == "acknowledged"
    operator.post(reverse("operator-alert-acknowledge", args=[state.rule_id]))
    assert AlertEvent.objects.count() == 1
    assert "somebody has acknowledged it before" in page(operator)


def test_a_silence_is_made_and_ended(operator: Client) -> None:
    state = firing()
    operator.post(
        reverse("operator-alert-silence"),
        {"rule": str(state.rule_id), "hours": "4", "matching": "m", "reason": "known"},
    )
    shown = page(operator)
    assert "known" in shown
    assert ">silenced<" in shown
    operator.post(reverse("operator-alert-silence-end", args=[AlertSilence.objects.get().pk]))
    assert ">silenced</span></p>" not in page(operator)
    operator.post(reverse("operator-alert-silence"), {"hours": "5", "reason": "x"})
    operator.post(reverse("operator-alert-silence"), {"hours": "1", "reason": ""})
    assert AlertSilence.objects.count() == 1


def test_a_channel_is_made_and_its_address_not_shown_again(operator: Client) -> None:
    AlertRule.objects.create(name="Slow", measure="ttft_p95_ms", threshold=500.0)
    given = {"name": "ops", "kind": "slack", "target": "https://hooks.example.org/T0/secret", "secret": ""}
    operator.post(reverse("operator-alert-channels"), given)
    assert not AlertRule.objects.get().channels.exists()
    shown = page(operator)
    assert "hooks.example.org" in shown
    assert "T0/secret" not in shown
    number = AlertChannel.objects.get().pk
    form = page(operator, "operator-alert-channel-edit", number)
    assert "T0/secret" not in form
    operator.post(
        reverse("operator-alert-channel-edit", args=[number]),
        given | {"name": "night", "target": "", "secret": "kept-by-us"},
    )
    channel = AlertChannel.objects.get()
    assert (channel.name, channel.target, channel.secret) == ("night", given["target"], "kept-by-us")
    assert ">signed<" in page(operator)
    assert "kept-by-us" not in page(operator, "operator-alert-channel-edit", number)
    operator.post(reverse("operator-alert-channel-enable", args=[number]), {"enabled": "0"})
    assert not AlertChannel.objects.get().enabled
    refused = operator.post(reverse("operator-alert-channel-edit", args=[number]), given | {"target": "ftp://x/"})
    assert refused.status_code == 422
    operator.post(reverse("operator-alert-channel-delete", args=[number]))
    assert not AlertChannel.objects.exists()


@pytest.mark.parametrize(
    ("kind", "target"),
    [("email", "nobody"), ("slack", "ftp://x/"), ("webhook", "/etc/passwd"), ("pager", "https://x/")],
)
def test_a_channel_that_cannot_be_is_refused(operator: Client, kind: str, target: str) -> None:
    operator.post(reverse("operator-alert-channels"), {"name": "c", "kind": kind, "target": target})
    assert not AlertChannel.objects.exists()


def test_a_test_of_a_channel_says_what_came_of_it(operator: Client) -> None:
    channel = AlertChannel.objects.create(name="c", kind="webhook", target="http://127.0.0.1:1/")
    operator.post(reverse("operator-alert-channel-test", args=[channel.pk]))
    assert "The test did not arrive: ConnectError" in page(operator)


def test_another_question_lets_go_of_what_the_rule_found(operator: Client) -> None:
    state = firing()
    operator.post(reverse("operator-alert-edit", args=[state.rule_id]), fields(name="Slow", group_by="tenant"))
    assert not AlertState.objects.exists()
    assert [event.kind for event in AlertEvent.objects.order_by("pk")] == ["resolved", "changed"]


def test_another_threshold_keeps_what_fires(operator: Client) -> None:
    state = firing()
    operator.post(reverse("operator-alert-edit", args=[state.rule_id]), fields(name="Slow", threshold="600"))
    assert AlertState.objects.get().pk == state.pk


def test_a_burn_rule_has_two_windows_and_no_direction(operator: Client) -> None:
    given = fields(measure="budget_burn", kind="burn", window="6h", threshold="6", clear="3", group_by="objective")
    del given["direction"]
    operator.post(reverse("operator-alert-new"), given)
    rule = AlertRule.objects.get()
    assert (rule.kind, rule.window, rule.direction) == ("burn", "6h", "above")
    assert "above 6 x over both 6 h and 30 min, for 5 min" in page(operator)


def test_what_was_given_up_is_shown_and_tried_again(operator: Client) -> None:
    channel = AlertChannel.objects.create(name="c", kind="webhook", target="http://127.0.0.1:1/")
    notice = AlertNotice.objects.create(
        channel=channel, subject="[page] Slow: 1 firing", body={}, attempts=14, due_at=None, failure="ConnectError"
    )
    shown = page(operator)
    assert ">given up</span> after 14 attempts: ConnectError" in shown
    operator.post(reverse("operator-alert-notice-again", args=[notice.pk]))
    notice.refresh_from_db()
    assert (notice.attempts, notice.due_at is not None) == (0, True)
    assert ">waiting<" in page(operator)


def test_an_annotation_is_put_down_and_withdrawn(operator: Client) -> None:
    given = {"kind": "deploy", "text": "v<2>", "at": "2026-03-10T14:00", "model": "m", "link": "https://x.example/1"}
    operator.post(reverse("operator-annotations"), given)
    row = Annotation.objects.get()
    assert (row.at, row.model, row.link) == (datetime(2026, 3, 10, 14, tzinfo=UTC), "m", "https://x.example/1")
    operator.post(reverse("operator-annotations"), {"kind": "note", "text": "now"})
    shown = page(operator)
    assert "now</td>" in shown
    for wrong in ({"kind": "party"}, {"text": ""}, {"at": "soon"}, {"link": "javascript:alert(1)"}):
        operator.post(reverse("operator-annotations"), given | wrong)
    assert Annotation.objects.count() == 2
    operator.post(reverse("operator-annotation-withdraw", args=[row.pk]))
    assert Annotation.objects.get(pk=row.pk).withdrawn_at is not None
    operator.post(reverse("operator-annotation-withdraw", args=[row.pk]))
    assert "It was withdrawn before." in page(operator)


def test_rules_that_nobody_looks_at_are_a_warning(operator: Client) -> None:
    rule = firing().rule
    assert "not been looked at since" not in page(operator)
    AlertRule.objects.filter(pk=rule.pk).update(evaluated_at=datetime.now(UTC) - timedelta(minutes=5))
    assert "not been looked at since" in page(operator)
    assert "not been looked at since" in page(operator, "operator-alert-rule", str(rule.pk))


def test_a_rule_shows_its_values_its_last_hour_and_when_it_fired(operator: Client) -> None:
    now = datetime.now(UTC)
    rule = firing(group="m1").rule
    recent = [[int((now - timedelta(minutes=60 - n)).timestamp()), 400.0 + n] for n in range(60)]
    AlertRule.objects.filter(pk=rule.pk).update(values=[["m1", 900.0], ["m2", None]], recent=recent, evaluated_at=now)
    begun = now - timedelta(minutes=30)
    for kind, at in (("fired", begun), ("resolved", begun + timedelta(minutes=10))):
        AlertEvent.objects.create(rule=rule, rule_name=rule.name, group="m2", kind=kind, at=at, text="x")
    insert_requests("t", {"id": "a", "time": begun, "ingested_at": begun, "model": "m1", "ttft_ms": 700.0})
    shown = page(operator)
    assert "900 ms<small>m1</small>" in shown
    assert "<polyline points=" in shown
    shown = page(operator, "operator-alert-rule", str(rule.pk))
    assert re.search(r"m1</th><td>900 ms", shown)
    found = re.search(r'"chart-rule": ?(\{.*)', shown)
    assert found
    assert "fires at" in found.group()
    assert found.group().count('"rect"') == 2


def test_a_channel_can_be_given_to_every_rule_that_tells_nobody(operator: Client) -> None:
    told, silent = (AlertRule.objects.create(name=name, measure="ttft_p95_ms", threshold=1.0) for name in "ab")
    told.channels.add(AlertChannel.objects.create(name="old", kind="email", target="a@example.org"))
    given = {"name": "new", "kind": "email", "target": "b@example.org", "for_silent_rules": "1"}
    operator.post(reverse("operator-alert-channels"), given)
    assert [one.name for one in told.channels.all()] == ["old"]
    assert [one.name for one in silent.channels.all()] == ["new"]


def test_a_rule_of_which_nothing_is_reported_is_not_called_well(operator: Client) -> None:
    rule = AlertRule.objects.create(name="Slow", measure="ttft_p95_ms", threshold=1.0, evaluated_at=datetime.now(UTC))
    assert "nothing is reported" in page(operator)
    assert "Nothing is reported." in page(operator, "operator-alert-rule", str(rule.pk))


def test_many_groups_of_a_rule_are_one_box_and_acknowledged_together(operator: Client) -> None:
    rule = firing(group="n00").rule
    now = datetime.now(UTC)
    for number in range(1, 60):
        AlertState.objects.create(
            rule=rule, group=f"n{number:02}", state="firing", since=now, fired_at=now, seen_at=now, value=1.0
        )
    shown = page(operator)
    assert shown.count("data-alert=") == 1
    assert "</a> (60)</strong>" in shown
    assert "and 52 more" in shown
    operator.post(reverse("operator-alert-acknowledge", args=[rule.pk]))
    assert not AlertState.objects.filter(acknowledged_by="").exists()
    assert AlertEvent.objects.filter(kind="acknowledged").count() == 60
    assert "Acknowledge all" not in page(operator)
