"""A gateway with the Python client: the gateway and the server are killed with -9, and every event is in the usage once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tallywatt import lanes
from tests.journeys.stack import RunningStack

pytestmark = pytest.mark.journey

EVENTS = 3_000
GATEWAY = """
import sys, time, tallywatt
url, key, outbox, form, count, pause_s = sys.argv[1:]
client = tallywatt.Client(url, key, outbox=outbox, fsync_ms=0, format=form, batch_events=100, batch_age_s=0.1,
                          timeout_s=10, retry_first_s=0.1, retry_longest_s=1, refused_wait_s=1)
for number in range(int(count)):
    # The same request has the same id and the same time, whichever process records it.
    client.record(id=f"request-{number}", time=1_767_225_600_000 + number, model="m", input_tokens=10, output_tokens=5,
                  cached_input_tokens=number % 3)
    if number % 50 == 0:
        print(number, flush=True)
        time.sleep(float(pause_s))
print("left" if not client.close(60) else "sent", client.stats.rejected, client.last_error, flush=True)
"""


def gateway(up: RunningStack, key: str, outbox: Path, form: str) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", GATEWAY, up.url, key, str(outbox), form, str(EVENTS), "0.1"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read_until(process: "subprocess.Popen[str]", number: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.split()[0] == str(number):
            return
    raise AssertionError(f"the gateway ended before event {number}")


def test_kill_9_of_the_gateway_and_of_the_server_loses_and_doubles_no_event(up: RunningStack, tmp_path: Path) -> None:
    tenant, outbox = "python-client", tmp_path / "outbox"
    up.manage("create_tenant", tenant)
    key = up.manage("create_api_key", "--tenant", tenant, "--scopes", "ingest")

    first = gateway(up, key, outbox, "ndjson")
    read_until(first, 500)
    up.kill("web")
    read_until(first, 1_000)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()

    second = gateway(up, key, outbox, "arrow")  # begins anew, with what the first one left and the same requests
    read_until(second, 500)  # long before its end, so that a busy machine does not miss it
    up.kill("web")
    up.kill("worker")
    out, err = second.communicate(timeout=120)
    assert out.splitlines()[-1] == "sent 0 None", err
    assert "held up" in err  # the server was missed, so there was something to outlast
    assert "NDJSON" not in err  # it took Arrow
    assert lanes.survey(outbox) == []

    totals = (EVENTS, EVENTS * 10, EVENTS * 5, EVENTS)
    up.wait_for(lambda: up.usage(tenant) == totals, 30, f"{totals} in the usage")
    up.seal()
    assert up.usage(tenant) == totals


def test_an_event_of_another_tenant_becomes_a_dead_letter_and_holds_up_nothing(
    up: RunningStack, tmp_path: Path
) -> None:
    tenant, other, outbox = "python-own", "python-other", tmp_path / "outbox"
    up.manage("create_tenant", tenant)
    up.manage("create_tenant", other)
    key = up.manage("create_api_key", "--tenant", tenant, "--scopes", "ingest")
    program = """
import sys, tallywatt
url, key, outbox, other = sys.argv[1:]
client = tallywatt.Client(url, key, outbox=outbox, batch_age_s=60, refused_wait_s=1)
for number in range(10):
    client.record(model="m", input_tokens=10, output_tokens=5, **({"tenant": other} if number == 4 else {}))
client.record(model="m", input_tokens=1, cached_input_tokens=2, output_tokens=1)
client.close(30)
print(client.stats.sent, client.stats.rejected)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, up.url, key, str(outbox), other],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "9 2\n", done.stderr
    letters = (outbox / "rejected.ndjson").read_text()
    assert letters.count("foreign_tenant") == letters.count('"reason": "invariant"') == 1
    up.wait_for(lambda: up.usage(tenant)[0] == 9, 30, "nine requests")
    assert up.usage(other)[0] == 0
