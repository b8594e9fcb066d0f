"""Every minute is worked up once it is closed, and again when something arrives late that could change it; nothing is left out."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from metering import tasks
from metering.advisory import advisory_lock
from metering.clickhouse import client
from metering.clickhouse.client import ClickHouseUnavailable
from metering.clickhouse.queries.telemetry_arrivals import ENGINES, GPUS, REQUESTS
from metering.models import IngestHost, TelemetryProgress
from metering.telemetry import processing, progress
from metering.telemetry.processing import Outcome
from metering.telemetry.spans import Span
from metering.telemetry.steps import Step
from tests.metering.rows import empty_tables, insert_requests, settled
from tests.metering.telemetry.sample_rows import (
    MINUTE,
    SECOND,
    every,
    insert_engines,
    insert_gpus,
    own_node,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clickhouse")]
NOW = datetime.now(UTC).replace(minute=30, second=10, microsecond=0) - timedelta(hours=2)
CLOSED = NOW.replace(second=0) - MINUTE  # with a lag of 30 s, the minute that ended at 29:00 is the last one closed


class Writer:
    """A step that notes what it is asked to write."""

    def __init__(self, reads: tuple[str, ...] = (GPUS, ENGINES, REQUESTS), **fields: Any) -> None:
        self.spans: list[Span] = []
        self.step = Step("test", timedelta(seconds=30), self.write, reads, **fields)

    def write(self, span: Span) -> None:
        self.spans.append(span)

    def run(self, **fields: Any) -> Outcome:
        self.spans.clear()
        return processing.run(steps=(self.step,), **fields)["test"]

    def minutes(self, **fields: Any) -> set[datetime]:
        """The minutes that a run writes."""
        self.run(**fields)
        return {minute for span in self.spans for minute in every(MINUTE, span.start, span.end)}


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    """Nothing arrived before the test began."""
    empty_tables(GPUS, ENGINES, REQUESTS)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the clock, and says that the one host has inserted all that it stamped before."""

    def set_clock(moment: datetime) -> None:
        monkeypatch.setattr(timezone, "now", lambda: moment)
        settled(moment)

    set_clock(NOW)
    return set_clock


Clock = Callable[[datetime], None]


def minutes(*offsets: int) -> set[datetime]:
    """Minutes counted from the end of the last closed one: -1 is that one."""
    return {CLOSED + offset * MINUTE for offset in offsets}


def test_the_first_run_begins_with_what_has_arrived(at: Clock) -> None:
    insert_gpus(own_node(), {"time": CLOSED - 3 * MINUTE}, {"time": CLOSED + SECOND, "gpu": "GPU-1"})
    writer = Writer()
    assert writer.minutes() == minutes(-3)
    assert TelemetryProgress.objects.get().closed_until == CLOSED
    assert writer.minutes() == set()


def test_a_minute_is_written_once_its_lag_has_passed(at: Clock) -> None:
    writer = Writer()
    writer.run()
    at(NOW + 19 * SECOND)
    assert writer.minutes() == set()
    at(NOW + 20 * SECOND)
    assert writer.minutes() == minutes(0)
    at(NOW + 30 * SECOND)
    assert writer.minutes() == set()


def test_time_without_a_process_is_made_up_for_in_blocks_of_an_hour_the_newest_first(at: Clock) -> None:
    writer = Writer()
    writer.run()
    at(NOW + timedelta(hours=2, seconds=20))
    assert writer.run() == Outcome(written=121, left=0)
    assert [span.minutes for span in writer.spans] == [10, 60, 51]
    end = CLOSED + 121 * MINUTE
    assert [span.start for span in writer.spans] == [end - 10 * MINUTE, CLOSED, CLOSED + 60 * MINUTE]


@pytest.mark.parametrize("insert", [insert_gpus, insert_engines])
def test_a_late_sample_has_its_minute_written_again_up_to_its_neighbours(
    at: Clock, insert: Callable[..., None]
) -> None:
    node, other = own_node(), own_node()
    insert(node, {"time": CLOSED - 10 * MINUTE}, {"time": CLOSED - 4 * MINUTE}, {"time": CLOSED - 2 * MINUTE})
    insert(other, {"time": CLOSED - 5 * MINUTE})
    writer = Writer()
    writer.run()
    at(NOW + SECOND)
    insert(node, {"time": CLOSED - 6 * MINUTE, "ingested_at": NOW})
    assert writer.minutes() == minutes(*range(-10, -3))
    assert writer.minutes() == set()


