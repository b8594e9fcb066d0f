"""Quarters of an hour, hours and six hours of telemetry: the same as their minutes, whenever these are written."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metering.clickhouse import client
from metering.clickhouse.queries.fleet_series import Steps
from metering.clickhouse.queries.telemetry_steps import STEPS_S, Piece
from metering.models import TelemetryProgress
from metering.telemetry import fleet, fleet_history, processing, rollups, step_rollups
from metering.telemetry.fleet_history import EnginePoint, FleetRange, GpuPoint, SaturationPoint
from metering.telemetry.spans import Span
from tests.metering.telemetry.sample_rows import (
    MINUTE,
    SECOND,
    every,
    forget_telemetry,
    insert_engines,
    insert_gpus,
    own_node,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clickhouse")]
HOUR = timedelta(hours=1)
SIX = 6 * HOUR
# Six whole hours that are over, and not too long ago to be written.
START = datetime.fromtimestamp(datetime.now(UTC).timestamp() // SIX.total_seconds() * SIX.total_seconds(), UTC) - SIX
EVERYTHING = FleetRange(START, START + SIX, SIX)


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    forget_telemetry()


def busy_hours(node: str, minutes: int = 95) -> None:
    """Two GPUs and an engine, a sample every 30 s; the second GPU begins late, and is throttled now and then."""
    gpus, engines = [], []
    for number, time in enumerate(every(30 * SECOND, START, START + minutes * MINUTE)):
        base = {"time": time, "name": "H100", "region": "eu", "cluster": "c1", "power_limit_w": 700.0}
        base |= {"throttle": [], "throttle_known": False}
        counters = {"energy_j": number * 9000.0, "xid_errors": number // 50, "xid_last": 63}
        one = (
            base
            | counters
            | {"gpu": "GPU-0", "sm_active": number / 400, "power_w": 300.0 + number, "sm_clock_mhz": 1500}
        )
        gpus.append(one | {"memory_used_bytes": 10**9 * (number % 7), "memory_total_bytes": 80 * 10**9})
        if number > 60:
            throttle = {"throttle": ["sw_power_cap"] if number % 3 == 0 else [], "throttle_known": True}
            gpus.append(base | throttle | {"gpu": "GPU-1", "power_w": 100.0, "temperature_c": 60.0})
        engines.append(
            {"time": time, "model": "m", "region": "eu", "cluster": "c1", "running": float(number % 20), "waiting": 1.0}
            | {"kv_cache_usage": min(1.0, number / 150), "preemptions": number, "prompt_tokens": number * 1000}
            | {"generation_tokens": number * 100, "queue_sum_s": number * 0.5, "queue_count": number}
            | {"gpus": ["GPU-0", "GPU-1"]}
        )
    insert_gpus(node, *gpus)
    insert_engines(node, *engines)


def written(node: str, minutes: int = 95) -> None:
    busy_hours(node, minutes)
    rollups.write(Span(START, START + HOUR))
    rollups.write(Span(START + HOUR, START + minutes * MINUTE))


def by_minutes(read: Any, asked: FleetRange, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    with monkeypatch.context() as patched:
        patched.setattr("metering.clickhouse.queries.fleet_series.GRAINS_S", (60,))
        return read(asked, **options)


def same(one: Any, other: Any) -> None:
    for name in type(one).__dataclass_fields__:
        mine, theirs = getattr(one, name), getattr(other, name)
        if name in {"throttle", "readings"} and theirs:
            assert mine == pytest.approx(dict(theirs), rel=1e-5)
        elif name == "bound":
            assert [(each.constraint, pytest.approx(each.share, rel=1e-5)) for each in theirs] == [
                (each.constraint, each.share) for each in mine
            ]
        elif isinstance(theirs, float):
            assert mine == pytest.approx(theirs, rel=1e-5), name
        else:
            assert mine == theirs, name


@pytest.mark.parametrize("step", [15 * MINUTE, HOUR, 2 * HOUR, SIX])
@pytest.mark.parametrize("group", [(), ("gpu",), ("node", "cluster")])
def test_gpus_over_steps_are_as_over_their_minutes(
    step: timedelta, group: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    written(own_node())
    asked = replace(EVERYTHING, step=step, group=group)
    found = fleet_history.gpu_series(asked, reasons=True)
    expected: list[GpuPoint] = by_minutes(fleet_history.gpu_series, asked, monkeypatch, reasons=True)
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        same(one, other)
    assert any(one.throttle for one in found)
    assert sum(one.xid_errors or 0 for one in found) == 3


@pytest.mark.parametrize("step", [15 * MINUTE, HOUR, SIX])
def test_engines_and_their_saturation_are_too(step: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    written(own_node())
    asked = replace(EVERYTHING, step=step, group=("model",))
    engines: list[EnginePoint] = by_minutes(fleet_history.engine_series, asked, monkeypatch)
    states: list[SaturationPoint] = by_minutes(fleet_history.saturation_series, asked, monkeypatch, readings=True)
    assert len(engines) == len(states) > 0
    for one, other in zip(fleet_history.engine_series(asked), engines, strict=True):
        same(one, other)
    for state, expected in zip(fleet_history.saturation_series(asked, readings=True), states, strict=True):
        same(state, expected)
    assert any(state.bound for state in states)
    assert set(states[0].readings) >= {"kv_cache_usage", "waiting_per_running"}


def steps_of(table: str) -> list[tuple[Any, ...]]:
    return client.statement(
        "test", f"SELECT step_s, count(), sum(minutes) FROM {table} FINAL GROUP BY step_s ORDER BY step_s"
    )


def test_minutes_that_are_written_again_replace_what_they_were_in_every_step() -> None:
    node = own_node()
    written(node)
    for table in ("gpu_steps", "engine_steps", "saturation_steps"):
        before = steps_of(table)
        rollups.write(Span(START + 20 * MINUTE, START + 21 * MINUTE))
        assert steps_of(table) == before
        assert [step_s for step_s, *_ in before] == list(STEPS_S)
    insert_gpus(node, {"time": START + 20 * MINUTE + SECOND, "gpu": "GPU-0", "power_w": 10_000.0})
    rollups.write(Span(START + 20 * MINUTE, START + 21 * MINUTE))
    [point] = fleet_history.gpu_series(replace(EVERYTHING, only={"gpu": "GPU-0", "node": node}))
    assert point.power_w_max == 10_000.0


def test_a_step_that_is_not_over_has_what_there_is_of_it() -> None:
    busy_hours(own_node())
    rollups.write(Span(START, START + 20 * MINUTE))
    assert [(step_s, minutes) for step_s, _, minutes in steps_of("engine_steps")] == [
        (900, 20),
        (3600, 20),
        (21_600, 20),
    ]


def test_a_range_that_ends_within_a_step_holds_nothing_from_beyond_it() -> None:
    node = own_node()
    written(node)
    [point] = fleet_history.gpu_series(FleetRange(START, START + 80 * MINUTE, SIX, only={"node": node, "gpu": "GPU-0"}))
    assert point.energy_j == pytest.approx(159 * 9000.0)


def test_the_longest_rows_that_fit_are_read() -> None:
    day = 86_400
    assert Steps(0, 2 * day, day).pieces() == [Piece(21_600, 0, 2 * day)]
    assert Steps(0, 7230, 7200).pieces() == [Piece(3600, 0, 7200), Piece(60, 7200, 7260)]
    assert Steps(0, 25_000, 21_600).pieces() == [
        Piece(21_600, 0, 21_600),
        Piece(900, 21_600, 24_300),
        Piece(60, 24_300, 25_020),
    ]
    assert Steps(0, 25_000, 21_600, to_now=True).pieces() == [Piece(21_600, 0, 43_200)]
    assert Steps(300, 4000, 3600).pieces() == [Piece(60, 300, 4020)]
    assert Steps(0, 600, 300).pieces() == [Piece(60, 0, 600)]
    assert Steps(600, 600, 900).pieces() == [Piece(60, 600, 600)]


def test_several_values_of_a_group_can_be_asked_for() -> None:
    nodes = [own_node() for _ in range(3)]
    for node in nodes:
        insert_gpus(node, {"time": START, "power_w": 100.0})
    rollups.write(Span(START, START + MINUTE))
    [point] = fleet_history.gpu_series(replace(EVERYTHING, only={"node": nodes[:2]}))
    assert (point.gpus, point.power_w) == (2, 200.0)


def test_an_engine_that_did_not_tell_its_model_in_the_last_minutes_keeps_it() -> None:
    node = own_node()
    insert_engines(node, {"time": START, "model": "m"}, {"time": START + 5 * MINUTE, "up": False, "model": ""})
    rollups.write(Span(START, START + 10 * MINUTE))
    [point] = fleet_history.engine_series(replace(EVERYTHING, group=("model",), only={"node": node}))
    assert point.group == {"model": "m"}
    assert point.up_share == 0.5


def test_engines_that_ran_on_a_gpu_are_found() -> None:
    node = own_node()
    insert_engines(node, {"time": START, "engine": "before", "gpus": ["GPU-0"]})
    insert_engines(node, {"time": START + HOUR, "engine": "after", "gpus": ["GPU-0", "GPU-1"]})
    insert_engines(node, {"time": START + HOUR, "engine": "beside", "gpus": ["GPU-2"]})
    rollups.write(Span(START, START + 10 * MINUTE))
    rollups.write(Span(START + HOUR, START + HOUR + 10 * MINUTE))
    assert fleet_history.engines_on_gpu(node, "GPU-0", START, START + SIX) == ["after", "before"]
    assert fleet_history.engines_on_gpu(node, "GPU-0", START + HOUR, START + SIX) == ["after"]
    assert fleet_history.engines_on_gpu(node, "GPU-3", START, START + SIX) == []


def test_a_gpu_that_was_there_today_and_sends_nothing_is_gone() -> None:
    now = datetime.now(UTC)
    node = own_node()
    # One of two minutes ago may lie in the quarter of an hour before, which counts as gone.
    lost, there = now - 50 * MINUTE, now
    insert_gpus(node, {"time": lost, "gpu": "GPU-0", "index": 0, "name": "H100", "region": "eu"})
    insert_gpus(node, {"time": there, "gpu": "GPU-1", "index": 1})
    for time in (lost, there):
        minute = time.replace(second=0, microsecond=0)
        rollups.write(Span(minute, minute + MINUTE))
    [gone] = [one for one in fleet.fleet_gpus_gone(now) if one.node == node]
    assert (gone.node, gone.gpu, gone.index, gone.name, gone.region) == (node, "GPU-0", 0, "H100", "eu")
    assert lost < gone.until <= lost + 15 * MINUTE
    assert [one for one in fleet.fleet_gpus_gone(now + timedelta(hours=25)) if one.node == node] == []


def test_minutes_from_before_there_were_steps_are_added_up_the_latest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    busy_hours(own_node(), 40)
    with monkeypatch.context() as before:
        before.setattr(step_rollups, "write", lambda *args: None)
        rollups.write(Span(START, START + 40 * MINUTE))
    assert steps_of("gpu_steps") == []
    order: list[datetime] = []
    write = step_rollups.write
    monkeypatch.setattr(step_rollups, "write", lambda start, *rest: (order.append(start), write(start, *rest)))
    monkeypatch.setattr(processing, "STEPS", ())
    processing.run()
    assert order == sorted(order, reverse=True)
    assert order[-1] == START
    assert [(step_s, minutes) for step_s, _, minutes in steps_of("engine_steps")] == [
        (900, 40),
        (3600, 40),
        (21_600, 40),
    ]
    assert TelemetryProgress.objects.get(name="steps").due == []
    order.clear()
    processing.run()
    assert order == []


def test_what_a_run_has_no_time_for_is_added_up_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    insert_gpus(own_node(), {"time": START - SIX}, {"time": START})
    with monkeypatch.context() as before:
        before.setattr(step_rollups, "write", lambda *args: None)
        for start in (START - SIX, START):
            rollups.write(Span(start, start + MINUTE))
    assert step_rollups.catch_up(budget_s=0) == 1
    assert steps_of("gpu_steps") == []
    assert step_rollups.catch_up(budget_s=60) == 0
    assert [count for _, count, _ in steps_of("gpu_steps")] == [2, 2, 2]


def test_a_new_installation_has_nothing_to_catch_up_with() -> None:
    assert step_rollups.catch_up(budget_s=1) == 0
    assert TelemetryProgress.objects.get(name="steps").due == []
