"""Objectives: what is promised, counted minute by minute, and how fast the budget burns."""

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from metering.clickhouse import client
from metering.ledger import seal_usage
from metering.live import LiveScope
from metering.models import Objective, ObjectiveProgress, Seal
from metering.objectives import counting, progress
from metering.objectives.definitions import ObjectiveRefused, objectives, remove_objective, set_objective
from metering.objectives.states import (
    BURN_RULES,
    ObjectiveState,
    Tally,
    objective_states,
    objective_steps,
)
from metering.telemetry.spans import Span
from tests.metering.rows import insert_requests, settled

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def now() -> datetime:
    """Half a minute and a bit into a minute: the minutes before the last one are closed."""
    return datetime.now(UTC).replace(second=40, microsecond=0) - MINUTE


@pytest.fixture(autouse=True)
def ready(clickhouse: None, db: None) -> None:
    pass


def request(at: datetime, **fields: Any) -> dict[str, Any]:
    """A request that arrived half a second after its end."""
    return {"id": uuid.uuid4().hex, "time": at, "ingested_at": at + SECOND / 2} | fields


def state_of(name: str, now: datetime) -> ObjectiveState:
    return next(state for state in objective_states(now) if state.name == name)


def tally(name: str, now: datetime) -> tuple[int, int]:
    found = state_of(name, now).tally
    return found.good, found.total


def counted_everything(now: datetime) -> None:
    """Run until nothing is due and every window is whole."""
    settled(now)
    for _ in range(5):
        outcome = counting.run(now, budget_s=60)
        assert outcome is not None
    assert outcome.left == 0


def test_there_are_no_states_without_objectives(now: datetime) -> None:
    assert objective_states(now) == []
    assert counting.run(now) == counting.Outcome()


def test_an_objective_that_was_never_counted_knows_nothing(now: datetime) -> None:
    set_objective("fast", measure="ttft_ms", threshold_ms=500, target="0.99")
    state = state_of("fast", now)
    assert (state.as_of, state.attained, state.budget_left, state.burn("1h"), state.burning) == (None,) * 4 + ((),)
    assert not state.whole


def test_attainment_is_what_a_count_by_hand_says(tenant_key: str, now: datetime) -> None:
    pick = random.Random(7)  # noqa: S311 - the same rows at every run
    rows = [
        request(
            now - timedelta(seconds=pick.uniform(60, 26 * 3600)),
            model=pick.choice(["a", "b"]),
            tier=pick.choice(["standard", "batch"]),
            region=pick.choice(["eu", "us"]),
            status=pick.choice(["ok", "ok", "ok", "cancelled", "error"]),
            ttft_ms=pick.choice([None, pick.uniform(10, 900)]),
            e2e_ms=pick.uniform(100, 9000),
        )
        for _ in range(400)
    ]
    insert_requests(tenant_key, *rows)
    insert_requests(tenant_key, request(now - HOUR, observed=True, ttft_ms=1.0))
    set_objective("ttft", measure="ttft_ms", threshold_ms=500, target="0.9", window_days=2, tenant=tenant_key)
    set_objective(
        "e2e of a in eu",
        measure="e2e_ms",
        threshold_ms=5000,
        target="0.9",
        window_days=2,
        tenant=tenant_key,
        model="a",
        region="eu",
    )
    set_objective("up", measure="error", target="0.99", window_days=2, tenant=tenant_key, tier="batch")
    counted_everything(now)
    closed = (now - progress.LAG).replace(second=0)
    seen = [row for row in rows if row["time"] < closed]
    ttft = [row for row in seen if row["status"] != "error" and row["ttft_ms"] is not None]
    assert tally("ttft", now) == (sum(row["ttft_ms"] <= 500 for row in ttft), len(ttft))
    e2e = [row for row in seen if row["status"] != "error" and (row["model"], row["region"]) == ("a", "eu")]
    assert tally("e2e of a in eu", now) == (sum(row["e2e_ms"] <= 5000 for row in e2e), len(e2e))
    batch = [row for row in seen if row["tier"] == "batch"]
    assert tally("up", now) == (sum(row["status"] != "error" for row in batch), len(batch))
    assert state_of("up", now).whole


