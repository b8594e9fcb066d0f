"""What arrives after its minutes were closed changes their energy: through the machinery of processing, by a clock that is held."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from metering.telemetry import processing
from tests.metering.rows import empty_tables, settled
from tests.metering.telemetry.energy.scene import Scene
from tests.metering.telemetry.sample_rows import minutes_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clickhouse")]

START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=4)
ENERGY = tuple(step for step in processing.STEPS if step.name == "energy")
Clock = Callable[[float], None]


@pytest.fixture(autouse=True)
def clean(clickhouse: object) -> None:
    empty_tables("gpu_samples", "engine_samples", "requests", "energy_windows", "energy_attributed")


@pytest.fixture
def scene(tenant_key: str) -> Scene:
    return Scene(tenant_key, start=START)


@pytest.fixture
def run_at(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Processes energy as of that second, when everything that was stamped before is inserted."""

    def run(second: float) -> None:
        now = START + timedelta(seconds=second)
        monkeypatch.setattr(timezone, "now", lambda: now)
        settled(now)
        while processing.run(steps=ENERGY)["energy"].left:
            pass

    return run


def column(scene: Scene, name: str) -> dict[int, Any]:
    """By minute from the start."""
    rows = minutes_of("energy_windows", scene.node)
    return {int((row["window_start"] - START).total_seconds()) // 60: row[name] for row in rows}


def serving(scene: Scene, until: float, *, begin: float, end: float) -> None:
    """A GPU at 400 W and an engine with one request from `begin` to `end` that makes an output token every second."""
    scene.steady_gpu(until, 400)
    scene.engine(
        *(
            (
                at,
                {
                    "running": float(begin <= at < end),
                    "prompt_tokens": 100 * (at > begin),
                    "generation_tokens": int(min(max(at - begin, 0), end - begin)),
                },
            )
            for at in range(0, int(until) + 10, 10)
        )
    )


def test_a_request_longer_than_the_settle_time_takes_its_energy_when_its_event_comes(
    scene: Scene, run_at: Clock
) -> None:
    serving(scene, 3600, begin=300, end=2100)
    run_at(1500)
    before = column(scene, "unattributed_no_event_j")
    assert max(before) == 14
    assert [round(before[minute]) for minute in (3, 7, 10)] == [0, 24_000, 24_000]
    scene.request(2100, 1800, ttft_ms=0.0, output_tokens=1800)
    run_at(2820)
    told, untold = column(scene, "attributed_j"), column(scene, "unattributed_no_event_j")
    assert [told[minute] for minute in range(5, 35)] == pytest.approx([24_000] * 30, rel=0.01)
    assert max(untold.values()) < 200
    assert max(column(scene, "conservation_error").values()) < 1e-9


def test_an_event_that_comes_an_hour_late_changes_its_windows_and_no_others(scene: Scene, run_at: Clock) -> None:
    serving(scene, 7200, begin=600, end=720)
    run_at(7000)
    before = {
        minute: (joules, version)
        for (minute, joules), version in zip(
            column(scene, "unattributed_no_event_j").items(), column(scene, "version").values(), strict=True
        )
    }
    assert before[11][0] > 20_000
    scene.request(720, 120, ttft_ms=0.0, output_tokens=120, ingested_at=scene.at(7050))
    run_at(7100)
    after = column(scene, "unattributed_no_event_j")
    assert (after[10], after[11]) == (pytest.approx(0, abs=300), pytest.approx(0, abs=300))
    written = {
        minute for minute, version in column(scene, "version").items() if version != before.get(minute, (0, 0))[1]
    }
    assert written & set(before) == set(range(10 - 8, 13 + 8))
    # The sample at its very start spoke for the five seconds before it too, as long as no event told when it began.
    assert {minute for minute in before if abs(after[minute] - before[minute][0]) > 1} == {9, 10, 11}


def test_a_node_that_comes_back_has_its_gap_unattributed_in_windows_closed_long_before(
    scene: Scene, run_at: Clock
) -> None:
    scene.steady_gpu(300, 100)
    scene.quiet_engine(300)
    run_at(2400)
    assert max(minute for minute, joules in column(scene, "counter_j").items() if joules) == 4
    scene.gpu(*((at, at * 100.0, 100.0) for at in range(3000, 3700, 10)))
    scene.quiet_engine(3690, begin=3000)
    run_at(4300)
    counter, gap = column(scene, "counter_j"), column(scene, "unattributed_gap_j")
    assert [counter[minute] for minute in range(61)] == pytest.approx([6000] * 61)
    assert [gap[minute] for minute in (4, 5, 20, 49, 50)] == pytest.approx([0, 6000, 6000, 6000, 0])


def test_samples_from_an_outbox_fill_the_gap_that_was_there_before(scene: Scene, run_at: Clock) -> None:
    scene.steady_gpu(300, 100)
    scene.gpu(*((at, at * 100.0, 100.0) for at in range(1200, 3000, 10)))
    scene.quiet_engine(3000)
    run_at(3600)
    assert column(scene, "unattributed_gap_j")[10] == pytest.approx(6000)
    scene.gpu(*((at, at * 100.0, 100.0) for at in range(310, 1200, 10)), ingested_at=scene.at(3700))
    run_at(3800)
    assert set(column(scene, "unattributed_gap_j").values()) == {0}
    assert column(scene, "idle_j")[10] == pytest.approx(6000)
