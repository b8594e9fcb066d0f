"""Forks, ends of programs, and several processes on one outbox."""

import os
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

from tallywatt import lanes
from tests.tallywatt.conftest import MakeClient
from tests.tallywatt.server import KEY, StrictServer, problem

TOKENS = {"model": "m", "input_tokens": 3, "output_tokens": 2}


def run(program: str, server: StrictServer, outbox: Path) -> "subprocess.CompletedProcess[str]":
    start = f"""
        import asyncio, os, signal, sys, threading, time, tallywatt
        URL, KEY, OUTBOX = {server.url!r}, {KEY!r}, {str(outbox)!r}
        TOKENS = {TOKENS!r}
    """
    text = textwrap.dedent(start) + textwrap.dedent(program)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", text], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("outbox_word", ["OUTBOX", "None"])
def test_a_program_that_ends_without_closing_sends_what_waits(
    server: StrictServer, outbox: Path, outbox_word: str
) -> None:
    done = run(
        f"""
        client = tallywatt.Client(URL, KEY, outbox={outbox_word}, batch_age_s=60)
        for name in "abc": client.record(id=name, **TOKENS)
        """,
        server,
        outbox,
    )
    assert done.stderr == ""
    assert server.taken == dict.fromkeys("abc", 1)


@pytest.mark.parametrize("outbox_word", ["OUTBOX", "None"])
def test_an_async_program_that_ends_without_closing_sends_what_waits(
    server: StrictServer, outbox: Path, outbox_word: str
) -> None:
    done = run(
        f"""
        client = tallywatt.AsyncClient(URL, KEY, outbox={outbox_word}, batch_age_s=60)
        async def main():
            for name in "abc": await client.record(id=name, **TOKENS)
        asyncio.run(main())
        """,
        server,
        outbox,
    )
    assert done.stderr == ""
    assert server.taken == dict.fromkeys("abc", 1)


def test_the_end_of_a_program_is_put_off_for_a_bounded_time(server: StrictServer, outbox: Path) -> None:
    server.then = problem(503, "down")
    began = time.monotonic()
    done = run(
        """
        client = tallywatt.Client(URL, KEY, outbox=OUTBOX, exit_timeout_s=0.5)
        client.record(id="a", **TOKENS)
        """,
        server,
        outbox,
    )
    assert done.returncode == 0
    assert time.monotonic() - began < 30
    (lane,) = lanes.survey(outbox)
    assert (lane.alive, len(lane.segments)) == (False, 1)


def test_a_forked_child_has_a_lane_of_its_own_and_sends_nothing_of_its_parent(
    server: StrictServer, outbox: Path
) -> None:
    """As under gunicorn with --preload: the client is made before the workers are."""
    done = run(
        """
        client = tallywatt.Client(URL, KEY, outbox=OUTBOX, batch_age_s=60)
        client.record(id="parent", **TOKENS)
        children = []
        for number in range(3):
            child = os.fork()
            if child == 0:
                assert client.stats.pending == 0
                client.record(id=f"child-{number}", **TOKENS)
                assert len(os.listdir(OUTBOX + "/lanes")) >= 2
                assert client.close()
                os._exit(0)
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
        """,
        server,
        outbox,
    )
    assert done.stderr == ""
    assert server.taken == {"parent": 1, "child-0": 1, "child-1": 1, "child-2": 1}
    assert lanes.survey(outbox) == []


def test_a_forked_child_that_lives_on_does_not_keep_its_dead_parents_lane(
    server: StrictServer, outbox: Path, client: MakeClient
) -> None:
    server.then = problem(503, "down")
    done = run(
        """
        client = tallywatt.Client(URL, KEY, outbox=OUTBOX, batch_age_s=60)
        client.record(id="parent", **TOKENS)
        child = os.fork()
        if child == 0:
            for stream in (0, 1, 2): os.close(stream)
            time.sleep(20)
            os._exit(0)
        print(child, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        server,
        outbox,
    )
    child = int(done.stdout)
    try:
        os.kill(child, 0)  # it lives
        (lane,) = lanes.survey(outbox)
        assert not lane.alive
    finally:
        os.kill(child, 9)


def test_several_processes_share_an_outbox(server: StrictServer, outbox: Path) -> None:
    program = f"""
import tallywatt
client = tallywatt.Client({server.url!r}, {KEY!r}, outbox={str(outbox)!r}, batch_age_s=0.01, batch_events=7)
for _ in range(100): print(client.record(model="m", input_tokens=1, output_tokens=1))
"""
    running = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    ids = [line for process in running for line in process.communicate(timeout=60)[0].split()]
    assert len(ids) == 400
    assert server.taken == Counter(ids)
    assert lanes.survey(outbox) == []


def test_importing_the_client_imports_neither_the_server_nor_pyarrow() -> None:
    program = (
        "import sys, tallywatt; print([n for n in ('django', 'pyarrow', 'metering', 'celery') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