def test_the_minutes_of_a_late_sample_without_neighbours_are_its_own(at: Clock) -> None:
    writer = Writer()
    writer.run()
    at(NOW + SECOND)
    insert_gpus(own_node(), {"time": CLOSED - 500 * MINUTE, "ingested_at": NOW})
    assert writer.minutes() == minutes(-500)


def test_a_neighbour_more_than_a_day_away_is_none(at: Clock) -> None:
    node = own_node()
    insert_gpus(node, {"time": CLOSED - timedelta(days=2), "ingested_at": NOW - MINUTE})
    writer = Writer()
    writer.run()
    at(NOW + SECOND)
    insert_gpus(node, {"time": CLOSED - 5 * MINUTE, "ingested_at": NOW})
    assert writer.minutes() == minutes(-5)


def test_a_sample_that_ends_a_gap_has_the_gap_written_again(at: Clock) -> None:
    node = own_node()
    insert_gpus(node, {"time": CLOSED - 7 * MINUTE})
    writer = Writer()
    writer.run()
    at(NOW + SECOND)
    insert_gpus(node, {"time": NOW - SECOND, "ingested_at": NOW})
    assert writer.minutes() == minutes(*range(-7, 0))
    at(NOW + 2 * SECOND)
    insert_gpus(node, {"time": NOW, "ingested_at": NOW + SECOND})
    assert writer.minutes() == set(), "its neighbour lies in open time"


def test_samples_that_arrive_in_time_have_nothing_written_again(at: Clock) -> None:
    node = own_node()
    insert_gpus(node, *({"time": time} for time in every(5 * SECOND, NOW - 3 * MINUTE, NOW)))
    writer = Writer()
    writer.run()
    for seconds in range(10, 200, 10):
        moment = NOW + seconds * SECOND
        insert_gpus(node, {"time": moment - 10 * SECOND}, {"time": moment - 5 * SECOND})
        at(moment)
        before = TelemetryProgress.objects.get().closed_until
        after = (moment - 30 * SECOND).replace(second=0)
        assert writer.minutes() == set(every(MINUTE, before, after))


def test_a_late_request_has_the_minutes_that_it_ran_in_written_again(at: Clock, tenant_key: str) -> None:
    writer = Writer()
    writer.run()
    at(NOW + SECOND)
    ran = {"id": "r", "time": CLOSED - 2 * MINUTE + SECOND, "e2e_ms": 150_000.0, "queue_ms": 20_000.0}
    insert_requests(tenant_key, ran | {"ingested_at": NOW, "node": "n", "engine": "e"})
    assert writer.minutes() == minutes(-5, -4, -3, -2)


@pytest.mark.parametrize("fields", [{"node": ""}, {"engine": ""}, {"observed": True}])
def test_a_request_that_nothing_can_be_split_over_changes_nothing(
    at: Clock, tenant_key: str, fields: dict[str, Any]
) -> None:
    writer = Writer()
    writer.run()
    at(NOW + SECOND)
    row = {"id": "r", "time": CLOSED - 2 * MINUTE, "ingested_at": NOW, "node": "n", "engine": "e"}
    insert_requests(tenant_key, row | fields)
    assert writer.minutes() == set()


def test_a_request_that_ran_from_closed_into_open_time_has_the_closed_part_written_again(
    at: Clock, tenant_key: str
) -> None:
    writer = Writer()
    writer.run()
    at(NOW + SECOND)
    row = {"id": "r", "time": NOW, "e2e_ms": 180_000.0, "ingested_at": NOW, "node": "n", "engine": "e"}
    insert_requests(tenant_key, row)
    assert writer.minutes() == minutes(-2, -1)  # from 27:10 on


