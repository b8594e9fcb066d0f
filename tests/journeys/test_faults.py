"""What is killed in the middle of a replay comes back, and the totals are exact."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.journeys import traces
from tests.journeys.stack import RunningStack

pytestmark = pytest.mark.journey


def test_kill_9_of_worker_clickhouse_and_web_in_the_middle_of_a_replay_loses_and_doubles_nothing(
    up: RunningStack, tmp_path: Path
) -> None:
    trace, tenant = tmp_path / "code.csv", "killed"
    totals = traces.azure(trace, 4_000)  # 160 s of trace
    up.manage("create_tenant", tenant)

    words = ("replay", str(trace), "--format", "azure-llm-2023", "--tenant", tenant, "--model", "m", "--speed", "12")
    replay = up.spawn(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    up.wait_for(lambda: up.usage(tenant)[0] > 200, 20, "the replay is under way")
    for service in ("worker", "clickhouse", "web"):
        assert replay.poll() is None, "the replay was over before everything was killed"
        up.kill(service)
    out, err = replay.communicate(timeout=120)

    assert replay.returncode == 0, err
    assert "held up" in err  # the web process was missed, so there was something to outlast
    assert "accepted=4000 rejected=0" in out
    up.wait_for(lambda: up.usage(tenant) == totals, 30, f"{totals} in the usage")
    up.seal()
    assert up.usage(tenant) == totals


def test_a_replay_that_was_interrupted_goes_on_where_it_stopped(up: RunningStack, tmp_path: Path) -> None:
    trace, tenant = tmp_path / "code.csv", "interrupted"
    totals = traces.azure(trace, 3_000)
    words = ("replay", str(trace), "--format", "azure-llm-2023", "--tenant", tenant, "--model", "m")

    first = up.spawn(*words, "--speed", "10", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(4)
    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=30)
    assert first.returncode == 130
    assert "the same command goes on from there" in err

    second = up.run(*words)
    assert second.returncode == 0, second.stderr
    assert "going on after row" in second.stderr
    assert "requests=3000" in second.stdout
    assert "accepted=3000 rejected=0" in second.stdout
    up.seal()
    assert up.usage(tenant) == totals
