"""What is killed or interrupted in the middle of a replay goes on where it was, and the totals are exact."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.journeys import traces
from tests.journeys.stack import RunningStack

pytestmark = pytest.mark.journey


def test_kill_9_of_worker_clickhouse_and_web_and_an_interrupted_replay_lose_and_double_nothing(
    up: RunningStack, tmp_path: Path
) -> None:
    trace, tenant = tmp_path / "code.csv", "killed"
    totals = traces.azure(trace, 12_000)  # 480 s of trace
    up.manage("create_tenant", tenant)

    words = ("replay", str(trace), "--format", "azure-llm-2023", "--tenant", tenant, "--model", "m")
    # Four minutes, so that a busy machine kills everything long before the end; what then is left goes at full speed.
    first = up.spawn(*words, "--speed", "2", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    up.wait_for(lambda: up.usage(tenant)[0] > 200, 60, "the replay is under way")
    for service in ("worker", "clickhouse", "web"):
        up.kill(service)
    up.wait_for(up.answers, 60, "the web process answers again")
    seen = up.usage(tenant)[0]
    up.wait_for(lambda: up.usage(tenant)[0] > seen, 60, "the replay goes on")
    assert first.poll() is None, "the replay was over before everything was killed"

    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=60)
    assert first.returncode == 130, err
    assert "held up" in err  # the web process was missed, so there was something to outlast
    assert "the same command goes on from there" in err

    second = up.run(*words)
    assert second.returncode == 0, second.stderr
    assert "going on after row" in second.stderr
    assert "requests=12000" in second.stdout
    assert "accepted=12000 rejected=0" in second.stdout
    up.wait_for(lambda: up.usage(tenant) == totals, 60, f"{totals} in the usage")
    up.seal()
    assert up.usage(tenant) == totals
