"""`manage.py up` as a person uses it: one stack, started once for this module."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from metering.embedded.processes import ROOT
from metering.embedded.stack import free_port

pytestmark = pytest.mark.journey


class Up:
    """A running `manage.py up` and what it has printed so far."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.data_dir, self.port = data_dir, port
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", str(port), "--data-dir", str(data_dir)],
            cwd=ROOT,
            env=embedded_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip())

    def end(self) -> None:
        """Whatever the test left: asked first, so that its children end too."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.wait_ended(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait_ended(5)

    def wait_ended(self, timeout_s: float = 30) -> int:
        code = self.process.wait(timeout_s)
        self._reader.join(5)  # the last lines are read, the pipe is closed
        return code

    def wait_for(self, text: str, *, count: int = 1, timeout_s: float = 60) -> str:
        deadline = time.monotonic() + timeout_s
        while True:
            found = [line for line in self.lines if text in line]
            if len(found) >= count:
                return found[-1]
            assert time.monotonic() < deadline, f"{text!r} was not said; so far:\n" + "\n".join(self.lines)
            time.sleep(0.1)

    def pid_of(self, name: str) -> int:
        line = next(line for line in reversed(self.lines) if line.startswith(f"{name} ") and " pid " in line)
        return int(line.split(" pid ", 1)[1].split()[0])

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


def embedded_environment() -> dict[str, str]:
    """Without the addresses of the test run's own servers."""
    dropped = {"DATABASE_URL", "REDIS_URL", "CLICKHOUSE_URL", "TALLYWATT_DATA_DIR", "TALLYWATT_CLICKHOUSE_READS_SPOOL"}
    return {name: value for name, value in os.environ.items() if name not in dropped}


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(json.load(answer)["status"] == "ok")
    except OSError:
        return False


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    started = Up(tmp_path_factory.mktemp("up") / "var", free_port())
    try:
        started.wait_for("ready http://")
        yield started
    finally:
        started.end()


@pytest.fixture
def start_up() -> Iterator[Callable[[Path, int], Up]]:
    """Starts more of them; ended with the test, also where it fails."""
    started: list[Up] = []

    def start(data_dir: Path, port: int) -> Up:
        started.append(Up(data_dir, port))
        return started[-1]

    yield start
    for each in started:
        each.end()


def test_it_says_one_line_per_service_and_then_ready(up: Up) -> None:
    services = [line.split()[0] for line in up.lines if " pid " in line][:6]
    assert services == ["postgres", "redis", "clickhouse", "worker", "beat", "web"]
    assert f"ready http://127.0.0.1:{up.port}" in up.lines
    assert answers(up.port)


def test_a_second_up_on_the_same_data_directory_is_refused_and_names_the_first(up: Up, start_up) -> None:
    second = start_up(up.data_dir, free_port())
    assert second.wait_ended() == 1
    assert f"already running on {up.data_dir} (pid {up.process.pid})" in "\n".join(second.lines)
    assert answers(up.port)


def test_a_taken_port_is_named(up: Up, start_up, tmp_path: Path) -> None:
    other = start_up(tmp_path / "var", up.port)
    assert other.wait_ended() == 1
    assert f"port {up.port} is taken" in "\n".join(other.lines)


def test_a_command_in_a_second_terminal_finds_the_stack(up: Up) -> None:
    done = manage(up.data_dir, "clickhouse", "--query", "SELECT 1, 'a\tb'")
    assert (done.returncode, done.stdout) == (0, "1\ta\\tb\n")


def test_without_a_stack_a_command_says_what_to_do(tmp_path: Path) -> None:
    done = manage(tmp_path, "seal")
    assert done.returncode != 0
    assert done.stdout == ""
    assert "no stack is running" in done.stderr
    assert "manage.py up" in done.stderr


@pytest.mark.parametrize("name", ["worker", "clickhouse", "web", "redis", "beat", "postgres"])
def test_a_killed_child_is_started_again_and_said_so(up: Up, name: str) -> None:
    before = sum(f"{name} started again" in line for line in up.lines)
    os.kill(up.pid_of(name), signal.SIGKILL)
    up.wait_for(f"{name} ended with exit code -9", count=before + 1)
    up.wait_for(f"{name} started again", count=before + 1)
    deadline = time.monotonic() + 30
    while not answers(up.port):
        assert time.monotonic() < deadline, "the stack did not recover"
        time.sleep(0.2)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_in_time_and_leaves_no_process(start_up, tmp_path: Path, how: signal.Signals) -> None:
    started = start_up(tmp_path / "var", free_port())
    started.wait_for("ready http://")
    family = started.family()
    assert len(family) >= 6
    begun = time.monotonic()
    started.process.send_signal(how)
    started.wait_ended(15)
    assert time.monotonic() - begun < 10
    assert [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
    assert not (tmp_path / "var/stack.json").exists()


def test_killed_outright_it_leaves_no_process_and_the_next_one_starts_at_once(start_up, tmp_path: Path) -> None:
    data_dir, port = tmp_path / "var", free_port()
    started = start_up(data_dir, port)
    started.wait_for("ready http://")
    family = started.family()
    started.process.kill()
    started.wait_ended(5)
    again = start_up(data_dir, port)  # while the children of the first are still ending
    again.wait_for("ready http://")
    assert [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
    assert answers(port)


def test_a_second_signal_kills_at_once(start_up, tmp_path: Path) -> None:
    started = start_up(tmp_path / "var", free_port())
    started.wait_for("postgres ")
    family = started.family()
    started.process.send_signal(signal.SIGINT)
    started.process.send_signal(signal.SIGTERM)
    started.wait_ended(5)
    _, alive = psutil.wait_procs(family, timeout=5)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def manage(data_dir: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "manage.py", *words, "--data-dir", str(data_dir)]
    return subprocess.run(
        command, cwd=ROOT, env=embedded_environment(), capture_output=True, text=True, timeout=60, check=False
    )
