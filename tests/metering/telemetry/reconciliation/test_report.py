"""Leakage out of the tables: hours of engines, what makes them incomplete, sums, and the state of alert."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from pytest_django.fixtures import Settings

from metering.public import Leakage, leakage_report, leakage_state, leakage_trend_asked
from metering.telemetry.reconciliation.hours import Incomplete
from metering.telemetry.settled import Settled, energy_settled
from metering.telemetry.spans import Span
from tests.metering.telemetry.reconciliation.windows import HOUR, MINUTE, hour_of, insert, recent_hour, settle, window

pytestmark = [pytest.mark.usefixtures("clickhouse"), pytest.mark.django_db]

MADE = {
    "engine_prefill_tokens": 600_000.0,
    "engine_cached_tokens": 300_000.0,
    "engine_decode_tokens": 100_000.0,
    "engine_requests_finished": 1000.0,
    "engine_requests_aborted": 20.0,
}
REPORTED = {
    "event_prefill_tokens": 588_000.0,
    "event_cached_tokens": 294_000.0,
    "event_decode_tokens": 98_000.0,
    "event_requests": 980.0,
}
ALL = {name.replace("engine", "event"): value for name, value in MADE.items() if "requests" not in name}
Total = Callable[..., Leakage]


@pytest.fixture
def node(tenant_key: str) -> str:
    """A node that no other test has."""
    return f"n-{tenant_key}"


@pytest.fixture
def total(node: str) -> Total:
    """All of this test's hours in the last day."""

    def read(**only: str) -> Leakage:
        return leakage_report(recent_hour(23), recent_hour() + HOUR, only={"node": node} | only).total

    return read


def test_two_percent_of_streams_without_an_event_are_two_percent_per_engine(node: str, total: Total) -> None:
    settle(recent_hour() + HOUR)
    for ago in range(3):
        insert(hour_of(node, recent_hour(ago), **MADE, **REPORTED))
        insert(hour_of(node, recent_hour(ago), engine="e2", **MADE, **ALL, event_requests=1000.0))
    first, second = total(engine="e1"), total(engine="e2")
    assert (first.hours, first.incomplete_hours) == (3, 0)
    assert first.unbilled_share == pytest.approx(0.02, abs=1e-12)
    assert first.unbilled_requests_share == pytest.approx(0.02, abs=1e-12)
    assert (first.engine_side.cached, first.aborted) == pytest.approx((900_000, 60))
    assert second.unbilled_share == pytest.approx(0, abs=1e-12)
    assert total().unbilled_share == pytest.approx(0.01, abs=1e-12)


def test_an_hour_in_which_the_engine_restarted_is_left_out(node: str, total: Total) -> None:
    settle(recent_hour() + HOUR)
    insert(hour_of(node, recent_hour(1), **MADE, **REPORTED))
    broken = hour_of(node, recent_hour(), **MADE, event_decode_tokens=7e9)
    broken[17]["engine_restarts"] = 1
    insert([{"engine_restarts": 0} | row for row in broken])
    found = total()
    assert (found.hours, found.incomplete_hours, found.reasons) == (1, 1, ((Incomplete.RESTART, 1),))
    assert (found.unbilled_share, found.phantom_share) == pytest.approx((0.02, 0), abs=1e-12)


def test_an_hour_without_some_of_its_samples_is_left_out(node: str, total: Total) -> None:
    settle(recent_hour() + HOUR)
    insert(hour_of(node, recent_hour(), **MADE, engine_gap_s=45.0))
    assert total().reasons == ((Incomplete.SAMPLES, 1),)


def test_an_hour_in_which_the_engine_came_is_left_out_and_an_open_one_is_called_open(node: str, total: Total) -> None:
    settle(recent_hour() + 30 * MINUTE)
    insert(hour_of(node, recent_hour(1), minutes=59, **MADE))
    insert(hour_of(node, recent_hour(), minutes=30, **MADE))
    assert total().reasons == ((Incomplete.WINDOWS, 1), (Incomplete.OPEN, 1))