def test_a_step_is_not_told_of_what_it_does_not_read(at: Clock, tenant_key: str) -> None:
    writer = Writer(reads=(GPUS,))
    writer.run()
    at(NOW + SECOND)
    insert_engines(own_node(), {"time": CLOSED - 5 * MINUTE, "ingested_at": NOW})
    row = {"id": "r", "time": CLOSED - 3 * MINUTE, "ingested_at": NOW, "node": "n", "engine": "e"}
    insert_requests(tenant_key, row)
    assert writer.minutes() == set()


def test_a_step_that_looks_back_writes_later_minutes_too(at: Clock) -> None:
    writer = Writer(reach_forward=timedelta(minutes=2))
    writer.run()
    at(NOW + SECOND)
    insert_gpus(own_node(), {"time": CLOSED - 5 * MINUTE, "ingested_at": NOW})
    assert writer.minutes() == minutes(-5, -4, -3)


def test_a_step_that_looks_ahead_writes_earlier_minutes_too(at: Clock) -> None:
    writer = Writer(reach_back=timedelta(minutes=2))
    writer.run()
    at(NOW + SECOND)
    insert_gpus(own_node(), {"time": CLOSED - 5 * MINUTE, "ingested_at": NOW})
    insert_gpus(own_node(), {"time": CLOSED + MINUTE + SECOND, "ingested_at": NOW})
    assert writer.minutes() == minutes(-7, -6, -5, -1)


def test_what_a_silent_host_holds_back_is_taken_up_when_it_returns(at: Clock) -> None:
    settled(NOW - timedelta(minutes=10), "host-2")
    writer = Writer()
    writer.run()
    assert TelemetryProgress.objects.get().watermark == NOW - timedelta(minutes=10)
    insert_gpus(own_node(), {"time": CLOSED - 2 * MINUTE, "ingested_at": NOW - 5 * MINUTE})
    at(NOW + 20 * SECOND)
    assert writer.minutes() == minutes(0), "time goes on without it"
    settled(NOW + 20 * SECOND, "host-2")
    assert writer.minutes() == minutes(-2)


def test_a_retired_host_holds_nothing_back(at: Clock) -> None:
    settled(NOW - timedelta(days=1), "host-2")
    IngestHost.objects.filter(name="host-2").update(retired_at=NOW)
    Writer().run()
    assert TelemetryProgress.objects.get().watermark == NOW


