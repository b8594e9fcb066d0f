"""A whole stack started by `manage.py up`, as a person would start it, and what that person does from a second terminal."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from metering.embedded.stack import free_port

ROOT = Path(__file__).resolve().parents[2]
STARTED_WITHIN_S = 90
SEALED_WITHIN_S = 30
ANSWERS_WITHIN_S = 30  # httpx's own 5 s are too few for a server that was just killed, on a busy machine
# The test run's own servers must not leak into a journey: it has embedded ones of its own.
FOREIGN = ("DATABASE_URL", "REDIS_URL", "CLICKHOUSE_URL", "TALLYWATT_", "DJANGO_", "PYTEST_")


class RunningStack:
    """`manage.py up` on a data directory of its own, with `settings` in its environment.

    `pids` holds the latest process of each service.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        self.pids: dict[str, int] = {}
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self.environment |= settings or {}
        self._process = self.spawn("up", "--port", str(self.port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait_for(lambda: f"ready {self.url}" in self.lines, STARTED_WITHIN_S, "the stack is ready")
            self.key = self.manage("create_api_key", "--operator", "--scopes", "ingest,usage:read,finance:read")
        except BaseException:
            self.stop()
            raise

    def spawn(self, *words: str, **options: Any) -> "subprocess.Popen[str]":
        command = [sys.executable, str(ROOT / "manage.py"), *words, "--data-dir", str(self.data_dir)]
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, text=True, start_new_session=True, **options)

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        process = self.spawn(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(words, process.returncode, out.strip(), err.strip())

    def manage(self, *words: str) -> str:
        """What the command prints. Fails the test if the command does."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.tail()}"
        return done.stdout

    def seal(self) -> None:
        """Now: unless the worker is sealing by its own clock, which is waited for, as the command asks to."""
        give_up_at = time.monotonic() + SEALED_WITHIN_S
        while (
            "another process is sealing" in (done := self.run("seal", "--now")).stderr and time.monotonic() < give_up_at
        ):
            time.sleep(0.5)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self.tail()}"

    def get(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(
            self.url + path,
            params=parameters,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=ANSWERS_WITHIN_S,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def answers(self) -> bool:
        try:
            return httpx.get(self.url + "/readyz", timeout=ANSWERS_WITHIN_S).status_code == 200
        except httpx.TransportError:
            return False

    def usage(self, tenant: str) -> tuple[int, int, int, int]:
        """(requests, input, output, cached) of all time, as the finance API gives it."""
        rows = self.get("/api/v1/usage", tenant=tenant, window="total", **{"from": "2020-01-01", "to": "2030-01-01"})[
            "data"
        ]
        names = ("requests", "input_tokens", "output_tokens", "cached_input_tokens")
        return tuple(sum(row[name] for row in rows) for name in names)  # type: ignore[return-value]

    def kill(self, service: str) -> None:
        """kill -9, and wait until the supervisor has it running again."""
        old = self.pids[service]
        os.kill(old, signal.SIGKILL)
        self.wait_for(lambda: self.pids[service] != old, 30, f"{service} runs again")

    def wait_for(self, what: Callable[[], bool], within_s: float, title: str) -> None:
        give_up_at = time.monotonic() + within_s
        while not what():
            assert self._process.poll() is None, f"`up` has ended: {self.tail()}"
            assert time.monotonic() < give_up_at, f"not within {within_s} s: {title}; {self.tail()}"
            time.sleep(0.1)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._reader.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def tail(self) -> str:
        return "\n".join(self.lines[-40:])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            line = raw.rstrip()
            if found := re.match(r"(\w+) .*\bpid (\d+)\b", line):
                self.pids[found[1]] = int(found[2])
            self.lines.append(line)
