"""The supervisor's own decisions: when it starts a child again, and what it says meanwhile."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metering.embedded import supervisor as module
from metering.embedded.processes import Child, EmbeddedError, locked, wait_for_earlier_run
from metering.embedded.supervisor import Supervisor, Watched


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Supervisor:
    return Supervisor(tmp_path / "var", tmp_path / "var/spool", 8000, demo=False, say=said.append)


def watch(supervisor: Supervisor, child: Child, answers: Callable[[], bool] = lambda: True) -> Watched:
    watched = Watched(child, answers)
    supervisor._watched.append(watched)
    return watched


def test_a_child_that_ends_again_and_again_waits_twice_as_long_each_time(
    supervisor: Supervisor, said: list[str], tmp_path: Path
) -> None:
    child = Child("web", ["/bin/sh", "-c", "echo no room left; exit 3"], log=tmp_path / "web.log")
    child.start()
    watched = watch(supervisor, child)
    _until(supervisor, lambda: sum("starting it again" in line for line in said) == 2)
    first, second = (line for line in said if "starting it again" in line)
    assert "web ended with exit code 3; starting it again in 1 s" in first
    assert "starting it again in 2 s" in second
    assert "  | no room left" in said
    assert watched.backoff_s == 4


def test_the_wait_never_grows_beyond_half_a_minute_and_shrinks_after_a_stable_minute(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    child = Child("web", ["/bin/sleep", "60"], log=tmp_path / "web.log")
    watched = watch(supervisor, child)
    for _ in range(8):
        supervisor._plan_restart(watched)
    assert watched.backoff_s == 30
    child.start()
    watched.due_at, watched.started_at = None, time.monotonic() - 61
    supervisor._revive_all()
    assert watched.backoff_s == 1
    child.kill()


def test_a_restarted_child_is_back_only_when_it_answers(
    supervisor: Supervisor, said: list[str], tmp_path: Path
) -> None:
    child = Child("web", ["/bin/sleep", "60"], log=tmp_path / "web.log")
    answering: list[bool] = []
    watched = watch(supervisor, child, lambda: bool(answering))
    watched.due_at = time.monotonic()
    _until(supervisor, lambda: child.running)
    supervisor._revive_all()
    assert not any("started again" in line for line in said)
    answering.append(True)
    supervisor._revive_all()
    assert f"web started again, pid {child.pid}, answers after" in said[-1]
    child.kill()


def test_a_restarted_child_that_never_answers_is_killed_and_tried_again(
    supervisor: Supervisor, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWERS_WITHIN_S", 0.1)
    child = Child("web", ["/bin/sleep", "60"], log=tmp_path / "web.log")
    watched = watch(supervisor, child, lambda: False)
    watched.due_at = time.monotonic()
    _until(supervisor, lambda: any("starting it again" in line for line in said))
    assert any("web does not answer" in line for line in said)
    assert not child.running


def test_what_crashes_while_a_command_runs_is_started_again_at_once(
    supervisor: Supervisor, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "manage.py"
    slow.write_text("import time; time.sleep(2.5)\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    child = Child("worker", ["/bin/sleep", "60"], log=tmp_path / "worker.log")
    child.start()
    watch(supervisor, child)
    child.kill()
    supervisor._manage("demo data", "demo", "seed")
    assert any("worker started again" in line for line in said)
    child.kill()


def test_a_command_that_fails_shows_what_it_wrote(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manage.py").write_text("import sys; sys.exit('relation does not exist')\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    with pytest.raises(EmbeddedError, match=r"manage.py migrate failed with exit code 1\nrelation does not exist"):
        supervisor._manage("migrate", "migrate")


def test_a_child_is_not_started_beside_one_of_an_earlier_run(tmp_path: Path) -> None:
    """The lock is held by what the child forked, too: here the shell is gone and its background process is not."""
    child = Child("redis", ["/bin/sh", "-c", "sleep 60 & exit 0"], log=tmp_path / "redis.log")
    child.start()
    deadline = time.monotonic() + 10
    while child.running:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    second = Child("redis", [sys.executable, "-c", ""], log=tmp_path / "redis.log")
    with pytest.raises(EmbeddedError, match=rf"redis of an earlier run still runs \(pid {child.pid}\)"):
        second.start(wait_s=0.2)
    with pytest.raises(EmbeddedError, match="redis of an earlier run"):
        wait_for_earlier_run(tmp_path, 0.2)
    child.kill()
    second.start()
    assert second.wait_stopped(10)


def test_a_lock_is_free_again_once_nobody_holds_it(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "x.lock", 0):
            pass


def _until(supervisor: Supervisor, condition: Callable[[], bool], timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        supervisor._revive_all()
