"""`manage.py up`: starts everything in order, keeps it running, stops it in reverse, and leaves no process."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType

from config import environment
from config.stack import STACK_FILE
from metering.embedded import services
from metering.embedded.processes import ROOT, Child, EmbeddedError, wait_for_earlier_run
from metering.embedded.secretsfile import write_private
from metering.embedded.services import Service
from metering.embedded.stack import EmbeddedStack, port_is_free

LONGEST_BACKOFF_S = 30
STABLE_AFTER_S = 60
ANSWERS_WITHIN_S = 60
SHOWN_LINES = 5
STOP_APPLICATION_S = 4
STOP_SERVERS_S = 5


class Stopped(Exception):
    """SIGINT or SIGTERM arrived."""


@dataclass
class Watched:
    """A child that is started again when it ends; waits double from 1 s to 30 s until it has stayed up for a minute."""

    child: Child
    answers: Callable[[], bool]
    started_at: float = field(default_factory=time.monotonic)
    backoff_s: float = 1
    due_at: float | None = None  # when it is down: the moment of the next start
    awaited: bool = False  # started again, and does not answer yet


class Supervisor:
    """One stack on one data directory. `say` prints a line for the person at the terminal."""

    def __init__(self, data_dir: Path, spool: Path, port: int, *, demo: bool, say: Callable[[str], None]) -> None:
        self.data_dir = data_dir
        self.port = port
        self.demo = demo
        self.say = say
        self.stack = EmbeddedStack(data_dir, spool)
        self.application: list[Service] = []
        self._watched: list[Watched] = []
        self._asked_to_stop = False

    def run(self) -> None:
        """Until a signal asks to stop. Raises EmbeddedError if something cannot be started."""
        with exclusive(self.data_dir), self._signals():
            wait_for_earlier_run(self.stack.logs)
            if not port_is_free(self.port):
                raise EmbeddedError(f"port {self.port} is taken by another program: choose one with `up --port N`")
            try:
                self._start()
                self._watch()
            except Stopped:
                self.say("stopping (once more to kill)")
            finally:
                self._stop()

    def _start(self) -> None:
        urls = self.stack.build()
        for notice in self.stack.notices():
            self.say(notice)
        clock = time.monotonic()
        for server in self.stack.start():
            self._watched.append(Watched(server.child, server.answers))
            self._said(server.child, _address(server.url), clock)
            clock = time.monotonic()
        urls = replace(urls, web_url=f"http://127.0.0.1:{self.port}")
        write_private(self.data_dir / STACK_FILE, json.dumps(asdict(urls)))
        self._manage("migrate", "migrate", "--no-input", "--verbosity", "1")
        self._manage("clickhouse schema", "clickhouse_migrate")
        for build in (services.worker, services.beat):
            self._start_service(build(self.data_dir, self._environment()))
        self._start_service(services.web(self.data_dir, self.port, self._environment()))
        if self.demo:
            self._manage("demo data", "demo", "seed", show=True)
            self._start_service(services.demo_traffic(self.data_dir, self._environment()))
        self.say(f"ready {urls.web_url}")
        self._say_logins(urls.web_url)

    def _start_service(self, service: Service) -> None:
        clock = time.monotonic()
        self.application.append(service)
        service.child.start()
        service.child.wait_ready(service.answers, services.STARTED_S)
        self._watched.append(Watched(service.child, service.answers))
        self._said(service.child, service.address, clock)

    def _said(self, child: Child, address: str, clock: float) -> None:
        self.say(f"{child.name:<11} {address:<28} pid {child.pid:<8} {time.monotonic() - clock:.1f} s")

    def _environment(self) -> dict[str, str]:
        """For the application's processes: they find everything through the data directory's stack.json."""
        return {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "TALLYWATT_DATA_DIR": str(self.data_dir),
            "TALLYWATT_DEMO": "1" if self.demo else environment.text("TALLYWATT_DEMO", "0"),
        }

    def _manage(self, title: str, *arguments: str, show: bool = False) -> None:
        """Run a command to its end. Its output goes to a log, or (`show`) to the terminal as progress."""
        clock = time.monotonic()
        words = [sys.executable, str(ROOT / "manage.py"), *arguments, "--data-dir", str(self.data_dir)]
        if arguments[0] == "migrate":  # Django's own command does not know the option; the environment says the same
            words = words[:-2]
        log = self.data_dir / "logs" / "manage.log"
        with log.open("ab") as output:
            begin = output.tell()
            process = subprocess.Popen(  # noqa: S603 - our own command
                words,
                cwd=ROOT,
                env=dict(os.environ) | self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=None if show else output,
                stderr=None if show else subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                while process.poll() is None:  # what crashes meanwhile is started again
                    self._revive_all()
                code = process.returncode
            finally:
                if process.poll() is None:  # we were told to stop in the middle
                    process.terminate()
                    process.wait(5)
        if code != 0:
            detail = "" if show else "\n" + log.read_bytes()[begin:].decode(errors="replace")[-2000:].strip()
            raise EmbeddedError(f"manage.py {' '.join(arguments)} failed with exit code {code}{detail}")
        self.say(f"{title:<40} done {time.monotonic() - clock:>8.1f} s")

    def _say_logins(self, url: str) -> None:
        path = self.data_dir / "demo.json"
        if not self.demo or not path.exists():
            return
        self.say("demo log-ins:")
        for login in json.loads(path.read_text())["logins"]:
            self.say(f"  {login['role']:<9} {login['username']:<14} {login['password']:<20} {url}{login['url']}")

    def _watch(self) -> None:
        while True:
            self._revive_all()

    def _revive_all(self) -> None:
        for watched in self._watched:
            if watched.child.running:
                self._check(watched)
            elif watched.due_at is None:
                self._plan_restart(watched)
            elif time.monotonic() >= watched.due_at:
                self._restart(watched)
        time.sleep(0.2)

    def _check(self, watched: Watched) -> None:
        """One that was started again is back when it answers; one that never does is killed, and so started once more."""
        up_s = time.monotonic() - watched.started_at
        if watched.awaited and watched.answers():
            watched.awaited = False
            self.say(f"{watched.child.name} started again, pid {watched.child.pid}, answers after {up_s:.1f} s")
        elif watched.awaited and up_s > ANSWERS_WITHIN_S:
            self.say(f"{watched.child.name} does not answer for {ANSWERS_WITHIN_S} s: killing it")
            watched.child.kill()
        elif up_s > STABLE_AFTER_S:
            watched.backoff_s = 1

    def _plan_restart(self, watched: Watched) -> None:
        child = watched.child
        watched.due_at = time.monotonic() + watched.backoff_s
        self.say(
            f"{child.name} ended with exit code {child.exit_code}; starting it again in {watched.backoff_s:g} s; {child.log}:"
        )
        for line in child.last_lines().splitlines()[-SHOWN_LINES:]:
            self.say(f"  | {line}")
        watched.backoff_s = min(watched.backoff_s * 2, LONGEST_BACKOFF_S)

    def _restart(self, watched: Watched) -> None:
        watched.child.kill()  # whatever it left in its session holds its port
        try:
            watched.child.start(wait_s=2)
        except EmbeddedError as error:
            self.say(str(error))
            watched.due_at = time.monotonic() + watched.backoff_s
            return
        watched.started_at, watched.due_at, watched.awaited = time.monotonic(), None, True

    def _stop(self) -> None:
        """Application first, all at once; then the servers. Within 10 s, whatever happens."""
        self._asked_to_stop = True  # a signal from here on kills
        (self.data_dir / STACK_FILE).unlink(missing_ok=True)
        for service in reversed(self.application):
            service.child.ask_to_stop()
        deadline = time.monotonic() + STOP_APPLICATION_S
        for service in reversed(self.application):
            service.child.wait_stopped(max(0.0, deadline - time.monotonic()))
        self.stack.stop(STOP_SERVERS_S)
        self.say("stopped")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM raises Stopped; the second kills every child and ends."""

        def stop(number: int, frame: FrameType | None) -> None:
            if self._asked_to_stop:
                for child in [item.child for item in (*self.application, *self.stack.servers)]:
                    child.kill()
                os._exit(1)
            self._asked_to_stop = True
            raise Stopped

        previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _address(url: str) -> str:
    """The address in a URL, without user and password."""
    if url.startswith("unix://"):
        return "unix socket"
    return url.split("@", 1)[-1].split("/", 1)[0]


@contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Hold the data directory; EmbeddedError names the process that holds it already."""
    path = data_dir / "up.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise EmbeddedError(
                f"a stack is already running on {data_dir} (pid {holder}): stop it, or use another --data-dir"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
