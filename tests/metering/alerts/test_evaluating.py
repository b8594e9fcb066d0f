"""Rules against rows that are really there; transitions, history and notices in one go."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connections

from metering.advisory import advisory_lock
from metering.alerts import evaluating, values
from metering.alerts.catalogue import CATALOGUE
from metering.alerts.readings.asked import Asked, Found, Values
from metering.models import AlertEvent, AlertNotice, AlertRule, AlertSample, AlertState
from tests.metering.alerts.alert_rows import (
    HOUR,
    MINUTE,
    NOW,
    channel_of,
    empty,
    events,
    requests,
    rule,
    silence,
    states,
)
from tests.metering.rows import insert_requests

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clickhouse")]


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    empty()


def told() -> list[tuple[list[str], list[str]]]:
    """Of each notice, which groups it says fire and which are over."""
    found = [(notice.body["firing"], notice.body["over"]) for notice in AlertNotice.objects.order_by("pk")]
    return [([line.split(":")[0] for line in firing], [line.split(":")[0] for line in over]) for firing, over in found]


def test_each_model_fires_for_itself_and_the_history_keeps_it() -> None:
    made = rule()
    for number in range(12):
        requests(NOW - number * MINUTE, "fast", 100.0)
        requests(NOW - number * MINUTE, "slow", 900.0)
    assert evaluating.run(NOW) == 0
    assert states() == [("slow", "pending")]
    assert evaluating.run(NOW + 2 * MINUTE) == 1
    assert states() == [("slow", "firing")]
    assert events() == [("pending", "slow"), ("fired", "slow")]
    event = AlertEvent.objects.get(kind="fired")
    assert (event.rule, event.group, event.at) == (made, "slow", NOW + 2 * MINUTE)
    assert "ms, above 500 ms" in event.text
    assert evaluating.run(NOW + 3 * MINUTE) == 0


def test_what_was_pending_and_is_well_again_never_fired() -> None:
    rule()
    requests(NOW - MINUTE, "m", 900.0)
    evaluating.run(NOW)
    requests(NOW + 5 * MINUTE, "m", 100.0)
    assert evaluating.run(NOW + 6 * MINUTE) == 0
    assert events() == [("pending", "m"), ("calmed", "m")]
    assert states() == []


def test_it_is_over_when_the_value_is_back() -> None:
    rule(for_minutes=0)
    requests(NOW - 2 * MINUTE, "m", 900.0)
    evaluating.run(NOW)
    assert states() == [("m", "firing")]
    later = NOW + 20 * MINUTE
    requests(later - 2 * MINUTE, "m", 100.0)
    assert evaluating.run(later) == 1
    assert states() == []
    assert events() == [("fired", "m"), ("resolved", "m")]


def test_a_percentile_is_of_the_last_five_minutes_and_not_of_the_one_that_fills() -> None:
    rule(for_minutes=0)
    requests(NOW - 6 * MINUTE, "old", 900.0)
    requests(NOW - 5 * MINUTE, "within", 900.0)
    requests(NOW, "filling", 900.0)
    evaluating.run(NOW)
    assert states() == [("within", "firing")]


def test_a_rule_is_narrowed_to_what_it_names() -> None:
    rule(for_minutes=0, model="b", group_by="")
    requests(NOW - 2 * MINUTE, "a", 900.0)
    requests(NOW - 2 * MINUTE, "b", 100.0)
    assert evaluating.run(NOW) == 0


def test_one_notice_for_each_channel_tells_of_all_groups() -> None:
    made = rule(for_minutes=0, severity="page")
    channel_of(made, "a")
    channel_of(made, "b", kind="webhook", target="http://127.0.0.1:1/")
    channel_of(made, "off", enabled=False)
    for model in ("x", "y", "z"):
        requests(NOW - 2 * MINUTE, model, 900.0)
    assert evaluating.run(NOW) == 3
    found = list(AlertNotice.objects.order_by("channel__name"))
    assert [notice.channel.name for notice in found] == ["a", "b"]
    assert found[0].subject == "[page] slow: 3 firing"
    assert told()[0] == (["x", "y", "z"], [])


def test_the_next_evaluation_tells_of_what_is_new_alone() -> None:
    channel_of(rule(for_minutes=0))
    requests(NOW - 2 * MINUTE, "first", 900.0)
    evaluating.run(NOW)
    requests(NOW - MINUTE, "second", 900.0)
    evaluating.run(NOW + MINUTE)
    evaluating.run(NOW + 2 * MINUTE)
    requests(NOW + 9 * MINUTE, "first", 100.0)
    requests(NOW + 9 * MINUTE, "second", 900.0)
    evaluating.run(NOW + 10 * MINUTE)
    assert told() == [(["first"], []), (["second"], []), ([], ["first"])]


def test_a_silence_keeps_the_history_and_sends_nothing() -> None:
    made = rule(for_minutes=0)
    channel_of(made)
    silence(made, NOW - MINUTE, NOW + MINUTE, matching="QUIET")
    requests(NOW - 2 * MINUTE, "quiet-model", 900.0)
    requests(NOW - 2 * MINUTE, "loud-model", 900.0)
    evaluating.run(NOW)
    found = {event.group: event.silenced for event in AlertEvent.objects.all()}
    assert found == {"quiet-model": True, "loud-model": False}
    assert told() == [(["loud-model"], [])]


def test_what_still_fires_when_a_silence_ends_is_told_then_and_once() -> None:
    channel_of(rule(for_minutes=0))
    silence(None, NOW, NOW + 2 * MINUTE)
    for minute in range(6):
        requests(NOW + (minute - 1) * MINUTE, "m", 900.0)
        evaluating.run(NOW + minute * MINUTE)
    assert told() == [(["m"], [])]
    assert "since 10 Mar 12:30 UTC" in AlertNotice.objects.get().body["firing"][0]
    assert AlertNotice.objects.get().made_at == NOW + 2 * MINUTE


def test_what_began_and_ended_in_a_silence_is_never_told() -> None:
    channel_of(rule(for_minutes=0))
    silence(None, NOW, NOW + 10 * MINUTE)
    requests(NOW - MINUTE, "m", 900.0)
    evaluating.run(NOW)
    requests(NOW + 8 * MINUTE, "m", 100.0)
    evaluating.run(NOW + 9 * MINUTE)
    evaluating.run(NOW + 11 * MINUTE)
    assert events() == [("fired", "m"), ("resolved", "m")]
    assert told() == []


def test_absence_fires_for_a_group_that_was_there_within_a_day_and_ends_when_it_is_back() -> None:
    rule(measure="requests_per_s", kind="absence", threshold=None, for_minutes=0)
    requests(NOW - 5 * HOUR, "gone")
    requests(NOW - MINUTE, "here")
    evaluating.run(NOW)
    assert states() == [("gone", "firing")]
    requests(NOW, "gone")
    requests(NOW, "here")
    evaluating.run(NOW + MINUTE)
    assert events() == [("fired", "gone"), ("resolved", "gone")]


def test_absence_of_everything_fires_without_groups() -> None:
    rule(measure="requests_per_s", kind="absence", threshold=None, for_minutes=3, group_by="")
    requests(NOW - MINUTE, "m")
    for minute in range(6):
        evaluating.run(NOW + minute * MINUTE)
    (event,) = AlertEvent.objects.filter(kind="fired")
    assert event.at == NOW + 4 * MINUTE
    assert event.text == "no value for 3 min"


def test_a_rate_of_nothing_is_below_a_threshold() -> None:
    rule(measure="requests_per_s", direction="below", threshold=0.01, for_minutes=0)
    requests(NOW - 5 * HOUR, "stopped")
    requests(NOW - MINUTE, "busy", count=50)
    evaluating.run(NOW)
    assert states() == [("stopped", "firing")]


def test_a_group_that_is_heard_of_no_more_is_let_go_after_an_hour() -> None:
    rule(for_minutes=0)
    requests(NOW - MINUTE, "m", 900.0)
    evaluating.run(NOW)
    evaluating.run(NOW + HOUR)
    assert states() == [("m", "firing")]
    evaluating.run(NOW + HOUR + MINUTE)
    assert states() == []
    assert "no longer reported" in AlertEvent.objects.get(kind="resolved").text


def test_a_measure_without_a_history_is_read_as_it_is_now_and_kept() -> None:
    made = rule(measure="event_age_s", threshold=60.0, for_minutes=0, group_by="")
    now = datetime.now(UTC)
    insert_requests("t", {"id": "a", "time": now, "ingested_at": now - 100 * MINUTE / 60})
    evaluating.run(now)
    assert states() == [("", "firing")]
    ((at, value),) = values.history(made, now - HOUR, now + MINUTE, MINUTE)[""]
    assert at == now.replace(second=0, microsecond=0)
    assert value == pytest.approx(100, abs=1)
    evaluating.run(now + 9 * 24 * HOUR)
    assert not AlertSample.objects.filter(at__lte=now).exists()


def test_events_that_stopped_long_ago_do_not_become_well() -> None:
    rule(measure="event_age_s", threshold=120.0, for_minutes=0, group_by="")
    now = datetime.now(UTC)
    insert_requests("t", {"id": "a", "time": now - 5 * HOUR, "ingested_at": now - 5 * HOUR})
    for hours in range(3):
        evaluating.run(now + hours * HOUR)
    assert states() == [("", "firing")]


def test_a_rule_that_cannot_be_read_says_so_and_keeps_its_state(settings: Any) -> None:
    made = rule(for_minutes=0)
    rule(name="unread", measure="rules_unread", threshold=0.0, for_minutes=0, group_by="")
    requests(NOW - 2 * MINUTE, "m", 900.0)
    evaluating.run(NOW)
    settings.CLICKHOUSE_URL = "clickhouse://u:p@127.0.0.1:1/none"
    evaluating.run(NOW + MINUTE)
    made.refresh_from_db()
    assert made.trouble
    assert ("m", "firing") in states()
    assert AlertEvent.objects.filter(kind="fired", rule_name="unread").exists()


def test_a_fault_in_one_rule_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = rule(name="a broken one", measure="saturation", group_by="", for_minutes=0)
    rule(for_minutes=0)
    requests(NOW - 2 * MINUTE, "m", 900.0)

    def breaks(asked: Asked) -> Found:
        raise ZeroDivisionError

    broken_one = replace(CATALOGUE["saturation"], read=breaks)
    monkeypatch.setattr(values, "measure", lambda key: broken_one if key == "saturation" else CATALOGUE[key])
    evaluating.run(NOW)
    assert states() == [("m", "firing")]
    broken.refresh_from_db()
    assert "ZeroDivisionError" in broken.trouble


def test_a_rule_that_is_turned_off_lets_go_and_says_so() -> None:
    made = rule(for_minutes=0)
    channel_of(made)
    requests(NOW - 2 * MINUTE, "m", 900.0)
    evaluating.run(NOW)
    AlertRule.objects.filter(pk=made.pk).update(enabled=False)
    evaluating.run(NOW + MINUTE)
    assert states() == []
    assert told() == [(["m"], []), ([], ["m"])]
    assert AlertEvent.objects.get(kind="resolved").text == "m: over, as the rule was turned off"


def test_a_rule_that_is_changed_while_it_is_read_is_left_to_the_next_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    made = rule(for_minutes=0)
    requests(NOW - 2 * MINUTE, "m", 900.0)
    read = values.Readings.of

    def slowly(readings: values.Readings, of: AlertRule) -> Values:
        found = read(readings, of)
        AlertRule.objects.get(pk=made.pk).save()
        return found

    monkeypatch.setattr(values.Readings, "of", slowly)
    assert evaluating.run(NOW) == 0
    assert states() == []
    monkeypatch.undo()
    assert evaluating.run(NOW) == 1


def test_pages_are_told_what_it_saw() -> None:
    made = rule()
    requests(NOW - 2 * MINUTE, "fast", 100.0)
    requests(NOW - 2 * MINUTE, "slow", 900.0)
    evaluating.run(NOW)
    evaluating.run(NOW + MINUTE)
    made.refresh_from_db()
    assert [group for group, _ in made.values] == ["slow", "fast"]
    assert [round(value) for _, value in made.recent] == [pytest.approx(900, rel=0.02)] * 2
    assert made.evaluated_at == NOW + MINUTE


def test_two_processes_at_once_evaluate_once() -> None:
    rule()
    found: list[Any] = []

    def other() -> None:
        found.append(evaluating.run(NOW))
        connections.close_all()

    with advisory_lock(evaluating.ADVISORY_LOCK) as alone:
        assert alone
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert found == [None]
    assert not AlertState.objects.exists()


def test_many_processes_that_race_fire_and_tell_once() -> None:
    channel_of(rule(for_minutes=0))
    requests(NOW - 2 * MINUTE, "m", 900.0)

    def one() -> None:
        evaluating.run(NOW)
        connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert events() == [("fired", "m")]
    assert told() == [(["m"], [])]


def test_what_would_have_fired_in_the_past() -> None:
    made = rule(for_minutes=5)
    for number in range(60):
        requests(NOW - number * MINUTE, "m", 900.0 if 20 <= number < 40 else 100.0, count=2)
    found, step = values.would_have_fired(made, NOW - 60 * MINUTE, NOW)
    ((begin, end),) = found["m"]
    assert step == 5 * MINUTE
    assert NOW - 41 * MINUTE < begin < NOW - 30 * MINUTE
    assert end is not None
    assert NOW - 22 * MINUTE < end < NOW - 10 * MINUTE


def test_an_absence_would_have_fired_in_the_gap() -> None:
    made = rule(measure="requests_per_s", kind="absence", threshold=None, for_minutes=10)
    for number in range(120):
        if not 40 <= number < 80:
            requests(NOW - number * MINUTE, "m", count=1)
    found, _ = values.would_have_fired(made, NOW - 120 * MINUTE, NOW)
    ((begin, end),) = found["m"]
    assert NOW - 75 * MINUTE < begin < NOW - 60 * MINUTE
    assert end is not None
    assert NOW - 45 * MINUTE < end < NOW - 30 * MINUTE