def test_an_hour_whose_minutes_wait_to_be_worked_up_is_open(node: str, total: Total) -> None:
    settle(recent_hour() + HOUR, (recent_hour() + 30 * MINUTE, recent_hour() + HOUR))
    insert(hour_of(node, recent_hour(), minutes=30, **MADE))
    assert total().reasons == ((Incomplete.OPEN, 1),)


def test_a_whole_hour_stays_compared_while_a_late_event_has_it_worked_up_again(node: str, total: Total) -> None:
    settle(recent_hour() + HOUR, (recent_hour(), recent_hour() + MINUTE))
    insert(hour_of(node, recent_hour(), **MADE, **REPORTED))
    assert (total().hours, total().incomplete_hours) == (1, 0)


def test_what_was_worked_up_again_replaces_what_was_there(node: str, total: Total) -> None:
    settle(recent_hour() + HOUR)
    insert(hour_of(node, recent_hour(), **MADE))
    assert total().unbilled_share == pytest.approx(1)
    insert(hour_of(node, recent_hour(), version=2, **MADE, **REPORTED))
    assert total().unbilled_share == pytest.approx(0.02)


def test_gpus_that_no_engine_claims_are_nothing_to_compare(node: str, total: Total) -> None:
    settle(recent_hour() + HOUR)
    insert(hour_of(node, recent_hour(), engine="", counter_j=5.0))
    assert total() == Leakage()


def test_an_engine_that_was_given_another_model_is_one_engine_of_its_last_model(node: str) -> None:
    settle(recent_hour() + HOUR)
    insert([*hour_of(node, recent_hour(), minutes=20), *hour_of(node, recent_hour(), model="new")[20:]])
    (row,) = leakage_report(
        recent_hour(), recent_hour() + HOUR, group_by=("engine", "model"), only={"node": node, "model": "new"}
    ).rows
    assert (row.engine, row.model, row.found.hours, row.found.incomplete_hours) == ("e1", "new", 1, 0)


def test_rows_come_by_window_and_groups_and_sum_up_to_the_total(node: str) -> None:
    settle(recent_hour() + HOUR)
    for ago, region in ((2, "eu"), (1, "eu"), (0, "us")):
        insert(hour_of(node, recent_hour(ago), region=region, **MADE, **REPORTED))
    start, end = recent_hour(5), recent_hour() + HOUR
    hourly = leakage_report(start, end, window="hour", group_by=("region",), only={"node": node})
    assert [(row.window_start, row.region, row.engine) for row in hourly.rows] == [
        (recent_hour(2), "eu", ""),
        (recent_hour(1), "eu", ""),
        (recent_hour(), "us", ""),
    ]
    assert hourly.closed_until == end
    unbilled = sum(row.found.unbilled.tokens for row in hourly.rows)
    assert unbilled == pytest.approx(hourly.total.unbilled.tokens) == pytest.approx(60_000)
    whole = leakage_report(start, end, group_by=("region",), only={"node": node})
    assert [(row.window_start, row.region, row.found.hours) for row in whole.rows] == [
        (start, "eu", 2),
        (start, "us", 1),
    ]


def test_the_trend_has_every_hour_also_those_of_which_nothing_is_known(node: str) -> None:
    settle(recent_hour() + HOUR)
    insert(hour_of(node, recent_hour(1), **MADE, **REPORTED))
    trend = leakage_trend_asked(recent_hour(2), recent_hour() + HOUR, {"node": node})()
    assert [row.window_start for row in trend] == [recent_hour(2), recent_hour(1), recent_hour()]
    assert [row.found.unbilled_share for row in trend] == [None, pytest.approx(0.02), None]


def test_simulated_windows_are_marked(node: str, total: Total) -> None:
    settle(recent_hour() + HOUR)
    insert([{"simulated": n == 3} | row for n, row in enumerate(hour_of(node, recent_hour()))])
    assert not total().simulated
    insert([row | {"simulated": n == 3, "version": 2} for n, row in enumerate(hour_of(node, recent_hour()))])
    assert total().simulated


