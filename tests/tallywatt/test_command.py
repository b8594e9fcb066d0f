"""`python -m tallywatt outbox PATH`."""

import subprocess
import sys
from pathlib import Path

from tests.tallywatt.conftest import MakeClient
from tests.tallywatt.server import KEY, StrictServer, problem, refusing

TOKENS = {"model": "m", "input_tokens": 3, "output_tokens": 2}


def command(*words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tallywatt", "outbox", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def left_behind(client: MakeClient, **options: str) -> None:
    """Three events in the lane of a client that could not send; one batch, however slow this machine is."""
    sending = client(url="http://127.0.0.1:9", batch_age_s=60, **options)
    for name in "abc":
        sending.record(id=name, **TOKENS)
    sending.close(timeout_s=0.05)


def test_it_shows_what_waits_and_in_whose_lane(client: MakeClient, outbox: Path) -> None:
    left_behind(client)
    living = client(url="http://127.0.0.1:9", batch_age_s=60, key="tw_another")
    living.record(**TOKENS)
    done = command(str(outbox))
    assert done.returncode == 0
    head, *rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert head == ["lane", "process", "batches", "events", "torn", "bytes", "oldest"]
    assert sorted((row[1], row[3], row[4]) for row in rows[:-1]) == [("alive", "1", "0"), ("dead", "3", "0")]


def test_it_sends_what_dead_processes_left(server: StrictServer, client: MakeClient, outbox: Path) -> None:
    left_behind(client)
    server.script = [refusing(1, reason="invariant")]
    done = command(str(outbox), "--flush", "--url", server.url, "--key-file", "-", stdin=f"{KEY}\n")
    assert (done.returncode, done.stdout) == (0, "sent=2 rejected=1 torn=0 pending=0\n")
    assert server.taken == {"a": 1, "c": 1}
    rejected = command(str(outbox)).stdout.splitlines()[-1]
    assert rejected.split("\t")[:4] == ["rejected.ndjson", "-", "-", "1"]


def test_it_says_what_is_left_and_why(server: StrictServer, client: MakeClient, outbox: Path) -> None:
    left_behind(client)
    server.then = problem(503, "down for repair")
    words = ("--flush", "--url", server.url, "--key-file", "-", "--timeout-s", "0.5")
    done = command(str(outbox), *words, stdin=KEY)
    assert (done.returncode, done.stdout) == (1, "sent=0 rejected=0 torn=0 pending=3\n")
    assert "down for repair" in done.stderr


def test_events_of_another_key_go_only_if_that_is_said(server: StrictServer, client: MakeClient, outbox: Path) -> None:
    left_behind(client, key="tw_of_another_tenant")
    words = (str(outbox), "--flush", "--url", server.url, "--key-file", "-")
    assert command(*words, stdin=KEY).stdout == "sent=0 rejected=0 torn=0 pending=0\n"
    assert command(*words, "--any-key", stdin=KEY).stdout == "sent=3 rejected=0 torn=0 pending=0\n"


def test_a_wrong_path_and_missing_words_are_told(outbox: Path) -> None:
    assert "there is no folder" in command(str(outbox)).stderr
    outbox.mkdir()
    done = command(str(outbox), "--flush")
    assert (done.returncode, done.stderr) == (2, "--flush needs --url and --key-file\n")
