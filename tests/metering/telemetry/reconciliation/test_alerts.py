"""Which engines are on alert, since when, and what is said of it."""

from collections.abc import Iterable

from metering.telemetry.reconciliation.alerts import LeakageAlert, Threshold, Unjudged, alerts, unjudged
from metering.telemetry.reconciliation.findings import ABORTED, NO_COUNT, NO_EVENT, SOME, TWICE, findings
from metering.telemetry.reconciliation.hours import Counted, EngineHour, Incomplete
from tests.metering.telemetry.reconciliation.engine_hours import HOUR, START, hour

ONE_PERCENT = Threshold(share=0.01, min_tokens=1000)
RESTART = (Incomplete.RESTART,)


def found(hours: Iterable[EngineHour], until: int = 10) -> list[LeakageAlert]:
    return alerts(hours, ONE_PERCENT, START, START + until * HOUR)


def test_an_engine_is_on_alert_while_its_latest_hour_is_above_the_threshold() -> None:
    (one,) = found([hour(8, 10_000, 10_000), hour(9, 10_000, 9_800)])
    assert (one.node, one.engine, one.kind, one.share, one.tokens) == ("n1", "e1", "unbilled", 0.02, 200)
    assert (one.since, one.until, one.since_before) == (START + 9 * HOUR, START + 10 * HOUR, False)
    assert found([hour(8, 10_000, 9_800), hour(9, 10_000, 10_000)]) == []


def test_exactly_the_threshold_is_not_above_it() -> None:
    assert found([hour(9, 10_000, 9_900)]) == []
    assert len(found([hour(9, 10_000, 9_899)])) == 1


def test_since_is_the_first_hour_of_the_unbroken_run() -> None:
    (one,) = found([hour(n, 10_000, 10_000 if n in {2, 5} else 9_700) for n in range(10)])
    assert (one.since, one.share, one.tokens) == (START + 6 * HOUR, 0.03, 1200)


def test_hours_that_are_not_judged_neither_end_a_run_nor_begin_one() -> None:
    small = hour(7, 900, 900)
    broken = hour(8, 10_000, 10_000, incomplete=RESTART)
    (one,) = found([hour(5, 10_000), hour(6, 10_000, 9_700), small, broken, hour(9, 10_000, 9_700)])
    assert (one.since, one.until, one.tokens) == (START + 6 * HOUR, START + 10 * HOUR, 600)
    assert found([hour(9, 900, 0), hour(9, 10_000, 0, engine="e2", incomplete=RESTART)]) == []


def test_a_run_that_reaches_to_where_reading_began_may_be_older() -> None:
    (one,) = found([hour(n, 10_000, 9_700) for n in range(10)])
    assert (one.since, one.since_before) == (START, True)
    (young,) = found([hour(n, 10_000, 9_700) for n in range(4, 10)])
    assert (young.since, young.since_before) == (START + 4 * HOUR, False)


def test_a_verdict_that_is_hours_old_is_none_of_now() -> None:
    assert len(found([hour(4, 10_000, 9_000)])) == 1
    assert found([hour(3, 10_000, 9_000)]) == []


def test_phantom_tokens_raise_an_alert_of_their_own_and_the_worst_comes_first() -> None:
    hours = [hour(9, 10_000, 9_700), hour(9, 10_000, 12_500, engine="e2"), hour(9, 10_000, 10_050, engine="e3")]
    assert [(one.engine, one.kind, one.share) for one in found(hours)] == [
        ("e2", "phantom", 0.2),
        ("e1", "unbilled", 0.03),
    ]


def test_events_alone_are_judged_too() -> None:
    (one,) = found([hour(9, 0, 5_000)])
    assert (one.kind, one.share) == ("phantom", 1.0)


def test_a_busy_engine_of_which_no_hour_can_be_judged_is_named() -> None:
    hours = [hour(n, 10_000, 0, incomplete=RESTART) for n in range(4, 10)]
    idle = [hour(n, 10, 0, engine="e2", incomplete=RESTART) for n in range(4, 10)]
    judged = [hour(9, 10_000, engine="e3"), hour(8, 10_000, engine="e3", incomplete=RESTART)]
    (one,) = unjudged([*hours, *idle, *judged], ONE_PERCENT, START + 10 * HOUR)
    assert (one.engine, one.found.incomplete_hours, one.found.reasons) == ("e1", 6, ((Incomplete.RESTART, 6),))


def advice(*hours: EngineHour) -> str:
    (one,) = findings(found(hours), [])
    assert one.tone == "bad"
    return one.advice


def test_the_finding_says_how_much_since_when_and_what_to_do() -> None:
    (one,) = findings(found([hour(8, 600_000), hour(9, 600_000, 588_000)]), [])
    assert one.text == (
        "Engine e1 on n1 (m): 2.0 % of what it produced has no event, 12,000 tokens since 2026-11-20 09:00Z."
    )
    sides = {"engine_side": Counted(output=10_000, requests=100), "event_side": Counted(output=9_800, requests=98)}
    assert advice(hour(9, 0, aborted=2, **sides)) == ABORTED
    assert advice(hour(9, 0, aborted=0, **sides)) == SOME
    assert advice(hour(9, 10_000, 0)) == NO_EVENT


def test_phantom_tokens_have_findings_of_their_own() -> None:
    assert advice(hour(9, 10_000, 20_000)) == TWICE
    assert advice(hour(9, 0, 20_000)) == NO_COUNT
    (one,) = findings(found([hour(n, 10_000, 20_000) for n in range(10)]), [])
    assert "50.0 % of what events bill to it was never produced, 100,000 tokens since at least" in one.text


def test_what_could_not_be_compared_is_a_warning_with_its_reasons() -> None:
    hours = [hour(8, 10_000, 0, incomplete=RESTART), hour(9, 10_000, 0, incomplete=(*RESTART, Incomplete.SAMPLES))]
    (engine,) = unjudged(hours, ONE_PERCENT, START + 10 * HOUR)
    assert isinstance(engine, Unjudged)
    (one,) = findings([], [engine])
    assert one.tone == "warn"
    assert "its counters began anew (2 h), samples of it are missing (1 h)" in one.text