def test_an_hour_cannot_be_cut_and_unknown_names_raise() -> None:
    start = recent_hour(3)
    for bad in ((start + MINUTE, start + HOUR), (start, start + timedelta(minutes=90)), (start, start)):
        with pytest.raises(ValueError, match="whole hours"):
            leakage_report(*bad)
    with pytest.raises(ValueError, match="unknown window"):
        leakage_report(start, start + HOUR, window="minute")
    with pytest.raises(ValueError, match="unknown group 'tenant'"):
        leakage_report(start, start + HOUR, group_by=("tenant",))
    with pytest.raises(ValueError, match="unknown filter 'tenant'"):
        leakage_report(start, start + HOUR, only={"tenant": "t"})


def test_the_state_names_the_engines_above_the_threshold_since_when(node: str, settings: Settings) -> None:
    settle(recent_hour() + HOUR + 5 * MINUTE)
    settings.LEAKAGE_ALERT_SHARE = 0.015
    insert(hour_of(node, recent_hour(3), **MADE, **ALL))
    for ago in range(3):
        insert(hour_of(node, recent_hour(ago), **MADE, **REPORTED))
        insert(hour_of(node, recent_hour(ago), engine="well", **MADE, **ALL))
    state = leakage_state()
    assert state.at == recent_hour() + HOUR
    (one,) = [alert for alert in state.alerts if alert.node == node]
    assert (one.engine, one.kind, one.since, one.until) == ("e1", "unbilled", recent_hour(2), recent_hour() + HOUR)
    assert one.share == pytest.approx(0.02)
    (said,) = [finding for finding in state.findings if node in finding.text]
    assert "2.0 %" in said.text
    settings.LEAKAGE_ALERT_SHARE = 0.021
    assert not [alert for alert in leakage_state().alerts if alert.node == node]


def test_hours_with_few_tokens_raise_no_alert(node: str, settings: Settings) -> None:
    settle(recent_hour() + HOUR)
    insert(hour_of(node, recent_hour(), **MADE))
    settings.LEAKAGE_MIN_TOKENS = 1_000_001
    assert not [alert for alert in leakage_state().alerts if alert.node == node]
    settings.LEAKAGE_MIN_TOKENS = 999_999
    assert [alert.share for alert in leakage_state().alerts if alert.node == node] == [pytest.approx(1)]


def test_without_a_settled_hour_there_is_no_state() -> None:
    state = leakage_state()
    assert (state.at, state.alerts, state.findings) == (None, (), ())
    assert energy_settled() == Settled(None)
    assert not energy_settled().covers(recent_hour(), recent_hour() + HOUR)


def test_a_late_event_leaves_a_month_settled_and_an_hour_not() -> None:
    end = recent_hour() + HOUR
    settle(end + MINUTE, (recent_hour(), recent_hour() + 5 * MINUTE))
    found = energy_settled()
    assert (found.closed_until, found.hour) == (end + MINUTE, end)
    assert found.waiting == (Span(recent_hour(), recent_hour() + 5 * MINUTE),)
    assert found.covers(end - 720 * HOUR, end)
    assert not found.covers(recent_hour(), end)
    assert found.covers(recent_hour(1), recent_hour())
    assert not found.covers(end, end + HOUR)


def test_windows_at_the_edge_of_an_hour_belong_to_one_hour_only(node: str) -> None:
    settle(recent_hour() + HOUR)
    last = recent_hour() + 59 * MINUTE
    insert([window(node, at, engine_decode_tokens=1.0) for at in (recent_hour() - MINUTE, recent_hour(), last)])
    rows = leakage_report(recent_hour(1), recent_hour() + HOUR, window="hour", only={"node": node}).rows
    assert [row.window_start for row in rows] == [recent_hour(1), recent_hour()]
