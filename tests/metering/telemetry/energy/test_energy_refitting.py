"""From windows to coefficients that are used: the hourly fit, the command, and windows computed anew with them."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from metering import tasks
from metering.clickhouse import client
from metering.clickhouse.client import ClickHouseUnavailable
from metering.models import EnergyCoefficients
from metering.moments import seconds
from metering.telemetry import processing
from metering.telemetry.energy import health, writing
from metering.telemetry.energy.coefficients import ASSUMED_DECODE_J
from metering.telemetry.energy.refitting import ASSUMED_IDLE_W, refit
from tests.metering.rows import empty_tables
from tests.metering.telemetry.energy.scene import Scene

pytestmark = pytest.mark.usefixtures("clickhouse", "db")
PREFILL_J, DECODE_J = 0.03, 0.25
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def nothing_else(clickhouse: None) -> None:
    empty_tables("energy_windows", "energy_attributed", "gpu_samples", "engine_samples")


def insert_windows(start: datetime, count: int = 60, **given: Any) -> None:
    """Minutes of an engine that takes PREFILL_J and DECODE_J above 100 W."""
    random = np.random.default_rng(5)
    usual = {
        "node": "n",
        "engine": "e0",
        "model": "m",
        "product": "H100",
        "engines_in_group": 1,
        "gpu_s": 60.0,
        "busy_s": 60.0,
        "attributed_gpu_s": 60.0,
        "idle_power_w": 100.0,
        "idle_power_measured": True,
        "version": 1,
    }
    rows = []
    for minute in range(count):
        prefill, decode = float(random.uniform(1e4, 1e5)), float(random.uniform(1e3, 3e4))
        joules = PREFILL_J * prefill + DECODE_J * decode + 6000
        measured = {"work_prefill_tokens": prefill, "work_decode_tokens": decode, "attributed_j": joules}
        rows.append(usual | {"window_start": start + timedelta(minutes=minute)} | measured | given)
    columns = sorted(rows[0])
    client.insert("test_rows", "energy_windows", columns, [[row[name] for row in rows] for name in columns])


@pytest.fixture
def start() -> datetime:
    return timezone.now().replace(minute=0, second=0, microsecond=0) - 5 * HOUR


def test_a_fit_is_kept_with_its_errors_and_says_from_when_it_is_used(start: datetime) -> None:
    insert_windows(start)
    (row,) = refit(start=start, end=start + HOUR)
    assert (row.model, row.product, row.simulated, row.windows, row.accepted) == ("m", "H100", False, 60, True)
    assert (row.prefill_j, row.decode_j) == (pytest.approx(PREFILL_J, rel=1e-6), pytest.approx(DECODE_J, rel=1e-6))
    assert row.r_squared == pytest.approx(1)
    assert (row.data_from, row.data_until, row.effective_from) == (start, start + HOUR, start + HOUR)


def test_models_gpus_and_simulations_are_fitted_apart(start: datetime) -> None:
    insert_windows(start)
    insert_windows(start, engine="e1", model="other")
    insert_windows(start, engine="e2", product="H200")
    insert_windows(start, engine="e3", simulated=True)
    found = refit(start=start, end=start + HOUR)
    assert [(row.model, row.product, row.simulated) for row in found] == [
        ("m", "H100", False),
        ("m", "H100", True),
        ("m", "H200", False),
        ("other", "H100", False),
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"engines_in_group": 2},
        {"gap_s": 1.0},
        {"engine_restarts": 1},
        {"engine_gap_s": 5.0},
        {"conservation_error": 0.1},
        {"busy_s": 5.0},
        {"engine": ""},
    ],
)
def test_windows_that_would_mislead_are_left_out(start: datetime, given: dict[str, Any]) -> None:
    insert_windows(start, **given)
    assert refit(start=start, end=start + HOUR) == []


def test_gpus_that_never_rest_are_taken_to_idle_like_others_of_their_kind(start: datetime) -> None:
    insert_windows(start, engine="never", model="m2", idle_power_measured=False, idle_power_w=350.0)
    insert_windows(start)
    found = {row.model: row for row in refit(start=start, end=start + HOUR)}
    assert found["m2"].decode_j == pytest.approx(DECODE_J, rel=1e-6)
    empty_tables("energy_windows")
    insert_windows(start, engine="never", idle_power_measured=False, idle_power_w=350.0)
    (row,) = refit(start=start, end=start + HOUR)
    assert (row.accepted, row.windows) == (True, 60)
    assert row.decode_w == pytest.approx(100 - ASSUMED_IDLE_W)  # what they burn at rest and was not taken off


def test_a_fit_that_is_not_used_is_kept_with_its_reason_and_shown(start: datetime) -> None:
    insert_windows(start, count=10)
    (row,) = refit(start=start, end=start + HOUR)
    assert (row.accepted, row.reason) == (False, "10 windows; 30 are needed")
    (shown,) = health.coefficients_in_use()
    assert (shown.assumed, shown.decode_j, shown.latest_refused) == (True, ASSUMED_DECODE_J, row.reason)


def test_the_latest_fit_that_can_be_used_is_shown_with_the_reason_against_a_newer_one(start: datetime) -> None:
    insert_windows(start)
    (used,) = refit(start=start, end=start + HOUR)
    refit(start=start, end=start + timedelta(minutes=10), effective_from=start + 2 * HOUR)
    (shown,) = health.coefficients_in_use()
    assert (shown.id, shown.assumed) == (used.pk, False)
    assert shown.latest_refused == "10 windows; 30 are needed"
    assert shown.decode_error_j is not None


def test_windows_use_the_fit_that_held_at_their_time(tenant_key: str) -> None:
    scene = Scene(tenant_key)
    scene.steady_gpu(180, 300, name="H100")
    scene.quiet_engine(180, model="m")
    scene.request(50, 40, id="prompt", input_tokens=1000, output_tokens=0, ttft_ms=40_000.0, tier="p")
    scene.request(50, 40, id="output", input_tokens=0, output_tokens=100, ttft_ms=0.0, tier="o")
    usual = {"model": "m", "product": "H100", "simulated": False, "windows": 99}
    span = {"data_from": scene.at(-9000), "data_until": scene.at(0)}
    for prefill, effective, accepted in ((1.0, -600, True), (7.0, -300, False), (9.0, 60, True)):
        EnergyCoefficients.objects.create(
            **usual,
            **span,
            prefill_j=prefill,
            prefill_context_j=0.0,
            decode_j=10.0,
            decode_w=100.0,
            effective_from=scene.at(effective),
            accepted=accepted,
        )
    rows = scene.windows(2)
    first, second = EnergyCoefficients.objects.filter(accepted=True).order_by("effective_from")
    assert [row["coefficients_id"] for row in rows] == [first.pk, second.pk]
    found = {row["tier"]: row["energy_j"] for row in scene.attributed()}
    assert found == {"p": pytest.approx(1000), "o": pytest.approx(11_000)}


def test_the_command_prints_a_line_for_each_fit(start: datetime, capsys: pytest.CaptureFixture[str]) -> None:
    insert_windows(start)
    insert_windows(start, count=3, engine="e1", model="rare")
    call_command("fit_energy", "--from", start.isoformat(), "--to", (start + HOUR).isoformat())
    header, used, rare = capsys.readouterr().out.rstrip("\n").split("\n")
    assert header.startswith("model\tproduct")
    assert used.split("\t")[:3] == ["m", "H100", "0.03"]
    assert used.endswith("used")
    assert rare.endswith("not used: 3 windows; 30 are needed")


def test_the_command_can_compute_windows_anew_with_what_it_fitted(
    tenant_key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = Scene(tenant_key)
    scene.steady_gpu(120, 300, name="H100")
    scene.quiet_engine(120, model="m")
    scene.request(50, 40)
    assert [row["coefficients_id"] for row in scene.windows(2)] == [0, 0]
    insert_windows(scene.start - HOUR)
    begin, end = scene.at(0), scene.at(120)
    options = ("--from", (begin - HOUR).isoformat(), "--to", end.isoformat(), "--effective-from", begin.isoformat())
    call_command("fit_energy", *options, "--rewrite")
    assert "computed" in capsys.readouterr().err
    (row,) = EnergyCoefficients.objects.filter(accepted=True)
    assert [window["coefficients_id"] for window in scene.windows()] == [row.pk, row.pk]


def test_the_command_refuses_what_it_cannot_compute_anew(start: datetime) -> None:
    with pytest.raises(CommandError, match="--rewrite needs"):
        call_command("fit_energy", "--rewrite")
    with pytest.raises(CommandError, match="not before"):
        call_command("fit_energy", "--from", start.isoformat(), "--to", start.isoformat())
    old = (start - timedelta(days=20)).isoformat()
    with pytest.raises(CommandError, match="stay as they are"):
        call_command("fit_energy", "--to", start.isoformat(), "--effective-from", old, "--rewrite")


def test_the_hourly_task_fits_and_leaves_it_to_the_next_when_clickhouse_is_in_trouble(
    start: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_windows(start)
    tasks.fit_energy()
    assert EnergyCoefficients.objects.count() == 1

    def unavailable() -> None:
        raise ClickHouseUnavailable("gone")

    monkeypatch.setattr(tasks, "refit", unavailable)
    tasks.fit_energy()


def test_energy_is_a_step_of_processing_that_looks_as_far_around_as_it_has_to() -> None:
    (step,) = (step for step in processing.STEPS if step.name == "energy")
    assert step.write is writing.write
    assert step.lag > step.reach_back == step.reach_forward == writing.reach()
    assert seconds(timezone.now()) > 0
