"""Child processes of the embedded stack: each in a session of its own, none outliving its parent."""

import fcntl
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config import environment
from metering.embedded import launch

ROOT = Path(__file__).resolve().parents[2]
TAIL_BYTES = 2_000
LOG_BYTES = 32 * 2**20
EARLIER_RUN_S = 12  # a stack whose supervisor was killed is given this long to end


class EmbeddedError(RuntimeError):
    """A server could not be started; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Account:
    """Whom a server runs as. None of the fields is set where the current user is an ordinary one: it then runs as that user."""

    uid: int | None = None
    gid: int | None = None
    capability: int | None = None
    notice: str = ""


def service_account(*paths: Path) -> Account:
    """The unprivileged account for a server that refuses to run as root, able to reach `paths`.

    Raises EmbeddedError if there is no such account, or if a path lies below a private folder and no capability can be kept.
    """
    if os.geteuid() != 0:
        return Account()
    name = environment.text("TALLYWATT_SERVICE_USER", "nobody")
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise EmbeddedError(f"TALLYWATT_SERVICE_USER={name}: there is no such user on this machine") from None
    if entry.pw_uid == 0:
        raise EmbeddedError(
            f"TALLYWATT_SERVICE_USER={name} is root: PostgreSQL refuses to run as root, name another user"
        )
    closed = [
        program for program in paths if program.is_file() and not _permits(program, entry.pw_uid, entry.pw_gid, 5)
    ]
    blocked = next((folder for path in paths if (folder := unreachable(path, entry.pw_uid, entry.pw_gid))), None)
    blocked = blocked or next(iter(closed), None)
    if blocked is None:
        return Account(entry.pw_uid, entry.pw_gid)
    capability = launch.keepable_capability(to_execute=bool(closed))
    if capability is None:
        raise EmbeddedError(
            f"{blocked} is closed to the user {name!r}, whom PostgreSQL and Redis must run as because you are root: "
            "use a data directory and a checkout that it can reach, or run as an ordinary user"
        )
    kept = {launch.CAP_DAC_READ_SEARCH: "CAP_DAC_READ_SEARCH", launch.CAP_DAC_OVERRIDE: "CAP_DAC_OVERRIDE"}[capability]
    return Account(entry.pw_uid, entry.pw_gid, capability, f"as {name} with {kept}, because {blocked} is private")


def unreachable(path: Path, uid: int, gid: int) -> Path | None:
    """The first folder on the way to `path` that `uid` may not pass; None if it can get there. Judged by mode bits."""
    for folder in reversed(path.resolve().parents):
        if folder.exists() and not _permits(folder, uid, gid, 1):
            return folder
    return None


def _permits(path: Path, uid: int, gid: int, wanted: int) -> bool:
    """Whether the mode bits give `uid` all of `wanted` (4 read, 2 write, 1 execute or pass)."""
    state = path.stat()
    shift = 6 if state.st_uid == uid else 3 if state.st_gid == gid else 0
    return state.st_mode >> shift & wanted == wanted


def own(path: Path, account: Account, mode: int) -> None:
    """Give one file or folder (never its parents) to the account."""
    path.chmod(mode)
    if account.uid is not None:
        os.chown(path, account.uid, account.gid or -1)


@contextmanager
def locked(path: Path, wait_s: float) -> Iterator[int]:
    """The descriptor of a lock on `path`. Leaving closes it here; a child that inherited it keeps the lock until it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait_s
    try:
        while not _flock(descriptor):
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{path.stem} of an earlier run still runs (pid {path.read_text()}): end it first")
            time.sleep(0.05)
        yield descriptor
    finally:
        os.close(descriptor)


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_earlier_run(logs: Path, wait_s: float = EARLIER_RUN_S) -> None:
    """Until nothing lives of a run whose supervisor was killed. Raises EmbeddedError, naming it, if something does after `wait_s`."""
    for path in logs.glob("*.lock"):
        with locked(path, wait_s):
            pass


class Child:
    """One child process with its log file."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        account: Account | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        directory: Path | None = None,
        stdin: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.stop_signal = stop_signal
        self.log_offset = 0  # where the log of the current start begins
        self._command = self._launch_command(list(command), account or Account(), directory)
        self._stdin = stdin or Path(os.devnull)
        self._env = dict(os.environ) | {"PYTHONUNBUFFERED": "1"} | dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None

    def _launch_command(self, command: list[str], account: Account, directory: Path | None) -> list[str]:
        words = [sys.executable, "-m", "metering.embedded.launch", "--parent", str(os.getpid())]
        words += ["--death-signal", str(int(self.stop_signal))]
        if account.uid is not None:
            words += ["--uid", str(account.uid), "--gid", str(account.gid)]
        if account.capability is not None:
            words += ["--capability", str(account.capability)]
        if directory is not None:
            words += ["--directory", str(directory)]
        return [*words, "--", *command]

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and before it was started."""
        return self._process.poll() if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, wait_s: float = EARLIER_RUN_S) -> None:
        """Start it from the main thread: the kernel watches the thread that forked, not the process.

        Raises EmbeddedError if a process of an earlier start still lives after `wait_s`: two servers on one data directory
        would destroy it. The child and all that it forks hold a lock for as long as one of them lives.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._rotate_log()
        lock_file = self.log.with_suffix(".lock")
        with locked(lock_file, wait_s) as lock, self.log.open("ab") as output, self._stdin.open("rb") as stdin:
            self.log_offset = output.tell()
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                self._command,
                cwd=ROOT,
                env=self._env,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock,),
            )
            lock_file.write_text(str(self._process.pid))

    def _rotate_log(self) -> None:
        """Keep one older file, so that a service which crashes in a loop does not fill the disk."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.rename(self.log.with_suffix(".old.log"))

    def wait_ready(self, answers: Callable[[], bool], timeout_s: float) -> None:
        """Until `answers()`; EmbeddedError with the log's last lines if the process ends first or time is up."""
        deadline = time.monotonic() + timeout_s
        while not answers():
            if not self.running:
                raise EmbeddedError(f"{self.name} ended with exit code {self.exit_code}:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{self.name} did not answer within {timeout_s:g} s:\n{self.last_lines()}")
            time.sleep(0.05)

    def ask_to_stop(self) -> None:
        if self.running and self._process is not None:
            self._process.send_signal(self.stop_signal)

    def wait_stopped(self, timeout_s: float) -> bool:
        """True if it ended by itself in time; else its whole session is killed."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        self._kill_session()
        return True

    def stop(self, timeout_s: float = 5) -> bool:
        self.ask_to_stop()
        return self.wait_stopped(timeout_s)

    def kill(self) -> None:
        self._kill_session()
        if self._process is not None:
            self._process.wait(5)

    def _kill_session(self) -> None:
        """Whatever the child left behind in its own session (the pool of a Celery worker, say)."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return

    def last_lines(self) -> str:
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
                return log.read().decode(errors="replace").strip()
        except FileNotFoundError:
            return ""