def test_a_value_at_the_threshold_is_good_however_it_is_stored(tenant_key: str, now: datetime) -> None:
    at = now - 10 * MINUTE
    insert_requests(tenant_key, request(at, tpot_ms=0.1), request(at, tpot_ms=33.3), request(at, tpot_ms=33.302))
    for limit in ("0.1", "33.3"):
        set_objective(limit, measure="tpot_ms", threshold_ms=limit, target="0.9", window_days=1, tenant=tenant_key)
    counted_everything(now)
    assert tally("0.1", now) == (1, 3)
    assert tally("33.3", now) == (2, 3)


def test_a_minute_is_counted_once_it_has_closed(tenant_key: str, now: datetime) -> None:
    set_objective("up", measure="error", target="0.99", window_days=1, tenant=tenant_key)
    counted_everything(now)
    insert_requests(tenant_key, request(now.replace(second=5)), request(now.replace(second=5), status="error"))
    counted_everything(now)
    assert tally("up", now) == (0, 0)
    counted_everything(now + 2 * MINUTE)
    assert tally("up", now + 2 * MINUTE) == (1, 2)


def test_what_arrives_late_corrects_its_minute_and_its_hour(tenant_key: str, now: datetime) -> None:
    old = now - 5 * HOUR
    insert_requests(tenant_key, request(old))
    set_objective("up", measure="error", target="0.99", window_days=1, tenant=tenant_key)
    counted_everything(now)
    assert tally("up", now) == (1, 1)
    insert_requests(tenant_key, request(old, ingested_at=now + 5 * SECOND, status="error"))
    counted_everything(now + MINUTE)
    assert tally("up", now + MINUTE) == (1, 2)
    hour = old.replace(minute=0, second=0)
    assert objective_steps("up", hour, HOUR, hour + HOUR)[0].tally == Tally(1, 2)


def test_what_arrives_for_a_time_before_every_window_is_not_counted(tenant_key: str, now: datetime) -> None:
    set_objective("up", measure="error", target="0.99", window_days=1, tenant=tenant_key)
    counted_everything(now)
    insert_requests(tenant_key, request(now - timedelta(days=3), ingested_at=now + 5 * SECOND))
    counted_everything(now + MINUTE)
    assert tally("up", now + MINUTE) == (0, 0)


def test_a_duplicate_that_a_seal_finds_is_taken_out_again(tenant_key: str, now: datetime) -> None:
    at = now - 2 * HOUR
    first = request(at, ttft_ms=100.0)
    again = first | {"ingested_at": at + 30 * SECOND, "ttft_ms": 9000.0}
    insert_requests(tenant_key, first, again)
    set_objective("fast", measure="ttft_ms", threshold_ms=500, target="0.9", window_days=1, tenant=tenant_key)
    counted_everything(now)
    assert tally("fast", now) == (1, 2)
    settled(now)
    assert seal_usage(now=True).duplicates >= 1
    counted_everything(now)
    assert tally("fast", now) == (1, 1)


def test_a_new_objective_does_not_count_duplicates_that_were_sealed_before(tenant_key: str, now: datetime) -> None:
    at = now - 3 * HOUR
    first = request(at)
    insert_requests(tenant_key, first, first | {"ingested_at": at + 30 * SECOND}, request(at))
    settled(now)
    assert seal_usage(now=True).duplicates >= 1
    set_objective("up", measure="error", target="0.9", window_days=1, tenant=tenant_key)
    counted_everything(now)
    assert tally("up", now) == (2, 2)


def test_a_late_recount_after_a_seal_keeps_duplicates_out(tenant_key: str, now: datetime) -> None:
    at = now - 3 * HOUR
    first = request(at)
    insert_requests(tenant_key, first, first | {"ingested_at": at + 30 * SECOND})
    settled(now)
    seal_usage(now=True)
    set_objective("up", measure="error", target="0.9", window_days=1, tenant=tenant_key)
    counted_everything(now)
    insert_requests(tenant_key, request(at, ingested_at=now + SECOND, status="error"))
    counted_everything(now + MINUTE)
    assert tally("up", now + MINUTE) == (1, 2)


