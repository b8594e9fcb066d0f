"""kill -9 at random moments: nothing that `record()` has promised is lost, and all of it arrives."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tallywatt import lanes, segments
from tests.tallywatt.conftest import MakeClient
from tests.tallywatt.server import KEY, StrictServer, problem

NOBODY_LISTENS = "http://127.0.0.1:9"


def killed(url: str, outbox: Path, fsync_ms: int, after_s: float) -> list[str]:
    """The ids that a recorder promised before it was killed."""
    words = ("-m", "tests.tallywatt.recorder", url, KEY, str(outbox), str(fsync_ms), "3")
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(after_s)
        os.kill(process.pid, signal.SIGKILL)
        said = first + process.stdout.read()
    # A kill may cut the last line that it said, too.
    return said.decode().split("\n")[:-1]


def on_disk(outbox: Path) -> list[str]:
    found: list[str] = []
    for lane in lanes.survey(outbox):
        assert not lane.alive
        for segment in lane.segments:
            found += [json.loads(line)["id"] for line in segments.parse(segment.read_bytes())[0]]
    return found


@pytest.mark.parametrize("fsync_ms", [0, 50])
def test_what_was_promised_is_on_disk_after_kill_9(outbox: Path, fsync_ms: int) -> None:
    promised: list[str] = []
    for _ in range(4):
        promised += killed(NOBODY_LISTENS, outbox, fsync_ms, secrets.randbelow(250) / 1000)
    found = on_disk(outbox)
    assert len(promised) >= 4
    assert set(promised) <= set(found)
    assert len(found) == len(set(found))
    assert len(set(found) - set(promised)) <= 4 * 3  # one a thread may have been written and not promised yet


def test_what_killed_processes_left_arrives_once_they_are_followed(
    server: StrictServer, outbox: Path, client: MakeClient
) -> None:
    """The server is slow to take anything, and the recorders die while they send."""
    server.script = [problem(503, "starting")] * 2
    promised: list[str] = []
    for _ in range(3):
        promised += killed(server.url, outbox, 0, secrets.randbelow(300) / 1000)
    follower = client()
    follower.flush()  # it starts, and adopts what it finds
    give_up_at = time.monotonic() + 20
    while not set(promised) <= set(server.taken) or follower.stats.pending:
        assert time.monotonic() < give_up_at, (len(promised), len(server.taken), follower.stats, follower.last_error)
        time.sleep(0.02)
    follower.close()
    assert on_disk(outbox) == []