def test_a_block_that_fails_stays_due_and_the_others_are_written(at: Clock, caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer()
    writer.run()
    at(NOW + timedelta(hours=2, seconds=20))
    write, failing = writer.write, True

    def sometimes(span: Span) -> None:
        write(span)
        if failing and span.start == CLOSED:
            raise ValueError("a fault of ours")

    writer.step = writer.step._replace(write=sometimes)
    assert writer.run() == Outcome(written=61, left=60, failed=1)
    assert "a fault of ours" in caplog.text
    failing = False
    assert writer.minutes() == {CLOSED + offset * MINUTE for offset in range(60)}


def test_a_crash_leaves_its_block_due(at: Clock) -> None:
    class Killed(BaseException):
        pass

    def crash(span: Span) -> None:
        raise Killed

    writer = Writer()
    writer.run()
    at(NOW + 20 * SECOND)
    with pytest.raises(Killed):
        processing.run(steps=(writer.step._replace(write=crash),))
    assert writer.minutes() == minutes(0)


def test_clickhouse_that_does_not_answer_ends_the_run(at: Clock) -> None:
    def unavailable(span: Span) -> None:
        raise ClickHouseUnavailable("gone")

    writer = Writer()
    writer.run()
    at(NOW + 20 * SECOND)
    with pytest.raises(ClickHouseUnavailable):
        processing.run(steps=(writer.step._replace(write=unavailable),))
    assert progress.left("test") == 1


def test_a_run_that_has_used_up_its_time_leaves_the_rest_to_the_next(at: Clock) -> None:
    writer = Writer()
    writer.run()
    at(NOW + timedelta(hours=3))
    assert writer.run(budget_s=0) == Outcome(written=10, left=170)
    at(NOW + timedelta(hours=3, minutes=1))
    assert writer.run(budget_s=0) == Outcome(written=1, left=170), "the newest come first, again"
    assert writer.run(budget_s=60) == Outcome(written=170, left=0)


def test_minutes_whose_raw_samples_may_be_gone_are_left_as_they_are(at: Clock) -> None:
    writer = Writer()
    writer.run()
    at(NOW + SECOND)
    client.statement("test_ttl", f"SYSTEM STOP TTL MERGES {GPUS}")
    insert_gpus(own_node(), {"time": NOW - timedelta(days=13, minutes=5), "ingested_at": NOW})
    insert_gpus(own_node(), {"time": NOW - timedelta(days=12), "ingested_at": NOW})
    assert writer.minutes() == {(NOW - timedelta(days=12)).replace(second=0)}


def test_nothing_is_written_while_another_process_is_at_it(at: Clock) -> None:
    writer = Writer()
    with advisory_lock(processing.ADVISORY_LOCK) as alone, ThreadPoolExecutor(1) as pool:
        assert alone

        def other() -> dict[str, Outcome]:
            try:
                return processing.run(steps=(writer.step,))
            finally:
                connection.close()

        assert pool.submit(other).result() == {}
    assert not TelemetryProgress.objects.exists()


def test_requests_from_before_the_first_sample_are_not_looked_at(at: Clock, tenant_key: str) -> None:
    row = {"time": CLOSED - 9 * MINUTE, "node": "n", "engine": "e"}
    insert_requests(tenant_key, row | {"id": "before", "ingested_at": CLOSED - 8 * MINUTE})
    insert_gpus(own_node(), {"time": CLOSED - 6 * MINUTE})
    insert_requests(tenant_key, row | {"id": "after", "ingested_at": CLOSED - 5 * MINUTE, "time": CLOSED - 7 * MINUTE})
    assert Writer().minutes() == minutes(-7, -6)


def test_without_any_sample_processing_begins_with_what_arrives_from_now_on(at: Clock, tenant_key: str) -> None:
    row = {"id": "r", "time": CLOSED - 9 * MINUTE, "ingested_at": CLOSED - 8 * MINUTE, "node": "n", "engine": "e"}
    insert_requests(tenant_key, row)
    assert Writer().minutes() == set()
    assert TelemetryProgress.objects.get().watermark == NOW


def test_arrivals_of_many_hours_are_looked_at_a_few_hours_at_a_time(at: Clock) -> None:
    writer = Writer()
    writer.run()
    for hours in (5, 11):
        insert_gpus(own_node(), {"time": CLOSED - MINUTE * hours, "ingested_at": NOW + timedelta(hours=hours)})
    at(NOW + timedelta(hours=12))
    assert CLOSED - 5 * MINUTE in writer.minutes()
    assert writer.minutes() == minutes(-11)
    assert TelemetryProgress.objects.get().watermark == NOW + timedelta(hours=12)


def test_a_step_whose_due_minutes_cannot_be_told_does_not_keep_the_others_back(
    at: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, run = Writer(), client.run

    def refuse(query: client.Query, **limits: Any) -> client.Result:
        if query.name == "telemetry_late_requests":
            raise client.ClickHouseRefused(159, "too slow")
        return run(query, **limits)

    monkeypatch.setattr(client, "run", refuse)
    writer.run()
    at(NOW + 20 * SECOND)
    other = writer.step._replace(name="other", reads=(GPUS,))
    assert processing.run(steps=(writer.step, other)) == {"test": Outcome(), "other": Outcome()}
    at(NOW + 90 * SECOND)
    assert processing.run(steps=(writer.step, other))["other"] == Outcome(written=1)


def test_the_task_leaves_to_the_next_run_what_clickhouse_in_trouble_could_not_do(
    at: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unavailable(*_: Any, **__: Any) -> client.Result:
        raise ClickHouseUnavailable("gone")

    monkeypatch.setattr(client, "run", unavailable)
    tasks.work_up_telemetry()
    assert "telemetry waits: gone" in caplog.text


def test_the_scheduler_runs_every_step_every_ten_seconds() -> None:
    assert settings.CELERY_BEAT_SCHEDULE["work-up-telemetry"]["task"] == tasks.work_up_telemetry.name
    assert "rollups" in [step.name for step in processing.STEPS]