def test_a_crash_before_the_count_leaves_the_minutes_due(
    tenant_key: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_objective("up", measure="error", target="0.9", window_days=1, tenant=tenant_key)
    counted_everything(now)
    later = now + 3 * MINUTE
    insert_requests(tenant_key, request(now + MINUTE))

    def crash(*_: Any) -> None:
        raise client.ClickHouseUnavailable("gone")

    with monkeypatch.context() as broken:
        broken.setattr(counting, "count", crash)
        with pytest.raises(client.ClickHouseUnavailable):
            counting.run(later)
    assert progress.left() == 3
    # What is due at the very end is not there yet, so nothing is said of it.
    assert state_of("up", later).as_of == (now - progress.LAG).replace(second=0)
    counted_everything(later)
    assert tally("up", later) == (1, 1)


def test_a_block_that_is_refused_does_not_stop_the_others(
    tenant_key: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_objective("up", measure="error", target="0.9", window_days=1, tenant=tenant_key)
    tried: list[Span] = []

    def count(rows: list[Objective], span: Span) -> None:
        tried.append(span)
        if span.minutes > 60:
            raise client.ClickHouseRefused(241, "memory")

    monkeypatch.setattr(counting, "count", count)
    settled(now)
    assert counting.run(now, budget_s=60) is not None
    assert {span.minutes for span in tried} >= {360, 60}
    assert state_of("up", now).whole


def test_counting_back_goes_on_where_it_stopped(tenant_key: str, now: datetime) -> None:
    insert_requests(tenant_key, request(now - 23 * HOUR))
    set_objective("up", measure="error", target="0.9", window_days=1, tenant=tenant_key)
    settled(now)
    counting.run(now, budget_s=0)
    state = state_of("up", now)
    assert state.counted_from == state.as_of
    counted_everything(now)
    assert tally("up", now) == (1, 1)
    assert state_of("up", now).whole


def test_a_longer_window_is_counted_back_and_another_definition_anew(tenant_key: str, now: datetime) -> None:
    insert_requests(tenant_key, request(now - 30 * HOUR, ttft_ms=400.0), request(now - HOUR, ttft_ms=400.0))
    fields = {"measure": "ttft_ms", "threshold_ms": 500, "tenant": tenant_key}
    set_objective("fast", target="0.9", window_days=1, **fields)
    counted_everything(now)
    assert tally("fast", now) == (1, 1)
    before = Objective.objects.get(name="fast")
    set_objective("fast", target="0.95", window_days=2, **fields)
    counted_everything(now)
    kept = Objective.objects.get(name="fast")
    assert (kept.counts, tally("fast", now)) == (before.counts, (2, 2))
    set_objective("fast", target="0.95", window_days=2, **(fields | {"threshold_ms": 300}))
    assert Objective.objects.get(name="fast").counts != before.counts
    assert tally("fast", now) == (0, 0)
    counted_everything(now)
    assert tally("fast", now) == (0, 2)


def test_two_objectives_share_one_reading_of_the_window(
    tenant_key: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        set_objective(name, measure="error", target="0.9", window_days=1, tenant=tenant_key)
    calls: list[int] = []
    count = counting.count
    monkeypatch.setattr(counting, "count", lambda rows, span: calls.append(len(rows)) or count(rows, span))  # type: ignore[func-returns-value]
    counted_everything(now)
    assert set(calls) == {2}
    assert len(calls) <= 6


def test_burn_rates_are_the_bad_share_over_the_allowed_one(tenant_key: str, now: datetime) -> None:
    closed = (now - progress.LAG).replace(second=0)
    rows = [request(closed - 2 * MINUTE, status="error" if n < 2 else "ok") for n in range(10)]
    rows += [request(closed - 20 * MINUTE) for _ in range(10)]
    rows += [request(closed - 4 * HOUR) for _ in range(20)]
    insert_requests(tenant_key, *rows)
    set_objective("up", measure="error", target="0.99", window_days=30, tenant=tenant_key)
    counted_everything(now)
    state = state_of("up", now)
    found = {name: state.burn(name) for name in ("5m", "30m", "1h", "6h", "3d")}
    assert found == pytest.approx({"5m": 20, "30m": 10, "1h": 10, "6h": 5, "3d": 5})
    assert state.attained == pytest.approx(0.95)
    assert state.budget_left == pytest.approx(1 - 5)
    # 5 minutes at 20 and an hour at 10: not 14.4. Half an hour at 10 and six at 5: not 6. Three days at 5: more than 1.
    assert [(rule.short, rule.long) for rule in state.burning] == [("6h", "3d")]


def test_the_rates_that_call_for_action_are_those_of_the_workbook() -> None:
    month = timedelta(days=30)
    assert [rule.rate(month) for rule in BURN_RULES] == pytest.approx([14.4, 6, 1])


def test_minutes_outside_the_short_windows_do_not_burn(tenant_key: str, now: datetime) -> None:
    closed = (now - progress.LAG).replace(second=0)
    insert_requests(tenant_key, request(closed - 7 * HOUR, status="error"), request(closed - 5 * MINUTE))
    set_objective("up", measure="error", target="0.9", window_days=1, tenant=tenant_key)
    counted_everything(now)
    state = state_of("up", now)
    assert state.recent["5m"] == Tally(1, 1)
    assert state.recent["6h"] == Tally(1, 1)
    assert state.recent["3d"] == Tally(1, 2)


def test_another_run_at_the_same_time_does_nothing(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import contextmanager

    @contextmanager
    def taken(key: int) -> Iterator[bool]:
        yield False

    monkeypatch.setattr(counting, "advisory_lock", taken)
    assert counting.run(now) is None


def test_what_cannot_be_an_objective_is_refused_by_field() -> None:
    with pytest.raises(ObjectiveRefused) as refused:
        set_objective("x", measure="ttft_ms", target="0.9")
    assert set(refused.value.problems) == {"threshold_ms"}
    with pytest.raises(ObjectiveRefused) as refused:
        set_objective("x", measure="error", threshold_ms=5, target="1")
    assert set(refused.value.problems) == {"threshold_ms", "target"}
    with pytest.raises(ObjectiveRefused) as refused:
        set_objective("", measure="speed", target="NaN", threshold_ms=1)
    assert set(refused.value.problems) == {"target"}
    with pytest.raises(ObjectiveRefused) as refused:
        set_objective("", measure="speed", target="0.9", threshold_ms=1, window_days=400)
    assert set(refused.value.problems) == {"name", "measure", "window_days"}
    assert objectives() == []


def test_an_objective_is_listed_and_removed() -> None:
    set_objective("fast", measure="ttft_ms", threshold_ms="250.5", target="0.99", region="eu", model="llama")
    (found,) = objectives()
    assert found.scope == LiveScope(region="eu", model="llama")
    assert (found.threshold_ms, found.target, found.window) == (Decimal("250.5"), Decimal("0.99"), timedelta(days=30))
    assert remove_objective("fast")
    assert not remove_objective("fast")


def test_without_objectives_progress_begins_anew(now: datetime) -> None:
    set_objective("up", measure="error", target="0.9", window_days=1)
    settled(now)
    counting.run(now, budget_s=0)
    assert ObjectiveProgress.objects.exists()
    remove_objective("up")
    counting.run(now)
    assert not ObjectiveProgress.objects.exists()


def test_a_seal_that_was_not_completed_corrects_nothing(tenant_key: str, now: datetime) -> None:
    set_objective("up", measure="error", target="0.9", window_days=1, tenant=tenant_key)
    counted_everything(now)
    Seal.objects.create(watermark_from=now - HOUR, watermark=timezone.now(), duplicates=3, state=Seal.State.CLAIMED)
    counted_everything(now)
    assert ObjectiveProgress.objects.get().seal == 0


def test_objectives_are_set_listed_and_removed_from_the_command_line(tenant_key: str, now: datetime) -> None:
    options = {"measure": "ttft", "below": "500", "target": "99.5", "tenant": tenant_key, "stdout": StringIO()}
    said = call_command("set_objective", "fast", **options)
    assert said == (
        f"fast: 99.5 % of requests of tenant {tenant_key} have their first token within 500 ms, over 30 days"
    )
    listed = call_command("list_objectives", stdout=StringIO())
    assert listed.splitlines()[1].split("\t")[0] == "fast"
    call_command("remove_objective", "fast", stdout=StringIO())
    assert objectives() == []
    with pytest.raises(CommandError, match="there is no objective 'fast'"):
        call_command("remove_objective", "fast")


@pytest.mark.parametrize(
    ("percent", "share"), [("99", "0.99"), ("99.95", "0.9995"), ("95.5 %", "0.955"), ("50", "0.5")]
)
def test_a_target_is_given_in_percent(percent: str, share: str) -> None:
    call_command("set_objective", "up", measure="availability", target=percent, stdout=StringIO())
    assert objectives()[0].target == Decimal(share)


@pytest.mark.parametrize("percent", ["", "-1", "ninety", "100", "0", "1e1"])
def test_a_target_that_is_no_share_is_refused(percent: str) -> None:
    with pytest.raises(CommandError):
        call_command("set_objective", "up", measure="availability", target=percent)
    assert objectives() == []
